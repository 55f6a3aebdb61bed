"""What validation rows choose: what each head and the k-mers count, the temperature, and how good it all is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.training.objectives import Objective

FloatArray = NDArray[np.float64]
Numbers = TypeVar("Numbers", FloatArray, Tensor)

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the head that keeps places."""
KMER_SHARES = (0.0, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 1.0)
"""Shares of the linear model of k-mers."""
AS_GOOD = 0.01
"""Difference of scores within which choices that make no mistake in validation are as good."""
_LOG_TEMPERATURES = np.arange(-1.0, 2.01, 0.1)
_PRIOR = 1.0
"""How much doubt there is in a temperature: a squared logarithm counts as this many rows' losses."""
RANK_WEIGHT = 2.0
_LEAST_VARIANCE = 0.05
"""Of standardised numbers, below which errors are not divided by it."""


@dataclass(frozen=True)
class Choice:
    """How the outputs of one network become its answer.

    Attributes
    ----------
    placed_share : float
        Share of the head that keeps places; the rest is that of the pooled one.
    temperature : float
        Logits are divided by it (Guo et al. 2017, section 4.2); 1 for numbers.
    score : float
        Smaller is better; see `badness`. NaN if nothing was measured, infinite if the outputs are not finite.
    kmer_share : float
        Share of the k-mers in the answer; the rest is the network's. 0: there are none beside the network.
    """

    placed_share: float = 0.5
    temperature: float = 1.0
    score: float = float("nan")
    kmer_share: float = 0.0

    def combine(self, outputs: Numbers) -> Numbers:
        """Return the answer (n, n_outputs) to outputs (n, heads, n_outputs), an array or a tensor."""
        if not self.kmer_share:
            return mixed(outputs, self.placed_share) / self.temperature
        network = mixed(outputs[:, :-1], self.placed_share)
        return ((1 - self.kmer_share) * network + self.kmer_share * outputs[:, -1]) / self.temperature


class Said(NamedTuple):
    """What is said of some rows, and what is right.

    Attributes
    ----------
    outputs : float array (n, heads, n_outputs)
    kmers : float array (n, n_outputs)
    targets, weight : arrays (n, ...) and (n,)
    """

    outputs: FloatArray
    kmers: FloatArray
    targets: NDArray[Any]
    weight: FloatArray

    def mistakes(self, choice: Choice) -> float:
        """Return the weight of the rows whose class is missed."""
        beside = [self.kmers[:, None]] if choice.kmer_share else []
        answers = choice.combine(np.concatenate((self.outputs, *beside), 1))
        return float(self.weight[answers.argmax(1) != self.targets].sum())


def mixed(outputs: Numbers, placed_share: float) -> Numbers:
    """Return the weighted mean of the heads."""
    if outputs.shape[1] == 1:
        return outputs[:, 0]
    return (1 - placed_share) * outputs[:, 0] + placed_share * outputs[:, 1]


def choose(
    outputs: FloatArray,
    targets: NDArray[Any],
    weight: FloatArray,
    objective: Objective,
    kmers: FloatArray | None = None,
    everything: Callable[[], Said] | None = None,
) -> Choice:
    """Return the best shares and temperature for outputs (n, heads, n_outputs) of validation rows.

    Beside them ``kmers`` (n, n_outputs): what the k-mers say. Where the best choice makes no mistake in validation, and
    others are as good, that one is taken which makes fewest mistakes in ``everything``, the rows learned from among it:
    what goes along with a class nearly always may be learned in place of what makes it, and few rows show that.
    """
    if not np.isfinite(outputs).all():
        return Choice(score=float("inf"))
    shares = SHARES if outputs.shape[1] > 1 else (0.0,)
    found = [_judge(mixed(outputs, share), share, targets, weight, objective) for share in shares]
    best = min(found, key=lambda choice: choice.score)
    if kmers is None:
        return best
    network = mixed(outputs, best.placed_share)
    blended = [
        replace(
            _judge((1 - share) * network + share * kmers, best.placed_share, targets, weight, objective),
            kmer_share=share,
        )
        for share in KMER_SHARES[1:]
    ]
    candidates = sorted((best, *blended), key=lambda choice: choice.score)
    if everything is None or objective.kind != "classes":
        return candidates[0]
    held = Said(outputs, kmers, targets, weight)
    good = [c for c in candidates if c.score <= candidates[0].score + AS_GOOD and not held.mistakes(c)]
    return min(good, key=everything().mistakes) if candidates[0] in good and len(good) > 1 else candidates[0]


