"""Training batches: stretches of series, read from a fresh state, with targets at every patch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from titans_seq.adapters.calendar import calendar_features
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.adapters.tokens import Patching
from titans_seq.training._stream_checks import refuse_workers
from titans_seq.training.ranks import Ranks


@dataclass(frozen=True)
class Stretch:
    """A batch of stretches; columns count from ``context_length`` rows before each stretch.

    Attributes
    ----------
    values, observed : Tensor, shape (batch, context_length + rows + horizon), float64 and bool
    covariates : Tensor, shape (batch, context_length + rows + horizon, n_covariates)
    starts, cutoffs : Tensor of int64, shape (batch, tokens)
        Columns of each patch's first row and of the first row not seen.
    calendar : Tensor, shape (batch, tokens, 2 × periods)
    group : Tensor of int64, shape (batch,)
    target_end : Tensor of int64, shape (batch,)
        Column from which rows must not be used, not even as targets.
    weight : Tensor, shape (batch, columns), float32
        What each row counts as a target; 1 where all count alike.
    """

    values: Tensor
    observed: Tensor
    covariates: Tensor
    starts: Tensor
    cutoffs: Tensor
    calendar: Tensor
    group: Tensor
    target_end: Tensor
    weight: Tensor

    def to(self, device: torch.device) -> Self:
        """Move to a device."""
        return type(self)(**{name: x.to(device) for name, x in vars(self).items()})

    def part(self, ranks: Ranks) -> Self:
        """Return the rows of this rank; where there are none, one that counts nothing."""
        rows = ranks.part(len(self.values))
        if rows.start < rows.stop:
            return type(self)(**{name: x[rows] for name, x in vars(self).items()})
        one = {name: x[:1] for name, x in vars(self).items()}
        return type(self)(**one | {"weight": torch.zeros_like(self.weight[:1])})


class StretchSampler(IterableDataset[Stretch]):
    """Draws stretches at random places and phases; an epoch is a fixed number of batches.

    Where it stands is in `state_dict`, also in the middle of an epoch.

    Parameters
    ----------
    data : ScaledPanel
        Of its weights, the mean of each series says how often it is drawn, and what is left is that of its rows.
    train_end : int array (n_series,)
        Rows from there on are neither read nor used as targets.
    patching : Patching
    horizon : int
    tokens : int
        Patches per stretch.
    batch_size, n_batches : int
    history : bool
        Whether scaling may look at the rows before the stretch (a carried stream has seen them).
    partial : bool
        Whether the last patch of each stretch is cut short at a random row, as it is when a forecast is asked
        for between two patch boundaries.
    seed : int
    """

    def __init__(
        self,
        data: ScaledPanel,
        train_end: IntArray,
        patching: Patching,
        horizon: int,
        *,
        tokens: int,
        batch_size: int,
        n_batches: int,
        history: bool,
        partial: bool,
        seed: int,
    ) -> None:
        super().__init__()
        self.data, self.train_end, self.patching, self.horizon = data, train_end, patching, horizon
        self.tokens, self.batch_size, self.n_batches = tokens, batch_size, n_batches
        self.history, self.partial = history, partial
        self.random, self.drawn = np.random.default_rng(seed), 0
        places = np.maximum(train_end - horizon, 1).astype(np.float64)
        self.mean_weight = data.mean_weight(train_end)
        places *= self.mean_weight
        self.probability = places / places.sum()

    @property
    def rows(self) -> int:
        """Rows of one stretch."""
        return self.tokens * self.patching.patch_length

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.n_batches

    def __iter__(self) -> Iterator[Stretch]:
        """Draw one epoch, or the rest of one that was broken off."""
        refuse_workers(type(self).__name__)
        more = True
        while more:
            batch = self.draw()
            # Counted before it is handed out: whoever saves the state now has seen this batch.
            self.drawn = (self.drawn + 1) % self.n_batches
            more = self.drawn > 0
            yield batch

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers from which a sampler made with the same arguments goes on, batch for batch."""
        return {"random": self.random.bit_generator.state, "drawn": self.drawn}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        self.random.bit_generator.state = state["random"]
        self.drawn = state["drawn"]

    def draw(self) -> Stretch:
        """Draw one batch."""
        series = self.random.choice(len(self.train_end), self.batch_size, p=self.probability)
        last = self.train_end[series] - self.horizon - self.rows
        # A series shorter than a stretch is right-aligned, at a random phase; rows before its start are missing.
        earliest = np.minimum(0, last - self.patching.patch_length + 1)
        start = self.random.integers(earliest, np.maximum(last, earliest) + 1)
        return self.stretch(series, start)

    def stretch(self, series: IntArray, start: IntArray) -> Stretch:
        """Read the stretches that begin at row ``start`` of ``series``."""
        length, p = self.patching.context_length, self.patching.patch_length
        values, observed = self.data.gather(series, start - length, length + self.rows + self.horizon)
        if not self.history:
            observed[:, :length] = False
            values[:, :length] = 0.0
        starts = np.tile(length + p * np.arange(self.tokens), (len(series), 1))
        cutoffs = starts + p
        if self.partial:
            cutoffs[:, -1] = starts[:, -1] + self.random.integers(1, p + 1, len(series))
        panel = self.data.panel
        calendar = calendar_features(
            panel.frequency, self.patching.periods, panel.origins[series], start[:, None] + cutoffs - length
        )
        return Stretch(
            values,
            observed,
            self.data.gather_covariates(series, start - length, values.shape[1]),
            torch.from_numpy(starts),
            torch.from_numpy(cutoffs),
            torch.from_numpy(calendar),
            self.data.groups(series),
            torch.from_numpy(self.train_end[series] - start + length),
            row_weights(self.data, series, start - length, values.shape[1], self.mean_weight[series]),
        )


def row_weights(data: ScaledPanel, series: IntArray, start: IntArray, rows: int, unit: NDArray[np.float64]) -> Tensor:
    """Weights of the rows of windows, (n, rows), in units of ``unit`` (n,)."""
    if data.weight is None:
        return torch.ones(len(series), rows)
    return torch.from_numpy(data.weights(series, start, rows) / unit[:, None]).float()
