"""Training of a sequence model by Lightning: averaged weights, chosen by validation, stopped by it or by the clock."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from torch import Tensor, nn
from torch.utils.data import DataLoader

from titans_seq.adapters.convolutions import set_across
from titans_seq.adapters.sequence_network import SequenceModel
from titans_seq.training.checkpoint import Place, Saved, prefixed
from titans_seq.training.examples import ExampleLoader, LabelledBatch, Loading
from titans_seq.training.fit import fit_or_interrupt, quiet_lightning
from titans_seq.training.objectives import Objective
from titans_seq.training.ranks import ALONE
from titans_seq.training.resuming import Resuming
from titans_seq.training.watching import noted, report_epoch

AVERAGING = 0.99
"""Share of the averaged weights that a step leaves; fewer at first, so that the start is soon forgotten."""
_WARM_UP = 50


class SequenceTraining(pl.LightningModule):
    """Sum of the losses of every head, each of which is to answer alone.

    Its optimizer and its averaged weights live as long as it does, so that training can go on after a pause.

    Parameters
    ----------
    model : SequenceModel
    objective : Objective
    learning_rate, weight_decay : float
        Of AdamW, after a warm-up of 50 steps; biases and norms do not decay.
    total_steps : int
        Steps along whose cosine the rate falls to a twentieth.
    """

    def __init__(
        self,
        model: SequenceModel,
        objective: Objective,
        *,
        learning_rate: float,
        weight_decay: float,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.model, self.objective, self.ranks = model, objective, ALONE
        self.averaged = copy.deepcopy(model).eval().requires_grad_(False)
        self.total_steps, self.steps, self.batch_rows = total_steps, 0, 1
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        # Of the epoch so far: kept here, not by the trainer, as it has to be in a checkpoint.
        self.loss_sum, self.loss_rows = torch.zeros(()), 0
        matrices = [p for p in model.parameters() if p.dim() > 1]
        others = [p for p in model.parameters() if p.dim() <= 1]
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)

    def training_step(self, labelled: LabelledBatch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        outputs = self.model(labelled.batch)
        targets = self.objective.as_targets(labelled.targets)
        losses = torch.stack([self.objective.loss(head, targets) for head in outputs.unbind(1)]).sum(0)
        loss = (losses * labelled.weight).sum() / self.ranks.rows_each((labelled.weight > 0).sum())
        mean, rows = self.ranks.mean(loss), self.batch_rows
        self.loss_sum = self.loss_sum.to(mean.device) + mean.detach() * rows
        self.loss_rows += rows
        self.log("train_loss", mean, on_step=False, on_epoch=True, prog_bar=True, batch_size=rows)
        return self.ranks.reach(loss, self.model.parameters())

    def on_train_start(self) -> None:
        """Take batch statistics over the rows of all ranks, and draw other random numbers on each."""
        self.ranks.reseed()
        set_across(self.model, None if self.ranks.alone else self.ranks.sum_with_gradient)

    def on_train_end(self) -> None:
        """Let the model go on without the others."""
        set_across(self.model, None)

    def take_loss(self) -> float:
        """Return the mean loss of the epoch, and begin another one."""
        mean = float(self.loss_sum / self.loss_rows)
        self.loss_sum, self.loss_rows = torch.zeros(()), 0
        return mean

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards the new ones."""
        self.steps += 1
        keep = min(AVERAGING, (1 + self.steps) / (10 + self.steps))
        average(self.averaged, self.model, keep)

    def transfer_batch_to_device(
        self, batch: LabelledBatch, device: torch.device, dataloader_idx: int
    ) -> LabelledBatch:
        """Move the rows of this rank."""
        self.batch_rows = len(batch.targets)
        return (batch if self.ranks.alone else batch.part(self.ranks)).to(device)

    def configure_optimizers(self) -> Any:
        """Return the optimizer of this module's life."""
        return {"optimizer": self.optimizer, "lr_scheduler": {"scheduler": self.schedule, "interval": "step"}}

    def fork(self) -> SequenceTraining:
        """Return another training that goes on from here by itself."""
        other = SequenceTraining(
            copy.deepcopy(self.model), self.objective, learning_rate=self.learning_rate,
            weight_decay=self.weight_decay, total_steps=self.total_steps,
        )  # fmt: skip
        other.averaged.load_state_dict(self.averaged.state_dict())
        other.optimizer.load_state_dict(copy.deepcopy(self.optimizer.state_dict()))
        other.schedule.load_state_dict(self.schedule.state_dict())
        other.steps, other.ranks = self.steps, self.ranks
        return other

    def _rate(self, step: int) -> float:
        progress = torch.tensor(min(1.0, step / max(1, self.total_steps)) * torch.pi)
        return min(1.0, (step + 1) / _WARM_UP) * (0.05 + 0.475 * (1 + float(torch.cos(progress))))


