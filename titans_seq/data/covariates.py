"""Covariates: columns that are known of every row beside the target, as numbers a model can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data._columns import is_categorical, read_values

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

ROLES = ("past", "future", "static")
MOST_CATEGORIES = 64
"""Categories of one column with a feature of their own: the most frequent ones."""
LARGEST = 1e100
"""Numbers beyond this are refused: their squares have to fit in a float."""
FARTHEST = 1e6
"""Standard deviations from what `fit` saw beyond which a number is refused: no forecast from it would mean anything."""


@dataclass(frozen=True)
class CovariateColumn:
    """How one column becomes features.

    Attributes
    ----------
    name : str
    role : {"past", "future", "static"}
    categories : tuple of str or bool, or None
        One feature each, 1 where a row is of that category; None for a numeric column, which is one feature:
        (value - center) / scale. Missing values, and categories not among these, give zeros. Empty for a column that
        was the same everywhere, and says nothing.
    center, scale : float
    is_number : bool
        Whether the column held numbers; also known where it was the same everywhere.
    """

    name: str
    role: str
    categories: tuple[Any, ...] | None = None
    center: float = 0.0
    scale: float = 1.0
    is_number: bool = True

    @property
    def n_features(self) -> int:
        """Features of the column."""
        return 1 if self.categories is None else len(self.categories)


@dataclass(frozen=True)
class Covariates:
    """How the covariates of a frame become features, learned from one frame and used on others.

    Attributes
    ----------
    columns : tuple of CovariateColumn
    """

    columns: tuple[CovariateColumn, ...] = ()

    @classmethod
    def learn(cls, data: Any, roles: Mapping[str, str]) -> Covariates:
        """Look at the columns of a frame, or at the fields of GluonTS entries.

        Parameters
        ----------
        data : pandas or polars DataFrame, or list of dict
        roles : dict of column or field to {"past", "future", "static"}

        Raises
        ------
        TypeError, ValueError
            Data without columns, a column that is not there, roles there are not.
        """
        check_roles(roles)
        if not roles:
            return cls()
        if isinstance(data, list):
            from titans_seq.data._entries import learn_from_entries  # that module imports this one

            return learn_from_entries(data, roles)
        frame = _open(data)
        return cls(tuple(learn_column(_column(frame, name), name, role) for name, role in roles.items()))

    @property
    def n_features(self) -> int:
        """Features of all columns."""
        return sum(column.n_features for column in self.columns)

    def has(self, *roles: str) -> bool:
        """Whether any column has one of these roles."""
        return any(column.role in roles for column in self.columns)

    def features_of(self, *roles: str) -> BoolArray:
        """Which features belong to columns of these roles, (n_features,)."""
        return np.repeat([c.role in roles for c in self.columns], [c.n_features for c in self.columns]).astype(bool)

    @property
    def numeric(self) -> BoolArray:
        """Which features are numbers, not categories, (n_features,)."""
        return np.repeat([c.categories is None for c in self.columns], [c.n_features for c in self.columns]).astype(
            bool
        )

    def names(self, *roles: str) -> list[str]:
        """Columns of these roles; of all without any."""
        return [column.name for column in self.columns if not roles or column.role in roles]

    def refuse_missing(self, frame: Any) -> None:
        """Raise a ValueError if a frame (narwhals) lacks one of the columns."""
        for column in self.columns:
            _column(frame, column.name)

    def read(
        self,
        frame: Any,
        codes: Int64Array,
        ids: Sequence[Any] | None,
        *roles: str,
        rows: Int64Array | None = None,
    ) -> FloatArray:
        """Read the columns of a frame as features.

        Parameters
        ----------
        frame : narwhals DataFrame
        codes : int array (rows,)
            Series of each row, for messages and to check that static columns are constant.
        ids : sequence, or None
            Names of the series; None where the frame has one row per time.
        *roles
            Those that are read; the features of others are 0. Default: all.
        rows : int array (rows,), optional
            What messages call the rows. Default: 0, 1, ….

        Returns
        -------
        float64 array (rows, n_features)
            Always finite.
        """

        def place(row: int) -> str:
            shown = row if rows is None else int(rows[row])
            return f"row {shown}" if ids is None else f"series {ids[codes[row]]!r}, row {shown}"

        parts = [np.zeros((len(codes), 0))]
        for column in self.columns:
            if roles and column.role not in roles:
                parts.append(np.zeros((len(codes), column.n_features)))
                continue
            native = _column(frame, column.name)
            if column.role == "static":
                _refuse_changes(native, codes, place)
            parts.append(column_features(native, column, place))
        return np.concatenate(parts, axis=1)

    def to_dict(self) -> list[dict[str, Any]]:
        """Return a JSON-able list; `from_dict` is its inverse."""
        return [asdict(column) for column in self.columns]

    @classmethod
    def from_dict(cls, columns: Sequence[Mapping[str, Any]]) -> Covariates:
        """Rebuild what `to_dict` returned."""
        return cls(
            tuple(
                # Models saved before GluonTS fields were read don't say what a constant column held.
                CovariateColumn(
                    **{"is_number": c["categories"] is None, **c}
                    | {"categories": None if c["categories"] is None else tuple(c["categories"])}
                )
                for c in columns
            )
        )


def check_roles(roles: Any) -> None:
    """Raise a TypeError or ValueError for anything but a dict of columns and roles."""
    if not isinstance(roles, Mapping):
        raise TypeError(f"roles must be a dict such as {{'price': 'future', 'footfall': 'past'}}, found {roles!r}")
    for name, role in roles.items():
        if name in ROLES and not isinstance(role, str):
            raise TypeError(f"roles names columns, each with its role: {{'price': {name!r}}}; found {roles!r}")
        if not isinstance(name, str):
            raise TypeError(f"roles: column names are text, found {name!r}")
        if role not in ROLES:
            raise ValueError(
                f"roles: {name!r} has role {role!r}; it must be 'past' (known up to now), 'future' (known for the rows "
                "to forecast, too) or 'static' (one value per series)"
            )


def _open(data: Any) -> Any:
    from titans_seq.data._read import is_frame, open_frame

    if not is_frame(data):
        raise TypeError(
            "covariates are columns of a pandas or polars DataFrame, or fields of GluonTS entries; the data are "
            f"{type(data).__name__}: pass a frame, or no roles="
        )
    return open_frame(data)


def _column(frame: Any, name: str) -> Any:
    if name in frame.columns:
        return frame.get_column(name)
    near = get_close_matches(name, [str(column) for column in frame.columns], n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"the frame has no column {name!r}, to which roles= gives a role{hint}")


def learn_column(column: Any, name: str, role: str) -> CovariateColumn:
    """Look at a column (a narwhals Series); the order of its rows changes no bit of what is learned."""
    if is_categorical(column):
        import pandas as pd

        codes, values = pd.factorize(_objects(column))
        counts = np.bincount(codes[codes >= 0], minlength=len(values))
        # By value where counts are equal: which ones are kept must not depend on which row comes first.
        order = sorted(range(len(values)), key=lambda i: (-counts[i], str(values[i]), type(values[i]).__name__))
        frequent = [values[i] for i in order[:MOST_CATEGORIES]]
        if not frequent:
            raise ValueError(f"column {name!r} is empty; leave it out of roles=")
        strange = next((value for value in frequent if not isinstance(value, str | bool | int | float)), None)
        if strange is not None:
            raise TypeError(
                f"column {name!r} holds {strange!r}; categories are text, booleans or numbers: convert it, with "
                ".astype(str) for one"
            )
        alike = len(frequent) == 1 and counts[0] == len(column)
        return CovariateColumn(name, role, () if alike else tuple(sorted(frequent, key=str)), is_number=False)
    _refuse_times(column, name)
    values = read_values(column, lambda row: f"row {row}")
    _refuse_far(values, np.nan_to_num(values) / LARGEST, 1.0, name, lambda row: f"row {row}")
    values = np.sort(values[~np.isnan(values)])  # sums of floats depend on their order
    if not len(values):
        raise ValueError(f"column {name!r} holds no value; leave it out of roles=")
    center, spread = float(values.mean()), float(values.std())
    constant = spread <= 1e-12 * max(abs(center), 1e-300)
    return CovariateColumn(name, role, (), center) if constant else CovariateColumn(name, role, None, center, spread)


def column_features(column: Any, how: CovariateColumn, place: Callable[[int], str]) -> FloatArray:
    """Features (rows, n_features) of one column (a narwhals Series); ``place(row)`` names a row in messages."""
    if how.categories is None:
        values = read_values(column, place)
        with np.errstate(over="ignore"):
            scaled = np.nan_to_num((values - how.center) / how.scale, nan=0.0)
        _refuse_far(values, scaled, FARTHEST, how.name, place)
        return scaled[:, None]
    if not how.categories:
        return np.zeros((len(column), 0))
    _refuse_another_type(column, how, place)
    which = _objects(how.categories).reset_index().set_index(0)["index"].reindex(_objects(column), fill_value=-1)
    return np.asarray(which.to_numpy()[:, None] == np.arange(len(how.categories)), dtype=np.float64)


def _refuse_far(values: FloatArray, scaled: FloatArray, most: float, name: str, place: Callable[[int], str]) -> None:
    """Raise a ValueError at the first number whose scaled value is beyond ``most``."""
    far = np.abs(scaled) > most
    if far.any():
        row = int(np.argmax(far))
        why = f"beyond {LARGEST:g}" if most == 1.0 else f"more than {most:g} standard deviations from what fit saw"
        raise ValueError(f"{place(row)}: {name} is {values[row]:g}, {why}; mark it as missing (NaN) or correct it")


def _refuse_times(column: Any, name: str) -> None:
    """Raise a TypeError for dates, times and durations, which are neither numbers nor categories."""
    import datetime as dt

    import narwhals as nw

    known = (value for value in column.to_list() if value is not None) if column.dtype == nw.Object else iter(())
    first = next(known, None)
    period = "period" in str(column.to_native().dtype)  # of pandas, which narwhals does not know
    if period or column.dtype.is_temporal() or isinstance(first, dt.date | dt.time | dt.timedelta):
        raise TypeError(
            f"column {name!r} holds dates or times; make of them what counts as a covariate, such as the day of "
            "the week as text or the days since a date as a number (the calendar of the time column is known anyway)"
        )


def _refuse_another_type(column: Any, how: CovariateColumn, place: Any) -> None:
    """Raise a ValueError where text stands for what were booleans or numbers in fit, or the other way round."""
    text = {isinstance(value, str) for value in how.categories or ()}
    for row, value in enumerate(column.to_list()) if len(text) == 1 else ():
        if value is not None and value == value and isinstance(value, str) not in text:
            known = ", ".join(map(repr, (how.categories or ())[:4]))
            raise ValueError(f"{place(row)}: {how.name} is {value!r}, fit had {known}; convert the column")


def _refuse_changes(column: Any, codes: Int64Array, place: Any) -> None:
    """Raise a ValueError where a static column changes within a series."""
    import pandas as pd

    kinds, _ = pd.factorize(_objects(column))
    known = np.flatnonzero(kinds >= 0)
    _, begin, back = np.unique(codes[known], return_index=True, return_inverse=True)
    first = known[begin[back]]
    changed = np.flatnonzero(kinds[known] != kinds[first])
    if len(changed):
        row, earlier, values = int(known[changed[0]]), int(first[changed[0]]), column.to_list()
        raise ValueError(
            f"{place(row)}: static column {column.name!r} is {values[row]!r}, in row {earlier} it was "
            f"{values[earlier]!r}; correct it, or give the column the role 'past' or 'future'"
        )


def _objects(values: Any) -> Any:
    """Values as a pandas Series of Python objects, None and NaN alike missing."""
    import pandas as pd

    return pd.Series(list(values) if isinstance(values, tuple) else values.to_list(), dtype=object)
