"""Two processes that fit and predict together, beside one that does the same alone; torchrun starts them.

Run: python -m torch.distributed.run --nproc_per_node 2 tests/helpers/ranks_at_work.py FOLDER [NAME ...]

Each rank writes FOLDER/<name>-<rank>.npz; rank 0 also FOLDER/<name>-alone.npz, of an estimator with devices=1. Networks
are trained in double precision, but for the case in_single_precision: in single precision Adam makes much of the
rounding of gradients that are next to nothing, and a slip in how they are shared out would not stand out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from pytest import MonkeyPatch

from titans_seq import DNAClassifier, TitansForecaster, TitansRegressor
from titans_seq.adapters.sequence_network import SequenceModel
from titans_seq.adapters.series import SeriesModel
from titans_seq.estimators import _fitting, _sequence_fitting

TOGETHER: dict[str, Any] = {"devices": 2, "strategy": "ddp"}
SMALL: dict[str, Any] = {
    "horizon": 3, "context_length": 24, "patch_length": 4, "sequence_length": 48, "d_model": 8, "n_layers": 1,
    "chunk_size": 4, "window_size": 4, "n_persistent": 2, "max_epochs": 2, "learning_rate": 1e-2, "device": "cpu",
    "random_state": 0, "verbose": 0,
}  # fmt: skip
SMALL_DNA: dict[str, Any] = {
    "max_epochs": 2, "n_members": 1, "channels": 8, "d_model": 8, "chunk_size": 4, "dropout": 0.0, "device": "cpu",
    "random_state": 0, "verbose": 0,
}  # fmt: skip
Found = dict[str, Any]


def chaos(n: int, rows: int) -> np.ndarray:
    """Series of the logistic map: the next value is no linear function of the ones before, so the network matters."""
    x, found = np.random.default_rng(0).uniform(0.2, 0.8, n), []
    for _ in range(rows):
        x = 3.7 * x * (1 - x)
        found.append(x)
    return np.array(found).T


def history(entries: list[dict[str, Any]]) -> np.ndarray:
    return np.array([[entry["validation_loss"], entry["train_loss"] or 0.0] for entry in entries])


def weights_of(model: torch.nn.Module) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in model.parameters()])


def forecasts(how: Found, **options: Any) -> Found:
    data = chaos(7, 300)
    model = TitansForecaster(**SMALL | options | how).fit(data)
    test = model.backtest(data, first_cutoff=270, stride=4)
    return {
        "predicted": model.predict(level=[80]),
        "elsewhere": model.predict(data[:5, :200]),
        "beyond": model.predict(horizon=8, level=[80]),
        "backtest": test.point,
        "history": history(model.history_),
        "weights": weights_of(model._model),
    }


def many_series(how: Found) -> Found:
    model = TitansForecaster(**SMALL | {"max_epochs": 1} | how).fit(chaos(1001, 60))
    return {
        "predicted": model.predict(),
        "elsewhere": model.predict(chaos(1001, 61)[:, 1:]),
        "one": model.predict(chaos(1, 60)),  # one of the ranks has nothing to do
        "network_weight": model.network_weight_,
    }


def many_sequences(how: Found) -> Found:
    letters, rng = np.array(list("ACGT")), np.random.default_rng(0)
    sequences = ["".join(rng.choice(letters, rng.integers(20, 40))) for _ in range(1001)]
    labels = np.array([sequence.count("GC") > 1 for sequence in sequences])
    options = {"batch_size": 31, "reverse_complement": "auto"}
    model = DNAClassifier(**SMALL_DNA | options | how).fit(sequences[:150], labels[:150])
    return {
        "predicted": model.predict_proba(sequences),
        "one": model.predict_proba(sequences[:1]),
        "history": history(model.history_[0]),
        "weights": weights_of(model._members[0].model),
    }


def many_arrays(how: Found) -> Found:
    values = np.random.default_rng(0).normal(size=(1001, 12))
    # 65 rows train in batches of 16: the last of an epoch has one row, and nothing for the other rank.
    model = TitansRegressor(**SMALL_DNA | {"validation_fraction": 0.0, "batch_size": 16} | how)
    model.fit(values[:65], values[:65, 0])
    return {"predicted": model.predict(values), "weights": weights_of(model._members[0].model)}


@contextmanager
def in_double(wanted: bool) -> Iterator[None]:
    """Let estimators make their networks in double precision."""
    with MonkeyPatch.context() as patch:
        if wanted:
            for place, kind in ((_fitting, SeriesModel), (_sequence_fitting, SequenceModel)):
                patch.setattr(place, kind.__name__, lambda *args, kind=kind, **options: kind(*args, **options).double())
        yield


CASES: dict[str, Callable[[Found], Found]] = {
    "in_single_precision": lambda how: forecasts(how, batch_size=7, learning_rate=1e-3),
    "odd_batches": lambda how: forecasts(how, batch_size=7),
    "an_empty_rank": lambda how: forecasts(how, batch_size=1, carry_state=False),
    "carried_streams": lambda how: forecasts(how, batch_size=5, training_mode="contiguous"),
    "spread_weights": lambda how: forecasts(how | ({"strategy": "fsdp"} if how else {}), batch_size=6),
    "many_series": many_series,
    "many_sequences": many_sequences,
    "many_arrays": many_arrays,
}


def main(folder: Path, names: list[str]) -> None:
    for name in names or CASES:
        with in_double(name != "in_single_precision"):
            found = CASES[name](TOGETHER)
            np.savez(folder / f"{name}-{dist.get_rank()}.npz", **found)
            if dist.get_rank() == 0:
                np.savez(folder / f"{name}-alone.npz", **CASES[name]({}))
    dist.barrier()


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), sys.argv[2:])
