"""Batches of labelled sequences for training: of about one length, from either strand, with bases left out."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from titans_seq.adapters.dna import BaseBatch, length_batches
from titans_seq.adapters.sequence_network import Examples, SequenceBatch
from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences.alphabet import LETTERS, UNKNOWN
from titans_seq.training.ranks import Ranks


@dataclass(frozen=True)
class LabelledBatch:
    """A batch, what it is to be read as, and how much each row counts.

    Attributes
    ----------
    batch : SequenceBatch
    targets : Tensor, shape (batch,) or (batch, n_outputs)
    weight : Tensor, shape (batch,)
    """

    batch: SequenceBatch
    targets: Tensor
    weight: Tensor

    def to(self, device: torch.device | str) -> LabelledBatch:
        """Move to a device."""
        return LabelledBatch(self.batch.to(device), self.targets.to(device), self.weight.to(device))

    def part(self, ranks: Ranks) -> LabelledBatch:
        """Return the rows of this rank; where there are none, one without a position, that counts nothing."""
        rows = ranks.part(len(self.targets))
        if rows.start < rows.stop:
            return LabelledBatch(_rows(self.batch, rows), self.targets[rows], self.weight[rows])
        one = slice(0, 1)
        empty = replace(_rows(self.batch, one), lengths=torch.zeros_like(self.batch.lengths[one]))
        return LabelledBatch(empty, self.targets[one], torch.zeros_like(self.weight[one]))


def _rows(batch: Any, rows: slice) -> Any:
    return replace(batch, **{name: x if x is None else x[rows] for name, x in vars(batch).items()})


@dataclass(frozen=True)
class Labelled:
    """Examples with their targets and weights.

    Attributes
    ----------
    examples : Examples
    targets : array (n,) or (n, n_outputs)
    weight : float array (n,)
    """

    examples: Examples
    targets: NDArray[Any]
    weight: NDArray[np.float64]

    def batch(self, rows: Int64Array) -> LabelledBatch:
        """Return some rows."""
        targets, weight = torch.from_numpy(self.targets[rows]), torch.from_numpy(self.weight[rows])
        return LabelledBatch(self.examples.batch(rows), targets, weight.float())


@dataclass(frozen=True)
class Loading:
    """How training rows become batches.

    Attributes
    ----------
    batch_size : int
        Rows of a batch at most.
    max_positions : int
        Positions of a batch at most, padding counted.
    max_rows : int
        Rows of an epoch at most; a new sample of them each time.
    both_strands : bool
        Whether half of the DNA sequences, drawn anew each time, are read from the opposite strand.
    unknown_bases : float
        Share of the bases of DNA that are read as N, drawn anew each time.
    unknown_runs : float
        Share of the DNA sequences in which a run of up to a quarter of the bases is read as N, drawn anew each time.
    """

    batch_size: int
    max_positions: int
    max_rows: int
    both_strands: bool = False
    unknown_bases: float = 0.0
    unknown_runs: float = 0.0


class ExampleLoader(IterableDataset[LabelledBatch]):
    """Batches of an epoch; the next epoch draws others. Where it stands is in `state_dict`, also in mid-epoch.

    Parameters
    ----------
    labelled : Labelled
    rows : int64 array (n_rows,)
        Rows to train on.
    loading : Loading
    seed : int
    """

    def __init__(self, labelled: Labelled, rows: Int64Array, loading: Loading, seed: int) -> None:
        self.labelled, self.rows, self.loading = labelled, rows, loading
        self.random = np.random.default_rng(seed)
        self._began, self._taken = self.random.bit_generator.state, 0
        self._loaded: Mapping[str, Any] | None = None

    @property
    def n_batches(self) -> int:
        """Batches of an epoch, about."""
        return -(-min(len(self.rows), self.loading.max_rows) // self.loading.batch_size)

    def fork(self) -> ExampleLoader:
        """Return a loader of the same rows that draws the same from here on."""
        other = ExampleLoader(self.labelled, self.rows, self.loading, 0)
        other.random = copy.deepcopy(self.random)
        return other

    def __iter__(self) -> Iterator[LabelledBatch]:
        batches = self._resumed() if self._loaded is not None else self._begun()
        while self._taken < len(batches):
            batch = self._varied(self.labelled.batch(batches[self._taken]))
            self._taken += 1
            yield batch
        self._began, self._taken = self.random.bit_generator.state, 0

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers from which a loader made with the same arguments goes on within this epoch."""
        if self._loaded is not None:
            return dict(self._loaded)
        return {"began": self._began, "taken": self._taken, "random": self.random.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next epoch be the rest of the one in which `state_dict` was called."""
        self._loaded = state

    def _begun(self) -> list[Int64Array]:
        """Rows of the batches of a new epoch."""
        self._began, self._taken = self.random.bit_generator.state, 0
        rows = self.rows
        if len(rows) > self.loading.max_rows:
            rows = self.random.choice(rows, self.loading.max_rows, replace=False)
        lengths = self.labelled.examples.lengths[rows]
        loading = self.loading
        return [
            rows[chosen] for chosen in length_batches(lengths, loading.batch_size, loading.max_positions, self.random)
        ]

    def _resumed(self) -> list[Int64Array]:
        """Rows of the batches of the epoch that goes on: drawn once more, as they were."""
        assert self._loaded is not None
        loaded, self._loaded = self._loaded, None
        self.random.bit_generator.state = loaded["began"]
        batches = self._begun()
        if loaded["taken"]:
            self.random.bit_generator.state, self._taken = loaded["random"], loaded["taken"]
        return batches

    def _varied(self, labelled: LabelledBatch) -> LabelledBatch:
        batch = labelled.batch
        if not isinstance(batch, BaseBatch):
            return labelled
        if self.loading.both_strands:
            batch = batch.either(torch.from_numpy(self.random.random(len(batch.codes)) < 0.5))
        if self.loading.unknown_bases:
            drawn = self.random.random(batch.codes.shape, dtype=np.float32) < self.loading.unknown_bases
            unknown = torch.from_numpy(drawn) & (batch.codes != len(LETTERS))
            batch = replace(batch, codes=torch.where(unknown, UNKNOWN, batch.codes))
        if self.loading.unknown_runs:
            batch = replace(batch, codes=torch.where(self._runs(batch), UNKNOWN, batch.codes))
        return replace(labelled, batch=batch)

    def _runs(self, batch: BaseBatch) -> Tensor:
        """Draw where runs of N stand, (batch, length); every base is as likely to be in one."""
        lengths = batch.lengths.numpy()
        widths = 1 + (self.random.random(len(lengths)) * (lengths // 4)).astype(np.int64)
        starts = (self.random.random(len(lengths)) * (lengths + widths - 1)).astype(np.int64) - widths + 1
        widths[self.random.random(len(lengths)) >= self.loading.unknown_runs] = 0
        at = np.arange(batch.codes.shape[1])
        inside = (at >= starts[:, None]) & (at < np.minimum(starts + widths, lengths)[:, None])
        return torch.from_numpy(inside)
