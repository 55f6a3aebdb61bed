"""The model whose sessions have secrets: trained once to remember keys and values, its weights kept in a cache."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from titans_seq.adapters.symbols import SymbolModel
from titans_seq.evaluation import recall
from titans_seq.nn import Backbone

Result = dict[str, Any]
SEED = 0


def train(cache: Path, backbone: Result, n_needles: int, seed: int, steps: int | None = None) -> Result:
    """Train, keep the weights, and score recall of streams never seen."""
    from titans_seq.training.recall import RecallSettings, Stage, train_recall  # no other cell needs it

    model = make(backbone, seed)
    settings = RecallSettings(seed=seed + 1) if steps is None else RecallSettings(curriculum=(Stage(32, steps),))
    began = time.process_time()
    task = recall.Needles(n_needles if steps is None else 2, vary=True)
    history = train_recall(model, task.draw, settings)
    seconds = time.process_time() - began
    _file(cache).parent.mkdir(parents=True, exist_ok=True)
    save_file({name: x.contiguous() for name, x in model.state_dict().items()}, _file(cache))
    length, n = (256, 200) if steps is None else (32, 2)
    score = recall.score_recall(model, recall.Needles(1), length, n_trials=n, seed=1000)
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": len(history),
        "cpu_seconds": seconds,
        "loss_of_the_last_25_steps": float(np.mean([s.loss for s in history[-25:]])),
        "right": score.right,
        "asked": score.asked,
        "interval": score.interval,
    }


def make(backbone: Result, seed: int = SEED) -> SymbolModel:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SymbolModel(recall.N_SYMBOLS, recall.CONTENT, Backbone(variant="mag", **backbone))


def trained(cache: Path, backbone: Result) -> SymbolModel:
    """Return the trained model, or an untrained one of the small size that smoke tests use."""
    model = make(backbone)
    if _file(cache).exists():
        model.load_state_dict(load_file(_file(cache)))
    elif backbone["d_model"] > 16:
        raise FileNotFoundError(f"{_file(cache)} is missing: run the cell 'train' first")
    return model.eval()


def _file(cache: Path) -> Path:
    return cache / "needles.safetensors"
