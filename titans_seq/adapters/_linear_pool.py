"""Linear maps that trust older rows less, averaged: one closed form each, one map in the end."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from titans_seq.adapters._linear_fill import FloatArray, IntArray, has_intercept
from titans_seq.adapters._linear_map import LinearMap, Member
from titans_seq.adapters._linear_moments import (
    CentredMoments,
    Moments,
    moments_of,
    path_errors,
    solve_ridge,
    squared_error,
)
from titans_seq.adapters._linear_select import per_series_is_feasible
from titans_seq.adapters._linear_targets import with_own_forecasts
from titans_seq.adapters._linear_windows import Block, WindowReader, Windows

PRIORS = ((0.0, 1.0), (1.0, 1.0), (0.0, 0.5), (1.0, 0.5))
"""Decay and reach of each member: the power of the lag with which the prior of a weight narrows, and the share of the
look-back beyond which it is zero. Decays are averaged, not chosen from: the one that validation preferred was worse on
test rows by 1.5 % on ETTh1 (horizon 96), 6 % (720) and 7 % on ETTh2 (336)."""

LAG_SCALE = 24.0
"""Rows after which the prior begins to narrow; a quarter of the look-back if that is shorter."""

MOST_KEPT = 1 << 29
"""Bytes of the sums of all series up to which they are kept."""

LIKE_OTHERS = 0.3
"""Windows that each series judges with as those of all series do on average."""

Solved = tuple[FloatArray, FloatArray]
"""Weights (L, H) and bias (H,)."""


def choose_members(
    reader: WindowReader,
    judged: tuple[Windows, Windows],
    base: LinearMap,
    penalties: Sequence[float],
    priors: Sequence[tuple[float, float]] = PRIORS,
    *,
    apart: bool = True,
) -> tuple[tuple[Member, ...], float] | None:
    """Choose one map for each prior, and over which the average is taken: it has to judge better than ``base``.

    Each is the ridge whose weight at lag j (1: the last row) has the prior standard deviation
    ``(1 + j / s) ** -decay``, s being `LAG_SCALE`, up to the lag ``reach * L``, and zero beyond: shared by all series,
    and for each series the ridge of what that leaves over, drawn to zero under the same prior. Penalties are chosen on
    the judging windows: one for the shared map, one for each series, infinity among them; then, whether the average
    is that of all priors or of those of one reach. Centring is that of ``base``, whose forecasts also stand in for
    missing targets.

    Parameters
    ----------
    reader : WindowReader
    judged : (Windows, Windows)
        Windows that fit, and windows that judge.
    base : LinearMap
        Ridge without such a prior, fitted on the windows that fit.
    penalties : sequence of float
    priors : sequence of (decay, reach)
    apart : bool, default True
        Whether maps for each series may be chosen.

    Returns
    -------
    members, validation score; or None: ``base`` is better, or there is nothing to judge on.
    """
    fit, judge = judged
    if not len(fit) or not len(judge) or not len(priors):
        return None
    separate = apart and _separate(reader)
    sums, judges = (_Sums(reader, windows, base, separate) for windows in (fit, judge))
    each = [_choose(sums, judges, base, penalties, *prior) for prior in priors]
    found: tuple[tuple[Member, ...], float] | None = None
    before = least = judges.error(base)
    for members in _averages(each):
        error = judges.error(solve_members(sums.total, sums.each(), base, members))
        if error < least:
            found, least = (members, base.validation_score * error / before), error
    return found


def _averages(members: Sequence[Member]) -> list[tuple[Member, ...]]:
    """Return what may be averaged: the members of one reach, or all of them."""
    reaches = dict.fromkeys(member.reach for member in members)
    groups = [tuple(member for member in members if member.reach == reach) for reach in reaches]
    return groups if len(groups) == 1 else [*groups, tuple(members)]


def solve_windows(reader: WindowReader, windows: Windows, like: LinearMap, members: Sequence[Member]) -> LinearMap:
    """Do what `solve_members` does for windows; forecasts of ``like`` stand in for missing targets."""
    sums = _Sums(reader, windows, like, bool(members[0].own))
    return solve_members(sums.total, sums.each(), like, members)


def keeps_sums(reader: WindowReader) -> bool:
    """Whether the sums of all series are small enough to be kept, and need not be computed again."""
    width = reader.context_length + 2
    return 8 * reader.panel.n_series * width * (width + reader.horizon) <= MOST_KEPT


def _separate(reader: WindowReader) -> bool:
    """Whether each series may have weights of its own."""
    # A narrow prior makes up for windows that are fewer than inputs.
    return per_series_is_feasible(reader.panel.n_series, reader.context_length, reader.horizon)


def solve_members(total: Moments, each: Iterable[Moments], like: LinearMap, members: Sequence[Member]) -> LinearMap:
    """Solve every member for sums over windows and average them.

    Parameters
    ----------
    total : Moments
        Over the windows of all series.
    each : iterable of Moments
        Over those of each series; not read where no member has weights of its own for each.
    like : LinearMap
        Gives the centring, and penalty and score of the result.
    members : sequence of Member
    """
    centred = total.centred(like.centring)
    shared = [_solve(centred, like, member) for member in members]
    weights, bias = (np.mean([x[i] for x in shared], axis=0)[None] for i in (0, 1))
    if members[0].own:
        rest = [_rest(moments.centred(like.centring), members, shared, i) for i, moments in enumerate(each)]
        weights, bias = weights + np.stack(rest) / len(members), np.repeat(bias, len(rest), axis=0)
    return replace(like, weights=weights, bias=bias, members=tuple(members))


def _rest(centred: CentredMoments, members: Sequence[Member], shared: Sequence[Solved], series: int) -> FloatArray:
    """Return what a series' own weights add to the shared ones, summed over members (L, H)."""
    rest = np.zeros_like(centred.xy)
    for member, (weights, bias) in zip(members, shared, strict=True):
        if math.isfinite(member.own[series]):
            scale = prior(len(weights), member.decay, member.reach)
            left = under_prior(left_over(centred, weights, bias), scale)
            rest += _ridge(left, scale, member.own[series], intercept=False)[0]
    return rest


