"""Trainings by Lightning that go on where they were killed: between the same two batches, with the same bits."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import IterableDataset

from titans_seq.training.checkpoint import Place, Saved, prefixed
from titans_seq.training.contiguous import CARRIED
from titans_seq.training.sharded import collected
from titans_seq.training.torch_state import (
    optimizer_tensors,
    random_tensors,
    restore_optimizer,
    restore_random,
    restore_schedule,
)

_SCHEDULE = ("last_epoch", "_step_count", "_last_lr")


class Sampler(Protocol):
    """Batches whose place within an epoch can be kept."""

    def __iter__(self) -> Iterator[Any]: ...

    def state_dict(self) -> dict[str, Any]:
        """Return plain numbers: where it stands."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""


class Owner(Protocol):
    """What a training knows beside its module: its history, the best weights, and for how long it has trained."""

    def own_state(self) -> Saved:
        """Return it between two batches."""

    def restore(self, saved: Saved) -> None:
        """Take it back before training begins."""


class Drawn(IterableDataset[Any]):
    """A sampler that notes where it stood before each batch: a trainer draws ahead of what it trains on."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.sampler = sampler
        self.before: deque[dict[str, Any]] = deque()

    def __iter__(self) -> Iterator[Any]:
        self.before.clear()
        batches = iter(self.sampler)
        while True:
            state = self.sampler.state_dict()
            try:
                batch = next(batches)
            except StopIteration:
                return
            self.before.append(state)
            yield batch


class Resuming(Callback):
    """Saves a training between two batches whenever that is due, and lets one go on that was saved.

    What is kept: module, optimiser, schedule, the sampler's place within the epoch, the random generators, a carried
    state, and what the owner knows. Of processes that train together the generators and the carried state are those of
    each, weights that are spread over them are collected, and all else is the same for all.

    Parameters
    ----------
    place : Place
    sampler : Sampler
    module : LightningModule
    owner : Owner
    """

    def __init__(self, place: Place, sampler: Sampler, module: pl.LightningModule, owner: Owner) -> None:
        self.place, self.sampler, self.owner, self.saves = place, Drawn(sampler), owner, True
        self._pending = place.load()
        if self._pending is not None:
            owner.restore(self._pending)
            module.load_state_dict(self._pending.part("module."))
            sampler.load_state_dict(self._pending.facts["sampler"])
            if (description := self._pending.facts["carried"]) is not None:
                packed = {"tensors": self._pending.part("carried."), "description": description}
                module.on_load_checkpoint({CARRIED: packed})

    def moved(self, sampler: Sampler, owner: Owner) -> Resuming:
        """Return what saves another training at the same place."""
        other = copy.copy(self)
        other.sampler, other.owner, other._pending = Drawn(sampler), owner, None
        return other

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put optimiser and schedule back."""
        if self._pending is not None:
            schedule = trainer.lr_scheduler_configs[0].scheduler
            assert isinstance(schedule, LRScheduler)
            restore_optimizer(trainer.optimizers[0], self._pending)
            restore_schedule(schedule, trainer.optimizers[0], self._pending.facts["schedule"])

    def on_train_batch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        """Put the generators back, last of all: making loaders draws from them. Or save."""
        before = self.sampler.before.popleft()
        if self._pending is not None:
            restore_random(self._pending, pl_module.device)
            self._pending = None
        elif self.saves and self.place.due():
            self._save(trainer, pl_module, before)

    def _save(self, trainer: pl.Trainer, module: pl.LightningModule, before: dict[str, Any]) -> None:
        extra: dict[str, Any] = {}
        module.on_save_checkpoint(extra)
        carried = extra.get(CARRIED) or {"tensors": {}, "description": None}
        knows = self.owner.own_state()
        schedule = trainer.lr_scheduler_configs[0].scheduler.state_dict()
        self.place.save(
            collected(prefixed("module.", module.state_dict()) | optimizer_tensors(trainer.optimizers[0]))
            | knows.tensors,
            {
                **knows.facts,
                "finished": False,
                "sampler": before,
                "schedule": {name: schedule[name] for name in _SCHEDULE},
            },
            Saved(
                prefixed("carried.", carried["tensors"]) | random_tensors(module.device),
                {"carried": carried["description"]},
            ),
        )
