"""Cross-validation over time with the interface of scikit-learn's splitters."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data._columns import read_ids
from titans_seq.data._read import find_times, is_frame, open_frame
from titans_seq.data._read_times import read_times

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class RollingOrigin:
    """Folds that train on the past and test on the rows right after it, for scikit-learn's model selection.

    The last fold tests the last ``horizon`` rows of each series, every earlier one rows that lie ``stride`` rows
    further back; a fold trains on all rows before those it tests. Rows are counted in each series by itself, in
    the order of time, so series may begin and end when they like.

    Parameters
    ----------
    horizon : int
        Rows that each fold tests, of every series.
    n_splits : int, default 5
        Number of folds.
    stride : int, optional
        Rows between the folds. Default: ``horizon``, by which no row is tested twice.
    min_train_size : int, optional
        Rows that a series must have before those tested; in folds where it has fewer it is left out altogether.
        Default: ``horizon + 1``, below which `TitansForecaster` refuses to fit.
    max_train_size : int, optional
        Rows of each series to train on, the last ones. Default: all.
    id_col, time_col : str, default "unique_id", "ds"
        Column names; a frame without ``id_col`` is wide.

    Raises
    ------
    TypeError, ValueError
        From `split`: counts that are none, data without a row per time step, or too few for ``n_splits`` folds.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"ds": range(10), "a": 0.0, "b": 1.0})
    >>> for train, test in RollingOrigin(horizon=2, n_splits=3).split(frame):
    ...     print(train, test)
    [0 1 2 3] [4 5]
    [0 1 2 3 4 5] [6 7]
    [0 1 2 3 4 5 6 7] [8 9]

    ``cross_val_score(TitansForecaster(horizon=2), frame, cv=RollingOrigin(horizon=2))`` scores each fold with
    `TitansForecaster.score`.
    """

    horizon: int
    n_splits: int = 5
    stride: int | None = None
    min_train_size: int | None = None
    max_train_size: int | None = None
    id_col: str = "unique_id"
    time_col: str = "ds"

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:
        """Return the number of folds; the arguments are ignored."""
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Rows, Rows]]:
        """Yield the row numbers (training, test) of each fold, the earliest first.

        Parameters
        ----------
        X : pandas or polars DataFrame, or array (time,)
            Long or wide, as for `TitansForecaster.fit`. The rows of an array (n_series, time) are series, of which
            scikit-learn could take some but not their ends: pass it as a wide frame.
        y, groups : None
            Ignored.

        Yields
        ------
        train, test : int array
            Row numbers, increasing.

        Raises
        ------
        TypeError, ValueError
            See the class; one line that says what was found and what to do.
        """
        stride = self._checked_stride()
        least = self.horizon + 1 if self.min_train_size is None else self.min_train_size
        length, left = self._count(X)
        needed = self.horizon + (self.n_splits - 1) * stride + least
        if length.max() < needed:
            raise ValueError(
                f"{self.n_splits} splits need a series of {needed} rows ({least} to train on, then {self.horizon} to "
                f"test and {stride} more per further split); the longest has {length.max()}; use fewer splits or rows"
            )
        for k in reversed(range(self.n_splits)):
            end = k * stride + self.horizon
            room = length - end >= least
            train = room & (left >= end)
            if self.max_train_size is not None:
                train &= left < end + self.max_train_size
            yield np.flatnonzero(train), np.flatnonzero(room & (left >= k * stride) & (left < end))

    def _checked_stride(self) -> int:
        """Return the stride; ValueError or TypeError for what is no count."""
        for name in ("horizon", "n_splits", "stride", "min_train_size", "max_train_size"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, Integral)):
                raise TypeError(f"{name} must be an integer, got {value!r}")
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        return self.horizon if self.stride is None else self.stride

    def _count(self, X: Any) -> tuple[Int64Array, Int64Array]:
        """Return, for each row, the rows of its series and how many of them come after it in time."""
        series, times = self._series_and_times(X)
        order = np.lexsort((times, series))
        counts = np.bincount(series)
        left = np.empty(len(series), dtype=np.int64)
        left[order] = np.repeat(np.cumsum(counts), counts) - 1 - np.arange(len(series))
        return counts[series], left

    def _series_and_times(self, X: Any) -> tuple[Int64Array, Int64Array]:
        if isinstance(X, np.ndarray):
            rows = _length(X)
            return np.zeros(rows, dtype=np.int64), np.arange(rows)
        if hasattr(X, "to_frame") and not is_frame(X):  # a series
            X = X.to_frame()
        if not is_frame(X):
            raise TypeError(
                f"X must be a pandas or polars DataFrame or an array (time,), got {type(X).__name__}; "
                "for GluonTS datasets there is gluonts.dataset.split"
            )
        frame = open_frame(X)
        if len(frame) == 0:
            raise ValueError("the frame is empty; there is nothing to split")
        times, _ = read_times(find_times(X, frame, self.time_col), lambda row: f"row {row}")
        if self.id_col in frame.columns:
            return read_ids(frame.get_column(self.id_col))[0], times
        return np.zeros(len(times), dtype=np.int64), times


def _length(X: NDArray[Any]) -> int:
    if X.ndim == 2:
        raise ValueError(
            f"the rows of an array (n_series, time), here of shape {X.shape}, are series, and folds are made of rows; "
            "pass a frame with a row per time step, pd.DataFrame(X.T).assign(ds=np.arange(X.shape[1])), or an array "
            "(time,)"
        )
    if X.ndim != 1 or not len(X):
        raise ValueError(f"the array has shape {X.shape}; it must be (time,)")
    return len(X)
