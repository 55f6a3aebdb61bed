"""A small convolutional network in plain torch, of the form that is usual for DNA, as a peer."""

from __future__ import annotations

import copy
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.data import Sequences
from titans_seq.data.sequences.alphabet import MIXTURE

VALIDATION, MOST_VALIDATION_ROWS = 0.15, 4096  # as the estimators hold out
BATCH, MAX_EPOCHS, PATIENCE = 64, 40, 6
RATE, DECAY, DROPOUT = 1e-3, 0.02, 0.3
CHANNELS, CHANNELS_POOLED, PLACES, HIDDEN = 64, 80, 15, 64


class ConvolutionalNetwork:
    """Three convolutions and a hidden layer: 0.11 or 0.12 million parameters at any length.

    Two are trained, one that keeps 15 places apart and one that pools over all of them, and that with the smaller
    validation loss is taken: neither is good on anchored and on unanchored windows. The weights of the epoch with the
    smallest validation loss are kept; training stops after 6 epochs without a better one.

    Attributes
    ----------
    n_parameters_ : int
    pooled_ : bool
        Which was taken.
    history_ : list of list of dict
        Of the one taken, per epoch: validation loss.
    """

    def __init__(self, *, regression: bool, seed: int, max_epochs: int = MAX_EPOCHS) -> None:
        self.regression, self.seed, self.max_epochs = regression, seed, max_epochs

    def fit(self, sequences: Sequences, answers: NDArray[Any]) -> Self:
        torch.manual_seed(self.seed)
        self.length = int(sequences.lengths.max())
        targets = self._targets(answers)
        x = self._read(sequences)
        share = min(VALIDATION, MOST_VALIDATION_ROWS / len(x))
        rows, held = train_test_split(
            np.arange(len(x)), test_size=share, random_state=self.seed, stratify=None if self.regression else answers
        )
        found = []
        for pooled in (False, True):
            self.network = make_network(1 if self.regression else len(self.classes), pooled=pooled)
            run = self._train(x, targets, torch.from_numpy(rows), torch.from_numpy(held))
            found.append((min(epoch["validation_loss"] for epoch in run), pooled, self.network, run))
        _, self.pooled_, self.network, run = min(found, key=lambda one: one[0])
        self.history_ = [run]
        self.n_parameters_ = sum(p.numel() for p in self.network.parameters())
        return self

    def predict(self, sequences: Sequences) -> NDArray[np.float64]:
        """Numbers in their own units, (n,)."""
        return self._outputs(self._read(sequences)).double().numpy()[:, 0] * self.deviation + self.mean

    def predict_proba(self, sequences: Sequences) -> NDArray[np.float64]:
        """Probabilities (n, n_classes)."""
        return self._outputs(self._read(sequences)).double().softmax(1).numpy()

    def _targets(self, answers: NDArray[Any]) -> Tensor:
        if not self.regression:
            self.classes, places = np.unique(answers, return_inverse=True)
            return torch.from_numpy(places)
        self.mean, self.deviation = float(answers.mean()), float(answers.std())
        return torch.from_numpy((answers - self.mean) / self.deviation).float()

    def _read(self, sequences: Sequences) -> Tensor:
        """Shares of the bases, (n, 4, length); what is beyond a sequence is zero."""
        n = len(sequences)
        codes, inside = sequences.gather(np.arange(n), np.zeros(n, dtype=np.int64), self.length)
        shares = np.where(inside[..., None], MIXTURE[np.where(inside, codes, 0)], 0).astype(np.float32)
        return torch.from_numpy(shares).transpose(1, 2).contiguous()

    def _train(self, x: Tensor, targets: Tensor, rows: Tensor, held: Tensor) -> list[dict[str, float]]:
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=RATE, weight_decay=DECAY)
        run: list[dict[str, float]] = []
        best, kept, waited = float("inf"), copy.deepcopy(self.network.state_dict()), 0
        while len(run) < self.max_epochs and waited < PATIENCE:
            self.network.train()
            for some in rows[torch.randperm(len(rows))].split(BATCH):
                if len(some) > 1:  # a batch norm needs two
                    optimizer.zero_grad()
                    self._loss(self.network(x[some]), targets[some]).backward()
                    optimizer.step()
            loss = float(self._loss(self._outputs(x[held]), targets[held]))
            run.append({"validation_loss": loss})
            waited += 1
            if loss < best:
                best, kept, waited = loss, copy.deepcopy(self.network.state_dict()), 0
        self.network.load_state_dict(kept)
        return run

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        return F.mse_loss(outputs[:, 0], targets) if self.regression else F.cross_entropy(outputs, targets)

    def _outputs(self, x: Tensor) -> Tensor:
        self.network.eval()
        with torch.no_grad():
            return torch.cat([self.network(some) for some in x.split(512)])


def make_network(n_outputs: int, *, pooled: bool) -> nn.Sequential:
    """Convolutions of 11, 7 and 7 bases; where places are kept, a maximum over every two after the first two."""
    channels = CHANNELS_POOLED if pooled else CHANNELS
    layers: list[nn.Module] = []
    for i, (read, width) in enumerate(((4, 11), (channels, 7), (channels, 7))):
        layers += [nn.Conv1d(read, channels, width, padding=width // 2), nn.BatchNorm1d(channels), nn.ReLU()]
        layers += [nn.MaxPool1d(2)] * (i < 2 and not pooled)
    layers += [_MaximumAndMean()] if pooled else [nn.AdaptiveMaxPool1d(PLACES), nn.Flatten()]
    seen = channels * (2 if pooled else PLACES)
    return nn.Sequential(
        *layers, nn.Dropout(DROPOUT), nn.Linear(seen, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT),
        nn.Linear(HIDDEN, n_outputs),
    )  # fmt: skip


class _MaximumAndMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat((x.amax(2), x.mean(2)), 1)
