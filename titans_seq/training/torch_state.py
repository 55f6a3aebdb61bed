"""Optimisers, schedules and random generators of torch as tensors, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from titans_seq.training.checkpoint import Saved
from titans_seq.training.sharded import spread_like


def optimizer_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the moments of an optimiser, optimizer.<parameter>.<name>."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{name}": x for i, entry in state.items() for name, x in entry.items()}


def restore_optimizer(optimizer: Optimizer, saved: Saved) -> None:
    """Put back what `optimizer_tensors` returned."""
    state = optimizer.state_dict()
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    for name, x in saved.part("optimizer.").items():
        i, _, key = name.partition(".")
        state["state"].setdefault(int(i), {})[key] = spread_like(x, weights[int(i)])
    optimizer.load_state_dict(state)


def restore_schedule(schedule: LRScheduler, optimizer: Optimizer, saved: Mapping[str, Any]) -> None:
    """Put a schedule back, and the rates that it had set."""
    schedule.load_state_dict({**schedule.state_dict(), **saved})
    for group, rate in zip(optimizer.param_groups, saved["_last_lr"], strict=True):
        group["lr"] = rate


def random_tensors(device: torch.device) -> dict[str, Tensor]:
    """Return the state of torch's generators, random.<device>."""
    found = {"random.cpu": torch.get_rng_state()}
    if device.type == "cuda":
        found["random.cuda"] = torch.cuda.get_rng_state(device)
    return found


def restore_random(saved: Saved, device: torch.device) -> None:
    """Put back what `random_tensors` returned."""
    torch.set_rng_state(saved.tensors["random.cpu"])
    if device.type == "cuda" and "random.cuda" in saved.tensors:
        torch.cuda.set_rng_state(saved.tensors["random.cuda"], device)
