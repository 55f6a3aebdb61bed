"""What a cell of rows does: predict many rows in several processes, and look for each of them in what is gathered.

The script runs in every process: python -m torch.distributed.run … rows.py KIND ROWS FOLDER
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TINY: dict[str, Any] = {"d_model": 8, "max_epochs": 1, "random_state": 0, "verbose": 0, "device": "cpu"}
TINY_NETWORK: dict[str, Any] = TINY | {"n_members": 1, "channels": 8, "dropout": 0.0}
FITTED = 200
_ROUNDING = 1e-6


def measure(cell: Any, *, quick: bool) -> dict[str, Any]:
    """Rows that each process returned, how many of them are missing, there twice or elsewhere, and how far off."""
    from .start import start

    n = min(cell.rows, 101) if quick else cell.rows
    with tempfile.TemporaryDirectory() as scratch:
        start(cell.processes, __file__, cell.kind, str(n), scratch, folder=Path(scratch))
        read = [np.load(Path(scratch) / f"{rank}.npz") for rank in range(cell.processes)]
        alone, own, gathered = read[0]["alone"], [int(r["own"]) for r in read], [r["gathered"] for r in read]
    places = [_places(rows, alone) for rows in gathered]
    return {
        "rows": n, "rows_of_each_process": own, "gathered_by_each": [len(rows) for rows in gathered],
        "distinct": len(np.unique(np.round(alone, 5), axis=0)),
        "missing": [n - len(np.unique(p)) for p in places], "twice": [len(p) - len(np.unique(p)) for p in places],
        "out_of_order": [int((p != np.arange(len(p))).sum()) for p in places],
        "largest_difference": max(float(np.abs(rows - alone).max()) for rows in gathered),
    }  # fmt: skip


def _places(rows: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Place of each row among those of one process: that of the nearest, its own if that is as near (but rounding)."""
    flat, places = alone.reshape(len(alone), -1), []
    for i, row in enumerate(rows):
        apart = np.abs(flat - row.ravel()).max(1)
        places.append(i if i < len(apart) and apart[i] <= apart.min() + _ROUNDING else int(apart.argmin()))
    return np.array(places)


def fitted(kind: str, n: int, devices: int) -> tuple[Any, Any]:
    """Return a tiny model, and n rows to predict; series are those of `fit`."""
    from titans_seq import DNAClassifier, TitansForecaster, TitansRegressor

    rng = np.random.default_rng(0)
    if kind == "series":
        x, found = rng.uniform(0.2, 0.8, n), []
        for _ in range(60):
            x = 3.7 * x * (1 - x)
            found.append(x)
        sizes = {"context_length": 24, "patch_length": 4, "chunk_size": 4, "window_size": 4}
        model = TitansForecaster(3, learning_rate=1e-2, devices=devices, **sizes, **TINY)
        return model.fit(np.array(found).T), None
    if kind == "sequences":
        letters = np.array(list("ACGT"))
        X = ["".join(rng.choice(letters, rng.integers(20, 60))) for _ in range(n)]
        y = np.array([sequence.count("GC") > 1 for sequence in X])
        return DNAClassifier(devices=devices, **TINY_NETWORK).fit(X[:FITTED], y[:FITTED]), X
    values = rng.normal(size=(n, 12))
    return TitansRegressor(devices=devices, **TINY_NETWORK).fit(values[:FITTED], values[:FITTED, 0]), values


def predict(model: Any, rows: Any) -> np.ndarray:
    """Predict every row, with all that there is to it."""
    if rows is None:
        return np.asarray(model.predict(level=[80]))
    return model.predict_proba(rows) if hasattr(model, "predict_proba") else model.predict(rows)[:, None]


def main(kind: str, n: int, folder: Path) -> None:
    import torch.distributed as dist

    from titans_seq.training.ranks import Ranks

    processes = int(os.environ["WORLD_SIZE"])
    model, rows = fitted(kind, n, processes)
    gathered = predict(model, rows)
    rank = dist.get_rank()
    part = Ranks(rank, processes).part(n)
    alone = predict(model.set_params(devices=1), rows) if rank == 0 else np.zeros(0)
    np.savez(folder / f"{rank}.npz", gathered=gathered, own=part.stop - part.start, alone=alone)
    dist.barrier()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
