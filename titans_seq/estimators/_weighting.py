"""What every row counts as a target: `sample_weight` of `TitansForecaster.fit`, read and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.adapters.scaled import FloatArray, IntArray
from titans_seq.data import Panel, read_column

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster


def row_weights(
    forecaster: TitansForecaster, given: Any, X: Any, validation: Any, panel: Panel, train_end: IntArray
) -> FloatArray | None:
    """Return what each row of ``panel`` counts, (total,), at most 1; None where all count alike.

    Parameters
    ----------
    forecaster : TitansForecaster
        For the names of columns.
    given : str, mapping, array or None
        As `TitansForecaster.fit` takes it.
    X, validation : data
        As they were given.
    panel : Panel
        The rows of ``X``, and after them those of ``validation``.
    train_end : int array (n_series,)
        Rows before it are fitted to.

    Raises
    ------
    TypeError, ValueError
        In one line that names column, row or series: a weight that is negative, missing or infinite, a series that
        is not there, another number of weights than series or rows, or no weight above 0 to fit to.
    """
    if given is None:
        return None
    if isinstance(given, str):
        weight = _of_column(forecaster, given, X, validation, panel)
    elif isinstance(given, Mapping) or hasattr(given, "items"):
        weight = np.repeat(_of_mapping(dict(given.items()), panel.ids), panel.lengths)
    else:
        weight = _of_array(given, X, panel)
    return _normalised(weight, panel, train_end)


def _of_column(forecaster: TitansForecaster, name: str, X: Any, validation: Any, panel: Panel) -> FloatArray:
    """Weights in a column of a long frame, on the grid of the panel."""
    weights = _read_column(forecaster, name, X, panel)
    if validation is not None:
        weights = weights.concat(_read_column(forecaster, name, validation, panel), on_gap=forecaster.on_gap)
    return weights.values


def _read_column(forecaster: TitansForecaster, name: str, X: Any, panel: Panel) -> Panel:
    def check(values: FloatArray, place: Callable[[int], str]) -> None:
        wrong = np.flatnonzero(~(values >= 0))
        if len(wrong):
            row = int(wrong[0])
            found = "missing" if np.isnan(values[row]) else f"{values[row]:g}"
            raise ValueError(f"{place(row)}: {name} is {found}; a weight must be a number of at least 0")

    return read_column(
        X, name, check, argument="sample_weight", id_col=forecaster.id_col, time_col=forecaster.time_col,
        on_gap=forecaster.on_gap, frequency=panel.frequency,
    )  # fmt: skip


def _of_mapping(weights: Mapping[Any, Any], ids: tuple[str | int, ...]) -> FloatArray:
    """One weight for each series, 1 for those that are not named."""
    known = set(ids)
    for name, value in weights.items():
        if name not in known:
            near = get_close_matches(str(name), [str(i) for i in ids], n=1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            raise ValueError(f"sample_weight names series {name!r}, which is not in X{hint}")
        _check_number(value, f"sample_weight of series {name!r}")
    return np.array([float(weights.get(name, 1.0)) for name in ids])


def _of_array(given: Any, X: Any, panel: Panel) -> FloatArray:
    """One weight for each series, or for each row of an array ``X``."""
    try:
        array = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError(
            "sample_weight must be a column name, a dict of id to weight, or an array of numbers, found "
            f"{type(given).__name__}"
        ) from None
    by_row = isinstance(X, np.ndarray) and array.shape == X.shape and array.shape != (panel.n_series,)
    if not by_row and array.shape != (panel.n_series,):
        also = f" or for each row of X {X.shape}" if isinstance(X, np.ndarray) else ""
        raise ValueError(
            f"sample_weight must hold one weight for each of {panel.n_series} series{also}, found shape {array.shape}"
        )
    if not by_row:
        for name, value in zip(panel.ids, array.tolist(), strict=True):
            _check_number(value, f"sample_weight of series {name!r}")
        return np.repeat(array, panel.lengths)
    rows = np.atleast_2d(array)
    wrong = np.argwhere(~((rows >= 0) & np.isfinite(rows)))
    if len(wrong):
        i, row = wrong[0]
        _check_number(rows[i, row].item(), f"series {panel.ids[i]!r}, row {row}: sample_weight")
    return _and_later(rows, panel)


def _and_later(rows: FloatArray, panel: Panel) -> FloatArray:
    """Weights of rows, those of validation rows after them like the last one of their series that counts."""
    n, length = rows.shape
    last = length - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)
    later = np.repeat(rows[np.arange(n), last][:, None], int(panel.lengths.max()) - length, axis=1)
    inside = np.arange(int(panel.lengths.max())) < panel.lengths[:, None]
    return np.concatenate([rows, later], axis=1)[inside]


def _check_number(value: Any, what: str) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{what} is {value!r}; a weight must be a number")
    if not 0 <= float(value) < np.inf:
        raise ValueError(f"{what} is {value}; a weight must be a finite number of at least 0")


def _normalised(weight: FloatArray, panel: Panel, train_end: IntArray) -> FloatArray | None:
    """Only the ratios of weights matter: the largest becomes 1, so that no scale of them can do harm."""
    row = np.arange(len(weight)) - np.repeat(panel.offsets[:-1], panel.lengths)
    fitted = panel.observed & (row < np.repeat(train_end, panel.lengths))
    if not weight[fitted].any():
        raise ValueError("sample_weight is 0 for every row that would be fitted to; give some a weight above 0")
    used = weight[panel.observed]
    if (used == used[0]).all():
        return None
    return weight / used.max()