def prior(length: int, decay: float, reach: float) -> FloatArray:
    """Prior standard deviation of the weight of each input, the last of which is that of the last row, (L,)."""
    lag = np.arange(length, 0, -1)
    scale = (1.0 + lag / max(min(LAG_SCALE, length / 4), 1.0)) ** -decay
    return np.where(lag <= max(reach * length, 1.0), scale, 0.0)


def under_prior(moments: CentredMoments, scale: FloatArray) -> CentredMoments:
    """Return the sums for inputs times the `prior`, whose ridge is that under the prior."""
    return replace(moments, xx=moments.xx * scale * scale[:, None], xy=moments.xy * scale[:, None], x=moments.x * scale)


def left_over(moments: CentredMoments, weights: FloatArray, bias: FloatArray) -> CentredMoments:
    """Return the sums for targets minus the forecasts of a map."""
    forecast = moments.xx @ weights
    through = moments.x @ weights
    return replace(
        moments,
        xy=moments.xy - forecast - np.outer(moments.x, bias),
        y=moments.y - through - moments.n * bias,
        yy=moments.yy
        + float(np.vdot(weights, forecast - 2.0 * moments.xy))
        + float(bias @ (moments.n * bias + 2.0 * (through - moments.y))),
    )


def _choose(
    sums: _Sums, judges: _Sums, base: LinearMap, penalties: Sequence[float], decay: float, reach: float
) -> Member:
    """Choose the penalties of a member."""
    centring, scale = base.centring, prior(base.context_length, decay, reach)
    fit, judge = (under_prior(s.total.centred(centring), scale) for s in (sums, judges))
    shared = path_errors(fit, judge, penalties, intercept=has_intercept(centring))
    member = Member(decay, reach, float(penalties[int(shared.argmin())]))
    if not sums.separate:
        return member
    weights, bias = _solve(sums.total.centred(centring), base, member)
    errors, counts = [], []
    for own in zip(sums.each(), judges.each(), strict=True):
        fit, judge = (under_prior(left_over(m.centred(centring), weights, bias), scale) for m in own)
        errors.append(np.append(path_errors(fit, judge, penalties, intercept=False), judge.yy))
        counts.append(judge.n / base.horizon)
    every = (*penalties, math.inf)
    return replace(member, own=tuple(float(every[i]) for i in best_of_each(np.array(errors), np.array(counts))))


