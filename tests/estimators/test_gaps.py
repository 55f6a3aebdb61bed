"""Rows that are missing right before a forecast: neither forecasts nor intervals may act as if they had been seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titans_seq import TitansForecaster

OPTIONS = {"horizon": 7, "max_epochs": 0, "random_state": 0, "verbose": 0}


def seasons(noise: float = 0.3, drift: float = 0.0) -> np.ndarray:
    random, t = np.random.default_rng(1), np.arange(407)
    shifts, steps = random.integers(30, size=(30, 1)), random.normal(size=(30, 407))
    return (
        10 + 2 * np.sin(2 * np.pi * (t + shifts) / 30) + drift * steps.cumsum(1) + noise * random.normal(size=(30, 407))
    )


def scored(found: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """Root mean squared error and coverage."""
    inside = (truth >= found[..., 1]) & (truth <= found[..., 2])
    return float(np.sqrt(np.mean((found[..., 0] - truth) ** 2))), float(inside.mean())


@pytest.mark.parametrize("gap", [3, 10])
@pytest.mark.parametrize("drift", [0.0, 0.2])
@pytest.mark.parametrize("way", ["fit", "update", "predict"])
def test_after_missing_rows_intervals_cover_and_forecasts_go_on(gap: int, drift: float, way: str) -> None:
    y = seasons(drift=drift)
    history, truth = y[:, :400].copy(), y[:, 400:]
    history[:, 400 - gap :] = np.nan
    forecaster = TitansForecaster(**OPTIONS)
    if way == "fit":
        found = forecaster.fit(history).predict(level=[80])
    elif way == "update":
        found = forecaster.fit(history[:, :300]).update(history[:, 300:]).predict(level=[80])
    else:
        found = forecaster.fit(history[:, :300]).predict(history, level=[80])
    error, coverage = scored(found, truth)
    never = TitansForecaster(**OPTIONS).fit(history[:, : 400 - gap]).predict(horizon=7 + gap)[:, gap:]
    assert 0.68 < coverage < 0.93
    assert error < 1.75 * np.sqrt(np.mean((never - truth) ** 2)), "a look-back of 32 rows lacks a third of them"


def test_intervals_widen_with_the_gap_and_are_as_they_were_without_one() -> None:
    y = seasons(drift=0.3)[:, :400]
    forecaster, widths = TitansForecaster(**OPTIONS).fit(y[:, :300]), []
    for gap in (0, 1, 2, 5, 10):
        seen = y.copy()
        seen[:, 400 - gap :] = np.nan
        found = forecaster.predict(seen, level=[80])
        widths.append((found[..., 2] - found[..., 1]).mean())
    assert (np.diff(widths) > 0).all()
    assert widths[-1] > 1.5 * widths[0]


def test_streaming_and_windows_agree_about_gaps() -> None:
    y = seasons(drift=0.2)[:4]
    y[:, 350:356] = np.nan
    y[1:3, 330:400] = np.nan
    forecaster = TitansForecaster(**OPTIONS, online_linear=False).fit(y[:, :300])
    both = [forecaster.backtest(y, first_cutoff=320, mode=mode) for mode in ("streaming", "windowed")]
    for streaming, windowed in ((getattr(found, name) for found in both) for name in ("point", "quantiles")):
        np.testing.assert_allclose(streaming, windowed, rtol=0, atol=1e-5)


def test_a_saved_forecaster_knows_what_gaps_do(tmp_path: Path) -> None:
    y = seasons(drift=0.2)[:, :400]
    y[:, 390:] = np.nan
    forecaster = TitansForecaster(**OPTIONS).fit(y)
    forecaster.save(tmp_path / "model")
    np.testing.assert_array_equal(
        TitansForecaster.load(tmp_path / "model").predict(level=[80]), forecaster.predict(level=[80])
    )
