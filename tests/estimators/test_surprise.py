"""`surprise`: what it says of every row, that no row says anything of an earlier one, and what it costs."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from series_frames import hourly, only, rows
from sklearn.exceptions import NotFittedError

from titans_seq import TitansForecaster
from titans_seq.adapters.stream import StreamReader
from titans_seq.estimators.analysis import analyze_forecaster

PATCH, CONTEXT = 4, 16
JUDGED = ["TitansForecaster", "surprise", "memory_surprise"]
WAYS: dict[str, dict[str, Any]] = {
    "carried": {},
    "windowed": {"carry_state": False},
    "short horizon": {"horizon": 3},
    "one row ahead": {"horizon": 1},
    "short horizon, windowed": {"horizon": 3, "carry_state": False},
    "mac": {"variant": "mac"},
    "attention": {"variant": "attention"},
    "online": {"online_linear": True},
}
loud = pytest.mark.usefixtures("loud_network")


def judged(frame: pd.DataFrame, columns: list[str] | None = None) -> np.ndarray:
    return frame[columns or JUDGED].to_numpy(dtype=float)


def with_jump(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    """Every series 40 higher from its row ``row`` on, and one value missing."""
    number = frame.groupby("unique_id").cumcount()
    jumped = frame.assign(y=frame["y"] + 40.0 * (number >= row))
    return jumped.assign(y=jumped["y"].mask(number == row + 2))


def surprise_by_backtest(forecaster: TitansForecaster, frame: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Forecasts and surprise of one series from its second patch on, by what a backtest at patch boundaries says."""
    result = forecaster.backtest(frame, first_cutoff=PATCH, stride=PATCH)
    low, high = (result.quantiles[:, :PATCH, result.quantile_levels.index(q)] for q in (0.1, 0.9))
    deviation = (high - low) / (2 * 1.2815515655446004) * forecaster._combination.usual[-1]
    near = np.abs(result.actual - result.point)[:, :PATCH] / deviation
    return result.point[:, :PATCH].ravel(), np.where(result.observed[:, :PATCH], near, np.nan).ravel()


# --- what is said of a row ------------------------------------------------------------------------------------


@loud
@pytest.mark.parametrize("carry_state", [True, False])
def test_surprise_is_the_distance_from_the_forecast_in_units_of_the_calibrated_interval(
    make: Callable[..., TitansForecaster], carry_state: bool
) -> None:
    frame = hourly({"a": 203}, missing=0.05)
    forecaster = make(max_epochs=0, carry_state=carry_state).fit(rows(frame, 0, 160))
    found = forecaster.surprise(frame)
    forecast, surprise = surprise_by_backtest(forecaster, frame)
    part = found.iloc[PATCH : PATCH + len(forecast)]
    np.testing.assert_allclose(part["TitansForecaster"], forecast, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(part["surprise"], surprise, rtol=1e-4, atol=1e-4)
    assert found[["TitansForecaster", "surprise"]].iloc[:PATCH].isna().all(axis=None)
    np.testing.assert_array_equal(found["y"], frame["y"])


def test_without_a_network_it_is_the_same_with_the_linear_forecast(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 203}, missing=0.05)
    forecaster = make(max_epochs=0).fit(frame)
    assert forecaster.network_weight_ == 0
    found = forecaster.surprise(frame)
    forecast, surprise = surprise_by_backtest(forecaster, frame)
    part = found.iloc[PATCH : PATCH + len(forecast)]
    np.testing.assert_allclose(part["TitansForecaster"], forecast, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(part["surprise"], surprise, rtol=1e-4, atol=1e-4)
    assert found["memory_surprise"].isna().all()
    assert (found["threshold"] == forecaster.anomaly_threshold_).all()


@loud
@pytest.mark.parametrize("way", ["carried", "short horizon", "one row ahead", "windowed", "online"])
def test_the_forecast_of_a_row_is_what_predict_had_said_at_the_last_cut_off(
    make: Callable[..., TitansForecaster], way: str
) -> None:
    frame = hourly({"a": 197}, missing=0.05)
    forecaster = make(max_epochs=0, **WAYS[way]).fit(rows(frame, 0, 180))
    found = forecaster.surprise(rows(frame, 180, None))
    steps = min(PATCH, forecaster.horizon)
    expected: list[float] = []
    for row in range(180, 197):
        if (row % PATCH) % steps == 0:
            said = forecaster.predict()["TitansForecaster"].to_list()
            until = min(steps, PATCH - row % PATCH)
            expected += said[:until]
        forecaster.update(rows(frame, row, row + 1))
    np.testing.assert_allclose(found["TitansForecaster"], expected[:17], rtol=1e-5, atol=1e-4)


@loud
@pytest.mark.parametrize("variant", ["mag", "mac", "lmm"])
@pytest.mark.parametrize("horizon", [6, 3])
def test_surprise_of_the_memory_is_that_of_the_patch_as_analysis_has_it(
    make: Callable[..., TitansForecaster], variant: str, horizon: int
) -> None:
    frame = hourly({"a": 103, "b": 70}, missing=0.05)
    frame.loc[40:43, "y"] = np.nan  # a whole patch
    forecaster = make(max_epochs=0, variant=variant, horizon=horizon, n_layers=2).fit(frame)
    found = forecaster.surprise(frame)
    table = pd.DataFrame(analyze_forecaster(forecaster, frame).table.to_dict(as_series=False))
    patches = table.groupby(["stream", "position"], sort=False)["surprise"].mean()
    for name, length in (("a", 103), ("b", 70)):
        own = only(found, name)["memory_surprise"].to_numpy()
        whole = length // PATCH * PATCH
        np.testing.assert_allclose(own[:whole], np.repeat(patches[name].to_numpy(), PATCH), rtol=1e-4)
        assert np.isnan(own[whole:]).all()
    assert only(found, "a")["memory_surprise"].isna().to_numpy().nonzero()[0].tolist() == [
        40,
        41,
        42,
        43,
        100,
        101,
        102,
    ]


@loud
def test_with_fresh_states_the_memory_has_read_no_more_than_a_context(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 120})
    forecaster = make(max_epochs=0, carry_state=False).fit(frame)
    found = forecaster.surprise(frame)["memory_surprise"].to_numpy()
    for end in (60, 100, 120):
        window = frame.iloc[end - CONTEXT : end].reset_index(drop=True)
        last = analyze_forecaster(forecaster, window).table.tail(2)["surprise"].mean()
        np.testing.assert_allclose(found[end - PATCH : end], last, rtol=1e-4)


