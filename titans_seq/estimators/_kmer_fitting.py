"""A linear model of k-mers fitted beside a network: which k-mers, and how much they may count."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from titans_seq.adapters.kmer_scores import Kmers, KmerScores
from titans_seq.data import Sequences
from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._kmers import different_kmers, kmer_counts
from titans_seq.estimators._kmer_solving import solve
from titans_seq.estimators._sequence_choosing import row_losses
from titans_seq.training.checkpoint import Saved
from titans_seq.training.objectives import Objective
from titans_seq.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from titans_seq.training.examples import Labelled

FloatArray = NDArray[np.float64]

ANYWHERE, PLACED, CHOSEN = (2, 4, 6), (1, 2, 3, 4), 12
"""Bases of the k-mers that are tried."""
FEWEST_TOGETHER = 3
"""Lengths of k-mers that are tried together at least: the first three, four ..."""
N_CHOSEN, LONG = 256, 4096
"""K-mers that are chosen where sequences have more bases than that: there every short k-mer occurs by chance."""
PENALTIES = (100.0, 30.0, 10.0, 3.0, 1.0, 0.3, 0.1, 0.03)
"""Of squared weights of features whose largest value is 1, from the largest on."""
TOGETHER = (10.0, 3.0, 1.0, 0.3)
"""The same of several kinds together, in units of what was best for each alone."""

MOST_NUMBERS = 2**24
"""K-mers times outputs that are learned from; of more, a share of the sequences is."""
MOST_FEATURES, MOST_OUTPUTS = 2**16, 64
"""K-mers at places that are tried, and classes, labels or numbers that k-mers are asked about."""
_TIME = 0.2
"""Share of the time that is left which may go by before nothing more is tried."""
_WORSE = 2
"""Penalties in turn that were no better, after which no smaller one is tried."""
_BEYOND = 0.5
"""How far scores may go beyond those of the train rows, in what lies between these."""


@dataclass(frozen=True)
class Examples:
    """Sequences with their targets, encoded, and weights."""

    sequences: Sequences
    targets: NDArray[Any]
    weight: FloatArray

    def take(self, rows: Int64Array) -> Examples:
        """Return some of them."""
        return Examples(self.sequences.take(rows), self.targets[rows], self.weight[rows])


@dataclass(frozen=True)
class _Linear:
    """Weights (n_features, n_outputs) and bias, their validation loss, and the penalty."""

    weights: FloatArray
    bias: FloatArray
    loss: float
    penalty: float


class FittedKmers(NamedTuple):
    """The same kinds of k-mers with the same penalty, fitted twice.

    Attributes
    ----------
    judged : KmerScores
        To the rows to learn from: what it says of validation rows is what it is worth.
    final : KmerScores
        To those and the validation rows, to answer with.
    """

    judged: KmerScores
    final: KmerScores

    def to_tensors(self) -> dict[str, torch.Tensor]:
        """Take both apart."""
        return {f"{part}.{name}": x for part in self._fields for name, x in getattr(self, part).state_dict().items()}

    @staticmethod
    def from_tensors(tensors: dict[str, torch.Tensor]) -> FittedKmers | None:
        """Put together what `to_tensors` took apart; None: there is nothing."""
        saved = Saved(tensors, {})
        judged, final = (KmerScores.from_tensors(saved.part(f"{part}.")) for part in FittedKmers._fields)
        return None if judged is None or final is None else FittedKmers(judged, final)


def fit_kmers(
    labelled: Labelled,
    rows: Int64Array,
    held: Int64Array,
    objective: Objective,
    *,
    length: int | None,
    both_strands: bool,
    ranks: Ranks = ALONE,
    deadline: float | None = None,
) -> FittedKmers | None:
    """Fit linear models of several kinds of k-mers, and return the one with the smallest loss on validation.

    Those anywhere in a sequence are tried with each k alone and with the first three, those at their places likewise
    (and with four) where sequences usually have one ``length``, and then the best of both together. Logistic
    regression, or ridge regression for numbers, each with the penalty that validation prefers. What is best is fitted
    again, with the validation rows, as long as there is time.

    Parameters
    ----------
    labelled : Labelled
        Examples are DNA.
    rows, held : int64 array
        To learn from, and to choose by.
    objective : Objective
    length : int or None
        That sequences usually have; None: places say nothing.
    both_strands : bool
        Whether scores will be means over both strands.
    ranks : Ranks
        The first one fits, the others are given what it found.
    deadline : float, optional
        Time of `time.monotonic`: nothing more is tried when a fifth of what was left has gone by.
    """
    if objective.n_outputs > MOST_OUTPUTS:
        return None
    if not ranks.alone and ranks.rank:
        return FittedKmers.from_tensors(safetensors.torch.load(ranks.from_first(b"")))
    fitted = _fit(labelled, rows, held, objective, length, both_strands, deadline)
    if not ranks.alone:
        ranks.from_first(safetensors.torch.save({} if fitted is None else fitted.to_tensors()))
    return fitted


def _fit(
    labelled: Labelled, rows: Int64Array, held: Int64Array, objective: Objective, length: int | None,
    both_strands: bool, deadline: float | None,
) -> FittedKmers | None:  # fmt: skip
    now = time.monotonic()

    def late() -> bool:
        return deadline is not None and time.monotonic() > now + _TIME * (deadline - now)

    sequences = labelled.examples.sequences  # type: ignore[attr-defined]
    everything = np.concatenate((rows, held))
    train, validation, both = (
        _at_most(Examples(sequences.take(part), labelled.targets[part], labelled.weight[part]), objective.n_outputs)
        for part in (rows, held, everything)
    )
    try_one = _Trials(train, validation, objective, length, both_strands, late)
    found: list[_Trial] = []
    best_of_all, best_of_singles = [], []
    for kinds in _kinds(train.sequences, length):
        singles = try_one.each((kind,) for kind in kinds)
        short = tuple(trial.kinds[0] for trial in singles if trial.kinds[0].where != "chosen")
        several = try_one.each(short[:n] for n in range(FEWEST_TOGETHER, len(short) + 1))
        found += singles + several
        best_of_all += sorted(singles + several, key=_loss)[:1]
        best_of_singles += sorted(singles, key=_loss)[:1]
    if len(best_of_all) > 1:
        beside = (tuple(kind for trial in best for kind in trial.kinds) for best in (best_of_all, best_of_singles))
        found += try_one.each(dict.fromkeys(beside))
    if not found:
        return None
    best, lengths = min(found, key=_loss), sequences.lengths[everything]
    judged = best.scores(lengths)
    return FittedKmers(judged, judged if late() else try_one.again(best, both).scores(lengths))


def _loss(trial: _Trial) -> float:
    return trial.linear.loss


def _kinds(sequences: Sequences, length: int | None) -> list[list[Kmers]]:
    """Return what is tried: of each list the best is taken."""
    anywhere = [Kmers(k) for k in ANYWHERE]
    if np.median(sequences.lengths) > LONG:
        anywhere.append(Kmers(CHOSEN, "chosen"))
    if length is None:
        return [anywhere]
    placed = [Kmers(k, "placed") for k in PLACED if k <= length and (length - k + 1) * 4**k <= MOST_FEATURES]
    return [anywhere, placed] if placed else [anywhere]


def _at_most(part: Examples, n_outputs: int) -> Examples:
    """Return the first of as many sequences as are learned from, spread evenly."""
    numbers = len(part.sequences.codes) * n_outputs
    if numbers <= MOST_NUMBERS:
        return part
    n = len(part.targets)
    return part.take(np.linspace(0, n - 1, max(1, n * MOST_NUMBERS // numbers)).astype(np.int64))


@dataclass(frozen=True)
class _Features:
    """Counts of some kinds of k-mers, each column divided by its largest.

    Attributes
    ----------
    train, held : scipy CSR matrix (n, n_columns)
    scale : float array (n_columns,)
        What counts were multiplied by.
    sizes : tuple of int
        Columns of each kind.
    chosen : int64 array (n,), optional
        Numbers of the k-mers that were chosen.
    """

    train: Any
    held: Any
    scale: FloatArray
    sizes: tuple[int, ...]
    chosen: Int64Array | None = None


@dataclass(frozen=True)
class _Trial:
    """What was fitted to some kinds of k-mers."""

    kinds: tuple[Kmers, ...]
    linear: _Linear
    features: _Features

    def scores(self, lengths: Int64Array) -> KmerScores:
        """Return it as a module for sequences of about the lengths (n,)."""
        parts = np.split(self.features.scale[:, None] * self.linear.weights, np.cumsum(self.features.sizes)[:-1])
        weights = {
            kind: torch.from_numpy(part.reshape(-1, 4**kind.k, part.shape[1]) if kind.where == "placed" else part)
            for kind, part in zip(self.kinds, parts, strict=True)
        }
        numbers = self.features.chosen
        chosen = {} if numbers is None else {CHOSEN: torch.from_numpy(numbers)}
        bias, span = torch.from_numpy(self.linear.bias), (int(lengths.min()), int(lengths.max()))
        return KmerScores(weights, bias, span, chosen, torch.from_numpy(self._limits()))

    def _limits(self) -> FloatArray:
        """Return the lowest and the highest scores of train rows, and half as much again: (2, n_outputs)."""
        said = self.features.train @ self.linear.weights + self.linear.bias
        lowest, highest = said.min(0), said.max(0)
        room = _BEYOND * (highest - lowest)
        return np.stack((lowest - room, highest + room))


class _Trials:
    """Fits kinds of k-mers; counts are kept."""

    def __init__(
        self,
        train: Examples,
        held: Examples,
        objective: Objective,
        length: int | None,
        both_strands: bool,
        late: Callable[[], bool],
    ) -> None:
        self.train, self.held, self.objective = train, held, objective
        self.length, self.both_strands, self.late = length, both_strands, late
        self.features: dict[Kmers, _Features] = {}
        self.penalties: dict[Kmers, float] = {}

    def each(self, tried: Iterable[tuple[Kmers, ...]]) -> list[_Trial]:
        """Return what comes of each, as long as there is time; none of k-mers that do not occur."""
        return [trial for kinds in tried if not self.late() and (trial := self(kinds)) is not None]

    def again(self, trial: _Trial, train: Examples) -> _Trial:
        """Fit to other rows what was fitted before, with the same penalty; nothing is chosen any more."""
        others = _Trials(train, self.held, self.objective, self.length, self.both_strands, lambda: False)
        features = others._together(trial.kinds, self.penalties)
        return _Trial(trial.kinds, others._best(features, [trial.linear.penalty]), features)

    def __call__(self, kinds: tuple[Kmers, ...]) -> _Trial | None:
        """Fit one kind, or several that were fitted alone: each has a share by the penalty that was best for it."""
        if not all(self._features(kind).train.nnz for kind in kinds):
            return None
        if len(kinds) == 1:
            linear = self._best(self._features(kinds[0]), PENALTIES)
            self.penalties[kinds[0]] = linear.penalty
            return _Trial(kinds, linear, self._features(kinds[0]))
        features = self._together(kinds, self.penalties)
        tried = [factor * self.penalties[kinds[0]] for factor in TOGETHER]
        return _Trial(kinds, self._best(features, tried), features)

    def _together(self, kinds: tuple[Kmers, ...], penalties: Mapping[Kmers, float]) -> _Features:
        """Put kinds beside each other, each with a share by the penalty that was best for it alone."""
        found = [self._features(kind) for kind in kinds]
        if len(kinds) == 1:
            return found[0]
        return _beside(found, [(penalties[kinds[0]] / penalties[kind]) ** 0.5 for kind in kinds])

    def _features(self, kind: Kmers) -> _Features:
        if kind not in self.features:
            self.features[kind] = self._chosen(kind) if kind.where == "chosen" else self._all(kind)
        return self.features[kind]

    def _all(self, kind: Kmers) -> _Features:
        length = self.length if kind.where == "placed" else None
        train, held = (
            kmer_counts(part.sequences, kind.k, length, both_strands=self.both_strands)
            for part in (self.train, self.held)
        )
        return self._scaled(kind, train, held)

    def _chosen(self, kind: Kmers) -> _Features:
        """Count those k-mers of the train sequences that go most with the targets."""
        numbers, train = different_kmers(self.train.sequences, kind.k, both_strands=self.both_strands)
        there, held = different_kmers(self.held.sequences, kind.k, both_strands=self.both_strands)
        if not train.shape[1]:
            return self._scaled(kind, train, held[:, :0])
        relevance = _relevance(train, self.train.targets, self.objective)
        best = np.sort(np.argsort(-relevance, kind="stable")[:N_CHOSEN])
        return replace(self._scaled(kind, train[:, best], _columns(there, held, numbers[best])), chosen=numbers[best])

    def _scaled(self, kind: Kmers, train: Any, held: Any) -> _Features:
        """Divide counts by what there is room for, and by the largest."""
        from scipy.sparse import diags

        if kind.where != "placed":
            train, held = (
                diags(1 / np.maximum(part.sequences.lengths - kind.k + 1, 1)) @ counts
                for part, counts in ((self.train, train), (self.held, held))
            )
        largest = train.max(0).toarray().ravel() if train.shape[1] else np.zeros(0)
        scale = np.divide(1.0, largest, out=np.zeros(len(largest)), where=largest > 0)
        return _Features(train @ diags(scale), held @ diags(scale), scale, (len(scale),))

    def _best(self, features: _Features, penalties: Sequence[float]) -> _Linear:
        """Return the fit with the penalty that validation prefers."""
        best, waited, start = None, 0, None
        for penalty in penalties:
            weights, bias, start = solve(
                features.train, self.train.targets, self.train.weight, self.objective, penalty, start, self.late
            )
            answers = features.held @ weights + bias
            losses = row_losses(answers, self.held.targets, self.objective)
            loss = float(np.average(losses, weights=self.held.weight))
            if best is None or loss < best.loss:
                best, waited = _Linear(weights, bias, loss, penalty), 0
            else:
                waited += 1
            if waited == _WORSE or self.late():
                break
        assert best is not None
        return best


def _beside(parts: Sequence[_Features], shares: Sequence[float]) -> _Features:
    """Put features beside each other, each kind multiplied by its share."""
    from scipy.sparse import hstack

    train, held = (
        hstack([getattr(part, name) * share for part, share in zip(parts, shares, strict=True)]).tocsr()
        for name in ("train", "held")
    )
    scale = np.concatenate([part.scale * share for part, share in zip(parts, shares, strict=True)])
    chosen = next((part.chosen for part in parts if part.chosen is not None), None)
    return _Features(train, held, scale, tuple(len(part.scale) for part in parts), chosen)


def _relevance(counts: Any, targets: NDArray[Any], objective: Objective) -> FloatArray:
    """Return how much each column goes with the targets: chi squared, or F of a linear regression, the largest."""
    from sklearn.feature_selection import chi2, f_regression

    measure = f_regression if objective.kind == "values" else chi2
    # Of both strands each counts a half; of several readings each counts less, and is more likely not there.
    there = counts if objective.kind == "values" else (counts >= 0.5).astype(np.float64)
    columns = [targets] if objective.kind == "classes" else list(targets.reshape(len(targets), -1).T)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = [measure(there, column)[0] for column in columns if len(np.unique(column)) > 1]
    return np.nan_to_num(np.max(found, axis=0)) if found else np.zeros(counts.shape[1])


def _columns(numbers: Int64Array, counts: Any, wanted: Int64Array) -> Any:
    """Return the columns of ``counts`` that have the wanted numbers; zero where there is none."""
    from scipy.sparse import csr_matrix

    at = np.searchsorted(numbers, wanted)
    there = at < len(numbers)
    there[there] = numbers[at[there]] == wanted[there]
    picked = csr_matrix(
        (np.ones(there.sum()), (at[there], np.flatnonzero(there))), shape=(counts.shape[1], len(wanted))
    )
    return counts @ picked
