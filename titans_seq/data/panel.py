"""Many series in one contiguous array: values, what was observed, and where in time they begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.frequency import Frequency, OffGridError

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Panel:
    """Series of any lengths on one regular time grid.

    Parameters
    ----------
    values : float64 array (total,)
        The series one after another; entries that were not observed hold 0.0.
    observed : bool array (total,)
        False where a value is missing.
    offsets : int64 array (n_series + 1,)
        Series i is ``values[offsets[i]:offsets[i + 1]]``.
    ids : tuple of str or int
        Name of each series.
    origins : array (n_series,)
        Timestamp of each series' first row: datetime64[ns], or int64 when `frequency` counts integers.
    frequency : Frequency
        Step from each row to the next.
    covariates : float64 array (total, n_features), optional
        Features of every row beside its value; see `titans_seq.data.covariates`. Default: none.

    Raises
    ------
    ValueError
        Arrays whose shapes or contents do not belong together.
    """

    values: FloatArray
    observed: BoolArray
    offsets: Int64Array
    ids: tuple[str | int, ...]
    origins: NDArray[Any]
    frequency: Frequency
    covariates: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        n = len(self.ids)
        if not self.covariates.shape[1]:
            object.__setattr__(self, "covariates", np.zeros((len(self.values), 0)))
        if self.offsets.shape != (n + 1,) or self.origins.shape != (n,):
            raise ValueError(f"{n} ids need {n + 1} offsets and {n} origins")
        if self.offsets[0] != 0 or (np.diff(self.offsets) < 0).any():
            raise ValueError("offsets must begin at 0 and not decrease")
        if self.values.shape != (self.offsets[-1],) or self.observed.shape != self.values.shape:
            raise ValueError(f"offsets end at {self.offsets[-1]}; values and observed need that many entries")
        if self.covariates.shape[0] != len(self.values) or not np.isfinite(self.covariates).all():
            raise ValueError(f"covariates must be finite numbers, one row for each of {len(self.values)} values")
        if self.values[~self.observed].any():
            raise ValueError("values that are not observed must hold 0.0")
        if self.origins.dtype != (np.int64 if self.frequency.kind == "integer" else "datetime64[ns]"):
            raise ValueError(f"origins are {self.origins.dtype}, which does not fit {self.frequency}")

    @property
    def n_series(self) -> int:
        """Number of series."""
        return len(self.ids)

    @property
    def lengths(self) -> Int64Array:
        """Rows of each series, shape (n_series,)."""
        return np.diff(self.offsets)

    @property
    def last_ds(self) -> NDArray[Any]:
        """Timestamp of each series' last row, shape (n_series,)."""
        return self.frequency.advance(self.origins, self.lengths - 1)

    def series(self, i: int) -> tuple[FloatArray, BoolArray]:
        """Return (values, observed) of series i as views of shape (length,)."""
        rows = slice(self.offsets[i], self.offsets[i + 1])
        return self.values[rows], self.observed[rows]

    def end_of(self, i: int) -> Any:
        """Return the timestamp of the last row of series i."""
        return self.frequency.advance(self.origins[i], self.lengths[i] - 1)[()]

    def ds_of(self, i: int) -> NDArray[Any]:
        """Return the timestamps of series i, shape (length,)."""
        return self.frequency.advance(self.origins[i], np.arange(self.lengths[i]))

    def gather(self, series: Any, start: Any, length: int) -> tuple[FloatArray, BoolArray]:
        """Cut windows out of series, all at once.

        Parameters
        ----------
        series : int array (n,)
            Which series each window comes from.
        start : int array (n,)
            Row of that series at which the window begins; may be negative or past the end.
        length : int
            Rows of every window.

        Returns
        -------
        values : float64 array (n, length)
        observed : bool array (n, length)
            Rows outside the series come back as 0.0 and not observed.
        """
        index, inside = self._window_rows(series, start, length)
        if inside.all():
            return self.values[index], self.observed[index]
        if not len(self.values):
            return np.zeros(index.shape), np.zeros(index.shape, dtype=bool)
        return np.where(inside, self.values[index], 0.0), inside & self.observed[index]

    def gather_covariates(self, series: Any, start: Any, length: int) -> FloatArray:
        """Cut windows out of the covariates, (n, length, n_features); zeros for rows outside the series."""
        n_features = self.covariates.shape[1]
        if not n_features or not len(self.values):
            return np.zeros((len(np.asarray(series)), length, n_features))
        index, inside = self._window_rows(series, start, length)
        return np.where(inside[..., None], self.covariates[index], 0.0)

    def _window_rows(self, series: Any, start: Any, length: int) -> tuple[Int64Array, BoolArray]:
        """Entries of windows (n, length) in the arrays, 0 for those outside their series, and which are inside."""
        which = np.asarray(series, dtype=np.int64)
        rows = np.asarray(start, dtype=np.int64)[:, None] + np.arange(length)
        inside = (rows >= 0) & (rows < self.lengths[which][:, None])
        rows += self.offsets[which][:, None]
        return rows if inside.all() else np.where(inside, rows, 0), inside

    def slice_rows(self, start: int | None, stop: int | None) -> Panel:
        """Return rows ``start:stop`` of every series, with Python's slice rules (None, negative, too far).

        The origins move along; a series may come out empty.
        """
        lengths = self.lengths
        low = _clamp(0 if start is None else start, lengths)
        high = lengths if stop is None else _clamp(stop, lengths)
        return self._take(np.arange(self.n_series), low, np.maximum(high - low, 0))

    def select(self, indices: Sequence[int] | Int64Array) -> Panel:
        """Return the panel of the given series, in the given order."""
        which = np.asarray(indices, dtype=np.int64).reshape(-1)
        return self._take(which, np.zeros(len(which), dtype=np.int64), self.lengths[which])

    def with_origins(self, origins: Any) -> Panel:
        """Return the same rows at other times: `origins` (n_series,) are the new first timestamps.

        For rows that came without dates (numpy) and continue an earlier panel.
        """
        dtype = "int64" if self.frequency.kind == "integer" else "datetime64[ns]"
        moved = np.broadcast_to(np.asarray(origins).astype(dtype), (self.n_series,))
        return replace(self, origins=moved.copy())

    def concat(self, later: Panel, *, on_gap: str = "raise") -> Panel:
        """Append the rows of `later` to the series of the same ids.

        Parameters
        ----------
        later : Panel
            Its ids are some or all of this panel's, in any order; each of its series begins one
            step after this panel's ends.
        on_gap : {"raise", "mask"}, default "raise"
            What to do when it begins later: refuse, or fill in rows that are not observed.

        Returns
        -------
        Panel
            The ids and origins of this panel.

        Raises
        ------
        ValueError
            Another frequency, an unknown id, rows that overlap, or a gap.
        """
        if on_gap not in ("raise", "mask"):
            raise ValueError(f"on_gap must be 'raise' or 'mask', got {on_gap!r}")
        which = self._positions_of(later)
        gaps = self._gaps_before(later, which, on_gap)
        lengths = self.lengths
        total = lengths.copy()
        total[which] += gaps + later.lengths
        offsets = _offsets(total)
        values, observed = np.zeros(offsets[-1]), np.zeros(offsets[-1], dtype=bool)
        covariates = np.zeros((offsets[-1], self.covariates.shape[1]))
        for part, begin in ((self, offsets[:-1]), (later, offsets[which] + lengths[which] + gaps)):
            target = np.repeat(begin - part.offsets[:-1], part.lengths) + np.arange(len(part.values))
            values[target], observed[target], covariates[target] = part.values, part.observed, part.covariates
        return replace(self, values=values, observed=observed, offsets=offsets, covariates=covariates)

    def equals(self, other: Panel) -> bool:
        """Whether both hold the same series, values, missing entries and timestamps."""
        return (
            self.ids == other.ids
            and self.frequency == other.frequency
            and all(
                np.array_equal(getattr(self, name), getattr(other, name))
                for name in ("values", "observed", "offsets", "origins", "covariates")
            )
        )

    def _take(self, which: Int64Array, start: Int64Array, lengths: Int64Array) -> Panel:
        offsets = _offsets(lengths)
        index = np.repeat(self.offsets[which] + start - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Panel(
            values=self.values[index],
            observed=self.observed[index],
            offsets=offsets,
            ids=tuple(self.ids[i] for i in which),
            origins=self.frequency.advance(self.origins[which], start),
            frequency=self.frequency,
            covariates=self.covariates[index],
        )

    def _positions_of(self, later: Panel) -> Int64Array:
        if later.frequency != self.frequency:
            raise ValueError(
                f"the new rows step by {later.frequency.alias} and the earlier ones by {self.frequency.alias}"
            )
        position = {name: i for i, name in enumerate(self.ids)}
        unknown = next((name for name in later.ids if name not in position), None)
        if unknown is not None:
            raise ValueError(f"series {unknown!r} is not among the {self.n_series} earlier ones; fit again with it")
        return np.array([position[name] for name in later.ids], dtype=np.int64)

    def _gaps_before(self, later: Panel, which: Int64Array, on_gap: str) -> Int64Array:
        """Return the rows missing between each series' end here and its beginning in `later`."""
        ends = self.last_ds[which]
        try:
            gaps = self.frequency.steps_between(ends, later.origins) - 1
        except OffGridError as error:
            name = later.ids[error.position]
            raise ValueError(f"series {name!r}: {error}, its last earlier row; correct the new rows") from None
        wrong = np.flatnonzero(gaps != 0 if on_gap == "raise" else gaps < 0)
        if len(wrong):
            i = int(wrong[0])
            begin, end = self.frequency.show(later.origins[i]), self.frequency.show(ends[i])
            if gaps[i] < 0:
                raise ValueError(
                    f"series {later.ids[i]!r}: the new rows begin at {begin}, but rows up to {end} are "
                    "already there; pass only rows after that"
                )
            raise ValueError(
                f"series {later.ids[i]!r}: {_rows_are(gaps[i])} missing between {end} and the new rows at "
                f"{begin}; add them or use on_gap='mask'"
            )
        return gaps


def _clamp(bound: int, lengths: Int64Array) -> Int64Array:
    return np.clip(bound + lengths if bound < 0 else np.full_like(lengths, bound), 0, lengths)


def _offsets(lengths: Int64Array) -> Int64Array:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def _rows_are(count: Any) -> str:
    return "1 row is" if count == 1 else f"{count} rows are"
