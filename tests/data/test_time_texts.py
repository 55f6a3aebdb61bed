"""Times as files write them: what is written is read again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data.time_texts import NAMED, check_time_format, parse_times, write_times

DAYS = st.lists(st.integers(-20_000, 40_000), min_size=1, max_size=8)
PATTERNS = ("%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y", "%Y%m%d", "%Y/%m/%d", "%d-%b-%Y", "%B %d, %Y", "%d.%m.%Y %H:%M")


@given(DAYS, st.sampled_from([*PATTERNS, "iso", "epoch_s", "epoch_ms", "epoch_us", "epoch_ns"]))
def test_days_come_back(days: list[int], form: str) -> None:
    times = np.array(days).astype("datetime64[D]").astype("datetime64[ns]")
    texts = pd.Series(write_times(times, form)).astype(str)
    np.testing.assert_array_equal(parse_times(texts, form), times)


@given(st.lists(st.integers(0, 800), min_size=1), st.sampled_from([("quarter", 3), ("%Y-%m", 1), ("%b %Y", 1)]))
def test_months_and_quarters_come_back_as_their_first_days(counts: list[int], form: tuple[str, int]) -> None:
    times = (np.array(counts) * form[1]).astype("datetime64[M]").astype("datetime64[ns]")
    np.testing.assert_array_equal(parse_times(pd.Series(write_times(times, form[0])), form[0]), times)


@given(st.lists(st.integers(-500, 3000), min_size=1))
def test_weeks_come_back_as_their_mondays(weeks: list[int]) -> None:
    times = np.datetime64("1970-01-05") + np.array(weeks) * np.timedelta64(7, "D")
    texts = write_times(times.astype("datetime64[ns]"), "iso_week")
    np.testing.assert_array_equal(parse_times(pd.Series(texts), "iso_week"), times)


@pytest.mark.parametrize(
    ("text", "form", "zone", "expected"),
    [
        ("2024-03-31T00:00:00+01:00", "iso", None, "2024-03-30T23:00"),
        ("2024-04-01T00:00:00+02:00", "iso", "Europe/Berlin", "2024-04-01"),
        ("2024-04-01T00:00:00Z", "iso", None, "2024-04-01"),
        ("01.04.2024 02:00 +0200", "%d.%m.%Y %H:%M %z", None, "2024-04-01"),
        ("1700000000.0", "epoch_s", None, "2023-11-14T22:13:20"),
        ("2024 Q3", "quarter", None, "2024-07-01"),
        ("Q3/2024", "quarter", None, "2024-07-01"),
        ("2020-W53", "iso_week", None, "2020-12-28"),
    ],
)
def test_known_times(text: str, form: str, zone: str | None, expected: str) -> None:
    assert parse_times(pd.Series([text]), form, zone)[0] == np.datetime64(expected)


@pytest.mark.parametrize(
    ("text", "form"),
    [("31.02.2024", "%d.%m.%Y"), ("2021-W53", "iso_week"), ("2024Q5", "quarter"), ("1e9", "epoch_s"),
     ("9" * 30, "epoch_s"), ("soon", "iso"), ("", "iso")],
)  # fmt: skip
def test_what_is_no_time_is_not_a_time(text: str, form: str) -> None:
    assert np.isnat(parse_times(pd.Series([text]), form)[0])


def test_times_without_a_form_are_written_as_short_as_they_can_be() -> None:
    for text in ("2024-01-31", "2024-01-31 06:00", "2024-01-31 06:00:01", "2024-01-31 06:00:01.500000"):
        assert write_times(np.array([text], dtype="datetime64[ns]"), None)[0] == text
    assert write_times(np.array([3, 4]), None).tolist() == [3, 4]


@pytest.mark.parametrize("form", [*NAMED, *PATTERNS])
def test_known_forms_are_accepted(form: str) -> None:
    check_time_format(form)


@pytest.mark.parametrize(("form", "words"), [("%d.%m.", "no year"), ("%Y-%Q", "unknown %Q"), ("epoch", "no year")])
def test_a_form_that_cannot_be_is_refused(form: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_time_format(form)
