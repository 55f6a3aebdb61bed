"""Sums over consecutive windows of a series without gaps: each window is the one before, moved on by a row."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from titans_seq.adapters._linear_fill import BoolArray, FloatArray, IntArray
from titans_seq.adapters._linear_windows import WindowReader, Windows

FEWEST = 2
"""Windows for each input of the map from which on this is faster than adding them up one by one."""


def consecutive(reader: WindowReader, windows: Windows) -> BoolArray:
    """Return which windows belong to a series whose windows follow each other and lack nothing, (n,).

    False for all of a series that has too few of them to gain by it.
    """
    n = reader.panel.n_series
    counts = np.bincount(windows.series, minlength=n)
    fits = counts >= FEWEST * reader.context_length
    if reader.weight is not None or not fits.any():
        return np.zeros(len(windows), dtype=bool)
    first, last = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(first, windows.series, windows.cutoff)
    np.maximum.at(last, windows.series, windows.cutoff)
    fits &= last - first + 1 == counts
    missing = np.concatenate([[0], np.cumsum(~reader.panel.observed)])
    begin, end = (reader.panel.offsets[:-1] + x for x in (first - reader.context_length, last + reader.horizon))
    which = np.flatnonzero(fits)
    fits[which] = missing[begin[which]] == missing[end[which]]
    result: BoolArray = fits[windows.series]
    return result


def needs_reading(reader: WindowReader) -> bool:
    """Whether windows have to be read one by one: rows are missing or weighted, or most series are short."""
    long = reader.panel.lengths >= (FEWEST + 1) * reader.context_length + reader.horizon
    return reader.weight is not None or not bool(reader.panel.observed.all()) or bool(long.mean() < 0.5)


def sliding_sums(values: FloatArray, context_length: int, horizon: int) -> tuple[FloatArray, FloatArray, float]:
    """Sum up all windows of a stretch of rows.

    With v the rows and w their windows of L + H entries, ``G[i, j] = Σ w_i w_j`` obeys ``G[i + 1, j + 1] = G[i, j] +
    v[e + i] v[e + j] - v[i] v[j]``, e being the number of windows: a diagonal is its first entry and a running sum,
    so that all sums cost as much as a few windows, and the first row one pass.

    Parameters
    ----------
    values : float64 array (n_windows + L + H - 1,)
    context_length, horizon : int
        L and H.

    Returns
    -------
    inputs : float64 array (L + 2, L + 2)
        Sums over windows of the products of inputs, their mean and a one.
    cross : float64 array (L + 2, H)
        Sums of the products of those with the targets.
    squares : float
        Sum of all squared targets.
    """
    length, both = context_length, context_length + horizon
    n = len(values) - both + 1
    products = _products(values, n, length, both)
    total = sliding_window_view(values, n)[:both].sum(axis=1)
    inputs = np.empty((length + 2, length + 2))
    inputs[:length, :length] = products[:, :length]
    inputs[length + 1, :length] = inputs[:length, length + 1] = total[:length]
    inputs[length + 1, length + 1] = n
    for part in (inputs[:length], inputs.T[:length]):
        part[:, length] = products[:, :length].mean(axis=0)
    inputs[length, length + 1] = inputs[length + 1, length] = total[:length].mean()
    inputs[length, length] = products[:, :length].mean()
    cross = np.concatenate([products[:, length:], products[:, length:].mean(axis=0)[None], total[None, length:]])
    squares = np.square(values)
    return inputs, cross, float(sliding_window_view(squares, n)[length:both].sum())


def _products(values: FloatArray, n: int, length: int, both: int) -> FloatArray:
    """Sums of the products of each input with each entry of its window, (L, L + H)."""
    padded = np.concatenate([values, np.zeros(length)])
    first = sliding_window_view(values, both)[:n].T @ values[:n]
    moves = _lagged(padded[n:], length, both) - _lagged(padded, length, both)
    moves = np.concatenate([first[None], moves[:-1]]).cumsum(axis=0)
    row, column = np.arange(length)[:, None], np.arange(both)
    found = np.where(column >= row, moves[row, np.maximum(column - row, 0)], 0.0)
    square = found[:, :length]
    square += np.triu(square, 1).T
    return found


def _lagged(values: FloatArray, length: int, both: int) -> FloatArray:
    """Products v[k] v[k + d], (L, L + H) for k and d; zeros beyond the end."""
    enough = np.concatenate([values, np.zeros(max(0, length + both - 1 - len(values)))])
    windows = sliding_window_view(enough, both)[:length]
    products: FloatArray = windows * enough[:length, None]
    return products


def series_rows(reader: WindowReader, series: int, cutoff: IntArray) -> FloatArray:
    """Rows of a series, scaled, from the first input of its windows to their last target."""
    begin, end = int(cutoff[0]) - reader.context_length, int(cutoff[-1]) + reader.horizon
    rows = slice(int(reader.panel.offsets[series]) + begin, int(reader.panel.offsets[series]) + end)
    values: FloatArray = reader.panel.values[rows].astype(np.float64)
    return (values - reader.center[series]) / reader.scale[series]
