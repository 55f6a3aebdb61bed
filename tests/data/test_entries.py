"""GluonTS datasets of every kind to panels, and what is refused."""

from __future__ import annotations

import datetime as dt
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import FileDataset, ListDataset
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split

from titans_seq.data import Frequency, forecast_frame, read_entries, read_panel


def long(freq="D", lengths=(9, 7), missing=True):
    rng = np.random.default_rng(0)
    parts = []
    for name, n in zip("ab", lengths, strict=True):
        y = rng.normal(size=n).astype(np.float32)
        y[3] = np.nan if missing else y[3]
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-02-04", periods=n, freq=freq), "y": y}))
    return pd.concat(parts, ignore_index=True)


def entries(frame, period_freq="D", **changes):
    """Return the series of a long frame as entries; `changes` replaces fields of the second, None removes them."""
    made = [
        {"start": pd.Period(part.ds.iloc[0], period_freq), "target": part.y.to_numpy(), "item_id": name}
        for name, part in frame.groupby("unique_id")
    ]
    made[1] = {key: value for key, value in {**made[1], **changes}.items() if value is not None}
    return made


def as_file(frame, folder):
    lines = [
        {"start": str(part.ds.iloc[0]), "target": [None if np.isnan(v) else float(v) for v in part.y], "item_id": name}
        for name, part in frame.groupby("unique_id")
    ]
    (folder / "data.json").write_text("\n".join(json.dumps(line) for line in lines))
    return FileDataset(folder, freq="D")


DATASETS = {
    "list of dicts": lambda frame, _: entries(frame),
    "tuple of dicts": lambda frame, _: tuple(entries(frame)),
    "generator": lambda frame, _: (entry for entry in entries(frame)),
    "ListDataset": lambda frame, _: ListDataset(entries(frame), freq="D"),
    "FileDataset": as_file,
    "PandasDataset": lambda frame, _: PandasDataset.from_long_dataframe(
        frame, item_id="unique_id", timestamp="ds", target="y", freq="D"
    ),
    "training part of a split": lambda frame, _: split(entries(frame), offset=-2)[0],
    "input of test data": lambda frame, _: split(entries(frame), offset=-2)[1].generate_instances(2).input,
}


@pytest.mark.parametrize("kind", DATASETS)
def test_a_dataset_is_the_panel_of_its_long_frame(kind, tmp_path):
    frame = long()
    panel, form = read_panel(DATASETS[kind](frame, tmp_path))
    rows = -2 if kind in ("training part of a split", "input of test data") else None
    expected, _ = read_panel(pd.concat(part.iloc[:rows] for _, part in frame.groupby("unique_id")))
    assert panel.equals(expected)
    assert (form.kind, form.backend) == ("long", "pandas")


@pytest.mark.parametrize(
    ("alias", "period"),
    [
        *(("h", "h"), ("15min", "15min"), ("2h", "2h"), ("s", "s"), ("10ms", "10ms"), ("D", "D"), ("3D", "3D")),
        *(("W-MON", "W-SUN"), ("2W-MON", "2W-SUN"), ("MS", "M"), ("2MS", "2M"), ("QS", "Q"), ("YS-APR", "Y-MAR")),
    ],
)
def test_periods_of_any_frequency_are_the_rows_they_begin_with(alias, period):
    frame = long(alias, lengths=(40, 30))
    panel, form = read_panel(entries(frame, period))
    expected, _ = read_panel(frame)
    assert panel.equals(expected)
    point = {"TitansForecaster": np.zeros((2, 3))}
    answer = forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, point)
    assert answer.columns.tolist() == ["unique_id", "ds", "TitansForecaster"]
    last = frame.groupby("unique_id").ds.last()
    assert answer.ds.tolist() == [
        when for name in "ab" for when in pd.date_range(last[name], periods=4, freq=alias)[1:]
    ]


def test_business_days_are_read_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas announces that such periods will go
        start = pd.Period("2024-02-05", "B")
    panel, _ = read_panel([{"start": start, "target": np.arange(7.0)}])
    assert panel.frequency.alias == "B"
    assert panel.ds_of(0).astype("datetime64[D]").tolist()[-3:] == [dt.date(2024, 2, day) for day in (9, 12, 13)]


LATER = [("ME", "M"), ("QE", "Q"), ("QE-JAN", "Q-JAN"), ("YE", "Y"), ("2ME", "2M"), ("3ME", "3M"), ("W-SUN", "W-SUN")]


