"""Training of a series model by Lightning: quiet, seeded, stopped by validation or by the clock."""

from __future__ import annotations

import contextlib
import copy
import logging
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, TQDMProgressBar
from lightning.pytorch.utilities.exceptions import SIGTERMException
from torch.utils.data import DataLoader, IterableDataset

from titans_seq.training.checkpoint import Place, Saved, prefixed
from titans_seq.training.in_order import InOrder
from titans_seq.training.module import SeriesTraining
from titans_seq.training.pieces import PieceSampler
from titans_seq.training.resuming import Resuming
from titans_seq.training.sampling import StretchSampler
from titans_seq.training.watching import noted, report_epoch


@dataclass
class TrainingResult:
    """What training did.

    Attributes
    ----------
    history : list of dict
        Per epoch: ``epoch``, ``train_loss`` (None for epoch 0), ``validation_loss``, ``seconds``.
    best_validation : float
        Smallest validation loss, epoch 0 (nothing learned) included.
    best_epoch : int
        Epoch whose weights were kept; 0 if nothing learned was better than the start.
    stopped_by : str
        "max_epochs", "early_stopping" or "max_minutes".
    """

    history: list[dict[str, float | None]] = field(default_factory=list)
    best_validation: float = float("inf")
    best_epoch: int = 0
    stopped_by: str = "max_epochs"


class _Selection(Callback):
    """Validates after every epoch, keeps the best weights, stops when they stay or the time is up."""

    def __init__(self, patience: int, deadline: float | None) -> None:
        self.patience, self.deadline = patience, deadline
        self.result = TrainingResult()
        self.best_weights: dict[str, torch.Tensor] = {}
        self.validation_seconds = 0.0
        self.began, self.epoch = time.monotonic(), 0

    def own_state(self) -> Saved:
        """Return what a checkpoint keeps beside module and optimiser."""
        facts = {"result": asdict(self.result), "epoch": self.epoch, "validation_seconds": self.validation_seconds}
        return Saved(prefixed("best.", self.best_weights), {**facts, "seconds": time.monotonic() - self.began})

    def restore(self, saved: Saved) -> None:
        """Take back what `own_state` returned."""
        self.result, self.epoch = TrainingResult(**saved.facts["result"]), saved.facts["epoch"]
        self.validation_seconds = saved.facts["validation_seconds"]
        self.began, self.best_weights = time.monotonic() - saved.facts["seconds"], saved.part("best.")

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if not self.result.history:
            self._validate(0, None, pl_module)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epoch += 1
        self._validate(self.epoch, float(trainer.callback_metrics["train_loss"]), pl_module)
        if self.epoch - self.result.best_epoch >= self.patience:
            self._stop(trainer, "early_stopping")

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        assert isinstance(pl_module, SeriesTraining)
        if self.deadline is None:
            return
        if pl_module.ranks.same(time.monotonic() + self.validation_seconds > self.deadline):
            self._stop(trainer, "max_minutes")

    def _stop(self, trainer: pl.Trainer, reason: str) -> None:
        self.result.stopped_by, trainer.should_stop = reason, True

    def _validate(self, epoch: int, train_loss: float | None, module: pl.LightningModule) -> None:
        assert isinstance(module, SeriesTraining)
        began = time.monotonic()
        module.eval()
        module.collect()
        loss = module.ranks.same(module.validate())
        module.train()
        now = time.monotonic()
        self.validation_seconds = now - began
        entry = {
            "epoch": epoch,
            "train_loss": noted(train_loss),
            "validation_loss": noted(loss),
            "seconds": now - self.began,
        }
        self.result.history.append(entry)
        if loss < self.result.best_validation or not self.best_weights:
            self.result.best_validation, self.result.best_epoch = loss, epoch
            self.best_weights = copy.deepcopy(module.whole.state_dict())
        report_epoch(epoch, loss)


def train(
    module: SeriesTraining,
    sampler: StretchSampler | PieceSampler,
    *,
    max_epochs: int,
    max_seconds: float | None,
    patience: int,
    accelerator: str,
    precision: str,
    progress: bool,
    place: Place | None = None,
) -> TrainingResult:
    """Train in place; the model ends with the weights of its best epoch.

    Parameters
    ----------
    module : SeriesTraining
        Its ``ranks`` are the processes that train together.
    sampler : StretchSampler or PieceSampler
    max_epochs : int
    max_seconds : float or None
        Time after which training stops, the last validation included.
    patience : int
        Epochs without a better validation loss after which training stops.
    accelerator : {"cpu", "gpu"}
    precision : str
        As Lightning names it.
    progress : bool
        Whether to show a progress bar.
    place : Place, optional
        Where a checkpoint is kept, and looked for: training goes on from it. A finished one is not repeated.
    """
    deadline = None if max_seconds is None else time.monotonic() + max_seconds
    selection = _Selection(patience, deadline)
    callbacks: list[Callback] = [selection]
    batches: IterableDataset[Any] = sampler
    if place is not None:
        if (saved := place.load()) is not None and saved.facts["finished"]:
            return _finish(module, selection, saved)
        resuming = Resuming(place, sampler, module, selection)
        batches = resuming.sampler
        callbacks.append(resuming)
    if progress:
        callbacks.append(TQDMProgressBar())
    with quiet_lightning():
        trainer = pl.Trainer(
            max_epochs=max_epochs - selection.epoch, accelerator=accelerator,
            precision=precision,  # type: ignore[arg-type]
            callbacks=callbacks, logger=False, enable_checkpointing=False, enable_model_summary=False,
            enable_progress_bar=progress, gradient_clip_val=1.0, num_sanity_val_steps=0,
            **module.ranks.trainer_options(),
        )  # fmt: skip
        fit_or_interrupt(trainer, module, DataLoader(batches, batch_size=None))
    saved = selection.own_state()
    if place is not None:
        place.save(saved.tensors, {**saved.facts, "finished": True})
    return _finish(module, selection, saved)


def _finish(module: SeriesTraining, selection: _Selection, saved: Saved) -> TrainingResult:
    """Put the best weights into the model."""
    selection.restore(saved)
    module.whole.load_state_dict(selection.best_weights)
    module.whole.eval()
    return selection.result


def fit_or_interrupt(trainer: pl.Trainer, module: pl.LightningModule, batches: DataLoader[Any]) -> None:
    """Train; an interrupted training ends as an interrupt, where Lightning would exit quietly."""
    if trainer.world_size > 1:
        trainer.callbacks += [_OwnSignals(), InOrder()]  # type: ignore[attr-defined]
    try:
        trainer.fit(module, batches)
    except SIGTERMException:
        raise SystemExit(143) from None
    except SystemExit:
        raise KeyboardInterrupt from None


class _OwnSignals(Callback):
    """Leaves SIGTERM as it was: Lightning's handler would speak with other ranks in the middle of what they do."""

    def __init__(self) -> None:
        self.handler = signal.getsignal(signal.SIGTERM)

    def on_train_start(self, *_: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self.handler)


@contextlib.contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence banners and advice that the caller of an estimator can't act on."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\..*")
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*`__len__`.*")
            warnings.filterwarnings("ignore", message="Grad strides do not match")
            warnings.filterwarnings("ignore", message="FSDP2-wrapped module")  # nothing of it is changed in place
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's random numbers from ``seed`` inside, and put the global generator back afterwards."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
