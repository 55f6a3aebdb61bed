"""The closed-form baselines: fitted once, and going on learning."""

from __future__ import annotations

import numpy as np
import pytest

from titans_seq.adapters.linear import fit_linear
from titans_seq.adapters.scaled import fit_scaling
from titans_seq.data import read_panel
from titans_seq.data.panel import Panel
from titans_seq.evaluation import online_ridge, ridge

SIZES = {"context_length": 12, "train_end": 200, "fit_end": 260}


def drifting(n: int = 500, seed: int = 0) -> Panel:
    """Two series whose period changes half-way."""
    random, t = np.random.default_rng(seed), np.arange(n)
    phase = np.cumsum(np.where(t < 260, 2 * np.pi / 12, 2 * np.pi / 9))
    series = [np.sin(phase + shift) + 0.1 * random.normal(size=n) for shift in (0.0, 1.0)]
    return read_panel(np.array(series) * 5 + 2)[0]


def everywhere(panel: Panel, first: int, horizon: int) -> tuple[np.ndarray, np.ndarray]:
    cutoffs = np.arange(first, int(panel.lengths[0]) - horizon + 1)
    return np.repeat(np.arange(panel.n_series), len(cutoffs)), np.tile(cutoffs, panel.n_series)


def error(panel: Panel, forecast: np.ndarray, series: np.ndarray, cutoffs: np.ndarray) -> float:
    return float(np.square(panel.gather(series, cutoffs, forecast.shape[1])[0] - forecast).mean())


def test_the_ridge_is_the_map_fitted_and_chosen_on_the_first_rows() -> None:
    panel = drifting()
    series, cutoffs = everywhere(panel, 260, 6)
    history = panel.slice_rows(0, 260)
    train = np.array([200, 200])
    center, scale = fit_scaling(history, train)
    linear = fit_linear(history, scale, center, train, 12, 6)
    x = (panel.gather(series, cutoffs - 12, 12)[0] - center[series, None]) / scale[series, None]
    expected = linear.predict(x, None, None if linear.shared else series) * scale[series, None] + center[series, None]
    np.testing.assert_allclose(ridge(panel, series, cutoffs, 6, **SIZES), expected, rtol=1e-9)


def test_rows_after_the_fit_change_the_online_map_only() -> None:
    panel = drifting()
    series, cutoffs = everywhere(panel, 260, 6)
    once = ridge(panel, series, cutoffs, 6, **SIZES)
    online = online_ridge(panel, series, cutoffs, 6, refresh=4, **SIZES)
    late = cutoffs > 400
    assert error(panel, online[late], series[late], cutoffs[late]) < 0.6 * error(
        panel, once[late], series[late], cutoffs[late]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoffs": np.array([259])}, "series 0: cut-off 259 must lie between 260"),
        ({"cutoffs": np.array([501])}, "series 0: cut-off 501 must lie between 260 .* and its length 500"),
        ({"cutoffs": np.array([300, 301])}, "series and cutoffs must be flat and equally long"),
        ({"train_end": 261}, "series 0: train_end 261 lies after fit_end 260"),
        ({"refresh": 0}, "refresh must be at least 1, found 0"),
    ],
)
def test_what_cannot_be_forecast_is_refused(change: dict[str, object], message: str) -> None:
    arguments = {"series": np.array([0]), "cutoffs": np.array([300]), "horizon": 6} | SIZES | change
    with pytest.raises(ValueError, match=message):
        online_ridge(drifting(), **arguments)
