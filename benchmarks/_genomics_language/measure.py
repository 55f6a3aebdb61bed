"""What the cells do."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np

from titans_seq import DNALanguageModel
from titans_seq.data import Sequences, read_sequences
from titans_seq.evaluation.markov import SMOOTHING, MarkovMixture, MarkovModel, bits_per_base

from .cells import CONTROLS, E_COLI, ORDERS, TASKS, Cell

Result = dict[str, Any]
LENGTHS = (500_000, 4_897_452)


def orders(cell: Cell, *, quick: bool) -> Result:
    """Bits per base of each order: static and adaptive, at every smoothing and at the one chosen in training."""
    train, test = bases(cell, quick)
    found = {str(order): _order(order, train, test) for order in ORDERS[:: 6 if quick else 1]}
    return _sizes(train, test) | {"orders": found}


def _order(order: int, train: Sequences, test: Sequences) -> Result:
    cpu = time.process_time()
    model = MarkovModel(order).fit(train)
    found: Result = {"chosen_smoothing": model.smoothing_}
    for name, adaptive in (("static", False), ("adaptive", True)):
        each = [bits_per_base(bits) for bits in model.bits_at(test, SMOOTHING, adaptive=adaptive)]
        found[name] = {f"{a:g}": bits for a, bits in zip(SMOOTHING, each, strict=True)}
        found[f"{name}_chosen"] = each[SMOOTHING.index(model.smoothing_)]
        found[f"{name}_best"] = min(each)
    return found | {"cpu_seconds": time.process_time() - cpu}


def mixture(cell: Cell, *, quick: bool) -> Result:
    """Bits per base of the mixture of Markov models."""
    train, test = bases(cell, quick)
    model = MarkovMixture().fit(train)
    found = _sizes(train, test) | {"orders": list(model.orders), "decay": model.decay}
    for name, adaptive in (("static", False), ("adaptive", True)):
        cpu = time.process_time()
        found[name] = bits_per_base(model.bits(test, adaptive=adaptive))
        found[f"{name}_cpu_seconds"] = time.process_time() - cpu
    return found


def model(cell: Cell, *, quick: bool) -> Result:
    """Bits per base of a trained model, its memory learning, frozen and off, its counts learning and not."""
    train, test = bases(cell, quick)
    cpu = time.process_time()
    fitted = _fit(cell, train, quick)
    found = _sizes(train, test) | _about(fitted) | {"fit_cpu_seconds": time.process_time() - cpu}
    for memory in ("learning", "frozen", "off"):
        if memory != "learning" and cell.model == "swa":
            continue
        cpu = time.process_time()
        found[memory] = fitted.bits_per_base(test, memory=memory)
        found[f"{memory}_cpu_seconds"] = time.process_time() - cpu
    found["static_counts"] = fitted.bits_per_base(test, counts="frozen")
    return found


def length(cell: Cell, *, quick: bool) -> Result:
    """Seconds and peak memory of the surprise of half a million bases, and of a whole bacterial genome after it."""
    train, _ = bases(cell, quick)
    fitted = _fit(cell, train, True)
    genome = _read((E_COLI, 0, None), False)
    found: Result = {"megabytes_before": _peak()}
    for n in LENGTHS if not quick else (2_000, 4_000):
        cpu = time.process_time()
        (bits,) = fitted.surprise(Sequences.of({"part": genome[0][:n]}))
        found[str(n)] = {
            "bits_per_base": float(np.nanmean(bits)), "cpu_seconds": time.process_time() - cpu,
            "peak_megabytes": _peak(),
        }  # fmt: skip
    return found


def _fit(cell: Cell, train: Sequences, quick: bool) -> DNALanguageModel:
    shorter = {"max_epochs": 1} if quick else {}
    return DNALanguageModel(**CONTROLS[cell.model], random_state=cell.seed, **shorter).fit(train)


def _about(fitted: DNALanguageModel) -> Result:
    return {
        "n_parameters": fitted.n_parameters_, "history": fitted.history_, "best_epoch": fitted.best_epoch_,
        "validation_bits": fitted.validation_bits_, "settings": fitted.get_params(),
    }  # fmt: skip


def bases(cell: Cell, quick: bool) -> tuple[Sequences, Sequences]:
    """Bases to learn from and to predict; the beginnings of them if it has to be quick."""
    task = TASKS[cell.task]
    return _read(task.train, quick), _read(task.test, quick)


def _read(part: tuple[str, int, int | None], quick: bool) -> Sequences:
    name, start, stop = part
    root = os.environ.get("TITANS_SEQ_DATA")
    if root is None:
        raise FileNotFoundError(f"TITANS_SEQ_DATA is not set; it names the folder that holds dna/genomes/{name}")
    found = read_sequences(Path(root) / "dna" / "genomes" / name, soft_mask="fold")
    stop = start + 3_000 if quick else stop
    return Sequences.of({f"{found.ids[0]}:{start}": found[0][start:stop]})


def _sizes(train: Sequences, test: Sequences) -> Result:
    return {"train_bases": int(train.lengths.sum()), "test_bases": int(test.lengths.sum())}


def _peak() -> float:
    """Most memory ever resident in this process, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