@pytest.mark.parametrize(("alias", "period"), [*LATER, ("W-WED", "W-SUN"), ("D", "D"), ("2h", "2h")])
def test_periods_after_a_frame_are_the_rows_of_the_frame_that_lie_in_them(alias, period):
    every = pd.date_range("2021-02-07 00:30" if alias == "2h" else "2021-02-07", periods=40, freq=alias)
    frame = pd.DataFrame({"unique_id": "a", "ds": every[:30], "y": 1.0})
    panel, _ = read_panel(frame)
    origins = {"a": panel.origins[0]}
    for row in range(40):
        entry = {"start": every[row].to_period(period), "target": [1.0], "item_id": "a"}
        read = read_entries([entry], frequency=panel.frequency, origins=origins)
        assert read.origins[0] == every[row].to_datetime64()
        assert read.frequency == panel.frequency


def test_each_series_keeps_the_weekday_of_its_own_rows():
    frame = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-01-01", periods=20, freq=f"W-{name}"), "y": 1.0})
        for name in ("TUE", "FRI")
    )
    panel, _ = read_panel(frame)
    origins = dict(zip(panel.ids, panel.origins, strict=True))
    week = {"start": pd.Period("2024-06-03", "W"), "target": [1.0]}
    made = read_entries(
        [week | {"item_id": name} for name in ("FRI", "TUE", "new")], frequency=panel.frequency, origins=origins
    )
    days = [str(day) for day in made.origins.astype("datetime64[D]")]
    assert days == ["2024-06-07", "2024-06-04", "2024-06-04"]


def test_months_without_earlier_rows_stand_on_the_day_of_the_frequency():
    entry = {"start": pd.Period("2024-02", "M"), "target": [1.0]}
    for anchor, day in ((1, "2024-02-01"), (15, "2024-02-15"), (31, "2024-02-29")):
        read = read_entries([entry], frequency=Frequency("month", 1, anchor))
        assert read.origins.astype("datetime64[D]").astype(str).tolist() == [day]


def test_entries_without_a_name_are_numbered():
    nameless = [{"start": pd.Period("2024", "Y"), "target": [1, 2]} for _ in range(3)]
    panel, form = read_panel(nameless)
    assert panel.ids == (0, 1, 2)
    answer = forecast_frame(form, panel.ids, panel.last_ds, panel.frequency, {"TitansForecaster": np.zeros((3, 1))})
    assert answer.unique_id.dtype == "int64"
    assert read_entries(nameless, first=7).ids == (7, 8, 9)


def test_names_that_are_numbers_of_numpy_are_plain_numbers():
    panel, _ = read_panel([{"start": pd.Period("2024", "Y"), "target": [1, 2], "item_id": np.int64(4)}])
    assert panel.ids == (4,)
    assert type(panel.ids[0]) is int


@pytest.mark.parametrize(
    "target",
    [
        [1.0, None, 3.0],
        (1, float("nan"), 3),
        np.array([1, np.nan, 3], dtype=np.float16),
        np.ma.masked_array([1, 9, 3], mask=[0, 1, 0]),
        np.ma.masked_array([1, np.inf, 3], mask=[0, 1, 0]),
        pd.Series([1, pd.NA, 3], dtype="Int64"),
        pd.Series([1, None, 3], dtype="object", index=[7, 8, 9]),
    ],
    ids=["list", "tuple", "half precision", "masked", "masked infinity", "nullable", "objects"],
)
def test_missing_values_of_any_kind_are_not_observed(target):
    panel, _ = read_panel([{"start": pd.Period("2024", "Y"), "target": target}])
    assert panel.values.tolist() == [1, 0, 3]
    assert panel.observed.tolist() == [True, False, True]


def test_the_entries_are_left_as_they_are():
    made = entries(long())
    before = [entry["target"].copy() for entry in made]
    read_panel(made)
    for entry, target in zip(made, before, strict=True):
        np.testing.assert_array_equal(entry["target"], target)


