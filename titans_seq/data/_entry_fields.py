"""Covariates of GluonTS entries: which of their fields hold them, and reading those as a frame's columns are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.covariates import (
    MOST_CATEGORIES,
    CovariateColumn,
    Covariates,
    FloatArray,
    check_roles,
    column_features,
    learn_column,
)

FIELDS = {
    "future": ("feat_dynamic_real", "feat_dynamic_cat"),
    "past": ("past_feat_dynamic_real", "past_feat_dynamic_cat"),
    "static": ("feat_static_real", "feat_static_cat"),
}
"""Fields of numbers and of categories, by role."""

_ROLES = {field: role for role, fields in FIELDS.items() for field in fields}
_NEW = "\0"
"""A category that was not there in fit."""


@dataclass(frozen=True)
class Fields:
    """Entries, and the steps of each whose covariates are read.

    Attributes
    ----------
    entries : sequence of dict
    names : sequence of str
        What messages call each of them.
    begin, end : int array (n,)
        Steps of ``feat_dynamic_*`` and ``past_feat_dynamic_*``, counted from ``start``.
    """

    entries: Sequence[Mapping[str, Any]]
    names: Sequence[str]
    begin: Int64Array
    end: Int64Array

    def learn(self, roles: Mapping[str, str]) -> Covariates:
        """Learn covariates from the fields that ``roles`` names; row i of a field becomes the column ``field_i``.

        Raises
        ------
        TypeError, ValueError
            A name that is no field or has another role, and as for `read`.
        """
        check_roles(roles)
        for name, role in roles.items():
            _check_field(name, role)
        columns = []
        for field, role in roles.items():
            n_rows = len(self._field(0, field))
            names, categories = [f"{field}_{k}" for k in range(n_rows)], field.endswith("_cat")
            whole = [self._rows(i, field, role, names) for i in range(len(self.names))]
            for row, name in enumerate(names):
                parts = [
                    _learnable(found[row], categories, f"{shown}: {field}, row {row}")
                    for shown, found in zip(self.names, whole, strict=True)
                ]
                columns.append(learn_column(_column(np.concatenate(parts), name, categories), name, role))
        return Covariates(tuple(columns))

    def read(self, covariates: Covariates, *roles: str) -> FloatArray:
        """Read the features of the steps, one entry after another; those of other ``roles`` are 0.

        Returns
        -------
        float64 array (total, n_features)
            Always finite; ``total`` is the sum of ``end - begin``.

        Raises
        ------
        ValueError
            An entry without a field or of another shape, and numbers that are infinite or no numbers.
        """
        steps = self.end - self.begin
        total, parts = int(steps.sum()), {}
        for role in roles or tuple(FIELDS):
            place = self._place if role != "static" else lambda i: self.names[i]
            for column, values in self._values(covariates, role).items():
                features = column_features(values, column, place)
                parts[column] = np.repeat(features, steps, axis=0) if role == "static" else features
        every = [parts.get(column, np.zeros((total, column.n_features))) for column in covariates.columns]
        return np.concatenate([np.zeros((total, 0)), *every], axis=1)

    def refuse_missing(self, covariates: Covariates, role: str) -> None:
        """Raise a ValueError at the first value of the role's fields that is missing."""
        for column, values in self._values(covariates, role).items():
            missing = np.array([value is None or value != value for value in values.to_list()], dtype=bool)
            if missing.any():
                raise ValueError(f"{self._place(int(np.argmax(missing)))}: {column.name} is missing; fill it in")

    def _place(self, row: int) -> str:
        at = np.concatenate([[0], np.cumsum(self.end - self.begin)])
        i = int(np.searchsorted(at, row, side="right")) - 1
        return f"{self.names[i]}, step {row - at[i] + self.begin[i]}"

    def _values(self, covariates: Covariates, role: str) -> dict[CovariateColumn, Any]:
        """Values of the columns of a role, each a narwhals Series over all entries."""
        wanted = [column for column in covariates.columns if column.role == role]
        parts: dict[CovariateColumn, list[Any]] = {column: [] for column in wanted}
        for i, entry in enumerate(self.entries):
            for field, columns in _layout(entry, wanted, role):
                found = self._rows(i, field, role, [column.name for column in columns])
                for row, (column, values) in enumerate(zip(columns, found, strict=True)):
                    name = f"{self.names[i]}: {field}, row {row} ({column.name!r})"
                    parts[column].append(_as_kind(values, column, name))
        return {column: _column(np.concatenate(p), column.name, not column.is_number) for column, p in parts.items()}

    def _field(self, i: int, field: str) -> NDArray[Any]:
        """Return a field as an array of any shape."""
        found = self.entries[i].get(field)
        if found is None:
            listed = ", ".join(map(str, self.entries[i]))
            raise ValueError(f"{self.names[i]} has no {field!r} (it has {listed}), of which roles= makes a covariate")
        try:
            return np.asarray(found) if not isinstance(found, list | tuple) else _untyped(found)
        except ValueError:
            raise ValueError(f"{self.names[i]}: {field} is ragged; its rows must be of one length") from None

    def _rows(self, i: int, field: str, role: str, columns: Sequence[str]) -> list[NDArray[Any]]:
        """Rows of a field, each (end - begin,), or (1,) if static."""
        found, name, end = self._field(i, field), self.names[i], int(self.end[i])
        n = len(columns)
        listed = f"{'one row' if n == 1 else f'{n} rows'} ({', '.join(columns)})"
        if role == "static":
            if found.shape != (n,):
                raise ValueError(f"{name}: {field} has shape {found.shape}; it must be {(n,)}: {listed}")
            return [found[k : k + 1] for k in range(n)]
        length = len(self.entries[i]["target"])
        if found.ndim != 2:
            raise ValueError(f"{name}: {field} has shape {found.shape}; it must be (rows, {max(end, length)})")
        if len(found) != n or found.shape[1] < end:
            steps = f"the {length} steps of target" + (f" and the {end - length} to forecast" if end > length else "")
            raise ValueError(
                f"{name}: {field} has shape {found.shape}; it must be {(n, max(end, length))}: {listed}, by {steps}"
            )
        return [row[int(self.begin[i]) : end] for row in found]


