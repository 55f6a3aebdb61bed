"""Series in units of their own training mean and standard deviation."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.data import Panel

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


LARGEST = 1e9
"""Values further out, in standard deviations of their series, are refused."""


@dataclass(frozen=True)
class ScaledPanel:
    """A panel with the affine scaling of each series, read out as tensors.

    Attributes
    ----------
    panel : Panel
    center, scale : float array (n_series,)
        Scaled value = (value − center) / scale.
    group : int array (n_series,)
        Group of each series in the linear map.
    weight : float array (total,), optional
        What each row counts as a target. Default: all alike.
    """

    panel: Panel
    center: FloatArray
    scale: FloatArray
    group: IntArray
    weight: FloatArray | None = None

    def __post_init__(self) -> None:
        """Refuse values that would not survive single precision."""
        panel = self.panel
        which = np.repeat(np.arange(panel.n_series), panel.lengths)
        far = np.abs(panel.values - self.center[which]) > LARGEST * self.scale[which]
        if (far & panel.observed).any():
            at = int(np.argmax(far & panel.observed))
            series = panel.ids[which[at]]
            row = at - int(panel.offsets[which[at]])
            raise ValueError(
                f"series {series!r}, row {row}: {panel.values[at]:g} is more than {LARGEST:g} standard deviations "
                "from what the series was fitted on; mark it as missing or correct it"
            )

    def gather(self, series: IntArray, start: IntArray, length: int) -> tuple[Tensor, Tensor]:
        """Windows of scaled values, (n, length) float64, and what was observed; zeros where nothing was."""
        values, observed = self.panel.gather(series, start, length)
        scaled = (values - self.center[series, None]) / self.scale[series, None]
        return torch.from_numpy(np.where(observed, scaled, 0.0)), torch.from_numpy(observed)

    def gather_covariates(self, series: IntArray, start: IntArray, length: int) -> Tensor:
        """Windows of covariates, (n, length, n_features) float32; zeros outside the series."""
        return torch.from_numpy(self.panel.gather_covariates(series, start, length)).float()

    def weights(self, series: IntArray, start: IntArray, length: int) -> FloatArray:
        """What the rows of windows count as targets, (n, length); 0 outside the series."""
        panel = self.panel
        rows = start[:, None] + np.arange(length)
        inside = (rows >= 0) & (rows < panel.lengths[series][:, None])
        if self.weight is None:
            return inside.astype(np.float64)
        return np.where(inside, self.weight[np.where(inside, rows + panel.offsets[series][:, None], 0)], 0.0)

    def last_weight(self) -> FloatArray:
        """Weight of each series' last row that counts at all, (n_series,); 0 where none does."""
        if self.weight is None:
            return np.ones(self.panel.n_series)
        counted = np.maximum.accumulate(np.where(self.weight > 0, np.arange(len(self.weight)), -1))
        begin, end = self.panel.offsets[:-1], self.panel.offsets[1:]
        last = counted[end - 1]
        return np.where((last >= begin) & (end > begin), self.weight[last], 0.0)

    def mean_weight(self, end: IntArray) -> FloatArray:
        """Mean weight of each series' rows before ``end`` that count and were observed, (n_series,); 0 for none."""
        panel = self.panel
        if self.weight is None:
            return np.ones(panel.n_series)
        which = np.repeat(np.arange(panel.n_series), panel.lengths)
        row = np.arange(len(panel.values)) - panel.offsets[which]
        use = panel.observed & (self.weight > 0) & (row < end[which])
        count = np.bincount(which[use], minlength=panel.n_series)
        return np.bincount(which[use], self.weight[use], minlength=panel.n_series) / np.maximum(count, 1)

    def select(self, series: IntArray) -> ScaledPanel:
        """Return some of the series."""
        panel = self.panel.select(series)
        weight = self.weight
        if weight is not None:
            begin = self.panel.offsets[series] - panel.offsets[:-1]
            weight = weight[np.repeat(begin, panel.lengths) + np.arange(len(panel.values))]
        return ScaledPanel(panel, self.center[series], self.scale[series], self.group[series], weight)

    def to_original(self, values: FloatArray, series: IntArray) -> FloatArray:
        """Undo the scaling of (n, …) values that belong to ``series`` (n,)."""
        shape = (-1,) + (1,) * (values.ndim - 1)
        return values * self.scale[series].reshape(shape) + self.center[series].reshape(shape)

    def groups(self, series: IntArray) -> Tensor:
        """Groups of ``series`` in the linear map."""
        return torch.from_numpy(self.group[series])

    def with_groups(self, group: IntArray) -> ScaledPanel:
        """Return the same series under another assignment to groups."""
        return replace(self, group=group)


def fit_scaling(panel: Panel, train_end: IntArray) -> tuple[FloatArray, FloatArray]:
    """Mean and standard deviation of the observed training rows of each series.

    A series without spread (or with nothing observed) gets scale 1.

    Parameters
    ----------
    panel : Panel
    train_end : int array (n_series,)
        Rows from there on are not looked at.

    Returns
    -------
    center, scale : float array (n_series,)
    """
    row = np.arange(len(panel.values)) - np.repeat(panel.offsets[:-1], panel.lengths)
    use = panel.observed & (row < np.repeat(train_end, panel.lengths))
    which = np.repeat(np.arange(panel.n_series), panel.lengths)[use]
    count = np.maximum(np.bincount(which, minlength=panel.n_series), 1)
    values = panel.values[use]
    center = np.bincount(which, values, minlength=panel.n_series) / count
    variance = np.bincount(which, (values - center[which]) ** 2, minlength=panel.n_series) / count
    spread = np.sqrt(variance)
    negligible = spread <= 1e-12 * np.maximum(np.abs(center), 1e-300)
    return center, np.where(negligible, 1.0, spread)
