"""Covariates of the rows that a forecast beyond the trained horizon reads on the way to its end.

Those known ahead come from `future=`, static ones stay as they are. Past ones are not known: each is continued as an
autoregression of order one about its mean, fitted to the last rows of its series. The point forecast reads what that
expects; sample paths draw its errors, so that their intervals know that later blocks do without these covariates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.stream import SeriesStream
from titans_seq.data import Covariates

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_FEWEST_ROWS = 8


def with_static(ahead: FloatArray, covariates: Covariates, data: ScaledPanel) -> FloatArray:
    """Return features (n, horizon, n_features) with the static ones of each series' last row filled in."""
    static = covariates.features_of("static")
    if not static.any():
        return ahead
    filled = ahead.copy()
    filled[..., static] = data.panel.covariates[data.panel.offsets[1:] - 1][:, None, static]
    return filled


@dataclass(frozen=True)
class CovariatesAhead:
    """Covariates of rows ahead of each series' end.

    Attributes
    ----------
    known : float array (n, horizon, n_features)
        Features of the roles "future" and "static"; 0 in the others.
    past : bool array (n_features,)
        Which features are those of past covariates.
    mean, last, share : float array (n, n_past)
        Of past features: their mean, their last value, and how much of the distance between the two is left after
        a row, 0 to 1.
    errors : float array (n, rows, n_past)
        Errors of that, last rows behind; zeros where a series has fewer.
    counts : int array (n,)
        Rows of errors that each series has.
    """

    known: FloatArray
    past: BoolArray
    mean: FloatArray
    last: FloatArray
    share: FloatArray
    errors: FloatArray
    counts: IntArray

    @classmethod
    def after(cls, known: FloatArray, past: BoolArray, stream: SeriesStream) -> CovariatesAhead:
        """Fit the autoregressions to the rows that streams keep."""
        rows = stream.covariates.cpu().double().numpy()[..., past]
        kept = rows.shape[1]
        lengths = np.minimum(stream.steps.cpu().numpy(), kept)
        seen = (np.arange(kept) >= kept - lengths[:, None])[..., None]
        mean = (rows * seen).sum(1) / np.maximum(lengths, 1)[:, None]
        away = np.where(seen, rows - mean[:, None], 0.0)
        before, now = away[:, :-1], away[:, 1:] * seen[:, :-1]
        power = np.square(before).sum(1)
        share = np.clip((before * now).sum(1) / np.where(power > 0, power, 1.0), 0.0, 1.0)
        share = np.where(lengths[:, None] >= _FEWEST_ROWS, share, 0.0)
        errors = (now - share[:, None] * before) * seen[:, :-1]
        return cls(known, past, mean, rows[:, -1], share, errors, np.maximum(lengths - 1, 0))

    def expected(self, begin: int, end: int) -> FloatArray:
        """Features of the rows ``begin:end``, (n, end - begin, n_features), past ones as they are expected."""
        found = self.known[:, begin:end].copy()
        left = self.share[:, None] ** np.arange(begin + 1, end + 1)[:, None]
        found[..., self.past] = self.mean[:, None] + left * (self.last - self.mean)[:, None]
        return found

    def draw(self, random: np.random.Generator, n_paths: int, rows: int) -> FloatArray | None:
        """Draw what paths of one series need, (n_paths, rows) in [0, 1); None where there are no past covariates."""
        # Row by row, so that more rows change none before.
        return random.random((rows, n_paths)).T if self.past.any() else None

    def paths(self, which: IntArray, drawn: FloatArray | None, rows: int, n_paths: int) -> FloatArray:
        """Features of paths of the series ``which``, (m × n_paths, rows, n_features), past ones as they may come.

        ``drawn`` (m, n_paths, rows) is what `draw` returned for each of them.
        """
        found = np.repeat(self.known[which, :rows], n_paths, axis=0)
        if drawn is None:
            return found
        back = self.errors.shape[1] - 1 - (drawn * self.counts[which, None, None]).astype(np.int64)
        away = (self.last - self.mean)[which, None] * np.ones((1, n_paths, 1))
        steps = []
        for step in range(rows):
            away = self.share[which, None] * away + self.errors[which[:, None], back[..., step]]
            steps.append(away + self.mean[which, None])
        found[..., self.past] = np.stack(steps, axis=2).reshape(len(found), rows, -1)
        return found
