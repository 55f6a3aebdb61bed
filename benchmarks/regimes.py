"""Does the carried memory do anything? Series whose regimes come back after thousands of steps.

Each series has its own 8 regimes, each a random waveform of 256 steps; they are visited in random order, each
once per round of 2,048 steps. What a regime looks like can't be known from its first visit, nor from the last
few hundred steps on a later one: it has to be remembered. Models are fitted on some series and judged on others,
from one pass over each with the state carried, on the rounds after the third.

Run: python benchmarks/regimes.py [--epochs N] [--seed S] [--variants mag swa]
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from titans_seq import TitansForecaster, __version__

REGIMES, LENGTH, PATCH, NOISE = 8, 256, 64, 0.1
ROUND = REGIMES * LENGTH


def regime_switching(n_series: int, rounds: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Series (n_series, rounds × 2,048) of recurring waveforms, unit variance, with a little noise."""
    kernel = np.exp(-0.5 * (np.arange(-12, 13) / 4.0) ** 2)
    kernel /= np.sqrt((kernel**2).sum())
    out = []
    for _ in range(n_series):
        white = rng.normal(size=(REGIMES, LENGTH + len(kernel) - 1))
        waves = np.stack([np.convolve(w, kernel, mode="valid") for w in white])
        order = np.concatenate([rng.permutation(REGIMES) for _ in range(rounds)])
        out.append(waves[order].ravel())
    series = np.stack(out)
    return series + NOISE * rng.normal(size=series.shape)


def run(variant: str, epochs: int, seed: int, d_model: int = 64) -> dict[str, float]:
    """Fit on 64 series, forecast 16 others; mean squared errors on the rounds after the third."""
    rng = np.random.default_rng(seed)
    train, test = regime_switching(64, 8, rng), regime_switching(16, 10, rng)
    forecaster = TitansForecaster(
        horizon=PATCH,
        context_length=2 * PATCH,
        patch_length=PATCH,
        sequence_length=5 * ROUND,
        variant=variant,
        error_memory=False,  # what is compared is the network's memory
        d_model=d_model,
        n_heads=1,
        memory_expansion=4,
        window_size=8,
        batch_size=8,
        max_epochs=epochs,
        learning_rate=3e-3,
        early_stopping_patience=epochs,
        random_state=seed,
        verbose=0,
    )
    began = time.monotonic()
    forecaster.fit(train)
    for entry in forecaster.history_:
        print({k: v if v is None else round(v, 4) for k, v in entry.items()}, flush=True)
    result = forecaster.backtest(test, first_cutoff=3 * ROUND, mode="streaming", stride=PATCH, components=True)
    errors = {name: float(((x - result.actual) ** 2).mean()) for name, x in result.components.items()}
    return errors | {
        "seconds": time.monotonic() - began,
        "n_parameters": forecaster.n_parameters_,
        "windows": result.n_windows,
    }


def main() -> None:
    """Run every variant and write a result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=8, help="epochs of 200 steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", nargs="+", default=["mag", "mal", "swa"])
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results" / "regimes.json")
    options = parser.parse_args()
    results = {}
    for variant in options.variants:
        results[variant] = run(variant, options.epochs, options.seed)
        print(variant, {k: round(v, 4) for k, v in results[variant].items()}, flush=True)
    record = {
        "benchmark": "regimes", "version": __version__, "torch": torch.__version__, "threads": torch.get_num_threads(),
        "seed": options.seed, "epochs": options.epochs, "results": results,
    }  # fmt: skip
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
