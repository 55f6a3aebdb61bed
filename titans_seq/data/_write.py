"""Forecasts to frames of the form the data came in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._format import FrameFormat
from titans_seq.data.frequency import Frequency


def write_long(
    form: FrameFormat,
    ids: Sequence[str | int],
    ds: NDArray[Any],
    frequency: Frequency,
    columns: Mapping[str, Any],
) -> Any:
    """Return one row per series and step: id, time, then the columns."""
    repeated = [name for name in ids for _ in range(ds.shape[1])]
    named = {
        form.id_col: form.ids.native(repeated, form.backend),
        form.time_col: form.time.native(ds.ravel(), frequency, form.backend),
    }
    return _frame(form.backend, {**named, **{name: values.ravel() for name, values in columns.items()}})


def write_times(form: FrameFormat, ds: NDArray[Any], frequency: Frequency, columns: Mapping[str, Any]) -> Any:
    """Return one row per time (rows,): time, then the columns."""
    return _frame(form.backend, {form.time_col: form.time.native(ds, frequency, form.backend), **columns})


def write_wide(
    form: FrameFormat,
    ids: Sequence[str | int],
    ds: NDArray[Any],
    frequency: Frequency,
    columns: Mapping[str, Any],
    point_name: str,
) -> Any:
    """Return one row per step: time, then for each column one column per series."""
    if (ds != ds[:1]).any():
        i = int(np.argmax((ds != ds[:1]).any(axis=1)))
        raise ValueError(
            f"series {ids[i]!r} ends at another time than {ids[0]!r}; a wide frame needs one end for all, "
            "use a long frame"
        )
    named: dict[str | int, Any] = {form.time_col: form.time.native(ds[0], frequency, form.backend)}
    for key, values in columns.items():
        for name, row in zip(ids, values, strict=True):
            column = name if key == point_name else f"{name}{key.removeprefix(point_name)}"
            if column in named:
                raise ValueError(f"two forecast columns would be called {column!r}; rename series {name!r}")
            named[column] = row
    return _frame(form.backend, named)


def write_rows(
    form: FrameFormat,
    ids: Sequence[str | int],
    lengths: NDArray[np.int64],
    ds: NDArray[Any],
    frequency: Frequency,
    columns: Mapping[str, NDArray[Any]],
) -> Any:
    """Return one row per series and time, long whatever the form was: id, time, then the columns."""
    own = form.ids.native if form.kind == "long" else _plain_ids
    named = {
        form.id_col: own([name for name, n in zip(ids, lengths, strict=True) for _ in range(n)], form.backend),
        form.time_col: form.time.native(ds, frequency, form.backend),
    }
    twice = next((name for name in columns if name in named), None)
    if twice is not None:
        raise ValueError(f"two columns would be called {twice!r}; rename the one of the data")
    frame = _frame(form.backend, {**named, **columns})
    # Greater than any number is what NaN is to polars: missing is null there.
    return frame.fill_nan(None) if form.backend == "polars" else frame


def write_row_array(lengths: NDArray[np.int64], columns: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return a structured array (n_series, time) with a field for each column."""
    kinds = [(name, values.dtype) for name, values in columns.items()]
    result = np.empty((len(lengths), int(lengths.max(initial=0))), dtype=kinds)
    for name, values in columns.items():
        result[name] = values.reshape(result.shape)
    return result


def write_array(columns: Mapping[str, Any]) -> NDArray[Any]:
    """Return (n_series, horizon) for one column, else (n_series, horizon, n_columns)."""
    arrays = list(columns.values())
    return arrays[0].copy() if len(arrays) == 1 else np.stack(arrays, axis=-1)


def _plain_ids(ids: list[str | int], backend: str) -> Any:
    """Names of columns as a column."""
    if backend == "polars":
        import polars as pl

        return pl.Series(ids, dtype=pl.String)
    import pandas as pd

    return pd.Series(ids, dtype=object).infer_objects()


def _frame(backend: str, columns: dict[Any, Any]) -> Any:
    if backend == "polars":
        import polars as pl

        return pl.DataFrame(columns)
    import pandas as pd

    return pd.DataFrame(columns)
