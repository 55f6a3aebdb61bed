"""Choosing centring, sharing and penalty of the linear map on validation windows."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from titans_seq.adapters._linear_fill import Centring, FloatArray, has_intercept, window_level
from titans_seq.adapters._linear_moments import Moments, Solution, moments_of, path_errors, ridge_path
from titans_seq.adapters._linear_targets import InterpolatedTargets
from titans_seq.adapters._linear_windows import WindowReader, Windows
from titans_seq.adapters.clock import NO_LIMIT, Clock

MOST_WEIGHTS = 1 << 25
"""Weights (series * L * H) beyond which one map per series is not tried: 256 MiB."""

MOST_WORK = 2e10
"""Series * L³ beyond which one map per series is not tried: a minute or two of eigendecompositions."""

LITTLE_WORK = 1e9
"""The same beyond which it is not tried for series that have fewer windows than the map has inputs."""

_FOR_EACH = 0.3
"""Share of the time that is left that maps for each series may take."""

MOST_GAPPY = 4_000
"""Validation windows judged at most where some targets are missing: no sums serve all penalties then."""


@dataclass(frozen=True)
class Choice:
    """A centring and sharing with its best penalty, and the validation MSE of that."""

    centring: Centring
    shared: bool
    penalty: float
    score: float


def select(
    reader: WindowReader,
    train: Windows,
    validation: Windows,
    penalties: Sequence[float],
    centrings: Sequence[Centring],
    clock: Clock = NO_LIMIT,
) -> list[Choice]:
    """Score every centring, sharing and penalty, and return each (centring, sharing) at its best, best first.

    Scores are mean squared errors in scaled units over all targets used of the validation windows, by their weights.
    With nothing to fit or to score, the only choice is the strongest penalty on the last value (score inf).
    """
    if not len(train) or not len(validation):
        centring: Centring = "last" if "last" in centrings else centrings[0]
        return [Choice(centring, True, max(penalties), math.inf)]
    if not reader.complete(validation).all():
        validation = validation.thin(MOST_GAPPY)
    totals = _Search(reader, penalties, centrings, clock).run(train, validation)
    count = reader.target_weight(validation)
    choices = []
    for (centring, shared), errors in totals.items():
        best = int(errors.argmin())
        choices.append(Choice(centring, shared, float(penalties[best]), max(float(errors[best]), 0.0) / count))
    return sorted(choices, key=lambda choice: choice.score)


def per_series_is_feasible(n_series: int, context_length: int, horizon: int, n_windows: float = math.inf) -> bool:
    """Whether one map per series is worth trying: several series, and neither too large nor too slow.

    ``n_windows``: windows of all series to fit to.
    """
    small = n_series * context_length * horizon <= MOST_WEIGHTS
    work = n_series * context_length**3
    affordable = work <= MOST_WORK if n_windows >= n_series * context_length else work <= LITTLE_WORK
    return n_series > 1 and small and affordable


@dataclass(frozen=True)
class _Search:
    """Squared errors over the validation windows, summed, for every centring, sharing and penalty."""

    reader: WindowReader
    penalties: Sequence[float]
    centrings: Sequence[Centring]
    clock: Clock = NO_LIMIT

    def run(self, train: Windows, validation: Windows) -> dict[tuple[Centring, bool], FloatArray]:
        """Return the summed squared errors (n_penalties,) of each (centring, shared)."""
        targets = InterpolatedTargets(self.reader, train)
        complete = self.reader.complete(validation)
        judged, gappy = validation.take(complete), validation.take(~complete)
        n_series, length, horizon = self.reader.panel.n_series, self.reader.context_length, self.reader.horizon
        feasible = per_series_is_feasible(n_series, length, horizon, len(train))
        both = self._run_both(train, targets, judged, gappy) if feasible else None
        if both is not None:
            return both
        shared = self._errors(moments_of(self.reader, train, targets), moments_of(self.reader, judged), gappy)
        return {(centring, True): errors for centring, errors in shared.items()}

    def _run_both(
        self, train: Windows, targets: InterpolatedTargets, judged: Windows, gappy: Windows
    ) -> dict[tuple[Centring, bool], FloatArray] | None:
        """Return None where it would take too long."""
        began, n_series = time.monotonic(), self.reader.panel.n_series
        fit_sums, judge_sums = (Moments(self.reader.context_length, self.reader.horizon) for _ in range(2))
        totals = {(centring, False): np.zeros(len(self.penalties)) for centring in self.centrings}
        for i in range(n_series):
            if i and not self.clock.allows((time.monotonic() - began) * (n_series - i) / i, _FOR_EACH):
                return None
            fit = moments_of(self.reader, train.of_series(i), targets)
            judge = moments_of(self.reader, judged.of_series(i))
            fit_sums.merge(fit)
            judge_sums.merge(judge)
            for centring, errors in self._errors(fit, judge, gappy.of_series(i)).items():
                totals[centring, False] += errors
        for centring, errors in self._errors(fit_sums, judge_sums, gappy).items():
            totals[centring, True] = errors
        return totals

    def _errors(self, fit: Moments, judge: Moments, gappy: Windows) -> dict[Centring, FloatArray]:
        """Return by centring the errors (n_penalties,) of the ridge of `fit` on `judge` and on `gappy`."""
        errors = {}
        for centring in self.centrings:
            fitted, judged, intercept = fit.centred(centring), judge.centred(centring), has_intercept(centring)
            errors[centring] = path_errors(fitted, judged, self.penalties, intercept=intercept)
            if len(gappy):
                path = ridge_path(fitted, self.penalties, intercept=intercept)
                errors[centring] += self._gappy_errors(centring, path, gappy)
        return errors

    def _gappy_errors(self, centring: Centring, path: list[Solution], gappy: Windows) -> FloatArray:
        """Return the errors on windows whose sums cannot be shared, because some targets are missing."""
        errors = np.zeros(len(path))
        for block in self.reader.blocks(gappy):
            level = window_level(block.inputs, block.inputs_observed, centring)[:, None]
            counts = block.target_weights
            for p, (weights, mean_x, mean_y) in enumerate(path):
                forecast = level + mean_y + (block.inputs - level - mean_x) @ weights
                errors[p] += float(np.vdot(counts, np.square(forecast - block.targets)))
        return errors
