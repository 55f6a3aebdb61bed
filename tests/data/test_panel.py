"""The panel: windows, slices, concatenation, against plain Python lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.data import Frequency, Panel

HOURLY = Frequency("duration", 3_600_000_000_000)
MONTHLY = Frequency("month", 1, 31)


def make(series, frequency=HOURLY, origins="2024-01-31", ids=None):
    """Build a panel of lists in which None is a missing value."""
    flat = [value for part in series for value in part]
    integer = frequency.kind == "integer"
    return Panel(
        values=np.array([0.0 if value is None else value for value in flat], dtype=float),
        observed=np.array([value is not None for value in flat], dtype=bool),
        offsets=np.concatenate([[0], np.cumsum([len(part) for part in series])]).astype(np.int64),
        ids=tuple(ids or (f"s{i}" for i in range(len(series)))),
        origins=np.array([origins] * len(series), dtype=np.int64 if integer else "datetime64[ns]"),
        frequency=frequency,
    )


values = st.one_of(st.none(), st.floats(-1e6, 1e6))
many_series = st.lists(st.lists(values, min_size=1, max_size=12), min_size=1, max_size=5)


def listed(panel, i):
    return [float(v) if seen else None for v, seen in zip(*panel.series(i), strict=True)]


@given(series=many_series, data=st.data(), length=st.integers(1, 9))
def test_gathered_windows_are_the_rows_and_nothing_outside(series, data, length):
    windows = data.draw(st.lists(st.tuples(st.integers(0, len(series) - 1), st.integers(-10, 15)), max_size=6))
    found, observed = make(series).gather([w[0] for w in windows], [w[1] for w in windows], length)
    assert found.shape == observed.shape == (len(windows), length)
    for row, seen, (i, start) in zip(found, observed, windows, strict=True):
        for j in range(length):
            at = start + j
            expected = series[i][at] if 0 <= at < len(series[i]) else None
            assert bool(seen[j]) == (expected is not None)
            assert row[j] == (0.0 if expected is None else expected)


bounds = st.one_of(st.none(), st.integers(-15, 15))


@given(series=many_series, start=bounds, stop=bounds)
def test_slices_follow_pythons_rules(series, start, stop):
    panel = make(series)
    part = panel.slice_rows(start, stop)
    for i, rows in enumerate(series):
        assert listed(part, i) == rows[start:stop]
        assert part.ds_of(i).tolist() == panel.ds_of(i)[start:stop].tolist()


@given(series=many_series, data=st.data())
def test_selected_series_come_in_the_order_asked_for(series, data):
    which = data.draw(st.lists(st.integers(0, len(series) - 1), unique=True, min_size=1))
    part = make(series).select(which)
    assert part.ids == tuple(f"s{i}" for i in which)
    assert [listed(part, j) for j in range(len(which))] == [series[i] for i in which]


@given(series=many_series, cut=st.integers(0, 12))
@settings(deadline=None)
def test_a_panel_cut_in_two_is_the_panel_again(series, cut):
    panel = make(series, MONTHLY)
    assert panel.slice_rows(0, cut).concat(panel.slice_rows(cut, None)).equals(panel)


def test_new_rows_of_some_series_in_another_order_go_to_their_series():
    panel = make([[1, 2], [3], [4, 5, 6]])
    later = make([[60], [20, None]], ids=["s2", "s0"])
    later = later.with_origins([panel.end_of(2) + np.timedelta64(1, "h"), panel.end_of(0) + np.timedelta64(1, "h")])
    joined = panel.concat(later)
    assert [listed(joined, i) for i in range(3)] == [[1, 2, 20, None], [3], [4, 5, 6, 60]]
    assert joined.ids == panel.ids


def test_a_gap_before_new_rows_is_refused_or_masked():
    panel = make([[1, 2]])
    later = make([[9]]).with_origins(np.datetime64("2024-01-31T04"))
    with pytest.raises(ValueError, match="series 's0': 2 rows are missing between 2024-01-31 01:00 and the new rows"):
        panel.concat(later)
    assert listed(panel.concat(later, on_gap="mask"), 0) == [1, 2, None, None, 9]


def test_rows_that_are_there_already_are_refused_in_both_modes():
    panel = make([[1, 2]])
    for mode in ("raise", "mask"):
        with pytest.raises(ValueError, match="series 's0': the new rows begin at 2024-01-31 01:00, but rows up to"):
            panel.concat(panel.slice_rows(1, None), on_gap=mode)


def test_rows_that_do_not_belong_are_refused():
    panel = make([[1, 2]])
    with pytest.raises(ValueError, match="the new rows step by ME and the earlier ones by h"):
        panel.concat(make([[1]], MONTHLY))
    with pytest.raises(ValueError, match="series 'z' is not among the 1 earlier ones"):
        panel.concat(make([[1]], ids=["z"]))
    with pytest.raises(
        ValueError,
        match="series 's0': 2024-02-01 00:30 is not a whole number of steps .h. from .*, its last",
    ):
        panel.concat(make([[1]]).with_origins(np.datetime64("2024-02-01T00:30")))
    with pytest.raises(ValueError, match="on_gap must be 'raise' or 'mask', got 'fill'"):
        panel.concat(panel, on_gap="fill")


def test_ends_are_the_last_timestamps():
    panel = make([[1, 2], [3]], MONTHLY)
    assert panel.last_ds.tolist() == [panel.end_of(0).tolist(), panel.end_of(1).tolist()]
    assert panel.end_of(0) == np.datetime64("2024-02-29")
    assert (panel.n_series, panel.lengths.tolist()) == (2, [2, 1])
    assert make([[1, 2]], Frequency("integer", 5), 10).end_of(0) == 15


def test_equality_sees_every_part():
    panel = make([[1, None]])
    assert panel.equals(make([[1, None]]))
    for other in (make([[1, 0]]), make([[2, None]]), make([[1, None]], ids=["x"]), make([[1], [None]])):
        assert not panel.equals(other)
    assert not panel.equals(panel.with_origins(np.datetime64("2024-02-01")))


def test_windows_of_a_panel_without_rows_are_empty():
    found, observed = make([[1]]).slice_rows(1, None).gather([0], [0], 3)
    assert found.tolist() == [[0, 0, 0]]
    assert not observed.any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"ids": ("a", "b")}, "2 ids need 3 offsets and 2 origins"),
        ({"offsets": np.array([1, 3])}, "offsets must begin at 0"),
        ({"offsets": np.array([0, 4])}, "offsets end at 4"),
        ({"observed": np.ones(2, dtype=bool)}, "offsets end at 3"),
        ({"observed": np.zeros(3, dtype=bool)}, "must hold 0.0"),
        ({"origins": np.array([0])}, "origins are int64"),
    ],
)
def test_parts_that_do_not_fit_are_refused(change, words):
    panel = make([[1, 2, 3]])
    parts = {name: getattr(panel, name) for name in ("values", "observed", "offsets", "ids", "origins", "frequency")}
    with pytest.raises(ValueError, match=words):
        Panel(**{**parts, **change})
