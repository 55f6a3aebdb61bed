"""Cells that read long streams with a carried state: memory held, decoding, a genome."""

from __future__ import annotations

import gzip
import hashlib
import os
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from _memory import contenders as c
from _memory.measure import SEED, peak_rss_mb, pieces, rss_mb
from titans_seq.nn import Backbone, NeuralMemory

Result = dict[str, Any]
GENOME = "dna/genomes/ecoli_W_NC_017664.fasta.gz"


def inference_memory(
    n_tokens: int, piece: int, n_heads: int = 2, head_dim: int = 32, expansion: int = 2, chunk_size: int = 64
) -> Result:
    """Peak resident memory of reading one stream in pieces with a carried state."""
    d_model = n_heads * head_dim
    layer = NeuralMemory(d_model, n_heads, memory_expansion=expansion, chunk_size=chunk_size)
    generator = torch.Generator().manual_seed(SEED)
    before, began = peak_rss_mb(), time.process_time()
    finite = True
    with torch.no_grad():
        state = layer.init_state(1)
        for n in pieces(n_tokens, piece):
            y, state = layer(torch.randn(1, n, d_model, generator=generator), state)
            finite = finite and bool(y.isfinite().all())
    seconds = time.process_time() - began
    return {
        "tokens": n_tokens,
        "peak_rss_mb": peak_rss_mb(),
        "rss_after_mb": rss_mb(),
        "rss_before_mb": before,
        "cpu_seconds": seconds,
        "tokens_per_cpu_second": n_tokens / seconds,
        "finite": finite,
    }


def training_memory(contender: str, time: int, batch: int, d_model: int = 128, expansion: int = 4) -> Result:
    """Peak resident memory of one forward and backward, above that after imports, model and input."""
    if contender == "ours":
        read = c.our_layer(d_model, 1, expansion)
    else:
        read = c.peer_layer(d_model, default_model_kwargs={"depth": 2, "expansion_factor": float(expansion)})
    x = c.tokens(batch, time, d_model)
    before = peak_rss_mb()
    out: Result = {"tokens": batch * time, "rss_before_mb": before}
    try:
        c.training_run(read, x)()
    except (RuntimeError, MemoryError) as error:
        out["error"] = f"{type(error).__name__}: {str(error).splitlines()[0]}"[:300]
    return out | {"peak_rss_mb": peak_rss_mb(), "above_start_mb": peak_rss_mb() - before, "rss_after_mb": rss_mb()}


class Decoder:
    """A backbone that reads one token of every session per call; `Backbone.step` where there is one."""

    def __init__(self, variant: str, d_model: int = 64, n_heads: int = 4, n_layers: int = 2, expansion: int = 2):
        torch.manual_seed(SEED)
        self.backbone = Backbone(d_model, n_layers, n_heads, variant, memory_expansion=expansion).eval()
        self.d_model = d_model
        self.path = "Backbone.step" if hasattr(Backbone, "step") else "Backbone.forward with one token (no step)"

    def step(self, x: Tensor, state: Any, inplace: bool) -> Any:
        """Read x (batch, d_model); return the next state."""
        if hasattr(self.backbone, "step"):
            return self.backbone.step(x, state, inplace=inplace)[1]
        return self.backbone(x[:, None], state)[1]

    def state_at(self, position: int, batch: int, piece: int = 4096) -> Any:
        """Read ``position`` random tokens for real, in pieces."""
        generator, state = torch.Generator().manual_seed(SEED), self.backbone.init_state(batch)
        for n in pieces(position, piece):
            _, state = self.backbone(torch.randn(batch, n, self.d_model, generator=generator), state)
        return state


def decode(variant: str, sessions: int, steps: int, single_steps: int, position: int) -> Result:
    """Session-steps per second of a batch of sessions, and the latency of one session's step."""
    decoder = Decoder(variant)
    modes = {"new state": False, "inplace": True} if hasattr(Backbone, "step") else {"new state": False}
    with torch.no_grad():
        return {
            "path": decoder.path,
            "chunk_size": decoder.backbone.config.chunk_size,
            "batched": {name: _batched(decoder, sessions, steps, inplace) for name, inplace in modes.items()},
            "single": {name: _single(decoder, single_steps, position, inplace) for name, inplace in modes.items()},
        }


def _batched(decoder: Decoder, sessions: int, steps: int, inplace: bool) -> Result:
    state = decoder.state_at(10, sessions)
    x = torch.randn(steps, sessions, decoder.d_model, generator=torch.Generator().manual_seed(SEED))
    chunk = decoder.backbone.config.chunk_size
    for row in x[:chunk]:
        state = decoder.step(row, state, inplace)
    cpu, wall = time.process_time(), time.perf_counter()
    for row in x:
        state = decoder.step(row, state, inplace)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    done = sessions * steps
    return {
        "sessions": sessions,
        "steps": steps,
        "session_steps_per_cpu_second": done / cpu,
        "session_steps_per_wall_second": done / wall,
        "microseconds_per_session_step": 1e6 * cpu / done,
        "peak_rss_mb": peak_rss_mb(),
    }


def _single(decoder: Decoder, steps: int, position: int, inplace: bool) -> Result:
    """One session early in its stream and one late in its own, step by step in turn."""
    near, far = "at 10", f"at {position}"
    states = {near: decoder.state_at(10, 1), far: decoder.state_at(position, 1)}
    x = torch.randn(steps + 32, 1, decoder.d_model, generator=torch.Generator().manual_seed(SEED))
    seconds: dict[str, list[float]] = {name: [] for name in states}
    for i, row in enumerate(x):
        for name in states:
            began = time.perf_counter()
            states[name] = decoder.step(row, states[name], inplace)
            if i >= 32:
                seconds[name].append(time.perf_counter() - began)
    out: Result = {name: _latency(values) for name, values in seconds.items()}
    return out | {"mean_far_over_near": statistics.mean(seconds[far]) / statistics.mean(seconds[near])}


