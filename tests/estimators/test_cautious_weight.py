"""How much of a correction is taken over from validation windows that overlap."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from titans_seq.estimators._combination import best_weight, cautious_weight

ROWS = 400


def slow_noise(seed: int, rows: int) -> np.ndarray:
    """Levels that last for 60 rows: errors of neighbouring windows are alike."""
    random = np.random.default_rng(seed)
    return np.repeat(random.normal(size=rows // 60 + 1), 60)[:rows] + 0.1 * random.normal(size=rows)


def windows(x: np.ndarray, horizon: int) -> np.ndarray:
    return sliding_window_view(x, horizon).astype(np.float32)


def weights(horizon: int, gain: float, seeds: int = 60) -> tuple[float, float]:
    """Best and cautious weight, means over seeds, of a correction that explains ``gain`` of the errors."""
    best, cautious = [], []
    for seed in range(seeds):
        shift = slow_noise(seed, ROWS + horizon)
        error = windows(gain * shift + slow_noise(seed + 1000, ROWS + horizon), horizon)
        given = (error, windows(shift, horizon), np.ones(error.shape, dtype=bool))
        best.append(best_weight(*given)[0])
        apart = 1 + (len(error) - 1) // horizon
        cautious.append(cautious_weight(given[0], given[1], np.arange(len(error)), given[2], disjoint=apart))
    return float(np.mean(best)), float(np.mean(cautious))


def test_a_correction_that_is_noise_gets_little_also_where_windows_are_few_and_long() -> None:
    for horizon, share in ((10, 0.4), (120, 0.33)):
        best, cautious = weights(horizon, gain=0.0)
        assert best > 0.1, "chance alone would give it a say"
        assert cautious < share * best


def test_a_correction_that_is_right_keeps_most_of_its_weight() -> None:
    for horizon in (10, 120):
        best, cautious = weights(horizon, gain=1.0)
        assert best > 0.75 and cautious > 0.5


def test_blocks_of_the_same_few_windows_agree_and_prove_nothing() -> None:
    """The noise of one long stretch looks like a gain in each half of it."""
    error = windows(1.0 + slow_noise(0, ROWS + 200), 200)
    shift = np.ones(error.shape, dtype=np.float32)
    given = (error, shift, np.arange(len(error)), np.ones(error.shape, dtype=bool))
    best, _ = best_weight(error, shift, given[3])
    assert cautious_weight(*given, disjoint=10) > 0.8 * best
    for disjoint in (1, 2, 3):
        assert cautious_weight(*given, disjoint=disjoint) == pytest.approx(0.025 * disjoint * best)
        assert cautious_weight(*given, disjoint=disjoint, n_series=40) > 0.5 * best


def test_of_a_single_window_a_tenth_of_the_least_share_is_left() -> None:
    error, horizon = np.ones((2, 50)), 50
    error[1] *= -0.5
    shift = np.ones((2, 50), dtype=np.float32)
    given = (error, shift, np.array([0, horizon // 2]), np.ones((2, 50), dtype=bool))
    best, _ = best_weight(error, shift, given[3])
    assert 0 < cautious_weight(*given, disjoint=1) <= 0.1 * best
