"""Training of an error memory: stretches of series, in which it is to foretell the errors that come."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from titans_seq.adapters.error_memory import Cuts, ErrorMemory, ErrorStream

STEPS = 100
LEARNING_RATES = 1e-2, 1e-1
"""Of the projection, and of what is one number for each head."""
_STRETCH, _SERIES = 128, 32


def train_error_memory(
    memory: ErrorMemory, cuts: Cuts, error: Tensor, counted: Tensor, *, seed: int, steps: int = STEPS
) -> None:
    """Lower the squared error of the corrected forecasts, by Adam on random stretches of random series.

    Parameters
    ----------
    memory : ErrorMemory
        Trained in place.
    cuts : Cuts
        Of training rows; every cut writes.
    error : Tensor, shape (n_series, cuts, horizon)
        Of the forecasts, once their rows had arrived.
    counted : Tensor of bool, same shape
        Which of them count: observed, and before the rows that choose.
    seed : int
    steps : int
    """
    random, pending = np.random.default_rng(seed), memory.leads.pending
    length = cuts.lengths.numpy()
    usable = np.flatnonzero(length >= 2 * pending)
    groups = [memory.projection], [memory.step, memory.forgetting, memory.gain]
    rates = zip(groups, LEARNING_RATES, strict=True)
    optimizer = torch.optim.Adam([{"params": group, "lr": rate} for group, rate in rates])
    for _ in range(steps if len(usable) else 0):
        series = random.choice(usable, min(_SERIES, len(usable)), replace=False)
        begin = random.integers(pending, np.maximum(length[series] - _STRETCH, pending) + 1)
        rows, first = torch.from_numpy(series), torch.from_numpy(begin)
        columns = (first[:, None] + torch.arange(_STRETCH)).clamp(max=cuts.writes.shape[1] - 1)
        part = cuts.take(rows, columns, (cuts.lengths[rows] - first).clamp(max=_STRETCH))
        recalled, _ = memory.read(_stream_before(memory, cuts, rows, first), part)
        weight = counted[rows[:, None], columns] & (torch.arange(_STRETCH) < part.lengths[:, None])[..., None]
        actual = torch.where(weight, error[rows[:, None], columns], 0)
        unit = actual.square().sum()
        if not unit > 0:
            continue
        loss = (actual - recalled).square()[weight].sum() / unit
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def _stream_before(memory: ErrorMemory, cuts: Cuts, rows: Tensor, first: Tensor) -> ErrorStream:
    """Return streams that know the forecasts pending at the cuts ``first`` (n,), and no error yet."""
    pending = memory.leads.pending
    columns = first[:, None] - pending + torch.arange(pending)
    before = cuts.take(rows, columns, torch.full_like(first, pending))
    kept = {name: getattr(before, name) for name in ("features", "scale", "point")}
    return replace(memory.start(len(rows)), **kept, known=before.writes)
