"""What the cells do."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from titans_seq import DNAClassifier, DNALanguageModel, DNARegressor
from titans_seq.data import Sequences, read_sequences

from .cells import FITTING, LABELS, PRETRAINING, TASKS, Cell

Result = dict[str, Any]


def pretrained(cell: Cell, cache: Path, *, quick: bool) -> Result:
    """Learn the next base of a stretch of a genome, and keep the model."""
    task = TASKS[cell.task]
    found = read_sequences(_file("genomes", task.genome), soft_mask="fold")
    part = Sequences.of({found.ids[0]: found[0][: 3_000 if quick else task.bases]})
    cpu = time.process_time()
    model = DNALanguageModel(**PRETRAINING | ({"max_epochs": 1} if quick else {})).fit(part)
    model.save(_kept(cell, cache))
    return {
        "bases": int(part.lengths.sum()), "validation_bits": model.validation_bits_, "history": model.history_,
        "n_parameters": model.n_parameters_, "fit_cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def fitted(cell: Cell, cache: Path, *, quick: bool) -> Result:
    """Fit on a few training rows, the same from either start, and score all test rows once."""
    task = TASKS[cell.task]
    table = pd.read_csv(_file("labelled", f"{task.labelled}.csv.gz"), keep_default_na=False)
    train, test = table[table.split == "train"], table[table.split == "test"]
    rows = np.random.default_rng(cell.seed).permutation(len(train))[: 30 if quick else LABELS]
    train, test = train.iloc[rows], test.iloc[: 40 if quick else None]
    kind = DNAClassifier if task.column == "label" else DNARegressor
    options = FITTING | ({"max_epochs": 1} if quick else {})
    cpu = time.process_time()
    model = kind(**options, random_state=cell.seed, verbose=0)
    init = _kept(cell, cache) if cell.start == "language" else None
    model.fit(list(train.sequence), train[task.column].to_numpy(), init=init)
    fit_seconds, cpu = time.process_time() - cpu, time.process_time()
    found = _scores(model, list(test.sequence), test[task.column].to_numpy())
    return found | {
        "labels": len(train), "test_rows": len(test), "n_parameters": model.n_parameters_,
        "both_strands": model.both_strands_, "validation_score": model.validation_score_,
        "epochs": model.n_iter_, "fit_cpu_seconds": fit_seconds, "predict_cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def _scores(model: DNAClassifier | DNARegressor, sequences: list[str], y: np.ndarray) -> Result:
    if isinstance(model, DNARegressor):
        predicted = model.predict(sequences)
        ranks = [pd.Series(x).rank().to_numpy() for x in (predicted, y)]
        return {"pearson": np.corrcoef(predicted, y)[0, 1], "spearman": np.corrcoef(*ranks)[0, 1]}
    p = model.predict_proba(sequences)
    told = model.classes_[p.argmax(1)]
    return {
        "accuracy": float((told == y).mean()),
        "mcc": matthews_corrcoef(y, told),
        "auroc": roc_auc_score(y == model.classes_[1], p[:, 1]),
    }


def _kept(cell: Cell, cache: Path) -> Path:
    return cache / cell.task


def _file(folder: str, name: str) -> Path:
    root = os.environ.get("TITANS_SEQ_DATA")
    if root is None:
        raise FileNotFoundError(f"TITANS_SEQ_DATA is not set; it names the folder that holds dna/{folder}/{name}")
    return Path(root) / "dna" / folder / name
