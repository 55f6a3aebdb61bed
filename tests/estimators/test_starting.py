"""`init`: a fit that starts from an earlier forecaster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from series_frames import hourly
from sklearn.exceptions import NotFittedError

from titans_seq import TitansForecaster
from titans_seq.adapters._linear_toward import ridge_toward
from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.linear import CENTRINGS, LinearMap, fit_linear_toward
from titans_seq.data import read_panel

Make = Callable[..., TitansForecaster]


def related(n: int, seed: int) -> np.ndarray:
    """Series of one family: two cycles of the same lengths, at other phases and sizes, and noise."""
    rng, t = np.random.default_rng(seed), np.arange(n)
    cycle = np.sin(2 * np.pi * (t + rng.uniform(0, 12)) / 12) * rng.uniform(1, 3)
    return cycle + 0.4 * np.sin(2 * np.pi * t / 5 + rng.uniform(0, 6)) + 0.3 * rng.normal(size=n)


@pytest.fixture(scope="module")
def earlier() -> TitansForecaster:
    options = {
        "context_length": 16, "patch_length": 4, "sequence_length": 48, "d_model": 8, "n_layers": 1, "n_heads": 2,
        "chunk_size": 4, "window_size": 4, "n_persistent": 2, "batch_size": 8, "max_epochs": 2,
    }  # fmt: skip
    return TitansForecaster(6, random_state=0, verbose=0, **options).fit(np.stack([related(300, i) for i in range(5)]))


def network(forecaster: TitansForecaster) -> dict[str, torch.Tensor]:
    return {name: x.clone() for name, x in forecaster._model.state_dict().items()}


def mean_error(forecasters: list[TitansForecaster], later: list[np.ndarray]) -> float:
    """Mean squared error in the units of the data."""
    return float(np.mean([-f.score(y[None]) * f._spread[0] ** 2 for f, y in zip(forecasters, later, strict=True)]))


@pytest.mark.parametrize("max_epochs", [0, 1])
def test_with_few_rows_it_forecasts_better_than_a_fit_from_scratch(earlier, max_epochs: int) -> None:
    series = [related(50, 100 + i) for i in range(6)]
    rows, later = [y[:18] for y in series], [y[18:] for y in series]
    scratch = [TitansForecaster(6, max_epochs=0).fit(y[None]) for y in rows]
    tuned = [TitansForecaster(6, max_epochs=max_epochs, verbose=0).fit(y[None], init=earlier) for y in rows]
    assert mean_error(tuned, later) < 0.7 * mean_error(scratch, later)


def test_the_shortest_use_takes_over_what_shapes_the_network(earlier, tmp_path) -> None:
    earlier.save(tmp_path / "m")
    tuned = TitansForecaster(6, max_epochs=1, random_state=1, verbose=0).fit(related(120, 9)[None], init=tmp_path / "m")
    assert tuned.context_length_ == 16
    assert tuned._settings.backbone["d_model"] == 8
    assert tuned.d_model == 32  # the argument stays as it was given
    assert tuned.predict().shape == (1, 6)
    tuned.save(tmp_path / "tuned")
    np.testing.assert_array_equal(TitansForecaster.load(tmp_path / "tuned").predict(), tuned.predict())


def test_no_epochs_leave_the_network_as_it_was_and_some_change_it(earlier) -> None:
    before = network(earlier)
    values = np.stack([related(200, 20), related(200, 21)])
    same = TitansForecaster(6, max_epochs=0, random_state=5).fit(values, init=earlier)
    other = TitansForecaster(6, max_epochs=2, random_state=5, verbose=0, learning_rate=0.01).fit(values, init=earlier)
    for name, x in before.items():
        assert torch.equal(network(same)[name], x), name
        assert torch.equal(network(earlier)[name], x), name
    assert other.history_[0]["epoch"] == 0
    assert min(h["validation_loss"] for h in other.history_) <= other.history_[0]["validation_loss"]


def test_the_earlier_forecaster_is_not_changed(earlier, tmp_path) -> None:
    earlier.save(tmp_path / "before")
    tuned = TitansForecaster(6, max_epochs=1, verbose=0, random_state=0).fit(related(150, 30)[None], init=earlier)
    tuned.update(related(20, 31)[None])
    earlier.save(tmp_path / "after")
    before, after = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("before", "after"))
    assert before == after


def test_series_form_and_frequency_are_those_of_the_new_data(earlier) -> None:
    frame = pd.DataFrame({"unique_id": "new", "ds": pd.date_range("2024-01-01", periods=80, freq="MS")})
    frame["y"] = 1000 + 50 * related(80, 40)
    tuned = TitansForecaster(6, max_epochs=0).fit(frame, init=earlier)
    out = tuned.predict(level=[80])
    assert tuned.ids_ == ["new"]
    assert list(out.ds) == list(pd.date_range(frame.ds.iloc[-1], periods=7, freq="MS")[1:])
    assert 700 < out.TitansForecaster.mean() < 1300
    assert (out["TitansForecaster-lo-80"] < out["TitansForecaster-hi-80"]).all()


@pytest.mark.parametrize("rows", [2, 5, 12])
def test_hardly_any_rows_are_forecast_with_the_earlier_map_and_intervals(earlier, rows: int) -> None:
    tuned = TitansForecaster(6, max_epochs=0).fit(related(rows, 50)[None], init=earlier)
    np.testing.assert_array_equal(tuned.linear_.weights, earlier.linear_.weights.mean(0, keepdims=True))
    assert tuned.network_weight_ == earlier.network_weight_
    out = tuned.predict(level=[80])
    assert np.isfinite(out).all()
    assert (out[..., 1] < out[..., 2]).all()


def test_the_earlier_map_is_used_only_if_it_validates_better(earlier) -> None:
    t = np.arange(400)
    unlike = (np.sin(2 * np.pi * t / 7.3) + 0.05 * np.random.default_rng(0).normal(size=400))[None]
    tuned = TitansForecaster(6, max_epochs=0, online_linear=False).fit(unlike, init=earlier)
    scratch = TitansForecaster(6, max_epochs=0, online_linear=False, context_length=16, patch_length=4).fit(unlike)
    assert tuned.linear_.validation_score <= scratch.linear_.validation_score
    error = np.abs(tuned.linear_.weights - earlier.linear_.weights.mean(0)).max()
    assert error > 0.05


@pytest.mark.parametrize("centring", CENTRINGS)
@pytest.mark.parametrize("penalty", [0.01, 1.0])
def test_the_ridge_towards_a_map_minimises_what_it_says(centring, penalty: float) -> None:
    rng = np.random.default_rng(0)
    panel, _ = read_panel(np.stack([related(60, 1), related(60, 2)]))
    given = LinearMap(rng.normal(size=(1, 8, 3)), rng.normal(size=(1, 3)), centring)
    linear = fit_linear_toward(given, panel, np.ones(2), np.zeros(2), np.full(2, 60), penalties=[penalty])
    reader = WindowReader(panel, np.zeros(2), np.ones(2), 8, 3)
    windows = reader.between(np.zeros(2, int), np.full(2, 57), 10**6)
    block = next(reader.blocks(windows))
    x, y = block.inputs, block.targets
    level = {"none": np.zeros(len(x)), "last": x[:, -1], "mean": x.mean(1)}[centring][:, None]
    x, y = x - level, y - level - given.bias[0]
    alpha = penalty * len(x)
    expected = np.linalg.solve(x.T @ x + alpha * np.eye(8), x.T @ y + alpha * given.weights[0])
    np.testing.assert_allclose(linear.weights[0], expected, rtol=0, atol=1e-9)


def test_an_infinite_penalty_is_the_earlier_map() -> None:
    rng = np.random.default_rng(0)
    given = LinearMap(rng.normal(size=(1, 8, 3)), np.zeros((1, 3)), "last")
    panel, _ = read_panel(related(60, 1)[None])
    reader = WindowReader(panel, np.zeros(1), np.ones(1), 8, 3)
    from titans_seq.adapters._linear_moments import moments_of

    sums = moments_of(reader, reader.between(np.zeros(1, int), np.full(1, 57), 10**6))
    found = ridge_toward(sums, given, [1.0, np.inf, 1e12])
    np.testing.assert_array_equal(found[1][0], given.weights[0])
    np.testing.assert_allclose(found[2][0], given.weights[0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 5}, "horizon is 5, but the forecaster of init has 6"),
        ({"context_length": 24}, "context_length is 24, but the forecaster of init has 16"),
        ({"patch_length": 8}, "patch_length is 8, but the forecaster of init has 4"),
        ({"d_model": 16}, "d_model is 16, but the forecaster of init has 8"),
        ({"variant": "lmm"}, "variant is 'lmm', but the forecaster of init has 'mag'"),
        ({"memory_depth": 1}, "memory_depth is 1, but the forecaster of init has 2"),
    ],
)
def test_an_argument_that_differs_is_named(earlier, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TitansForecaster(**{"horizon": 6, **options}).fit(related(100, 0)[None], init=earlier)


def test_arguments_given_as_they_were_are_fine(earlier) -> None:
    same = {"context_length": 15, "patch_length": 4, "d_model": 8, "n_layers": 1}  # 15 rows are 4 patches
    assert TitansForecaster(6, max_epochs=0, **same).fit(related(100, 0)[None], init=earlier).context_length_ == 16


def test_what_cannot_be_started_from_is_named(tmp_path) -> None:
    rows = related(100, 0)[None]
    with pytest.raises(NotFittedError, match="call fit first"):
        TitansForecaster(6).fit(rows, init=TitansForecaster(6))
    with pytest.raises(
        TypeError, match="init must be a fitted TitansForecaster or the path of a saved one, found dict"
    ):
        TitansForecaster(6).fit(rows, init={})
    with pytest.raises(FileNotFoundError, match="no saved model"):
        TitansForecaster(6).fit(rows, init=tmp_path / "none")


def test_integer_times_cannot_start_from_a_calendar(make: Make) -> None:
    dated = make(max_epochs=0).fit(hourly({"a": 200}))
    with pytest.raises(ValueError, match="reads the calendar .day.*integers; give X dates"):
        TitansForecaster(6, max_epochs=0).fit(related(100, 0)[None], init=dated)
    assert TitansForecaster(6, max_epochs=0).fit(hourly({"b": 60}), init=dated).predict().unique_id.unique() == ["b"]
