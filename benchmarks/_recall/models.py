"""Training a setup, once: its weights are kept in a cache, its curve in a result file."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from titans_seq.adapters.symbols import StreamModel, SymbolModel, VectorModel
from titans_seq.evaluation import recall
from titans_seq.nn import Backbone
from titans_seq.training.recall import RecallSettings, Stage, Step, train_recall

from .setups import NEEDLE_BACKBONE, Setup

GENOME = "dna/genomes/ecoli_W_NC_017664.fasta.gz"


@cache
def genome() -> np.ndarray:
    """Bases of E. coli W as indices of ACGTN, from the folder that TITANS_SEQ_DATA names."""
    folder = os.environ.get("TITANS_SEQ_DATA")
    if folder is None:
        raise FileNotFoundError(f"set TITANS_SEQ_DATA to the folder that holds {GENOME}")
    lines = gzip.decompress((Path(folder) / GENOME).read_bytes()).split(b"\n")
    text = b"".join(line.strip() for line in lines if not line.startswith(b">")).upper()
    table = np.full(256, recall.UNKNOWN, np.uint8)
    for place, letter in enumerate(recall.ALPHABET):
        table[ord(letter)] = place
    return table[np.frombuffer(text, np.uint8)]


def make_task(name: str, arguments: dict[str, Any], *, train: bool) -> Any:
    """A task by name; motifs are planted in the first half of the genome in training, in the second in tests."""
    vary = {"vary": True} if train and name != "StateTracking" else {}
    if name == "MotifPartners":
        bases = genome()
        half = len(bases) // 2
        return recall.MotifPartners(bases[:half] if train else bases[half:], **arguments, **vary)
    return getattr(recall, name)(**arguments, **vary)


def make_model(setup: Setup, seed: int) -> StreamModel:
    """An untrained model."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = Backbone(**(NEEDLE_BACKBONE | setup.backbone))
        if setup.task == "Shapes":
            return VectorModel(8, 8, backbone)
        if setup.task == "MotifPartners":
            return SymbolModel(len(recall.ALPHABET), 4, backbone, stem_width=setup.stem_width)
        return SymbolModel(recall.N_SYMBOLS, recall.CONTENT, backbone, stem_width=setup.stem_width)


def train(
    setup: Setup, seed: int, *, quick: bool = False, change: Callable[[StreamModel], Any] | None = None
) -> tuple[StreamModel, list[Step]]:
    """Train a setup; its trials are seeded by ``seed + 1``, tests use seeds from 1,000 on.

    ``change`` is done to the model before it is trained.
    """
    curriculum = tuple(Stage(length, 2 if quick else steps) for length, steps in setup.curriculum)
    chosen = setup.settings | ({"core_steps": 0} if quick else {})  # there are too few steps for two stages
    settings = RecallSettings(curriculum=curriculum, seed=seed + 1, **chosen)
    model = make_model(setup, seed)
    if change is not None:
        change(model)
    task = make_task(setup.task, setup.task_arguments, train=True)
    return model, train_recall(model, task.draw, settings)


def load(setup: Setup, seed: int, file: Path) -> StreamModel:
    """A trained model from the cache."""
    model = make_model(setup, seed)
    model.load_state_dict(load_file(file))
    return model.eval()


def save(model: StreamModel, file: Path) -> None:
    """Write weights whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_suffix(".part")
    save_file({name: x.contiguous() for name, x in model.state_dict().items()}, part)
    part.replace(file)
