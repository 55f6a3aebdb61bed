"""The data sets of the long-horizon protocol, in z-scores of their train rows."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from titans_seq.data.catalog import dataset_card, load_dataset

LONG, SHORT = (96, 192, 336, 720), (24, 36, 48, 60)
HORIZONS = {
    "ETTh1": LONG, "ETTh2": LONG, "ETTm1": LONG, "ETTm2": LONG, "exchange_rate": LONG, "national_illness": SHORT,
}  # fmt: skip
LOOK_BACKS = {name: (96, 192, 336, 512, 720) for name in HORIZONS} | {"national_illness": (24, 52, 104)}
PATCH = {name: 16 for name in HORIZONS} | {"national_illness": 4}


@dataclass(frozen=True)
class Split:
    """A data set.

    Attributes
    ----------
    frame : DataFrame
        Wide; every column in z-scores of the train rows (ddof 0).
    time : str
        Column of times.
    rows : tuple of int
        Train, validation and test.
    season_length : int
    """

    frame: pd.DataFrame
    time: str
    rows: tuple[int, int, int]
    season_length: int

    @property
    def test_begins(self) -> int:
        return self.rows[0] + self.rows[1]

    def windows(self, horizon: int) -> int:
        """Test windows at stride 1, of all channels."""
        return (self.rows[2] - horizon + 1) * (self.frame.shape[1] - 1)


def load(name: str) -> Split:
    """Read a data set from the folder that TITANS_SEQ_DATA names."""
    card, frame = dataset_card(name), load_dataset(name)
    assert card.time is not None and card.split is not None
    train, validation, test = card.split
    values = frame.drop(columns=card.time)
    scaled = (values - values[:train].mean()) / values[:train].std(ddof=0)
    times = frame[card.time]
    if name == "exchange_rate":  # its dates are made up
        times = pd.RangeIndex(len(frame)).to_series()
    frame = pd.concat([times.rename("ds"), scaled], axis=1)[: train + validation + test]
    return Split(frame, "ds", (train, validation, test), card.season_length or 1)
