"""What the `fit` of a sequence estimator does, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.adapters.sequence_network import NetworkShape, SequenceModel, SequenceNetwork
from titans_seq.data._calendar import Int64Array
from titans_seq.estimators import _sequence_settings as settings
from titans_seq.estimators._kmer_fitting import FittedKmers
from titans_seq.estimators._kmers_beside import KmersBeside
from titans_seq.estimators._sequence_choosing import Choice, Said, choose
from titans_seq.estimators._sequence_keeping import kept, restored
from titans_seq.estimators._sequence_predicting import MAX_POSITIONS, Member, outputs
from titans_seq.estimators._sequence_validation import FEWEST_VALIDATION_ROWS, MAX_VALIDATION_ROWS, split
from titans_seq.estimators._strands import Evidence, compare_strands
from titans_seq.training.objectives import Objective
from titans_seq.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_base import SequenceEstimator
    from titans_seq.training.checkpoint import Checkpoint, Place
    from titans_seq.training.examples import Labelled
    from titans_seq.training.sequences import SequenceFit

MAX_EPOCH_ROWS = 16_384
UNKNOWN_BASES, UNKNOWN_RUNS = 0.05, 0.25
"""Shares of bases, and of sequences with a run of bases, that training reads as N: a run of N that it had never seen
might pass for a motif."""

TRIAL_SHARES = (0.25, 0.45, 0.65)
"""Shares of the epochs, and of the time: between the first two it is asked whether strands are alike, and, where that
does not become clear, up to the third it is tried both ways."""


@dataclass(frozen=True)
class FittedSequences:
    """What fitting hands to the estimator."""

    members: list[Member]
    both_strands: bool
    history: list[list[dict[str, float | None]]]


@dataclass(frozen=True)
class Plan:
    """What is the same for every member.

    Attributes
    ----------
    warm : callable or None
        Gives a new network, and the number of its member, what it is to begin with.
    keep_start : bool
        Whether what it begins with is an answer already, which may prove the best.
    kmers : bool
        Whether k-mers may count beside the network; the examples are then DNA.
    earlier : callable or None
        Gives the earlier member that told the same, by the number of the member that begins with it.
    """

    labelled: Labelled
    objective: Objective
    shape: NetworkShape
    encoder: Callable[[], torch.nn.Module]
    deadline: float | None
    groups: Int64Array | None = None
    warm: Callable[[SequenceModel, int], None] | None = None
    keep_start: bool = False
    ranks: Ranks = ALONE
    checkpoint: Checkpoint | None = None
    kmers: bool = False
    earlier: Callable[[int], Member | None] | None = None


def fit(estimator: SequenceEstimator, plan: Plan, seed: int) -> FittedSequences:
    """Train the members one after the other, each with validation rows of its own."""
    n = len(plan.labelled.targets)
    wanted = estimator.n_members or settings.default_members(n, int(plan.labelled.examples.lengths.sum()))
    both_strands = estimator._both_strands()
    members: list[Member] = []
    history = []
    began = time.monotonic() - (0.0 if plan.checkpoint is None else plan.checkpoint.earlier)
    for i, own_seed in enumerate(np.random.SeedSequence(seed).spawn(wanted)):
        now, place = time.monotonic(), None if plan.checkpoint is None else plan.checkpoint.at(f"member{i}")
        saved = None if place is None else place.load()
        if saved is not None and saved.facts["finished"]:
            found, both_strands, run = restored(plan, saved)
            members.append(found)
            history.append(run)
            continue
        late = plan.deadline is not None and now + 0.1 * (now - began) > plan.deadline
        if members and plan.ranks.same(late and saved is None):
            break
        end = None if plan.deadline is None else now + (plan.deadline - now) / (wanted - i)
        if saved is not None and saved.facts["left"] is not None:
            end = now + saved.facts["left"]
        numbers = own_seed.generate_state(3).tolist()
        rows, held = split(plan.labelled, plan.objective, estimator.validation_fraction, numbers[0], plan.groups)
        own = replace(plan, deadline=end)
        member = _Training(estimator, own, rows, held, i, numbers[1], numbers[2], place)
        found, both_strands, run = member.fit(both_strands)
        if place is not None and len(run) > 1:  # else nothing was trained
            place.save(*kept(found, both_strands, run))
        members.append(found)
        history.append(run)
    assert both_strands is not None
    return FittedSequences(members, both_strands, history)


class _Training:
    """Training of one member."""

    def __init__(
        self, estimator: SequenceEstimator, plan: Plan, rows: Int64Array, held: Int64Array,
        member: int, seed: int, batch_seed: int, place: Place | None = None,
    ) -> None:  # fmt: skip
        from titans_seq.training.examples import Loading

        self.estimator, self.plan, self.rows, self.held = estimator, plan, rows, held
        self.member, self.seed, self.batch_seed, self.place = member, seed, batch_seed, place
        self.device = estimator._device()
        self.kmers = KmersBeside(plan, rows, held, self.device)
        size = min(estimator.batch_size, max(16, len(rows) // 4))
        self.loading = Loading(
            size, MAX_POSITIONS, MAX_EPOCH_ROWS, unknown_bases=UNKNOWN_BASES, unknown_runs=UNKNOWN_RUNS
        )
        batches = -(-min(len(rows), MAX_EPOCH_ROWS) // size)
        self.batches = batches
        self.epochs = settings.default_epochs(batches) if estimator.max_epochs is None else estimator.max_epochs

    def fit(self, both_strands: bool | None) -> tuple[Member, bool, list[dict[str, float | None]]]:
        """Train, find out about strands if that is asked for, and choose."""
        from titans_seq.training.fit import seeded

        with seeded(self.seed):
            if both_strands is None and (not len(self.held) or not self.epochs):
                both_strands = False
            self.kmers.fit(both_strands)
            if both_strands is None and self.kmers.tell_strands_apart():
                both_strands = False
            if both_strands is None:
                both_strands = self._found_out()
            if both_strands is None:
                both_strands, training = self._try_strands()
            else:
                training = self._start(both_strands)
            training.both_strands = both_strands
            training.train_until(self.epochs, self.plan.deadline)
            model = training.finish()
        earlier = None if self.plan.earlier is None else self.plan.earlier(self.member)
        if len(self.held):
            fitted, said = self.kmers.best(both_strands, earlier)
            everything = None
            if fitted is not None and training.run.stopped_by != "max_minutes":  # to read all rows takes time, too
                everything = partial(self._everything, model, fitted, both_strands)
            choice = self._choose(model, both_strands, said, everything)
            kmers = None if fitted is None else fitted.final
        else:  # nothing to choose by: what an earlier member chose
            kmers = self.kmers.of(earlier)
            choice = Choice() if earlier is None else replace(earlier.choice, score=float("nan"))
        choice = choice if kmers is not None else replace(choice, kmer_share=0.0)
        model.kmers = kmers if choice.kmer_share else None
        self._check_finite(model, choice, training.run.history)
        return Member(model, choice), both_strands, training.run.history

    def _check_finite(self, model: SequenceModel, choice: Choice, history: list[dict[str, float | None]]) -> None:
        """Refuse a network that has no answer; one that had an answer in an earlier epoch was put back to it."""
        some = (self.held if len(self.held) else self.rows)[:FEWEST_VALIDATION_ROWS]
        examples, device, ranks = self.plan.labelled.examples, self.device, self.plan.ranks
        said = outputs(model, examples, some, both_strands=False, device=device, ranks=ranks)
        if choice.score == np.inf or not np.isfinite(said).all():
            raise ValueError(
                f"learning_rate is too large, found {self.estimator.learning_rate}: "
                f"training went to infinity by epoch {history[-1]['epoch']}; take a smaller one"
            )

    def _found_out(self) -> bool | None:
        """Return what is known of the strands where training goes on from a checkpoint."""
        saved = None if self.place is None else self.place.load()
        return None if saved is None else saved.facts["both_strands"]

    def _try_strands(self) -> tuple[bool, SequenceFit]:
        """Train on one strand until it is clear whether the other one is as good to read; if so, go on with both.

        Where strands are alike, a network that has only seen one reads the other just as well, and the mean of both
        is better than either; where they are not, it reads it worse the more it has learned. Where it does not become
        clear, some epochs are trained both ways, and what has the better validation score goes on.
        """
        first, last, _ = (max(1, round(share * self.epochs)) for share in TRIAL_SHARES)
        now, deadline = time.monotonic(), self.plan.deadline
        end = None if deadline is None else now + TRIAL_SHARES[1] * (deadline - now)
        training = self._start(False)
        first, twice = training.trial or (first, False)
        for epoch in range(first, last + 1):
            training.trial = (epoch, twice)
            training.train_until(epoch, end)
            found = self._compare_strands(training.module.averaged)
            at_end = epoch == last or training.run.stopped_by != "max_epochs"
            alike = found.alike(last=True) if at_end else twice and found.alike()
            if alike or found.unlike:
                training.resume()
                if alike:
                    self._go_on_with_both(training)
                return alike, training
            if at_end:
                break
            twice = found.alike()
        return self._train_both_ways(training)

    def _train_both_ways(self, one: SequenceFit) -> tuple[bool, SequenceFit]:
        """Train what has seen one strand on, and a copy of it on both; return the better one.

        Nothing is saved meanwhile: a process that is killed goes on from where there was one of them.
        """
        one.save_on(False)
        now, deadline = time.monotonic(), self.plan.deadline
        both, last = one.fork(), round(TRIAL_SHARES[2] * self.epochs)
        self._go_on_with_both(both)
        for i, training in enumerate((one, both), 1):
            training.resume()
            training.train_until(last, None if deadline is None else now + 0.2 * i * (deadline - now))
        alike = both.run.best_validation < one.run.best_validation
        chosen = both if alike else one
        chosen.resume()
        chosen.save_on(True)
        return alike, chosen

    def _go_on_with_both(self, training: SequenceFit) -> None:
        training.begin_anew(replace(self.loading, both_strands=True), self._validation(True))

    def _compare_strands(self, model: SequenceModel) -> Evidence:
        labelled, held = self.plan.labelled, self.held
        own, mean = (
            outputs(model, labelled.examples, held, both_strands=both, device=self.device, ranks=self.plan.ranks)
            for both in (False, True)
        )
        if not np.isfinite(own + mean).all():  # of weights that went to infinity
            return Evidence(0.0, 0.0, 0.0, 0.0)
        targets, weight = labelled.targets[held], labelled.weight[held]
        found = compare_strands(own, 2 * mean - own, targets, weight, self.plan.objective)
        return Evidence(*map(self.plan.ranks.same, found))

    def _start(self, both_strands: bool) -> SequenceFit:
        from titans_seq.training.examples import ExampleLoader
        from titans_seq.training.sequences import SequenceFit, SequenceTraining

        torch.manual_seed(self.seed)
        model = SequenceModel(self.plan.encoder(), SequenceNetwork(self.plan.shape))
        if self.plan.warm is not None:
            self.plan.warm(model, self.member)
        module = SequenceTraining(
            model, self.plan.objective, learning_rate=self.estimator.learning_rate,
            weight_decay=self.estimator.weight_decay, total_steps=self.epochs * self.batches,
        )  # fmt: skip
        module.ranks = self.plan.ranks
        loading = replace(self.loading, both_strands=both_strands)
        loader = ExampleLoader(self.plan.labelled, self.rows, loading, self.batch_seed)
        return SequenceFit(
            module, loader, self._validation(both_strands),
            patience=self.estimator.early_stopping_patience, min_epochs=self.epochs // 3,
            accelerator="gpu" if self.device.type == "cuda" else "cpu",
            precision={"32": "32-true", "bf16": "bf16-mixed"}[self.estimator.precision],
            progress=self.estimator._show_progress(), keep_start=self.plan.keep_start,
            place=self.place, limit=self.plan.deadline,
        )  # fmt: skip

    def _validation(self, both_strands: bool) -> Callable[[SequenceModel], float] | None:
        """Return what measures a network, whatever stands beside it; None without validation rows."""

        def measure(model: SequenceModel) -> float:
            return self._choose(model, both_strands).score

        return measure if len(self.held) else None

    def _everything(self, model: SequenceModel, kmers: FittedKmers, both_strands: bool) -> Said:
        """Return what is said of rows learned from and of validation rows, of a share of them if they are many."""
        labelled, device, ranks = self.plan.labelled, self.device, self.plan.ranks
        rows = np.sort(np.concatenate((self.rows, self.held)))
        rows = rows[:: -(-len(rows) // MAX_VALIDATION_ROWS)]
        said = outputs(model, labelled.examples, rows, both_strands=both_strands, device=device, ranks=ranks)
        return Said(said, self.kmers.said(kmers, both_strands, rows), labelled.targets[rows], labelled.weight[rows])

    def _choose(
        self, model: SequenceModel, both_strands: bool, kmers: NDArray[np.float64] | None = None,
        everything: Callable[[], Said] | None = None,
    ) -> Choice:  # fmt: skip
        """Choose what counts how much, by the validation rows and what k-mers say of them."""
        labelled, held = self.plan.labelled, self.held
        ranks = self.plan.ranks
        said = outputs(model, labelled.examples, held, both_strands=both_strands, device=self.device, ranks=ranks)
        found = choose(said, labelled.targets[held], labelled.weight[held], self.plan.objective, kmers, everything)
        return Choice(*(ranks.same(value) for value in astuple(found)))
