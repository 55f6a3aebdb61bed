"""Which forecast errors are out of the ordinary: their usual size, the level few of them pass, and runs of them."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAD_TO_DEVIATION = 1.0 / NormalDist().inv_cdf(0.75)
"""Standard deviation of a normal distribution over its median absolute deviation, 1.4826."""
_ENOUGH_ERRORS = 50
_NORMAL_SIZES = np.array([NormalDist().inv_cdf(0.5 + (i + 0.5) / 200) for i in range(100)])


def robust_deviation(errors: ArrayLike) -> float:
    """Return the standard deviation that errors would have if they were normal, by their median: 1.4826 median |e|.

    Half of the errors may be anything (Hampel 1974). Where more than half are exactly 0, their mean counts instead,
    1.2533 mean |e| (Iglewicz & Hoaglin 1993); that of no errors is NaN.

    Parameters
    ----------
    errors : float array (n,)
        Around 0; NaN where there is none.
    """
    size = _sizes(errors)
    if not len(size):
        return math.nan
    return MAD_TO_DEVIATION * float(np.median(size)) or math.sqrt(math.pi / 2) * float(size.mean())


def deviation_by_series(errors: ArrayLike, series: ArrayLike, n_series: int) -> FloatArray:
    """Return `robust_deviation` of each series, and last that of all errors: (n_series + 1,).

    A series with fewer than 50 errors, or none above 0, is given that of all; errors that are all 0 have 1.

    Parameters
    ----------
    errors : float array (n,) or (n, steps)
    series : int array (n,)
        From 0 to ``n_series - 1``.
    n_series : int
    """
    e, which = np.asarray(errors, dtype=np.float64), np.asarray(series)
    overall = robust_deviation(e)
    overall = overall if overall > 0 else 1.0
    result = np.full(n_series + 1, overall)
    order = np.argsort(which, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(which[order])) + 1) if len(order) else ():
        i, own = which[rows[0]], e[rows]
        deviation = robust_deviation(own)
        if np.isfinite(own).sum() >= _ENOUGH_ERRORS and deviation > 0:
            result[i] = deviation
    return result


def alarm_level(deviations: ArrayLike, rate: float = 1e-3) -> float:
    """Return the level that a share ``rate`` of errors passes, extrapolated from the usual ones.

    Above a high quantile u, the sizes of errors are taken to decline as an exponential distribution, the limit for
    tails like the normal one (peaks over threshold: Pickands 1975; for alarms: Siffer et al., KDD 2017). u is the
    90 % quantile and the decline is that from there to the 98 % quantile, so that a few large anomalies among the
    errors hardly raise the level:

        level = u + (q98 - u) ln(0.1 / rate) / ln 5

    So that few errors do not decide alone, 100 of a normal distribution are added, and the level is at least the one
    that a normal distribution passes at this rate. For 1 in 1,000 the level of normal errors is 3.6, which 1 in
    3,000 passes, as their tail declines faster; heavier tails have higher levels, passed by 1 in 1,000 (exponential)
    or 1 in 400 (Student's t with 4 degrees of freedom).

    Parameters
    ----------
    deviations : float array
        Errors in robust standard deviations; NaN where there is none.
    rate : float, default 1e-3
        Below 0.1.

    Raises
    ------
    ValueError
        If the rate is not in (0, 0.1).
    """
    if not 0 < rate < 0.1:
        raise ValueError(f"rate must lie between 0 and 0.1, found {rate}")
    size = np.concatenate([_sizes(deviations), _NORMAL_SIZES])
    u, further = np.quantile(size, [0.9, 0.98], method="hazen")
    level = u + (further - u) * math.log(0.1 / rate) / math.log(5)
    return max(float(level), NormalDist().inv_cdf(1 - rate / 2))


def anomaly_events(data: Any, *, id_col: str = "unique_id", time_col: str = "ds") -> Any:
    """Join anomalies that follow each other to events.

    Parameters
    ----------
    data : frame
        What `TitansForecaster.surprise` returned for a frame. (For one series of an array, see `runs`.)
    id_col, time_col : str
        Column names; default "unique_id" and "ds".

    Returns
    -------
    frame
        In the same library, one row per run of anomalies: ``id_col``, ``start`` and ``end`` (times of its first and
        last row), ``rows``, and ``peak``, the largest surprise.

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> import polars as pl
    >>> judged = {"unique_id": list("aaaab"), "ds": [0, 1, 2, 3, 0], "surprise": [0.4, 5.0, 7.0, 1.0, 4.0]}
    >>> anomaly_events(pl.DataFrame(judged).with_columns(anomaly=pl.col("surprise") > 3)).rows()
    [('a', 1, 2, 2, 7.0), ('b', 0, 0, 1, 4.0)]
    """
    import narwhals as nw

    frame = nw.from_native(data, eager_only=True)
    missing = [name for name in (id_col, time_col, "surprise", "anomaly") if name not in frame.columns]
    if missing:
        raise ValueError(f"there is no column {missing[0]!r} (found {', '.join(frame.columns)})")
    ids, surprise = frame.get_column(id_col).to_numpy(), frame.get_column("surprise").to_numpy()
    borders = np.flatnonzero(ids[1:] != ids[:-1]) + 1
    flags = np.split(frame.get_column("anomaly").to_numpy().astype(bool), borders)
    begin = np.concatenate([[0], borders])
    found = np.concatenate([runs(part) + first for part, first in zip(flags, begin, strict=True)])
    events = nw.maybe_reset_index(frame[found[:, 0].tolist(), [id_col, time_col]]).rename({time_col: "start"})
    return events.with_columns(
        nw.maybe_reset_index(frame[(found[:, 1] - 1).tolist(), time_col].alias("end")),
        nw.new_series("rows", np.diff(found)[:, 0].tolist(), nw.Int64, backend=frame.implementation),
        nw.new_series("peak", [surprise[a:b].max() for a, b in found], nw.Float64, backend=frame.implementation),
    ).to_native()


def runs(flags: ArrayLike) -> IntArray:
    """Return the runs of True in ``flags`` (n,), shape (runs, 2): the first row of each, and the row after its last."""
    padded = np.concatenate([[False], np.asarray(flags, dtype=bool), [False]])
    return np.flatnonzero(padded[1:] != padded[:-1]).reshape(-1, 2)


def _sizes(errors: ArrayLike) -> FloatArray:
    size = np.abs(np.asarray(errors, dtype=np.float64)).ravel()
    return size[~np.isnan(size)]
