"""What a cell does."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from titans_seq.adapters.symbols import StreamModel, SymbolState
from titans_seq.evaluation import recall
from titans_seq.nn import BackboneState

from . import models
from .ablations import ABLATIONS
from .experiments import gate_by_prediction
from .setups import SETUPS

if TYPE_CHECKING:
    from .cells import Cell

PIECE = 4096


def train(cell: Cell, cache: Path, *, quick: bool) -> dict[str, Any]:
    """Train, keep the weights, report the curve by 25 steps."""
    setup, began = SETUPS[cell.setup], time.process_time()
    model, history = models.train(setup, cell.seed, quick=quick)
    models.save(model, _file(cell, cache, quick=quick))
    blocks = [history[n : n + 25] for n in range(0, len(history), 25)]
    curve = [
        {
            "step": block[-1].step + 1, "length": block[-1].length, "loss": float(np.mean([s.loss for s in block])),
            "openness": float(np.mean([s.openness for s in block])), "cpu_seconds": block[-1].seconds,
        }
        for block in blocks
    ]  # fmt: skip
    return {
        "n_parameters": sum(p.numel() for p in model.parameters()), "longest_training_length": history[-1].length,
        "cpu_seconds": time.process_time() - began, "curve": curve,
    }  # fmt: skip


def score(cell: Cell, cache: Path, *, quick: bool) -> dict[str, Any]:
    """Ask a trained model for what it read, at one length."""
    setup, model = SETUPS[cell.setup], _model(cell, cache, quick=quick)
    task = models.make_task(setup.task, cell.arguments["test"], train=False)
    length, n = (256, 2) if quick else (cell.arguments["length"], cell.arguments["n_trials"])
    batch = int(np.clip(4 * 65536 // length, 2, 32))
    seed, began = 1000 + cell.arguments["part"], time.process_time()
    if setup.task == "Shapes":
        error, spread = recall.recall_error(
            model, task, length, n_trials=n, seed=seed, batch_size=batch, piece_length=PIECE
        )
        found: dict[str, Any] = {"error": error, "standard_error": spread, "trials": n}
    else:
        result = recall.score_recall(model, task, length, n_trials=n, seed=seed, batch_size=batch, piece_length=PIECE)
        found = {"right": result.right, "asked": result.asked, "trials": n, "interval": result.interval}
    seconds = time.process_time() - began
    return found | {"length": length, "task": task.name, "cpu_seconds": seconds, "tokens_per_s": n * length / seconds}


ABLATION_TESTS = (("256", 256, 8, 100), ("1024", 1024, 8, 60), ("16384", 16384, 8, 12), ("65536", 65536, 8, 4),
                  ("32 needles", 1024, 32, 40))  # fmt: skip
"""Name, length, needles and trials; 32 needles, four times those of training, ask for what a memory can hold."""

ATTENTION_REACH = 16384
"""Tokens beyond which full attention is left out of the ablation: two minutes for one stream of 65,536."""


def ablation(cell: Cell, cache: Path, *, quick: bool) -> dict[str, Any]:
    """Train a setting and ask for needles at the longest training length, beyond it, and for more of them."""
    setup, began = ABLATIONS[cell.setup], time.process_time()
    change = gate_by_prediction if "predictive" in cell.setup else None
    model, history = models.train(setup, cell.seed, quick=quick, change=change)
    trained, found = time.process_time() - began, {}
    for name, length, n_needles, trials in ABLATION_TESTS:
        if cell.setup.startswith("attention") and length > ATTENTION_REACH:
            continue
        task = recall.Needles(**setup.task_arguments | {"n_needles": n_needles})
        n = 1 if quick else trials
        result = recall.score_recall(model, task, length, n_trials=n, seed=1000, batch_size=12, piece_length=PIECE)
        found[name] = {"right": result.right, "asked": result.asked}
    last = history[-20:]
    return {
        "n_parameters": sum(p.numel() for p in model.parameters()), "scores": found, "train_cpu_seconds": trained,
        "last_loss": float(np.mean([s.loss for s in last])), "openness": float(np.mean([s.openness for s in last])),
    }  # fmt: skip


def ettm1(cell: Cell, cache: Path, *, quick: bool) -> dict[str, Any]:
    """Forecast ETTm1 with a setting of the ablation."""
    from . import ettm1 as column  # no other cell needs the forecaster

    return column.ettm1(cell.setup, cell.seed, quick=quick)


def scale(cell: Cell, cache: Path, *, quick: bool) -> dict[str, Any]:
    """Cost and state of one stream, and what was recalled of 8 needles; the key-value cache's bytes beside it."""
    model, length = _model(cell, cache, quick=quick), 256 if quick else cell.arguments["length"]
    trials = recall.Needles(8).draw(1, length, np.random.default_rng(1000))
    began, rss = time.process_time(), peak_rss_mb()
    right, asked = recall.count_right(trials, recall.answers(model, trials, piece_length=PIECE))
    seconds = time.process_time() - began
    with torch.no_grad():
        _, state = model(trials.read(0, min(length, PIECE)))
    config = model.backbone.config
    return {
        "length": length, "right": right, "asked": asked, "cpu_seconds": seconds, "tokens_per_s": length / seconds,
        "peak_rss_mb": peak_rss_mb(), "rss_before_mb": rss, "state_bytes": state_bytes(state.backbone, length),
        "kv_cache_bytes": 2 * 4 * config.d_model * length * len(model.backbone.blocks),
    }  # fmt: skip


def state_bytes(state: BackboneState | SymbolState, length: int) -> dict[str, int]:
    """Bytes of one stream per layer, by part; a growing history is counted at ``length`` tokens."""
    found: dict[str, int] = {}
    assert isinstance(state, BackboneState)
    layer = state.layers[0]
    if layer.memory is not None:
        held = (*layer.memory.weights, *layer.memory.momentum)
        found["memory"] = sum(x[0].numel() * x.element_size() for x in held)
    for name in ("window", "history"):
        part = getattr(layer, name)
        if part is not None:
            n = part.keys[0].numel() * part.keys.element_size() * 2
            found[name] = n * length // part.keys.shape[1] if name == "history" else n
    if layer.history is None:
        found["all"] = state.nbytes // len(state.layers)  # the open chunk's rows and tails of convolutions, too
    return found


def peak_rss_mb() -> float:
    """Peak resident memory of this process."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3


def _file(cell: Cell, cache: Path, *, quick: bool) -> Path:
    return cache / f"{cell.setup}_s{cell.seed}{'_quick' if quick else ''}.safetensors"


def _model(cell: Cell, cache: Path, *, quick: bool) -> StreamModel:
    file = _file(cell, cache, quick=quick)
    if not file.exists():
        if not quick:
            raise FileNotFoundError(f"{file}: run the cell train_{cell.setup}_s{cell.seed} first")
        train(cell, cache, quick=True)
    return models.load(SETUPS[cell.setup], cell.seed, file)
