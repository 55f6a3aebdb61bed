"""GluonTS datasets to panels: any iterable of dicts with `start` and `target`; gluonts itself is not needed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._columns import IdFormat, objects_to_float, refuse_infinite
from titans_seq.data._entry_fields import Fields
from titans_seq.data._format import FrameFormat
from titans_seq.data._periods import Origins, PeriodStep, first_instant, period_step, place
from titans_seq.data._read import Reading, is_frame, refuse_all_missing
from titans_seq.data._times import TimeFormat
from titans_seq.data.covariates import Covariates, FloatArray
from titans_seq.data.frequency import Frequency, OffGridError
from titans_seq.data.panel import Panel


@dataclass(frozen=True)
class _Entry:
    """One entry: `at` is the first instant of its start, in nanoseconds; `step` is None for a timestamp."""

    name: str
    id: str | int
    start: Any
    at: int
    step: PeriodStep | None
    target: NDArray[np.float64]


def as_entries(data: Any) -> Iterator[Any] | None:
    """Return an iterator over the entries of a GluonTS dataset; None if the data are something else."""
    if isinstance(data, str | bytes | Mapping | np.ndarray) or is_frame(data):
        return None
    try:
        entries = iter(data)
    except TypeError:
        return None
    try:
        first = next(entries)
    except StopIteration:
        raise ValueError("the dataset is empty; it needs at least one entry with 'start' and 'target'") from None
    return chain([first], entries) if isinstance(first, Mapping) else None


def hold_entries(data: Any) -> Any:
    """Return a GluonTS dataset as a list, so that it can be read more than once; other data as they are."""
    entries = as_entries(data)
    return data if entries is None else list(entries)


def read_dataset(entries: Iterable[Any], how: Reading) -> tuple[Panel, FrameFormat]:
    """Read a whole dataset, whose ids must differ; forecasts of it are long pandas frames."""
    panel = read_entries(entries, frequency=how.frequency, origins=how.origins, covariates=how.covariates)
    first: dict[str | int, int] = {}
    for i, name in enumerate(panel.ids):
        if first.setdefault(name, i) != i:
            raise ValueError(
                f"entries {first[name]} and {i} both have the item_id {name!r}; name each series differently"
            )
    refuse_all_missing(panel, how, " of target")
    integers = all(isinstance(name, int) for name in panel.ids)
    ids = IdFormat("int64" if integers else "object")
    return panel, FrameFormat("long", "pandas", how.id_col, how.time_col, how.target_col, TimeFormat("datetime"), ids)


def read_entries(
    entries: Iterable[Any],
    *,
    frequency: Frequency | None = None,
    origins: Origins | None = None,
    first: int = 0,
    covariates: Covariates | None = None,
) -> Panel:
    """Read entries of a GluonTS dataset into a panel; unlike in `read_panel` several may have one id.

    Parameters
    ----------
    entries : iterable of dict
        ``start``: pandas Period (or a timestamp, if `frequency` is given), ``target``: (time,) with NaN where a
        value is missing, ``item_id``: str or int, default the entry's number. Other fields are read if they hold
        covariates: ``feat_dynamic_real``, ``past_feat_dynamic_real`` (k, at least time), ``feat_static_real`` (k,),
        and those of categories, ``…_cat``.
    frequency : Frequency, optional
        Step between rows. Default: that of the first start.
    origins : dict of id to timestamp, optional
        A row of each earlier series. A period is then read as the row that lies in it, such as the last day of a
        month; series not among them follow the first. Default: the first instant of the period, or for months
        the day that `frequency` names.
    first : int, default 0
        Number of the first entry.
    covariates : Covariates, optional
        To be read beside the target. Columns of one role are the rows of its field of numbers and of its field of
        categories, in their order; where an entry lacks the latter, all are rows of the former. Categories are their
        names or numbers: those of text and booleans count from 0 in sorted order, as pandas' codes do.

    Returns
    -------
    Panel

    Raises
    ------
    ValueError, TypeError
        One line that names the entry, what was found and what to do: no entry, no target, a target that is empty,
        of two dimensions or not numeric, a start that is no Period, frequencies that differ.
    """
    raw = list(entries)
    read = [_read_entry(entry, number) for number, entry in enumerate(raw, first)]
    if not read:
        raise ValueError("the dataset is empty; it needs at least one entry with 'start' and 'target'")
    frequency = _one_frequency(read, frequency)
    values = np.concatenate([entry.target for entry in read])
    observed = ~np.isnan(values)
    lengths = [len(entry.target) for entry in read]
    fields = _fields(raw, read)
    return Panel(
        np.where(observed, values, 0.0),
        observed,
        offsets=np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)]),
        ids=tuple(entry.id for entry in read),
        origins=_origins(read, frequency, origins).astype("datetime64[ns]"),
        frequency=frequency,
        covariates=fields.read(covariates) if covariates and covariates.columns else np.zeros((0, 0)),
    )


def learn_from_entries(entries: Sequence[Any], roles: Mapping[str, str]) -> Covariates:
    """Learn covariates from the fields of a dataset; ``roles`` has names of fields, each with its role in GluonTS.

    Raises
    ------
    TypeError, ValueError
        One line that names the entry and the field: a field that is not there, of another shape than that of the
        first entry, or not numeric; other roles.
    """
    return _fields(entries, [_read_entry(entry, number) for number, entry in enumerate(entries)]).learn(roles)


def read_entries_ahead(entries: Sequence[Any], covariates: Covariates, horizon: int, *, first: int = 0) -> FloatArray:
    """Read the covariates of the rows after ``target``, which its fields ``feat_dynamic_…`` also hold.

    Returns
    -------
    float64 array (n_entries, horizon, n_features)
        Features of other roles than "future" are 0.

    Raises
    ------
    ValueError
        One line that names the entry and the field: too short, or with values that are missing.
    """
    read = [_read_entry(entry, number) for number, entry in enumerate(entries, first)]
    fields = _fields(entries, read, horizon)
    fields.refuse_missing(covariates, "future")
    return fields.read(covariates, "future").reshape(len(read), horizon, -1)


def _fields(entries: Sequence[Any], read: list[_Entry], ahead: int = 0) -> Fields:
    """Fields of the steps of target, or of so many steps ahead of it."""
    lengths = np.array([len(entry.target) for entry in read], dtype=np.int64)
    begin = lengths if ahead else np.zeros_like(lengths)
    return Fields(entries, [entry.name for entry in read], begin, lengths + ahead)


def _read_entry(entry: Any, number: int) -> _Entry:
    if not isinstance(entry, Mapping):
        raise TypeError(f"entry {number} is a {type(entry).__name__}; entries must be dicts with 'start' and 'target'")
    name = entry.get("item_id")
    name = name.item() if isinstance(name, np.generic) else name
    if name is not None and (isinstance(name, bool) or not isinstance(name, str | int)):
        raise TypeError(f"entry {number}: item_id {name!r} is {type(name).__name__}; ids must be text or integers")
    shown = f"entry {number}" if name is None else f"entry {number} ({name!r})"
    for field in ("start", "target"):
        if entry.get(field) is None:
            raise ValueError(f"{shown} has no {field!r} (it has {', '.join(map(str, entry))}); add it")
    at, step = _read_start(entry["start"], shown)
    return _Entry(
        shown, number if name is None else name, entry["start"], at, step, _read_target(entry["target"], shown)
    )


def _read_start(start: Any, shown: str) -> tuple[int, PeriodStep | None]:
    """Return (first instant in nanoseconds, step of a Period)."""
    import pandas as pd

    if start is pd.NaT:
        raise ValueError(f"{shown}: start is missing (NaT); complete or drop the entry")
    if not isinstance(start, pd.Period | dt.datetime | np.datetime64):
        raise TypeError(
            f"{shown}: start {start!r} is {type(start).__name__}; it must be a pandas Period: "
            "pd.Period(start, freq=...), or gluonts' ListDataset(data, freq=...)"
        )
    try:
        if isinstance(start, pd.Period):
            return first_instant(start), period_step(start.freq)
        stamp = pd.Timestamp(start).as_unit("ns")
    except pd.errors.OutOfBoundsDatetime:
        raise ValueError(f"{shown}: start {start} lies outside 1677-09-22 to 2262-04-10") from None
    except ValueError as error:
        raise ValueError(f"{shown}: start {start}: {error}") from None
    if stamp.tzinfo is not None:
        raise ValueError(f"{shown}: start {start} has a time zone, periods have none; use start.tz_localize(None)")
    return int(stamp.value), None


def _read_target(target: Any, shown: str) -> NDArray[np.float64]:
    """Return float64 (time,) with NaN where a value is missing."""
    masked = isinstance(target, np.ma.MaskedArray)
    data = target.data if masked else target
    try:
        array = np.asarray(data)
    except ValueError:
        raise ValueError(f"{shown}: target is ragged; it must be one-dimensional") from None
    if array.ndim != 1:
        advice = "make an entry of each of its rows, with an item_id of its own" if array.ndim == 2 else "flatten it"
        raise ValueError(f"{shown}: target has shape {array.shape}; it must be one-dimensional, {advice}")
    if not len(array):
        raise ValueError(f"{shown}: target is empty; drop the entry")
    values = array.astype(np.float64) if array.dtype.kind in "biuf" else _objects_to_float(data, shown)
    if masked:
        values[np.ma.getmaskarray(target)] = np.nan
    refuse_infinite(values, "target", lambda row: f"{shown}, row {row}")
    return values


def _objects_to_float(data: Any, shown: str) -> NDArray[np.float64]:
    import pandas as pd

    items = np.asarray(data, dtype=object)  # without `dtype` all of [1.0, "2"] becomes text
    missing = np.asarray(pd.isna(items))
    return objects_to_float(items.tolist(), missing, "target", lambda row: f"{shown}, row {row}")


def _one_frequency(read: list[_Entry], fitted: Frequency | None) -> Frequency:
    """Return the frequency of all entries; `fitted` if there was one before."""
    frequency = fitted
    for entry in read:
        if frequency is None:
            if entry.step is None:
                raise ValueError(
                    f"{entry.name}: start {entry.start} does not say how rows follow; use pd.Period(start, freq=...)"
                )
            frequency = entry.step.frequency
        if frequency.kind == "integer":
            raise ValueError(
                f"{entry.name}: start {entry.start} is a date, but the earlier rows had integer times; fit on dates"
            )
        if entry.step is not None and not entry.step.fits(frequency):
            found, others = entry.step.frequency.alias, frequency.alias
            if fitted is None:
                raise ValueError(
                    f"mixed frequencies: {entry.name} steps by {found} and those before by {others}; "
                    "fit them separately or resample to one frequency"
                )
            raise ValueError(
                f"{entry.name} steps by {found} (start {entry.start}), the rows of fit by {others}; "
                "resample it, or fit on such data"
            )
    assert frequency is not None
    return frequency


def _origins(read: list[_Entry], frequency: Frequency, origins: Origins | None) -> NDArray[np.int64]:
    """Return the timestamps of the first rows."""
    at = np.array([entry.at for entry in read], dtype=np.int64)
    for step in {entry.step for entry in read if entry.step is not None}:
        rows = [i for i, entry in enumerate(read) if entry.step == step]
        at[rows] = place(at[rows], step, frequency, [read[i].id for i in rows], origins)
    try:
        frequency.steps_between(at, at)
    except OffGridError as error:
        entry = read[error.position]
        raise ValueError(
            f"{entry.name}: start {entry.start} can't be a row of step {frequency.alias}; pass a pandas Period"
        ) from None
    return at
