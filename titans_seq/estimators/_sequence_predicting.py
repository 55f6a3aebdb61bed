"""What networks say of sequences; nothing that stands beside a sequence changes it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq.adapters.dna import BaseBatch, length_batches
from titans_seq.adapters.sequence_network import Examples, SequenceModel
from titans_seq.data._calendar import Int64Array
from titans_seq.estimators._sequence_choosing import Choice

MAX_POSITIONS = 2**17
"""Positions of a batch, padding counted."""
BATCH_SIZE = 256


@dataclass(frozen=True)
class Member:
    """A network and how its outputs become an answer."""

    model: SequenceModel
    choice: Choice


def answers(
    members: list[Member], examples: Examples, *, both_strands: bool, device: torch.device
) -> NDArray[np.float64]:
    """Return the mean answer of the members, (n, n_outputs).

    Double precision, in which what a sequence is told does not depend on the others of its batch by more than about
    1e-12 of it; in single precision that would be 1e-6.
    """
    rows = np.arange(len(examples.lengths))
    found = [
        member.choice.combine(
            outputs(copy.deepcopy(member.model).double(), examples, rows, both_strands=both_strands, device=device)
        )
        for member in members
    ]
    return np.mean(found, axis=0)


@torch.no_grad()
def outputs(
    model: SequenceModel, examples: Examples, rows: Int64Array, *, both_strands: bool, device: torch.device
) -> NDArray[np.float64]:
    """Return what every head says of some rows, (n, heads, n_outputs); with both strands their mean."""
    model = model.to(device).eval()
    shape = model.network.shape
    found = np.zeros((len(rows), shape.n_heads, shape.n_outputs))
    for places in length_batches(examples.lengths[rows], BATCH_SIZE, MAX_POSITIONS):
        batch: Any = examples.batch(rows[places]).to(device)
        said = model(batch)
        if both_strands and isinstance(batch, BaseBatch):
            said = (said + model(batch.reverse_complement())) / 2
        found[places] = said.double().cpu().numpy()
    return found
