"""Gradients that are added up in the order of the processes, so that a training that goes on has the same bits."""

from typing import Any

import lightning.pytorch as pl
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Callback
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel


class InOrder(Callback):
    """Adds up the gradients of more than two processes on CPUs one after the other.

    Of three numbers the sum depends on the order, which in gloo depends on the place in a bucket; and DDP makes its
    buckets anew after the first step of a training, also of one that goes on. Of two numbers there is one sum.
    """

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Tell DDP."""
        model = trainer.strategy.model
        if isinstance(model, DistributedDataParallel) and trainer.world_size > 2 and dist.get_backend() == "gloo":
            model.register_comm_hook(None, mean_in_order)


# DDP looks at the annotations, which have to be types, not text.
def mean_in_order(_: Any, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """Return the mean of the processes' buckets."""
    own = bucket.buffer()
    parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, own)
    total, *others = parts
    for part in others:
        total += part
    found: torch.futures.Future[Tensor] = torch.futures.Future()
    found.set_result(total / len(parts))
    return found
