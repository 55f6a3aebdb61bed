"""Processes that train and predict together: what each of them does, and how they come to one result."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import signal
import sys
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.training.launch import announce_first, check_launch, launched, remember, watching_first

Scalar = TypeVar("Scalar", bool, int, float)

_GRACE = 10.0
"""Seconds in which a process ends that was asked to, because another one had failed."""


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that do the same.

    What is split between them is split in order: the first rows are those of rank 0. Every method that the others have
    to call, too, waits until they have.

    Attributes
    ----------
    rank : int
    size : int
        1: this process is alone, and every method returns what it is given.
    devices, num_nodes : int
        Processes on each machine, and machines.
    strategy : {"ddp", "fsdp"}
    """

    rank: int = 0
    size: int = 1
    devices: int = 1
    num_nodes: int = 1
    strategy: str = "ddp"

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.size == 1

    def part(self, n: int) -> slice:
        """Return which of n rows are those of this rank: about as many as those of the others, perhaps none."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def gather(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return the rows of all ranks, those of rank 0 first; each has any number, also none."""
        if self.alone:
            return rows
        counts = self._gather_counts(len(rows))
        padded = np.zeros((max(counts), *rows.shape[1:]), dtype=rows.dtype)
        padded[: len(rows)] = rows
        found = [torch.from_numpy(np.empty_like(padded)) for _ in counts]
        dist.all_gather(found, torch.from_numpy(padded), group=_host_group())
        return np.concatenate([x.numpy()[:n] for x, n in zip(found, counts, strict=True)])

    def gather_all(self, rows: NDArray[Any], n: int) -> NDArray[Any]:
        """Do what `gather` does with the rows of every rank's `part` of n."""
        found = self.gather(rows)
        if len(found) != n:
            raise RuntimeError(f"{len(found)} rows were gathered of {n}")
        return found

    def same(self, value: Scalar) -> Scalar:
        """Return the value of rank 0: a decision that is the same everywhere."""
        if self.alone:
            return value
        kept = torch.tensor([value], dtype=torch.float64)
        dist.broadcast(kept, 0, group=_host_group())
        return type(value)(kept.item())

    def from_first(self, content: bytes) -> bytes:
        """Return the bytes of rank 0."""
        if self.alone:
            return content
        size = self.same(len(content))
        if not size:
            return b""
        sent = torch.frombuffer(bytearray(content if self.rank == 0 else size), dtype=torch.uint8)
        dist.broadcast(sent, 0, group=_host_group())
        return sent.numpy().tobytes()

    def gather_bytes(self, content: bytes) -> list[bytes]:
        """Return the bytes of every rank."""
        if self.alone:
            return [content]
        ends = np.cumsum(self._gather_counts(len(content)))
        rows = self.gather(np.frombuffer(content, dtype=np.uint8))
        return [part.tobytes() for part in np.split(rows, ends[:-1])]

    def sum(self, x: Tensor) -> Tensor:
        """Return the sum of the ranks' tensors, through which no gradient flows."""
        if self.alone:
            return x
        total = x.detach().clone()
        dist.all_reduce(total)
        return total

    def sum_with_gradient(self, x: Tensor) -> Tensor:
        """Return the same sum; the gradient of what the ranks make of it reaches each of them."""
        return x if self.alone else _Sum.apply(x)

    def rows_each(self, count: Tensor) -> Tensor:
        """Return by what a rank divides the sum over its ``count`` rows: the mean over ranks is that over all rows."""
        if self.alone:
            return count.clamp(min=1)
        return self.sum(count.to(torch.float32)).clamp(min=1) / self.size

    def mean(self, x: Tensor) -> Tensor:
        """Return the mean of the ranks' tensors, through which no gradient flows."""
        return x if self.alone else self.sum(x) / self.size

    def reach(self, loss: Tensor, parameters: Iterable[Tensor]) -> Tensor:
        """Return the loss with a gradient for every parameter, if only zero: ranks wait for each other's."""
        if self.alone or self.strategy == "fsdp":
            return loss
        return loss + 0.0 * sum(p.sum() for p in parameters if p.requires_grad)

    def reseed(self) -> None:
        """Let torch draw other random numbers than on the other ranks, so that dropout is not the same for all."""
        if self.rank:
            torch.manual_seed(torch.initial_seed() + self.rank)

    def check_same(self, what: str, *arrays: NDArray[Any]) -> None:
        """Raise a ValueError if the ranks were not given the same data."""
        if self.alone:
            return
        mark = 0
        for array in arrays:
            mark = zlib.crc32(np.ascontiguousarray(array).tobytes(), zlib.crc32(str(array.shape).encode(), mark))
        found = self.gather(np.array([mark], dtype=np.int64))
        if (found != found[0]).any():
            other = int(np.argmax(found != found[0]))
            raise ValueError(
                f"{what}: process {other} of {self.size} was given other rows than the first one; give every process "
                "the same, each takes its part by itself"
            )

    def barrier(self) -> None:
        """Wait for the others."""
        if not self.alone:
            dist.barrier(group=_host_group())

    def trainer_options(self) -> dict[str, Any]:
        """Return arguments of a Lightning trainer."""
        if self.alone:
            return {"devices": 1}
        from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

        # Batch statistics are made the same by ourselves, where there are any.
        strategy = (
            ModelParallelStrategy(data_parallel_size=self.size, tensor_parallel_size=1)
            if self.strategy == "fsdp"
            else DDPStrategy(broadcast_buffers=False)
        )
        nodes = {"devices": self.devices, "num_nodes": self.num_nodes}
        return {**nodes, "strategy": strategy, "use_distributed_sampler": False}

    def _gather_counts(self, n: int) -> list[int]:
        counts = [torch.zeros(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(counts, torch.tensor([n]), group=_host_group())
        return [int(count) for count in counts]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


ALONE = Ranks()


def start_ranks(devices: int, num_nodes: int, strategy: str, accelerator: str) -> Ranks:
    """Return the place of this process; the others are started, unless torchrun or srun has started them.

    Parameters
    ----------
    devices, num_nodes : int
    strategy : {"auto", "ddp", "fsdp"}
    accelerator : {"cpu", "gpu"}

    Raises
    ------
    ValueError
        If there are other processes than these, or they can't be started here.
    """
    if devices * num_nodes == 1:
        return ALONE
    check_launch(devices, num_nodes)
    if not dist.is_initialized():
        _check_possible(devices, accelerator)
        _meet(devices, num_nodes, accelerator)
    if dist.get_world_size() != devices * num_nodes:
        raise ValueError(
            f"there are {dist.get_world_size()} processes, but devices × num_nodes is {devices} × {num_nodes}"
        )
    kind = "ddp" if strategy == "auto" else strategy
    return Ranks(dist.get_rank(), dist.get_world_size(), devices, num_nodes, kind)


def present_ranks(devices: int, num_nodes: int, strategy: str, accelerator: str) -> Ranks:
    """Do what `start_ranks` does where the processes are there already; alone otherwise."""
    there = dist.is_available() and dist.is_initialized()
    if not there and launched() is None:
        return ALONE
    return start_ranks(devices, num_nodes, strategy, accelerator)


def _check_possible(devices: int, accelerator: str) -> None:
    if accelerator == "gpu" and devices > torch.cuda.device_count():
        raise ValueError(f"devices is {devices}, but torch sees {torch.cuda.device_count()} GPU(s) here")
    main = sys.modules["__main__"]
    is_script = getattr(main, "__spec__", None) is not None or os.path.isfile(sys.argv[0])
    if launched() is None and (not is_script or hasattr(sys, "ps1") or "ipykernel" in sys.modules):
        raise ValueError(
            f"devices={devices} runs this program again in every process, which can't be done from a notebook or a "
            "prompt; write it into a file, or start it with torchrun"
        )


def _meet(devices: int, num_nodes: int, accelerator: str) -> None:
    """Start the other processes, if nobody did, and join them."""
    from lightning.fabric import Fabric

    from titans_seq.training.fit import quiet_lightning

    forget = announce_first()
    atexit.register(forget)
    with quiet_lightning(), watching_first():
        Fabric(accelerator=accelerator, devices=devices, num_nodes=num_nodes, strategy="ddp").launch()
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.ERROR)
    for thread in threading.enumerate():
        if thread.name == "child-process-observer":
            # Lightning's kills at once where a process has ended, which leaves half-written files.
            thread._terminate_all = lambda seen=thread: _end(seen._child_processes)  # type: ignore[attr-defined]
    remember()
    atexit.register(_leave)
    atexit.register(forget)  # once more, as what comes last is done first: before the others can miss this process


def _end(children: list[Any]) -> None:
    """Ask this process and its children to end, and make them where they do not."""
    for child in children:
        child.terminate()
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait(_GRACE)
    for child in children:
        child.kill()
    os.kill(os.getpid(), signal.SIGKILL)


def _leave() -> None:
    """Leave the group, and let nothing keep it.

    Its threads are joined once it is gone; one that still let go of a tensor while Python ends would abort the process.
    """
    if dist.is_initialized():
        _host_group.cache_clear()
        gc.collect()  # trainers are cycles, and hold it
        dist.destroy_process_group()


@cache
def _host_group() -> Any:
    """Return the group in which arrays travel, whatever the tensors of training do."""
    return dist.group.WORLD if dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