def _check_field(name: str, role: str) -> None:
    if name not in _ROLES:
        raise ValueError(
            f"roles: {name!r} is no field of GluonTS entries; those that can be read are "
            f"{', '.join(f'{field!r}: {own!r}' for field, own in _ROLES.items())}"
        )
    if role != _ROLES[name]:
        raise ValueError(f"roles: {name!r} has the role {role!r}; in GluonTS entries it is {_ROLES[name]!r}")


def _layout(
    entry: Mapping[str, Any], columns: Sequence[CovariateColumn], role: str
) -> list[tuple[str, list[CovariateColumn]]]:
    """Fields of an entry, and the columns that are their rows."""
    numbers, categories = FIELDS[role]
    if entry.get(categories) is None and any(column.is_number for column in columns):
        # GluonTS' PandasDataset knows no categories that change: they are among the numbers, as numbers.
        return [(numbers, list(columns))]
    kinds = [(numbers, [c for c in columns if c.is_number]), (categories, [c for c in columns if not c.is_number])]
    return [(field, some) for field, some in kinds if some]


def _column(values: NDArray[Any], name: str, categories: bool) -> Any:
    """Values as a narwhals Series."""
    import narwhals as nw
    import pandas as pd

    if not categories:
        return nw.from_native(pd.Series(values.astype(np.float64), name=name), series_only=True)
    items = [None if value is None or value != value else value for value in values.tolist()]
    return nw.from_native(pd.Series(pd.Categorical(items), name=name), series_only=True)


def _untyped(found: Sequence[Any]) -> NDArray[Any]:
    """Return a list as an array; without a type of its own all of [1.0, "b"] would become text."""
    plain = np.asarray(found)
    return plain if plain.dtype.kind in "biufO" else np.asarray(found, dtype=object)


def _learnable(values: NDArray[Any], categories: bool, name: str) -> NDArray[Any]:
    """Values (n,) of which nothing is known yet, as floats or as categories: text or whole numbers."""
    if not categories:
        return _as_numbers(values, name)
    if values.dtype.kind not in "biuf":
        return values.astype(object)
    codes = _as_codes(values, name)
    return np.array([None if code < 0 else code for code in codes.tolist()], dtype=object)


def _as_kind(values: NDArray[Any], column: CovariateColumn, name: str) -> NDArray[Any]:
    """Values (n,) as floats, or as categories that `fit` knows them by."""
    if column.is_number:
        return _as_numbers(values, name)
    if values.dtype.kind not in "biuf":
        return values.astype(object)
    return _from_codes(_as_codes(values, name), column, name)


def _as_numbers(values: NDArray[Any], name: str) -> FloatArray:
    try:
        numbers: FloatArray = values.astype(np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {values[:1].tolist()} are not numbers; convert them") from None
    if np.isinf(numbers).any():
        step = int(np.argmax(np.isinf(numbers)))
        raise ValueError(f"{name}, step {step} is {numbers[step]}; mark it as missing (NaN) or correct it")
    return numbers


def _as_codes(values: NDArray[Any], name: str) -> Int64Array:
    """Numbers of categories; -1 where one is missing, as pandas has it."""
    codes = _as_numbers(values, name)
    broken = ~np.isnan(codes) & (codes != np.round(codes))
    if broken.any():
        raise ValueError(f"{name}: {codes[np.argmax(broken)]:g} is no category's number; use whole numbers")
    return np.where(np.isnan(codes), -1, np.maximum(codes, -1)).astype(np.int64)


def _from_codes(codes: Int64Array, column: CovariateColumn, name: str) -> NDArray[Any]:
    """Categories (n,) of their numbers; None where one is missing."""
    known = column.categories or ()
    if len(known) == MOST_CATEGORIES and isinstance(known[0], str):
        raise ValueError(
            f"{name}: numbers do not say which of {MOST_CATEGORIES} or more categories is meant; give their names"
        )
    if known and not isinstance(known[0], str | bool):
        return np.array([None if code < 0 else code for code in codes.tolist()], dtype=object)
    table = np.array([*known, _NEW, None], dtype=object)  # -1 is the last
    found: NDArray[Any] = table[np.minimum(codes, len(known))]
    return found
