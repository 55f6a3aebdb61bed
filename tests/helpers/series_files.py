"""CSV files of many shapes, as people have them; each with what there is to be seen in it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

Write = Callable[[Path], Path]


def wave(n: int, season: int, level: float, seed: int, trend: float = 0.0) -> np.ndarray:
    """A season, a trend and noise."""
    t, random = np.arange(n), np.random.default_rng(seed)
    return level * (1 + trend * t / n + 0.3 * np.sin(2 * np.pi * t / season) + 0.05 * random.normal(size=n))


def wide_iso(folder: Path) -> Path:
    days = pd.date_range("2022-01-01", periods=420)
    table = {name: wave(420, 7, 10.0 * (i + 1), i).round(3) for i, name in enumerate(["north", "south", "west"])}
    pd.DataFrame({"date": days.strftime("%Y-%m-%d"), **table}).to_csv(folder / "sales.csv", index=False)
    return folder / "sales.csv"


def long_zoned(folder: Path) -> Path:
    hours = pd.date_range("2024-02-20", periods=24 * 40, freq="h", tz="Europe/Berlin")
    parts = [
        pd.DataFrame({"sensor": name, "time": [t.isoformat() for t in hours], "value": wave(len(hours), 24, 20, i)})
        for i, name in enumerate(["s1", "s2"])
    ]
    pd.concat(parts).to_csv(folder / "sensors.csv", index=False)  # across the change of clocks
    return folder / "sensors.csv"


def comma_decimals(folder: Path) -> Path:
    days = pd.date_range("2023-01-01", periods=400)
    values = [f"{v:.2f}".replace(".", ",") for v in wave(400, 7, 12, 3)]
    lines = ["Datum;Umsatz in €", *(f"{d:%d.%m.%Y};{v}" for d, v in zip(days, values, strict=True))]
    (folder / "umsatz.csv").write_text("\n".join(lines), encoding="windows-1252")
    return folder / "umsatz.csv"


def month_first_with_blocks(folder: Path) -> Path:
    days = pd.date_range("2021-03-01", periods=500)
    table = pd.DataFrame({"Date": days.strftime("%-m/%-d/%Y"), "Visits": wave(500, 7, 5000, 4)})
    table["Visits"] = [f"{v:,.0f}" for v in table["Visits"]]
    table.loc[100:130, "Visits"] = ""
    table.loc[300:305, "Visits"] = "-"
    table.drop(index=range(200, 215)).to_csv(folder / "visits.csv", index=False)
    return folder / "visits.csv"


def epoch_seconds(folder: Path) -> Path:
    start = 1_700_000_100
    table = pd.DataFrame({"ts": start + 900 * np.arange(96 * 8)})
    for i, name in enumerate(["in", "out"]):
        table[name] = wave(len(table), 96, 3, i).round(4)
    table.to_csv(folder / "traffic.tsv", sep="\t", index=False)
    return folder / "traffic.tsv"


def epoch_milliseconds(folder: Path) -> Path:
    parts = [
        pd.DataFrame({"timestamp": 1_650_000_000_000 + 3_600_000 * np.arange(24 * 25), "device": name,
                      "temperature": wave(24 * 25, 24, 15, i), "battery": 3.7})
        for i, name in enumerate([101, 102])
    ]  # fmt: skip
    pd.concat(parts).to_csv(folder / "devices.csv", sep="|", index=False)
    return folder / "devices.csv"


def plain_integers(folder: Path) -> Path:
    pd.DataFrame({"t": np.arange(300), "x": wave(300, 20, 1, 5)}).to_csv(folder / "signal.csv", index=False)
    return folder / "signal.csv"


def year_months(folder: Path) -> Path:
    parts = []
    for i, (name, first, n) in enumerate([("A", "2008-01", 150), ("B", "2010-03", 124), ("C", "2009-06", 133)]):
        months = pd.period_range(first, periods=n, freq="M").astype(str)
        parts.append(pd.DataFrame({"product": name, "month": months, "sales": wave(n, 12, 100, i, 0.5).round(1)}))
    pd.concat(parts).to_csv(folder / "products.csv", index=False)
    return folder / "products.csv"


def five_hundred(folder: Path) -> Path:
    weeks = pd.date_range("2021-01-04", periods=130, freq="W-MON").strftime("%Y-%m-%d")
    table = {f"store {i:03d}": wave(130, 52, 50 + i, i).round(2) for i in range(500)}
    frame = pd.DataFrame({"week": weeks, **table}).melt("week", var_name="store", value_name="sales")
    frame.to_csv(folder / "stores.csv", index=False)
    return folder / "stores.csv"


def newest_first(folder: Path) -> Path:
    times = pd.date_range("2024-05-01", periods=24 * 30, freq="h")
    lines = [
        f"{t:%d.%m.%Y %H:%M}\t{v:.3f}".replace(".", ",").replace(",", ".", 2)
        for t, v in zip(times, wave(len(times), 24, 1200, 6), strict=True)
    ]
    (folder / "load.txt").write_text("\n".join(["Zeit\tLast", *lines[::-1]]), encoding="utf-16")
    return folder / "load.txt"


def local_midnights(folder: Path) -> Path:
    days = pd.date_range("2023-01-01", periods=400, tz="Europe/Berlin")
    table = pd.DataFrame({"day": [t.isoformat() for t in days], "kWh": wave(400, 7, 8, 7)})
    table.to_csv(folder / "meter.csv.gz", index=False)
    return folder / "meter.csv.gz"


def quarters(folder: Path) -> Path:
    names = pd.period_range("1980Q1", periods=160, freq="Q").astype(str)
    pd.DataFrame({"quarter": names, "gdp": wave(160, 4, 100, 8, 2.0), "cpi": wave(160, 4, 50, 9, 1.0)}).to_csv(
        folder / "macro.csv", index=False
    )
    return folder / "macro.csv"


FILES: dict[str, tuple[Write, dict[str, object], tuple[int, int, int]]] = {
    "wide, ISO dates": (wide_iso, {"format": "wide", "time": "date"}, (3, 14, 7)),
    "long, ISO with offsets": (
        long_zoned,
        {"format": "long", "time": "time", "time_format": "iso", "id": "sensor", "target": "value"},
        (2, 24, 24),
    ),
    "semicolons, decimal commas, d.m.Y": (
        comma_decimals,
        {"format": "wide", "delimiter": ";", "decimal": ",", "encoding": "windows-1252", "time": "Datum",
         "time_format": "%d.%m.%Y"},
        (1, 14, 7),
    ),
    "m/d/Y, thousands, missing blocks": (
        month_first_with_blocks,
        {"format": "wide", "thousands": ",", "missing": ["-"], "time": "Date", "time_format": "%m/%d/%Y",
         "on_gap": "mask"},
        (1, 14, 7),
    ),
    "tabs, epoch seconds": (epoch_seconds, {"format": "wide", "time": "ts", "time_format": "epoch_s"}, (2, 76, 96)),
    "bars, epoch milliseconds": (
        epoch_milliseconds,
        {"format": "long", "delimiter": "|", "time": "timestamp", "time_format": "epoch_ms", "id": "device",
         "target": "temperature"},
        (2, 24, 24),
    ),
    "plain integers": (plain_integers, {"format": "wide", "time": "t"}, (1, 20, 20)),
    "year-months, other lengths": (
        year_months,
        {"format": "long", "time": "month", "id": "product", "target": "sales", "align": "time"},
        (3, 12, 12),
    ),
    "500 series": (five_hundred, {"format": "long", "time": "week", "id": "store", "target": "sales"}, (500, 13, 52)),
    "newest first, UTF-16": (
        newest_first,
        {"format": "wide", "delimiter": "tab", "decimal": ",", "encoding": "utf-16", "time": "Zeit",
         "time_format": "%d.%m.%Y %H:%M", "sort": True},
        (1, 24, 24),
    ),
    "local midnights, gzipped": (
        local_midnights,
        {"format": "wide", "time": "day", "time_format": "iso", "timezone": "Europe/Berlin"},
        (1, 14, 7),
    ),
    "quarters": (quarters, {"format": "wide", "time": "quarter", "time_format": "quarter"}, (2, 8, 4)),
}  # fmt: skip
"""How to write each file; the data section that fits it, but for path and split; series, horizon and season."""
