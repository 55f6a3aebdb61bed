"""The id column and the value columns of a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array


class NotANumberError(ValueError):
    """A value column holds something that is not a number."""


@dataclass(frozen=True)
class IdFormat:
    """Type of the id column: its name in the frame's library and, for categories, all of them."""

    type_name: str = ""
    categories: tuple[str | int, ...] | None = None
    ordered: bool = False

    def native(self, ids: list[str | int], backend: str) -> Any:
        """Return ids (n,) as a pandas or polars column of this type."""
        return self._to_polars(ids) if backend == "polars" else self._to_pandas(ids)

    def _to_pandas(self, ids: list[str | int]) -> Any:
        import pandas as pd

        if self.categories is not None:
            return pd.Series(pd.Categorical(ids, categories=list(self.categories), ordered=self.ordered))
        return pd.Series(ids, dtype=self.type_name or object)

    def _to_polars(self, ids: list[str | int]) -> Any:
        import polars as pl

        if self.type_name == "Enum":
            return pl.Series(ids, dtype=pl.Enum([str(name) for name in self.categories or ()]))
        return pl.Series(ids, dtype=getattr(pl, self.type_name))


def read_ids(column: Any) -> tuple[Int64Array, tuple[str | int, ...], IdFormat]:
    """Read an id column (a narwhals Series).

    Returns
    -------
    codes : int64 array (rows,)
        Index into `ids` of each row.
    ids : tuple of str or int
        In order of first appearance.
    format : IdFormat

    Raises
    ------
    ValueError
        A missing id.
    TypeError
        Ids that are neither text nor integers.
    """
    import pandas as pd

    missing = column.is_null().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise ValueError(f"row {row}: {column.name} is missing; name the series or drop the row")
    native = column.to_native()
    if column.implementation.is_polars():
        native = _polars_ids(native)
    codes, uniques = pd.factorize(native)
    ids = tuple(value.item() if isinstance(value, np.generic) else value for value in uniques.tolist())
    for i, name in enumerate(ids):
        if isinstance(name, bool) or not isinstance(name, str | int):
            row = int(np.argmax(codes == i))
            raise TypeError(f"row {row}: {column.name} {name!r} is {type(name).__name__}; ids must be text or integers")
    return codes.astype(np.int64), ids, _id_format(column)


def read_values(column: Any, place: Callable[[int], str]) -> NDArray[np.float64]:
    """Read a numeric column (a narwhals Series) as float64 with NaN where it is missing.

    Integers, floats, decimals and booleans (as 0 and 1) are numbers; text never is.

    Raises
    ------
    ValueError
        The first value that is not a number, or infinite, or beyond float64.
    """
    import narwhals as nw

    missing = column.is_null().to_numpy()
    if missing.all():
        return np.full(len(missing), np.nan)
    if column.dtype.is_numeric() or column.dtype == nw.Boolean:
        values = np.array(column.cast(nw.Float64).to_numpy(), dtype=np.float64)
    else:
        values = objects_to_float(column.to_list(), missing, column.name, place)
    refuse_infinite(values, column.name, place)
    return values


def refuse_infinite(values: NDArray[np.float64], name: str, place: Callable[[int], str]) -> None:
    """Raise ValueError at the first infinite value of (n,) values."""
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise ValueError(f"{place(row)}: {name} is {values[row]}; mark it as missing (NaN) or correct it")


def objects_to_float(
    values: list[Any], missing: NDArray[np.bool_], name: str, place: Callable[[int], str]
) -> NDArray[np.float64]:
    """Convert Python objects one by one; ValueError at the first that is not a number."""
    numbers = np.full(len(values), np.nan)
    for row in np.flatnonzero(~missing):
        value = values[row]
        if not isinstance(value, Real | Decimal | np.bool_):
            where = place(int(row))
            raise NotANumberError(f"{where}: {name} is {value!r}, which is not a number; convert or remove it")
        try:
            numbers[row] = float(value)
        except OverflowError:
            message = f"{place(int(row))}: {name} is too large for a 64-bit float; rescale the data"
            raise ValueError(message) from None
    return numbers


def type_name(dtype: Any) -> str:
    """Return the name by which pandas finds a column type again."""
    # `str` of pandas' text types leaves out where the text is stored; `repr` does not.
    return repr(dtype) if str(dtype) == "string" else str(dtype)


def _polars_ids(native: Any) -> Any:
    """Return a polars column as numpy, categories as text."""
    import polars as pl

    return (native.cast(pl.String) if native.dtype in (pl.Categorical, pl.Enum) else native).to_numpy()


def _id_format(column: Any) -> IdFormat:
    native = column.to_native()
    if column.implementation.is_polars():
        name = str(native.dtype.base_type())
        return IdFormat(name, tuple(native.dtype.categories) if name == "Enum" else None)
    if hasattr(native, "cat"):
        return IdFormat("category", tuple(native.cat.categories.tolist()), bool(native.cat.ordered))
    return IdFormat(type_name(native.dtype))


def is_categorical(column: Any) -> bool:
    """Whether a column (a narwhals Series) holds categories: text, booleans or values of a categorical type.

    A column of Python objects does if at least half of those that are not missing are text or booleans, in any order.
    """
    import narwhals as nw

    if column.dtype in (nw.String, nw.Categorical, nw.Enum, nw.Boolean):
        return True
    if column.dtype != nw.Object:
        return False
    missing = column.is_null().to_list()
    kinds = [isinstance(value, str | bool) for value, gone in zip(column.to_list(), missing, strict=True) if not gone]
    return bool(kinds) and 2 * sum(kinds) >= len(kinds)