def _latency(seconds: list[float]) -> dict[str, float]:
    ms = np.array(seconds) * 1e3
    return {
        "steps": len(seconds),
        "p50_ms": float(np.percentile(ms, 50)),
        "p99_ms": float(np.percentile(ms, 99)),
        "mean_ms": float(ms.mean()),
    }


class GenomeReader(nn.Module):
    """One-hot bases through a linear map into a backbone of memory layers only."""

    def __init__(self, d_model: int, n_heads: int, expansion: int, n_layers: int, chunk_size: int) -> None:
        super().__init__()
        self.embed = nn.Linear(4, d_model)
        self.backbone = Backbone(d_model, n_layers, n_heads, "lmm", memory_expansion=expansion, chunk_size=chunk_size)

    def forward(self, bases: NDArray[np.uint8], state: Any) -> tuple[Tensor, Any]:
        one_hot = torch.from_numpy(ONE_HOT[bases])
        return self.backbone(self.embed(one_hot)[None], state)


ONE_HOT = np.concatenate([np.eye(4, dtype=np.float32), np.full((1, 4), 0.25, np.float32)])
"""Row per code: A, C, G, T, any other letter."""


def read_genome(path: Path) -> NDArray[np.uint8]:
    """Return the first record of a FASTA file (plain or .gz) as codes 0 to 3, 4 for letters other than ACGT."""
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")
    with opened as file:
        records = file.read().split(b">")
    letters = b"".join(records[1].splitlines()[1:]).upper()
    table = np.full(256, 4, np.uint8)
    table[list(b"ACGT")] = range(4)
    return table[np.frombuffer(letters, np.uint8)]


def find_genome() -> Path:
    """Return the path of the genome below the folder that TITANS_SEQ_DATA names.

    Raises
    ------
    FileNotFoundError
        If the variable is unset or the file is not there.
    """
    root = os.environ.get("TITANS_SEQ_DATA")
    if not root:
        raise FileNotFoundError(f"TITANS_SEQ_DATA is not set; it names the folder that holds {GENOME}")
    path = Path(root) / GENOME
    if not path.is_file():
        raise FileNotFoundError(f"{GENOME} is not below TITANS_SEQ_DATA")
    return path


def genome(
    piece: int, n_cuts: int, n_bases: int | None, d_model: int, n_heads: int, expansion: int, chunk_size: int,
    n_layers: int = 2,
) -> Result:  # fmt: skip
    """Read a whole bacterial genome twice: in equal pieces, then cut at random; both must end alike."""
    bases = read_genome(find_genome())[:n_bases]
    model = GenomeReader(d_model, n_heads, expansion, n_layers, chunk_size)
    equal = _pass(model, bases, list(range(0, len(bases), piece)) + [len(bases)])
    rng = np.random.default_rng(SEED)
    cuts = np.sort(rng.choice(np.arange(1, len(bases)), n_cuts, replace=False)).tolist()
    random = _pass(model, bases, [0, *cuts, len(bases)])
    (first, state), (second, other) = equal.pop("end"), random.pop("end")
    return {
        "file": GENOME,
        "bases": len(bases),
        "not_acgt": int((bases == 4).sum()),
        "sha256_of_codes": hashlib.sha256(bases.tobytes()).hexdigest(),
        "equal_pieces": equal,
        "random_cuts": random | {"cuts": cuts},
        "last_output_relative_difference": _relative(second, first),
        "memory_relative_difference": max(map(_relative, _learned(other), _learned(state))),
        "memory_moved_from_initial": [_relative(w, w0) for w, w0 in zip(_learned(state), _initial(state), strict=True)],
    }


def _learned(state: Any) -> list[Tensor]:
    return [w[0].detach() for layer in state.layers for w in layer.memory.weights]


def _initial(state: Any) -> list[Tensor]:
    return [w.detach() for layer in state.layers for w in layer.memory.initial]


def _relative(x: Tensor, y: Tensor) -> float:
    """Largest difference over the largest entry of ``y``."""
    return float((x - y).abs().max() / y.abs().max())


def _pass(model: GenomeReader, bases: NDArray[np.uint8], bounds: list[int], n_marks: int = 8) -> Result:
    """Read once; peak memory is noted at eighths of the way."""
    state, finite, y = None, True, torch.empty(0)
    marks: list[dict[str, float | None]] = []
    began, wall = time.process_time(), time.perf_counter()
    with torch.no_grad():
        for start, stop in pairwise(bounds):
            y, state = model(bases[start:stop], state)
            finite = finite and bool(y.isfinite().all())
            if stop * n_marks // len(bases) > len(marks):
                marks.append({"bases": stop, "peak_rss_mb": peak_rss_mb(), "rss_mb": rss_mb()})
    seconds, wall = time.process_time() - began, time.perf_counter() - wall
    return {
        "pieces": len(bounds) - 1,
        "largest_piece": max(stop - start for start, stop in pairwise(bounds)),
        "finite": finite,
        "cpu_seconds": seconds,
        "tokens_per_cpu_second": len(bases) / seconds,
        "tokens_per_wall_second": len(bases) / wall,
        "memory": marks,
        "end": (y[0, -1], state),
    }
