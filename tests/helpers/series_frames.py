"""Made-up series as frames."""

from __future__ import annotations

import numpy as np
import pandas as pd


def hourly(lengths: dict[str, int], missing: float = 0.0, seed: int = 0) -> pd.DataFrame:
    """Long frame of hourly series with a daily cycle that flips sign now and then."""
    rng = np.random.default_rng(seed)
    parts = []
    for name, n in lengths.items():
        t = np.arange(n)
        y = 20 + 3 * np.sin(2 * np.pi * t / 24) * np.sign(np.sin(2 * np.pi * t / 190)) + 0.3 * rng.normal(size=n)
        y[rng.random(n) < missing] = np.nan
        parts.append(pd.DataFrame({"unique_id": name, "ds": pd.date_range("2024-01-01", periods=n, freq="h"), "y": y}))
    return pd.concat(parts, ignore_index=True)


def rows(frame: pd.DataFrame, start: int | None, stop: int | None) -> pd.DataFrame:
    """Rows ``start:stop`` of every series."""
    return frame.groupby("unique_id", sort=False).nth(slice(start, stop))


def only(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """One series of a long frame."""
    return frame[frame["unique_id"] == name].reset_index(drop=True)