# --- no look-ahead --------------------------------------------------------------------------------------------


@loud
@pytest.mark.parametrize("start", ["fresh", "carried", "unknown"])
@pytest.mark.parametrize(("way", "row"), [*((way, 41) for way in WAYS), ("carried", 44)])
def test_a_later_value_never_changes_what_is_said_of_an_earlier_row(
    make: Callable[..., TitansForecaster], way: str, start: str, row: int
) -> None:
    history = hourly({"a": 101, "b": 102})
    forecaster = make(max_epochs=0, **WAYS[way]).fit(history)
    if start == "carried":
        longer = hourly({"a": 161, "b": 162})
        frame = pd.concat([only(longer, "a").iloc[101:], only(longer, "b").iloc[102:]], ignore_index=True)
    else:
        frame = hourly({"a": 70, "b": 69} if start == "fresh" else {"x": 70, "y": 69}, seed=3)
    before, after = forecaster.surprise(frame), forecaster.surprise(with_jump(frame, row))
    assert before["surprise"].notna().mean() > 0.5
    for name in frame["unique_id"].unique():
        a, b = only(before, name), only(after, name)
        np.testing.assert_allclose(judged(a)[:row, :2], judged(b)[:row, :2], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(a["anomaly"][:row], b["anomaly"][:row])
        # The memory's surprise belongs to the patch: it may see the patch's end, and nothing further.
        position = (101 if name == "a" else 102) if start == "carried" else 0
        boundary = max(0, (position + row) // PATCH * PATCH - position)
        np.testing.assert_allclose(judged(a)[:boundary, 2], judged(b)[:boundary, 2], rtol=0, atol=1e-6)
        assert b["surprise"][row] > a["surprise"][row] + 5  # the change was there to be seen
        assert np.abs(judged(a)[row + 4 :, 0] - judged(b)[row + 4 :, 0]).min() > 1.0


# --- cost -----------------------------------------------------------------------------------------------------


@pytest.fixture
def read_rows(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """Rows that each call of `StreamReader.read` read, per series."""
    calls: list[np.ndarray] = []
    honest = StreamReader.read

    def spy(
        self: StreamReader, stream: Any, values: Any, observed: Any, lengths: Any, *rest: Any, **options: Any
    ) -> Any:
        calls.append(lengths.numpy().copy())
        return honest(self, stream, values, observed, lengths, *rest, **options)

    monkeypatch.setattr(StreamReader, "read", spy)
    return calls


@loud
@pytest.mark.parametrize("way", ["carried", "short horizon", "mac"])
def test_every_row_is_read_once(make: Callable[..., TitansForecaster], read_rows: list[np.ndarray], way: str) -> None:
    frame = hourly({"a": 203, "b": 120, "c": 161})
    forecaster = make(max_epochs=0, **WAYS[way]).fit(rows(frame, 0, 110))
    read_rows.clear()
    forecaster.surprise(frame)
    assert sum(read_rows).tolist() == [203, 120, 161]
    assert len(read_rows) <= 203 // min(PATCH, forecaster.horizon) * 2
    read_rows.clear()
    forecaster.surprise(rows(frame, 110, None))
    assert sum(read_rows).tolist() == [93, 10, 51]


@loud
def test_windows_stand_at_patch_boundaries_and_not_at_rows(
    make: Callable[..., TitansForecaster], read_rows: list[np.ndarray]
) -> None:
    forecaster = make(max_epochs=0, carry_state=False).fit(hourly({"a": 200}))
    read_rows.clear()
    forecaster.surprise(hourly({"a": 200}))
    assert sum(len(lengths) for lengths in read_rows) == 200 // PATCH
    read_rows.clear()
    forecaster.surprise(rows(hourly({"a": 213}), 200, None))
    assert sum(len(lengths) for lengths in read_rows) == 1 + 13 // PATCH


# --- going on from what was read --------------------------------------------------------------------------------


@loud
@pytest.mark.parametrize("way", [*WAYS, "linear"])
def test_new_rows_are_judged_as_in_one_pass_over_the_history(make: Callable[..., TitansForecaster], way: str) -> None:
    # What a map that goes on learning takes for missing targets depends on how many rows it is given at once.
    frame = hourly({"a": 150, "b": 143}, missing=0.0 if way == "online" else 0.05)
    forecaster = make(max_epochs=0, **WAYS.get(way, {})).fit(rows(frame, 0, 100))
    if way == "linear":
        forecaster._combination = type(forecaster._combination)(0.0, False, forecaster._combination.offsets)
    whole, at = forecaster.surprise(frame, start="fresh"), 100
    for count in (1, 1, 2, 5, 13, 3, 18):  # every phase of a patch is begun from and ended in
        new = rows(frame, at, at + count)
        found = forecaster.surprise(new)
        assert len(found) == len(new)
        for name in ("a", "b"):
            ours, expected = only(found, name), only(whole, name).iloc[at : at + count]
            np.testing.assert_allclose(judged(ours)[:, :2], judged(expected)[:, :2], rtol=1e-5, atol=1e-5)
            np.testing.assert_array_equal(ours["anomaly"], expected["anomaly"])
            memory, complete = ours["memory_surprise"].to_numpy(), (at + count) // PATCH * PATCH - at
            inside = slice(0, max(0, complete))
            np.testing.assert_allclose(memory[inside], judged(expected)[inside, 2], rtol=1e-5, atol=1e-5)
            assert np.isnan(memory[inside.stop :]).all()
        forecaster.update(new)
        at += count


@loud
@pytest.mark.parametrize("carry_state", [True, False])
def test_some_series_may_go_on_in_any_order_and_after_a_gap(
    make: Callable[..., TitansForecaster], carry_state: bool
) -> None:
    frame = hourly({"a": 140, "b": 140, "c": 140})
    forecaster = make(max_epochs=0, on_gap="mask", carry_state=carry_state).fit(rows(frame, 0, 101))
    new = pd.concat([only(frame, "c").iloc[107:], only(frame, "a").iloc[101:]])
    found = forecaster.surprise(new, start="carried")
    assert found["unique_id"].unique().tolist() == ["c", "a"]
    assert found["ds"].tolist() == new["ds"].tolist()
    holes = frame.assign(y=frame["y"].mask((frame.unique_id == "c") & frame.index.isin(range(381, 387))))
    whole = forecaster.surprise(holes, start="fresh")
    expected = pd.concat([only(whole, "c").iloc[107:], only(whole, "a").iloc[101:]])
    np.testing.assert_allclose(judged(found)[:, :2], judged(expected)[:, :2], rtol=1e-5, atol=1e-5)


@loud
def test_rows_go_on_by_default_only_if_every_series_begins_with_the_next_row(
    make: Callable[..., TitansForecaster],
) -> None:
    frame = hourly({"a": 140, "b": 140})
    forecaster = make(max_epochs=0).fit(rows(frame, 0, 100))
    carried = forecaster.surprise(rows(frame, 100, None))
    pd.testing.assert_frame_equal(carried, forecaster.surprise(rows(frame, 100, None), start="carried"))
    assert carried["surprise"].notna().all()
    one_early = pd.concat([only(frame, "a").iloc[99:], only(frame, "b").iloc[100:]])
    fresh = forecaster.surprise(one_early)
    assert fresh.groupby("unique_id")["surprise"].apply(lambda x: x.isna().sum()).tolist() == [PATCH, PATCH]
    with pytest.raises(ValueError, match="series 'a': the new rows begin at 2024-01-05 03:00"):
        forecaster.surprise(one_early, start="carried")
    with pytest.raises(ValueError, match="series 'x' was not in fit"):
        forecaster.surprise(hourly({"x": 30}), start="carried")


def test_arrays_go_on_only_if_told_so(make: Callable[..., TitansForecaster]) -> None:
    y = hourly({"a": 240})["y"].to_numpy().reshape(2, 120)
    forecaster = make(max_epochs=0).fit(y[:, :100])
    assert np.isnan(forecaster.surprise(y[:, 100:])["surprise"][:, :PATCH]).all()
    found = forecaster.surprise(y[:, 100:], start="carried")
    whole = forecaster.surprise(y)
    assert found.shape == (2, 20)
    assert found.dtype.names == ("y", "TitansForecaster", "surprise", "memory_surprise", "threshold", "anomaly")
    np.testing.assert_allclose(found["surprise"], whole["surprise"][:, 100:], rtol=1e-5)
    assert found["anomaly"].dtype == bool


@pytest.mark.parametrize("way", ["online", "carried"])
@loud
def test_series_at_different_rows_of_their_patches_are_judged_by_what_predict_had_said(
    make: Callable[..., TitansForecaster], way: str
) -> None:
    """A map that goes on learning changes whenever any of the series completes a patch."""
    frame = hourly({"a": 121, "b": 122, "c": 124})
    ends = frame.groupby("unique_id")["ds"].transform("max")
    frame["ds"] += ends.max() - ends  # they end together and began apart
    forecaster = make(max_epochs=0, **WAYS[way]).fit(rows(frame, None, -20))
    found = forecaster.surprise(rows(frame, -20, None))
    said: dict[str, pd.DataFrame] = {}
    for step in range(20):
        forecasts = forecaster.predict()
        for name, length in (("a", 101), ("b", 102), ("c", 104)):
            if step == 0 and length % PATCH:
                said[name] = only(found, name)  # from before the rows that were given: tested elsewhere
            elif (length + step) % PATCH == 0:
                said[name] = only(forecasts, name)
            now = only(found, name).iloc[step]
            expected = said[name].loc[said[name]["ds"] == now["ds"], "TitansForecaster"].item()
            assert now["TitansForecaster"] == pytest.approx(expected, rel=1e-5, abs=1e-4)
        forecaster.update(rows(frame, -20 + step, -19 + step if step < 19 else None))


def test_history_that_the_map_has_learned_from_is_not_learned_twice(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 220})
    forecaster = make(max_epochs=0, online_linear=True).fit(rows(frame, 0, 200))
    whole = forecaster.surprise(frame)
    early = whole["TitansForecaster"][PATCH:200].to_numpy()
    forecaster._online = None  # the map stays as it is after 200 rows
    np.testing.assert_allclose(forecaster.surprise(frame)["TitansForecaster"][PATCH:200], early, rtol=1e-5)
    assert np.abs(forecaster.surprise(frame)["TitansForecaster"] - whole["TitansForecaster"])[204:].max() > 1e-4


# --- what the data may be ---------------------------------------------------------------------------------------


@loud
@pytest.mark.parametrize("way", WAYS)
def test_missing_values_have_no_surprise_and_take_none_from_others(
    make: Callable[..., TitansForecaster], way: str
) -> None:
    frame = hourly({"a": 150, "b": 90}, missing=0.2, seed=5)
    frame.loc[60:90, "y"] = np.nan  # longer than the context
    forecaster = make(max_epochs=0, **WAYS[way]).fit(frame)
    found = forecaster.surprise(frame)
    number = found.groupby("unique_id").cumcount()
    np.testing.assert_array_equal(found["surprise"].isna(), frame["y"].isna() | (number < PATCH))
    np.testing.assert_array_equal(found["TitansForecaster"].isna(), number < PATCH)
    assert not found["anomaly"][frame["y"].isna()].any()


@loud
@pytest.mark.parametrize("way", ["carried", "windowed"])
def test_each_series_is_judged_by_itself(make: Callable[..., TitansForecaster], way: str) -> None:
    frame = hourly({"a": 150, "b": 43, "c": 98, "d": 30}, missing=0.05)
    forecaster = make(max_epochs=0, **WAYS[way]).fit(frame)
    together = forecaster.surprise(pd.concat([hourly({"new": 60}, seed=8), frame]))
    for name in ("a", "b", "c", "d"):
        alone = forecaster.surprise(only(frame, name))
        np.testing.assert_allclose(judged(alone), judged(only(together, name)), rtol=1e-4, atol=1e-5)


@loud
def test_a_series_that_fit_never_saw_is_judged_after_the_context_that_sets_its_scale(
    make: Callable[..., TitansForecaster],
) -> None:
    forecaster = make(max_epochs=0).fit(hourly({"a": 150}))
    frame = hourly({"x": 90}, seed=2).assign(y=lambda f: 1e4 * f["y"] - 7e5)
    found = forecaster.surprise(pd.concat([frame, hourly({"a": 90})]))
    assert only(found, "x")[JUDGED][:CONTEXT].isna().all(axis=None)
    assert only(found, "x")[JUDGED][CONTEXT:-2].notna().all(axis=None)  # 88 and 89 are an open patch
    assert only(found, "x")["surprise"].median() < 10  # in units of its own
    assert only(found, "a")["memory_surprise"][:CONTEXT].notna().all()


@loud
def test_surprise_does_not_depend_on_the_unit_of_the_values(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 150}, missing=0.05)
    other = frame.assign(y=frame["y"] * 1000 + 273_000)
    ours, theirs = (make(max_epochs=0).fit(f).surprise(f) for f in (frame, other))
    np.testing.assert_allclose(ours["surprise"], theirs["surprise"], rtol=1e-3, atol=1e-3)


def test_a_constant_series_surprises_nobody_until_it_moves(make: Callable[..., TitansForecaster]) -> None:
    y = np.full(200, 7.0)
    forecaster = make(max_epochs=0).fit(y)
    later = np.full(30, 7.0)
    later[11] = 7.5
    found = forecaster.surprise(later, start="carried")
    assert np.isfinite(found["surprise"]).all()
    assert found["anomaly"][0, 11] and not found["anomaly"][0, :11].any()


# --- the estimator ----------------------------------------------------------------------------------------------


@loud
@pytest.mark.parametrize("way", WAYS)
def test_predict_and_surprise_change_nothing(make: Callable[..., TitansForecaster], way: str, tmp_path: Path) -> None:
    frame = hourly({"a": 150, "b": 143}, missing=0.05)
    forecaster = make(max_epochs=0, **WAYS[way]).fit(rows(frame, 0, 121))
    forecaster.save(tmp_path / "before")
    attributes = {name: id(value) for name, value in vars(forecaster).items()}
    forecaster.predict()
    for given in (frame, rows(frame, 121, None), hourly({"x": 60})):
        first = forecaster.surprise(given)
        pd.testing.assert_frame_equal(forecaster.surprise(given), first)
    assert {name: id(value) for name, value in vars(forecaster).items()} == attributes
    forecaster.save(tmp_path / "after")
    for name in ("model.safetensors", "model.json"):
        assert (tmp_path / "before" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()


def test_what_cannot_be_judged_is_refused(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 150, "b": 150})
    with pytest.raises(NotFittedError):
        make().surprise(frame)
    forecaster = make(max_epochs=0).fit(frame)
    with pytest.raises(ValueError, match="what fit and update read is not kept.*Pass new rows before update"):
        forecaster.surprise()
    with pytest.raises(ValueError, match="start must be 'fresh', 'carried' or None, found 'warm'"):
        forecaster.surprise(frame, start="warm")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threshold must be above 0, found -1"):
        forecaster.surprise(frame, threshold=-1)
    with pytest.raises(TypeError, match="threshold must be a number or None, found 'high'"):
        forecaster.surprise(frame, threshold="high")  # type: ignore[arg-type]
    read_already = rows(frame, 147, None)
    with pytest.raises(ValueError, match="series 'a' has 3 rows, and with none read before them the first 4 cannot"):
        forecaster.surprise(read_already)


def test_the_example_in_the_docstring_runs() -> None:
    finder = doctest.DocTestFinder(recurse=False)
    examples = finder.find(TitansForecaster.surprise, "surprise", globs={"TitansForecaster": TitansForecaster})
    results = [doctest.DocTestRunner().run(example) for example in examples]
    assert sum(result.attempted for result in results) > 3
    assert not any(result.failed for result in results)
