"""Made-up series that covariates of every role move."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

ROLES = {"price": "future", "promo": "future", "lead": "past", "size": "static", "kind": "static"}


def moved_by_covariates(rows: int = 240, n_series: int = 3, freq: str = "D", seed: int = 0) -> pd.DataFrame:
    """Long frame: a cycle of twelve, prices, promotions, and an indicator that leads by three rows."""
    random, parts = np.random.default_rng(seed), []
    for i in range(n_series):
        price, lead = np.cumsum(random.normal(size=rows)) * 0.3, random.normal(size=rows)
        promo = random.random(rows) < 0.2
        wave = np.sin(2 * np.pi * np.arange(rows) / 12)
        y = 5 * (i + 1) + wave - 0.8 * price + 1.5 * promo + np.roll(lead, 3) + 0.1 * random.normal(size=rows)
        columns = {"price": price, "promo": promo, "lead": lead, "size": float(i), "kind": "xy"[i % 2]}
        ds = pd.date_range("2024-01-01", periods=rows, freq=freq)
        parts.append(pd.DataFrame({"unique_id": f"s{i}", "ds": ds, "y": y, **columns}))
    return pd.concat(parts, ignore_index=True)


def before(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    """Rows of every series before ``row``."""
    return frame[frame.groupby("unique_id").cumcount() < row]


def after(frame: pd.DataFrame, row: int, rows: int) -> pd.DataFrame:
    """``rows`` rows of every series from ``row`` on."""
    place = frame.groupby("unique_id").cumcount()
    return frame[(place >= row) & (place < row + rows)]


def as_covariate_entries(frame: pd.DataFrame, length: int | None = None) -> list[dict[str, Any]]:
    """GluonTS entries of a frame with the columns of `ROLES`; ``length`` cuts all but what is known ahead."""
    return [
        {
            "item_id": name,
            "start": pd.Period(part["ds"].iloc[0], "D"),
            "target": part["y"].to_numpy()[:length],
            "feat_dynamic_real": part[["price"]].to_numpy(dtype=float).T,
            "feat_dynamic_cat": part[["promo"]].to_numpy(dtype=int).T,
            "past_feat_dynamic_real": part[["lead"]].to_numpy(dtype=float).T[:, :length],
            "feat_static_real": part[["size"]].to_numpy(dtype=float)[0],
            "feat_static_cat": np.array(["xy".index(part["kind"].iloc[0])]),
        }
        for name, part in frame.groupby("unique_id", sort=False)
    ]
