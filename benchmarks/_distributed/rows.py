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
        "missing": [n - len(np.unique(p)) for p in places], "twice": [len(p) - len(np.unique(p)) for p in places],
        "out_of_order": [int((p != np.arange(len(p))).sum()) for p in places],
        "largest_difference": max(float(np.abs(rows - alone).max()) for rows in gathered),
    }  # fmt: skip


def _places(rows: np.ndarray, alone: np.ndarray) -> np.ndarray:
    """Place of each row among those of one process: that of the nearest."""
    flat = alone.reshape(len(alone), -1)
    return np.array([int(np.abs(flat - row.ravel()).max(1).argmin()) for row in rows])


def predict(kind: str, n: int, devices: int) -> np.ndarray:
    """Fit a tiny model and predict n rows."""
    from titans_seq import DNAClassifier, TitansForecaster, TitansRegressor

    rng = np.random.default_rng(0)
    if kind == "series":
        x, found = rng.uniform(0.2, 0.8, n), []
        for _ in range(60):
            x = 3.7 * x * (1 - x)
            found.append(x)
        sizes = {"context_length": 24, "patch_length": 4, "chunk_size": 4, "window_size": 4}
        model = TitansForecaster(3, learning_rate=1e-2, devices=devices, **sizes, **TINY)
        return np.asarray(model.fit(np.array(found).T).predict(level=[80]))
    if kind == "sequences":
        letters = np.array(list("ACGT"))
        X = ["".join(rng.choice(letters, rng.integers(20, 60))) for _ in range(n)]
        y = np.array([sequence.count("GC") > 1 for sequence in X])
        return DNAClassifier(devices=devices, **TINY_NETWORK).fit(X[:FITTED], y[:FITTED]).predict_proba(X)
    values = rng.normal(size=(n, 12))
    model = TitansRegressor(devices=devices, **TINY_NETWORK)
    return model.fit(values[:FITTED], values[:FITTED, 0]).predict(values)[:, None]


def main(kind: str, n: int, folder: Path) -> None:
    import torch.distributed as dist

    from titans_seq.training.ranks import Ranks

    processes = int(os.environ["WORLD_SIZE"])
    gathered = predict(kind, n, processes)
    rank = dist.get_rank()
    part = Ranks(rank, processes).part(n)
    alone = predict(kind, n, 1) if rank == 0 else np.zeros(0)
    np.savez(folder / f"{rank}.npz", gathered=gathered, own=part.stop - part.start, alone=alone)
    dist.barrier()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