def _judge(
    answers: FloatArray, share: float, targets: NDArray[Any], weight: FloatArray, objective: Objective
) -> Choice:
    if objective.kind == "values":
        return Choice(share, 1.0, _value_badness(answers, targets, weight))
    losses = np.array([_log_loss(answers / np.exp(t), targets, weight, objective) for t in _LOG_TEMPERATURES])
    best = int(np.argmin(losses * len(answers) + _PRIOR * _LOG_TEMPERATURES**2))
    relative = losses[best] / max(_prior_loss(targets, weight, objective), 1e-9)
    rank = 1 - _ranking(answers, targets, weight, objective)
    return Choice(share, float(np.exp(_LOG_TEMPERATURES[best])), float(relative + RANK_WEIGHT * rank))


def row_losses(answers: FloatArray, targets: NDArray[Any], objective: Objective) -> FloatArray:
    """Return the loss of each row, (n,): log loss, or the squared error of standardised numbers."""
    if objective.kind == "values":
        return ((answers - targets) ** 2).mean(1)
    if objective.kind == "labels":
        return (np.logaddexp(0, answers) - answers * targets).mean(1)
    return np.logaddexp.reduce(answers, 1) - answers[np.arange(len(answers)), targets]


def prior_losses(targets: NDArray[Any], weight: FloatArray, objective: Objective) -> FloatArray:
    """Return the loss of each row to the weighted shares of the classes, or to the mean of the numbers, (n,)."""
    if objective.kind == "values":
        return row_losses(np.average(targets, axis=0, weights=weight)[None], targets, objective)
    members = _memberships(targets, objective)
    shares = np.average(members, axis=0, weights=weight).clip(1e-9, 1 - 1e-9)
    each = members * np.log(shares)
    if objective.kind == "labels":
        return -(each + (1 - members) * np.log(1 - shares)).mean(1)
    return -each.sum(1)


def _log_loss(logits: FloatArray, targets: NDArray[Any], weight: FloatArray, objective: Objective) -> float:
    return float(np.average(row_losses(logits, targets, objective), weights=weight))


def _prior_loss(targets: NDArray[Any], weight: FloatArray, objective: Objective) -> float:
    """Log loss of the shares of the classes."""
    return float(np.average(prior_losses(targets, weight, objective), weights=weight))


def _memberships(targets: NDArray[Any], objective: Objective) -> NDArray[Any]:
    return targets if objective.kind == "labels" else targets[:, None] == np.arange(objective.n_outputs)


def _ranking(answers: FloatArray, targets: NDArray[Any], weight: FloatArray, objective: Objective) -> float:
    """Mean area under the ROC curve of one class against the others, of those that can be told; 0.5 if none."""
    if objective.kind == "classes":
        answers = answers - np.stack(
            [np.logaddexp.reduce(np.delete(answers, k, 1), 1) for k in range(answers.shape[1])], 1
        )
    members = _memberships(targets, objective).astype(bool)
    areas = [_area(answers[:, k], members[:, k], weight) for k in range(answers.shape[1])]
    told = [area for area in areas if area is not None]
    return float(np.mean(told)) if told else 0.5


def _area(answers: FloatArray, member: NDArray[np.bool_], weight: FloatArray) -> float | None:
    """Area under the ROC curve, to the bit what scikit-learn says, which takes 30 times as long to check its input."""
    order = np.argsort(-answers, kind="stable")
    order = order[weight[order] > 0]
    answers, member, weight = answers[order], member[order], weight[order]
    if len(np.unique(member)) < 2:
        return None
    ends = np.append(np.flatnonzero(np.diff(answers)), len(answers) - 1)
    curve = np.stack([np.cumsum(np.where(of, weight, 0.0))[ends] for of in (~member, member)])
    if len(ends) > 2:  # points in the middle of a line are left out
        corner = (np.diff(curve, 2) != 0).any(0)
        curve = curve[:, np.concatenate(([True], corner, [True]))]
    x, y = np.pad(curve / curve[:, -1:], ((0, 0), (1, 0)))
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def _value_badness(answers: FloatArray, targets: NDArray[Any], weight: FloatArray) -> float:
    """Squared error over variance, and how much Pearson's r lacks to 1."""
    total = weight.sum()
    centred = [x - np.average(x, axis=0, weights=weight) for x in (answers, targets.astype(np.float64))]
    (_, ours), (_, theirs) = ((x, (weight[:, None] * x * x).sum(0) / total) for x in centred)
    error = (weight[:, None] * (answers - targets) ** 2).sum(0) / total
    covariance = (weight[:, None] * centred[0] * centred[1]).sum(0) / total
    r = covariance / np.sqrt(np.maximum(ours * theirs, 1e-18))
    # A target may hardly vary in these rows: its error then counts as if it did, or it would decide everything.
    return float((error / np.maximum(theirs, _LEAST_VARIANCE) + RANK_WEIGHT * (1 - r) / 2).mean())
