"""Write co2.csv and macrodata.csv as statsmodels documents them (needs `pip install titans-seq[bench]`).

Run as `python datasets/_make_embedded.py`; it prints the sha256 that each card names.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pandas as pd
from statsmodels.datasets import co2, macrodata

HERE = Path(__file__).parent


def weekly_co2() -> pd.DataFrame:
    """Return the weekly concentrations, 59 of them missing (empty cells)."""
    frame: pd.DataFrame = co2.load_pandas().data
    return frame.rename_axis("ds").reset_index()


def quarterly_macro() -> pd.DataFrame:
    """Return the twelve US series with the first day of each quarter as `ds`."""
    frame: pd.DataFrame = macrodata.load_pandas().data
    month = frame.pop("quarter").astype(int) * 3 - 2
    days = pd.to_datetime({"year": frame.pop("year").astype(int), "month": month, "day": 1})
    frame.insert(0, "ds", days)
    return frame


if __name__ == "__main__":
    for name, table in {"co2": weekly_co2(), "macrodata": quarterly_macro()}.items():
        text = table.to_csv(index=False, date_format="%Y-%m-%d", lineterminator="\n").encode()
        (HERE / f"{name}.csv").write_bytes(text)
        print(name, table.shape, len(text), hashlib.sha256(text).hexdigest())