def test_later_rows_may_begin_with_a_timestamp():
    made = entries(long(), start=pd.Timestamp("2024-03-01"))
    made[0]["start"] = np.datetime64("2024-03-02")
    panel = read_entries(made, frequency=Frequency("duration", 86_400_000_000_000))
    assert panel.origins.astype("datetime64[D]").astype(str).tolist() == ["2024-03-02", "2024-03-01"]


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"target": None}, ValueError, r"entry 1 \('b'\) has no 'target' \(it has start, item_id\); add it"),
        ({"start": None}, ValueError, r"entry 1 \('b'\) has no 'start'"),
        ({"target": None, "item_id": None}, ValueError, "^entry 1 has no 'target'"),
        ({"target": np.ones((2, 9))}, ValueError, r"target has shape \(2, 9\).* an entry of each of its rows"),
        ({"target": np.ones((1, 9, 1))}, ValueError, r"target has shape \(1, 9, 1\).* one-dimensional"),
        ({"target": 3.0}, ValueError, r"target has shape \(\)"),
        ({"target": [[1.0, 2.0], [3.0]]}, ValueError, r"entry 1 \('b'\): target is ragged"),
        ({"target": []}, ValueError, r"entry 1 \('b'\): target is empty; drop the entry"),
        ({"target": [1.0, "2"]}, ValueError, r"entry 1 \('b'\), row 1: target is '2', which is not a number"),
        ({"target": [1.0, np.inf]}, ValueError, r"entry 1 \('b'\), row 1: target is inf; mark it as missing"),
        ({"target": [np.nan, np.nan]}, ValueError, "series 'b': all 2 values of target are missing; drop the series"),
        ({"start": "2024-02-04"}, TypeError, r"start '2024-02-04' is str; it must be a pandas Period: pd.Period\("),
        ({"start": 7}, TypeError, "start 7 is int"),
        ({"start": pd.NaT}, ValueError, r"entry 1 \('b'\): start is missing \(NaT\)"),
        ({"start": pd.Period("1500-01-01", "D")}, ValueError, "start 1500-01-01 lies outside 1677-09-22"),
        ({"start": pd.Period("2024-02-04", "h")}, ValueError, r"mixed frequencies: entry 1 \('b'\) steps by h .*by D"),
        ({"item_id": 1.5}, TypeError, "entry 1: item_id 1.5 is float; ids must be text or integers"),
        ({"item_id": "a"}, ValueError, "entries 0 and 1 both have the item_id 'a'"),
    ],
)
def test_an_entry_that_cannot_be_read_is_named(changes, error, words):
    with pytest.raises(error, match=words) as caught:
        read_panel(entries(long(), **changes))
    assert "\n" not in str(caught.value)


def test_a_timestamp_alone_does_not_say_how_rows_follow():
    with pytest.raises(ValueError, match=r"entry 0: start 2024-02-04 .* does not say how rows follow; use pd.Period\("):
        read_panel([{"start": pd.Timestamp("2024-02-04"), "target": [1.0, 2.0]}])


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (pd.Period("2024-02-04", "h"), r"entry 0 \('a'\) steps by h \(start 2024-02-04 00:00\), the rows of fit by D"),
        (pd.Timestamp("2024-02-04", tz="UTC"), r"has a time zone, .*tz_localize\(None\)"),
    ],
)
def test_later_entries_of_another_kind_are_refused(start, words):
    with pytest.raises(ValueError, match=words):
        read_entries(
            [{"start": start, "target": [1.0], "item_id": "a"}], frequency=Frequency("duration", 86400 * 10**9)
        )


def test_a_timestamp_off_the_grid_is_refused():
    entry = {"start": pd.Timestamp("2024-02-04"), "target": [1.0], "item_id": "a"}
    with pytest.raises(ValueError, match=r"entry 0 \('a'\): start 2024-02-04 .* can't be a row of step ME"):
        read_entries([entry], frequency=Frequency("month", 1, 31))


def test_dates_after_integer_times_are_refused():
    with pytest.raises(ValueError, match="start 2024 is a date, but the earlier rows had integer times"):
        read_panel([{"start": pd.Period("2024", "Y"), "target": [1.0]}], frequency=Frequency("integer", 1))


@pytest.mark.parametrize("data", [[], (), iter(())], ids=["list", "tuple", "generator"])
def test_an_empty_dataset_is_refused(data):
    with pytest.raises(ValueError, match="the dataset is empty; it needs at least one entry with 'start' and 'target'"):
        read_panel(data)


def test_what_only_holds_entries_is_refused_with_the_part_to_pass():
    test_data = split(entries(long()), offset=-2)[1].generate_instances(2)
    with pytest.raises(TypeError, match="got gluonts TestData; pass its .input"):
        read_panel(test_data)
    with pytest.raises(TypeError, match="entry 1 is a list; entries must be dicts"):
        read_panel([entries(long())[0], [1, 2]])
