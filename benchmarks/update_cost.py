"""Does the cost of `update` grow with the history? Ten new rows after 1,000 to 100,000.

Run: python benchmarks/update_cost.py
"""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

import numpy as np
import torch

from titans_seq import TitansForecaster, __version__

LENGTHS = (1_000, 10_000, 100_000)
REPEATS = 15


def main() -> None:
    """Interleave the lengths, so that the machine's moods meet all alike, and write medians."""
    rng = np.random.default_rng(0)
    y = np.sin(np.arange(max(LENGTHS)) / 5) + 0.3 * rng.normal(size=max(LENGTHS))
    forecasters = {}
    for n in LENGTHS:
        forecaster = TitansForecaster(horizon=24, max_epochs=1, random_state=0, verbose=0)
        forecaster.fit(y[: LENGTHS[0]])
        # The network must take part, or there would be nothing to measure.
        forecaster._combination = type(forecaster._combination)(0.5, True, forecaster._combination.offsets)
        forecaster._read_into_stream(
            forecaster._known(forecaster._read(y[:n], forecaster.frequency_)[0]), forecaster._reader.start(1)
        )
        forecasters[n] = forecaster
    seconds: dict[int, list[float]] = {n: [] for n in LENGTHS}
    for _ in range(REPEATS):
        for n, forecaster in forecasters.items():
            began = time.perf_counter()
            forecaster.update(rng.normal(size=10)).predict()
            seconds[n].append(time.perf_counter() - began)
    medians = {n: round(1000 * statistics.median(s), 2) for n, s in seconds.items()}
    print("rows of history  ms for update(10 rows) + predict")
    for n, ms in medians.items():
        print(f"{n:15,}  {ms}")
    record = {
        "benchmark": "update_cost",
        "version": __version__,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "repeats": REPEATS,
        "milliseconds": medians,
    }
    output = Path(__file__).parent / "results" / "update_cost.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