def best_of_each(errors: FloatArray, counts: FloatArray) -> IntArray:
    """Choose for each series, as if it had a few more windows (`LIKE_OTHERS`) that err as those of all series do.

    Parameters
    ----------
    errors : float array (n_series, n)
        Sums of squared errors, of the weakest penalty first.
    counts : float array (n_series,)
        Windows that do not overlap, of each series.

    Returns
    -------
    int array (n_series,)
        The strongest of those that are equally good.
    """
    judged = counts > 0
    tiny = np.finfo(np.float64).tiny
    relative = np.log(np.maximum(errors, tiny) / np.maximum(errors.min(axis=1, keepdims=True), tiny))
    relative[~judged] = 0.0
    usual = relative[judged].mean(axis=0) if judged.any() else np.zeros(errors.shape[1])
    score = counts[:, None] * relative + LIKE_OTHERS * usual
    best: IntArray = score.shape[1] - 1 - score[:, ::-1].argmin(axis=1)
    return best


def _solve(centred: CentredMoments, like: LinearMap, member: Member) -> Solved:
    """Solve the shared map of a member."""
    scale = prior(like.context_length, member.decay, member.reach)
    return _ridge(under_prior(centred, scale), scale, member.penalty, intercept=has_intercept(like.centring))


def _ridge(moments: CentredMoments, scale: FloatArray, penalty: float, *, intercept: bool) -> Solved:
    """Solve the ridge under a prior, for one penalty; ``moments`` of inputs times ``scale``."""
    near = slice(len(scale) - int(np.count_nonzero(scale)), None)  # beyond the reach of the prior inputs are zeros
    within = replace(moments, xx=moments.xx[near, near], xy=moments.xy[near], x=moments.x[near])
    weights = np.zeros_like(moments.xy)
    weights[near], bias = solve_ridge(within, penalty, intercept=intercept)
    return scale[:, None] * weights, bias


@dataclass
class _Sums:
    """Sums over windows, of all series and of each, missing targets being as a map forecasts them."""

    reader: WindowReader
    windows: Windows
    base: LinearMap
    separate: bool

    def __post_init__(self) -> None:
        if not self.separate and self.base.shared:
            self.total = self._of(self.windows, 0)
            return
        self.total = Moments(self.reader.context_length, self.reader.horizon)
        for moments in self.each():
            self.total.merge(moments)

    def each(self) -> Iterable[Moments]:
        """Return those of each series, computed anew where all of them at once would be too many to keep."""
        return self._kept if keeps_sums(self.reader) else self._anew()

    @cached_property
    def _kept(self) -> list[Moments]:
        return list(self._anew())

    def _anew(self) -> Iterator[Moments]:
        for i in range(self.reader.panel.n_series):
            yield self._of(self.windows.of_series(i), i)

    def error(self, linear: LinearMap) -> float:
        """Sum of the squared errors of a map."""
        if linear.shared:
            centred = self.total.centred(linear.centring)
            return squared_error(centred, linear.weights[0], np.zeros(len(centred.x)), linear.bias[0])
        found = 0.0
        for i, moments in enumerate(self.each()):
            centred = moments.centred(linear.centring)
            found += squared_error(centred, linear.weights[i], np.zeros(len(centred.x)), linear.bias[i])
        return found

    def _of(self, windows: Windows, series: int) -> Moments:
        group = 0 if self.base.shared else series

        def targets(block: Block) -> FloatArray:
            if block.targets_observed.all() and block.share is None:
                return block.targets
            return with_own_forecasts(block, self.base.centring, self.base.weights[group], self.base.bias[group])

        return moments_of(self.reader, windows, targets)
