"""What is minimised when sequences are told apart or measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Kind = Literal["classes", "labels", "values"]


@dataclass(frozen=True)
class Objective:
    """Loss of one row.

    Parameters
    ----------
    kind : {"classes", "labels", "values"}
        One class of several; several labels that are there or not; numbers.
    n_outputs : int
        Outputs of a network: classes, labels or numbers.
    """

    kind: Kind
    n_outputs: int

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return cross-entropy, mean binary cross-entropy or mean squared error of each row.

        Parameters
        ----------
        outputs : Tensor, shape (batch, n_outputs)
        targets : Tensor of int64 (batch,) for classes, of float32 (batch, n_outputs) otherwise
        """
        if self.kind == "classes":
            return F.cross_entropy(outputs, targets, reduction="none")
        if self.kind == "labels":
            return F.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(-1)
        return (outputs - targets).square().mean(-1)

    def as_targets(self, targets: Tensor) -> Tensor:
        """Return targets of the type that the loss takes."""
        return targets.to(torch.int64 if self.kind == "classes" else torch.float32)