def average(averaged: nn.Module, model: nn.Module, keep: float) -> None:
    """Keep a share of the averaged parameters and statistics, and take the rest from the model."""
    with torch.no_grad():
        for ours, new in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
            if ours.is_floating_point():
                ours.lerp_(new, 1 - keep)
            else:
                ours.copy_(new)


@dataclass
class TrainingRun:
    """What training did so far.

    Attributes
    ----------
    history : list of dict
        Per epoch: ``epoch``, ``train_loss`` (None for epoch 0), ``validation_loss`` (None without validation rows),
        ``seconds``. Losses of weights that went to infinity are None, too.
    best_validation : float
        Smallest validation loss.
    best_epoch : int
    stopped_by : str
        "max_epochs", "early_stopping" or "max_minutes".
    """

    history: list[dict[str, float | None]] = field(default_factory=list)
    best_validation: float = float("inf")
    best_epoch: int = 0
    stopped_by: str = "max_epochs"


class SequenceFit(Callback):
    """A training that can be paused; `finish` leaves the best averaged weights in the model.

    Parameters
    ----------
    module : SequenceTraining
    loader : ExampleLoader
    validate : callable or None
        Returns the validation loss of a model; None: the weights of the last epoch are kept.
    patience, min_epochs : int
        Training stops once this many epochs were no better, but not before ``min_epochs``.
    accelerator : {"cpu", "gpu"}
    precision : str
        As Lightning names it.
    progress : bool
        Whether to show a progress bar.
    keep_start : bool, default False
        Whether the weights that training begins with are kept where no epoch is better.
    place : Place, optional
        Where a checkpoint is kept, and looked for: training goes on from it.
    limit : float, optional
        Time of `time.monotonic` that ends training altogether; kept in the checkpoint.

    Attributes
    ----------
    both_strands : bool or None
        Kept in the checkpoint for whom it concerns; None as long as that is being tried.
    trial : tuple of int and bool, or None
        Likewise, how far that has come.
    """

    def __init__(
        self,
        module: SequenceTraining,
        loader: ExampleLoader,
        validate: Callable[[SequenceModel], float] | None,
        *,
        patience: int,
        min_epochs: int,
        accelerator: str,
        precision: str,
        progress: bool,
        keep_start: bool = False,
        place: Place | None = None,
        limit: float | None = None,
    ) -> None:
        self.module, self.loader, self.validate = module, loader, validate
        self.patience, self.min_epochs, self.keep_start = patience, min_epochs, keep_start
        self.accelerator, self.precision, self.progress = accelerator, precision, progress
        self.run = TrainingRun()
        self.best_weights: dict[str, Tensor] = {}
        self.deadline: float | None = None
        self.epoch, self.validation_seconds = 0, 0.0
        self.began = self.batch_began = time.monotonic()
        self.batch_seconds = 0.0
        self.both_strands: bool | None = None
        self.trial: tuple[int, bool] | None = None
        self.limit = limit
        self.resuming = None if place is None else Resuming(place, loader, module, self)

    def own_state(self) -> Saved:
        """Return what a checkpoint keeps beside module, optimiser and schedule."""
        now = time.monotonic()
        facts = {
            "run": asdict(self.run), "epoch": self.epoch, "steps": self.module.steps, "both_strands": self.both_strands,
            "loss_rows": self.module.loss_rows, "seconds": now - self.began,
            "trial": self.trial, "left": None if self.limit is None else self.limit - now,
            "validation_seconds": self.validation_seconds, "batch_seconds": self.batch_seconds,
        }  # fmt: skip
        return Saved(prefixed("best.", self.best_weights) | {"loss_sum": self.module.loss_sum}, facts)

    def restore(self, saved: Saved) -> None:
        """Take back what `own_state` returned."""
        facts = saved.facts
        self.run, self.epoch, self.both_strands = TrainingRun(**facts["run"]), facts["epoch"], facts["both_strands"]
        self.trial = None if facts["trial"] is None else (facts["trial"][0], facts["trial"][1])
        self.module.steps = facts["steps"]
        self.module.loss_sum, self.module.loss_rows = saved.tensors["loss_sum"], facts["loss_rows"]
        self.began, self.best_weights = time.monotonic() - facts["seconds"], saved.part("best.")
        self.validation_seconds, self.batch_seconds = facts["validation_seconds"], facts["batch_seconds"]

    def train_until(self, epoch: int, deadline: float | None) -> None:
        """Train up to the end of an epoch, counted from the first, or to a time of `time.monotonic`."""
        self.deadline = deadline
        if epoch <= self.epoch or self.run.stopped_by != "max_epochs":
            return
        callbacks: list[Callback] = [self]
        callbacks += [] if self.resuming is None else [self.resuming]
        callbacks += [TQDMProgressBar()] if self.progress else []
        batches = self.loader if self.resuming is None else self.resuming.sampler
        with quiet_lightning():
            trainer = pl.Trainer(
                max_epochs=epoch - self.epoch, accelerator=self.accelerator,
                precision=self.precision,  # type: ignore[arg-type]
                callbacks=callbacks, logger=False, enable_checkpointing=False, enable_model_summary=False,
                enable_progress_bar=self.progress, gradient_clip_val=1.0, num_sanity_val_steps=0,
                **self.module.ranks.trainer_options(),
            )  # fmt: skip
            fit_or_interrupt(trainer, self.module, DataLoader(batches, batch_size=None))

    def resume(self) -> None:
        """Let training go on that was paused because its time was up."""
        if self.run.stopped_by == "max_minutes":
            self.run.stopped_by = "max_epochs"

    def begin_anew(self, loading: Loading, validate: Callable[[SequenceModel], float] | None) -> None:
        """Go on with batches of another kind, measured another way: no earlier epoch is kept."""
        self.loader.loading, self.validate = loading, validate
        self.run.best_validation, self.run.best_epoch = float("inf"), self.epoch
        self.best_weights = {}
        self.validation_seconds *= 2 if loading.both_strands else 1

    def fork(self) -> SequenceFit:
        """Return a copy that goes on by itself; the data are shared."""
        other = copy.copy(self)
        other.module, other.loader = self.module.fork(), self.loader.fork()
        other.run, other.best_weights = copy.deepcopy(self.run), dict(self.best_weights)
        other.run.stopped_by = "max_epochs"
        if self.resuming is not None:
            other.resuming = self.resuming.moved(other.loader, other)
        return other

    def save_on(self, wanted: bool) -> None:
        """Save from here on, or do not."""
        if self.resuming is not None:
            self.resuming.saves = wanted

    def finish(self) -> SequenceModel:
        """Return the averaged model of the best epoch, on the CPU."""
        model = self.module.averaged
        if self.best_weights:
            model.load_state_dict(self.best_weights)
        return model.to("cpu").eval()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure the start, and how long measuring takes."""
        if not self.run.history:
            self._record(None)

    def on_train_batch_start(self, *_: Any) -> None:
        """Look at the clock."""
        self.batch_began = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        """Stop when the time is up but for another batch, the validation of the epoch, and that of what is kept."""
        now = time.monotonic()
        self.batch_seconds, self.batch_began = max(self.batch_seconds, now - self.batch_began), now
        reserve = self.batch_seconds + 2 * self.validation_seconds
        if self.deadline is not None and self.module.ranks.same(now + reserve > self.deadline):
            self._stop(trainer, "max_minutes")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Measure, and stop where nothing gets better."""
        self.epoch += 1
        train_loss = self.module.take_loss()
        self._record(train_loss)
        if not math.isfinite(train_loss):  # no step leads back from infinity
            self._stop(trainer, "early_stopping")
        waited = self.epoch - self.run.best_epoch
        if self.validate is not None and waited >= self.patience and self.epoch >= self.min_epochs:
            self._stop(trainer, "early_stopping")

    def _stop(self, trainer: pl.Trainer, reason: str) -> None:
        self.run.stopped_by, trainer.should_stop = reason, True

    def _record(self, train_loss: float | None) -> None:
        began = time.monotonic()
        loss = None if self.validate is None else self.module.ranks.same(self.validate(self.module.averaged))
        self.validation_seconds = time.monotonic() - began
        self.run.history.append(
            {
                "epoch": self.epoch,
                "train_loss": noted(train_loss),
                "validation_loss": noted(loss),
                "seconds": time.monotonic() - self.began,
            }
        )
        if loss is not None and (self.epoch or self.keep_start) and loss < self.run.best_validation:
            self.run.best_validation, self.run.best_epoch = loss, self.epoch
            self.best_weights = copy.deepcopy(self.module.averaged.state_dict())
        if loss is not None:
            report_epoch(self.epoch, loss)
