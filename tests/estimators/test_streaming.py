"""`update` is the stream read on: the state is all that is needed, and it costs what the new rows cost."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from series_frames import hourly, rows
from sklearn.exceptions import NotFittedError

from titans_seq import TitansForecaster
from titans_seq.adapters.stream import StreamReader

pytestmark = pytest.mark.usefixtures("loud_network")


def values(forecast: pd.DataFrame) -> np.ndarray:
    return forecast.drop(columns=["unique_id", "ds"]).to_numpy()


def read_in_one_go(forecaster: TitansForecaster, frame: pd.DataFrame) -> np.ndarray:
    return values(forecaster.predict(frame, level=[80]))


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa", "attention"])
def test_update_equals_one_pass_at_every_cut_off_of_three_patches(make: Callable, variant: str) -> None:
    frame = hourly({"a": 220, "b": 197}, missing=0.05)
    forecaster = make(variant=variant, max_epochs=1).fit(rows(frame, 0, 180))
    start = {name: len(group) for name, group in rows(frame, 0, 180).groupby("unique_id")}
    for step in range(3 * forecaster.patch_length_):
        new = pd.concat([g.iloc[start[n] + step : start[n] + step + 1] for n, g in frame.groupby("unique_id")])
        forecaster.update(new)
        so_far = pd.concat([g.iloc[: start[n] + step + 1] for n, g in frame.groupby("unique_id")])
        ours, expected = values(forecaster.predict(level=[80])), read_in_one_go(forecaster, so_far)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_the_network_takes_part_in_these_forecasts(make: Callable) -> None:
    frame = hourly({"a": 220})
    forecaster = make().fit(rows(frame, 0, 180))
    before = values(forecaster.predict())
    forecaster._combination = type(forecaster._combination)(0.0, False, forecaster._combination.offsets)
    assert np.abs(before - values(forecaster.predict())).max() > 0.01


def test_update_in_pieces_of_any_size_ends_in_the_same_forecast(make: Callable) -> None:
    frame = hourly({"a": 260, "b": 260})
    one, many = (make(max_epochs=1).fit(rows(frame, 0, 200)) for _ in range(2))
    one.update(rows(frame, 200, 260))
    for start, stop in ((200, 201), (201, 214), (214, 214 + 33), (247, 260)):
        many.update(rows(frame, start, stop))
    np.testing.assert_allclose(values(one.predict()), values(many.predict()), rtol=1e-5, atol=1e-4)


def test_series_may_stand_at_different_places_of_their_patches(make: Callable) -> None:
    frame = hourly({"a": 150, "b": 131, "c": 97})
    for new in range(1, 10):
        before = {name: len(part) - new for name, part in frame.groupby("unique_id")}
        forecaster = make(max_epochs=0).fit(pd.concat(p.iloc[: before[n]] for n, p in frame.groupby("unique_id")))
        forecaster.update(pd.concat(p.iloc[before[n] :] for n, p in frame.groupby("unique_id")))
        ours, expected = values(forecaster.predict(level=[80])), read_in_one_go(forecaster, frame)
        np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-4)


def test_series_may_be_updated_one_at_a_time(make: Callable) -> None:
    frame = hourly({"a": 220, "b": 220})
    both, single = (make(max_epochs=1).fit(rows(frame, 0, 200)) for _ in range(2))
    new = rows(frame, 200, 213)
    both.update(new)
    single.update(new[new.unique_id == "b"])
    single.update(new[new.unique_id == "a"])
    np.testing.assert_allclose(values(both.predict()), values(single.predict()), rtol=1e-5, atol=1e-4)


def test_nothing_but_a_state_of_fixed_size_is_kept(make: Callable, tmp_path) -> None:
    sizes = []
    for n in (300, 3000):
        forecaster = make(max_epochs=1).fit(hourly({"a": n}))
        forecaster.save(tmp_path / f"{n}")
        sizes.append((tmp_path / f"{n}" / "model.safetensors").stat().st_size)
        arrays = [x for x in vars(forecaster).values() if isinstance(x, np.ndarray)]
        assert all(x.size < 100 for x in arrays)
    assert abs(sizes[0] - sizes[1]) < 20_000  # the open memory chunk and window may hold a few more rows


def test_a_loaded_forecaster_goes_on_where_the_saved_one_stood(make: Callable, tmp_path) -> None:
    frame = hourly({"a": 240, "b": 240}, missing=0.1)
    forecaster = make(max_epochs=1).fit(rows(frame, 0, 203))
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    pd.testing.assert_frame_equal(loaded.predict(level=[90]), forecaster.predict(level=[90]))
    new = rows(frame, 203, 240)
    pd.testing.assert_frame_equal(loaded.update(new).predict(), forecaster.update(new).predict())


@pytest.mark.parametrize("carry_state", [True, False])
@pytest.mark.parametrize("stride", [1, 3, 4])
def test_the_backtest_is_what_update_and_predict_would_have_said(
    make: Callable, carry_state: bool, stride: int
) -> None:
    frame = hourly({"a": 300}, missing=0.05)
    forecaster = make(max_epochs=1, carry_state=carry_state).fit(rows(frame, 0, 200))
    result = forecaster.backtest(rows(frame, 0, 230), first_cutoff=200, stride=stride)
    assert result.cutoff.tolist() == list(range(200, 225, stride))
    for i, cutoff in enumerate(result.cutoff):
        forecast = read_in_one_go(forecaster, rows(frame, 0, cutoff))[:, 0]
        np.testing.assert_allclose(result.point[i], forecast, rtol=1e-5, atol=1e-4)
        np.testing.assert_array_equal(
            np.where(result.observed[i], result.actual[i], np.nan), frame.y[cutoff : cutoff + 6]
        )


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa", "attention"])
def test_cut_offs_inside_patches_are_those_of_series_read_alone(make: Callable, variant: str) -> None:
    frame = hourly({"a": 150, "b": 131, "c": 143})
    forecaster = make(variant=variant, max_epochs=1).fit(rows(frame, 0, 120))
    together = forecaster.backtest(frame, first_cutoff=121, stride=1)
    assert len(together.cutoff) == (150 - 126) + (131 - 126) + (143 - 126)
    for i, name in enumerate("abc"):
        alone = forecaster.backtest(frame[frame.unique_id == name], first_cutoff=121, stride=1)
        mine = together.series == i
        order = np.argsort(together.cutoff[mine])
        np.testing.assert_array_equal(together.cutoff[mine][order], np.sort(alone.cutoff))
        np.testing.assert_allclose(
            together.point[mine][order], alone.point[np.argsort(alone.cutoff)], rtol=1e-5, atol=1e-4
        )


def test_the_backtest_reads_every_row_once_and_peeks_once_per_cut_off(
    make: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    forecaster = make(max_epochs=1).fit(hourly({"a": 200, "b": 200}))
    counted = {"read": 0, "peeked": 0}
    read, peek = StreamReader.read, StreamReader.forecast_now

    def counting_read(self, stream, values, observed, lengths, *rest, **options):
        counted["read"] += int(lengths.sum())
        return read(self, stream, values, observed, lengths, *rest, **options)

    def counting_peek(self, stream, *rest, **options):
        counted["peeked"] += stream.n_series
        return peek(self, stream, *rest, **options)

    monkeypatch.setattr(StreamReader, "read", counting_read)
    monkeypatch.setattr(StreamReader, "forecast_now", counting_peek)
    result = forecaster.backtest(hourly({"a": 320, "b": 300}), first_cutoff=200, stride=1)
    at_ends_of_patches = int(((result.cutoff - 200) % forecaster.patch_length_ == 0).sum())
    assert counted["read"] == 320 + 300 - 2 * forecaster.horizon  # up to the last cut-offs
    assert counted["peeked"] == result.n_windows - at_ends_of_patches


def test_rows_that_leave_a_gap_are_refused_or_masked(make: Callable) -> None:
    frame = hourly({"a": 240})
    forecaster = make(max_epochs=1).fit(rows(frame, 0, 200))
    with pytest.raises(ValueError, match="'a'"):
        forecaster.update(rows(frame, 205, 210))
    with pytest.raises(ValueError, match="'a'"):
        forecaster.update(rows(frame, 190, 210))
    masked = make(max_epochs=1, on_gap="mask").fit(rows(frame, 0, 200))
    masked.update(rows(frame, 205, 210))
    holes = frame.copy()
    holes.loc[200:204, "y"] = np.nan
    np.testing.assert_allclose(
        values(masked.predict(level=[80])), read_in_one_go(masked, rows(holes, 0, 210)), rtol=1e-5, atol=1e-4
    )


def test_a_refused_update_leaves_the_forecaster_as_it_was(make: Callable) -> None:
    frame = hourly({"a": 240, "b": 240})
    forecaster = make(max_epochs=1).fit(rows(frame, 0, 200))
    before = forecaster.predict()
    bad = pd.concat([rows(frame, 200, 210), rows(hourly({"c": 240}), 200, 210)])
    with pytest.raises(ValueError, match="series 'c' was not in fit"):
        forecaster.update(bad)
    pd.testing.assert_frame_equal(forecaster.predict(), before)


@pytest.mark.parametrize("form", ["long", "polars", "wide", "dates in the index", "with covariates"])
def test_an_update_without_rows_changes_nothing(make: Callable, form: str) -> None:
    long = hourly({"a": 60, "b": 60}).assign(x=range(120))
    wide = long.pivot(index="ds", columns="unique_id", values="y")
    frame = {"polars": pl.from_pandas(long), "wide": wide.reset_index(), "dates in the index": wide}.get(form, long)
    model = make(max_epochs=0, roles={"x": "past"} if form == "with covariates" else None).fit(frame)
    before = model.predict(level=[80])
    assert model.update(frame[:0]) is model
    after = model.predict(level=[80])
    assert after.equals(before)


def test_columns_of_an_update_without_rows_are_checked(make: Callable) -> None:
    frame = hourly({"a": 60}).assign(x=range(60))
    model = make(max_epochs=0, roles={"x": "past"}).fit(frame)
    nothing = frame.iloc[:0]
    for wrong, words in (
        (nothing.drop(columns="y"), "no column 'y'"),
        (nothing.drop(columns="ds"), "no column 'ds'"),
        (nothing.drop(columns="x"), "no column 'x'"),
        (nothing.drop(columns="unique_id"), "column 'y' is no series of fit"),
        (pl.DataFrame(), "no column 'ds'"),
    ):
        with pytest.raises(ValueError, match=words):
            model.update(wrong)
    with pytest.raises(ValueError, match="the frame is empty"):
        make(max_epochs=0).fit(nothing)
    with pytest.raises(NotFittedError):
        make().update(nothing)


@pytest.mark.slow
def test_the_cost_of_an_update_does_not_grow_with_the_history(make: Callable) -> None:
    """Arithmetic, not seconds: the same kernels run on tensors of the same shapes."""
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Count(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            self.elements += out.numel() if isinstance(out, torch.Tensor) else 0
            return out

    work = []
    for n in (1000, 20_000):
        frame = hourly({"a": n + 10})
        forecaster = make(max_epochs=0).fit(rows(frame, 0, n))
        began = time.perf_counter()
        with Count() as count:
            forecaster.update(rows(frame, n, n + 10)).predict()
        work.append(count.elements)
        assert time.perf_counter() - began < 60
    assert abs(work[0] - work[1]) <= 0.2 * work[0]


def test_a_streaming_backtest_is_in_the_order_of_series_and_cut_offs(make: Callable[..., TitansForecaster]) -> None:
    data = np.sin(np.arange(400).reshape(2, 200) / 5)
    result = make(max_epochs=0).fit(data[:, :120]).backtest(data, first_cutoff=121, mode="streaming", stride=3)
    assert (np.lexsort((result.cutoff, result.series)) == np.arange(len(result.cutoff))).all()
    assert result.n_windows == 2 * len(range(121, 200 - 6 + 1, 3))
