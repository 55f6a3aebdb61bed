"""Linear models of k-mers beside one network: fitted in time, asked about strands, and one of them put forward."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.adapters.kmer_scores import KmerScores
from titans_seq.data._calendar import Int64Array
from titans_seq.estimators._kmer_fitting import FittedKmers, fit_kmers
from titans_seq.estimators._sequence_choosing import row_losses
from titans_seq.estimators._sequence_predicting import Member, outputs
from titans_seq.estimators._strands import compare_strands

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_fitting import Plan

FloatArray = NDArray[np.float64]


class KmersBeside:
    """Fits k-mers to the rows that a network learns from, and measures them on its validation rows.

    Parameters
    ----------
    plan : Plan
    rows, held : int64 array
        To learn from, and to choose by; without rows to choose by there are no k-mers.
    device : torch.device
    """

    def __init__(self, plan: Plan, rows: Int64Array, held: Int64Array, device: torch.device) -> None:
        self.plan, self.rows, self.held, self.device = plan, rows, held, device
        self.wanted = plan.kmers and bool(len(held))
        self.fitted: dict[bool, FittedKmers | None] = {}

    def fit(self, both_strands: bool | None) -> None:
        """Fit them, before the network takes what time there is; None: for either strand, as one will be chosen."""
        limited = self.plan.deadline is not None
        for both in (False, True) if both_strands is None and limited else (bool(both_strands),):
            if self.wanted and both not in self.fitted:
                self.fitted[both] = fit_kmers(
                    self.plan.labelled, self.rows, self.held, self.plan.objective, length=self.plan.shape.length,
                    both_strands=both, ranks=self.plan.ranks, deadline=self.plan.deadline,
                )  # fmt: skip

    def tell_strands_apart(self) -> bool:
        """Whether those of the strands that are given clearly read the opposite ones worse."""
        fitted = self.fitted.get(False)
        if fitted is None:
            return False
        own, mean = (self.said(fitted, both)[:, None] for both in (False, True))
        targets, weight = self.plan.labelled.targets[self.held], self.plan.labelled.weight[self.held]
        found = compare_strands(own, 2 * mean - own, targets, weight, self.plan.objective)
        return self.plan.ranks.same(found.unlike)

    def best(self, both_strands: bool, earlier: Member | None) -> tuple[FittedKmers | None, FloatArray | None]:
        """Return those that are fitted, or an earlier member's if they are better, and what they say of ``held``."""
        self.fit(both_strands)
        labelled, held, earlier_ones = self.plan.labelled, self.held, self.of(earlier)
        candidates = [self.fitted.get(both_strands), FittedKmers(earlier_ones, earlier_ones) if earlier_ones else None]
        best: tuple[float, FittedKmers | None, FloatArray | None] = (np.inf, None, None)
        for kmers in candidates:
            if kmers is None:
                continue
            said = self.said(kmers, both_strands)
            losses = row_losses(said, labelled.targets[held], self.plan.objective)
            loss = self.plan.ranks.same(float(np.average(losses, weights=labelled.weight[held])))
            best = (loss, kmers, said) if loss < best[0] else best
        return best[1:]

    def of(self, earlier: Member | None) -> KmerScores | None:
        """Return an earlier member's, if they may count and know sequences of these lengths."""
        kmers = None if earlier is None else earlier.model.kmers
        if kmers is None or not self.plan.kmers:
            return None
        return kmers if bool(kmers.fits(torch.from_numpy(self.plan.labelled.examples.lengths)).all()) else None

    def said(self, kmers: FittedKmers, both_strands: bool, rows: Int64Array | None = None) -> FloatArray:
        """Return what those that have not seen ``held`` say of it, or of other rows."""
        examples, ranks, rows = self.plan.labelled.examples, self.plan.ranks, self.held if rows is None else rows
        return outputs(kmers.judged, examples, rows, both_strands=both_strands, device=self.device, ranks=ranks)
