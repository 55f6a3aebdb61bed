"""ETTh1, 96 hours ahead, windowed protocol: every shipped variant over seeds, against the ridge beneath it.

A cell is one `titans-seq run` command and one JSON file; finished cells are skipped, and the table renders what
there is. Needs ETTh1 (see datasets/ETTh1.yaml).

Run: python benchmarks/etth1.py [--variants mag mal] [--seeds 0 1 2] [--table]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "etth1"
VARIANTS = ("mag", "mal", "mac", "lmm")


def cell_file(variant: str, seed: int) -> Path:
    return RESULTS / f"{variant}_seed{seed}.json"


def run_cell(variant: str, seed: int) -> None:
    """Run one cell, unless its run folder is there already, and keep its scores and environment."""
    folder = Path("runs") / f"etth1_{variant}_96_seed{seed}"
    if not folder.exists():
        recipe = ["run", f"etth1_{variant}_96", "--set", f"train.random_state={seed}", "--output-dir", str(folder)]
        subprocess.run([sys.executable, "-m", "titans_seq.cli", *recipe], check=True)
    read = {name: json.loads((folder / f"{name}.json").read_text()) for name in ("metrics", "environment")}
    RESULTS.mkdir(parents=True, exist_ok=True)
    cell_file(variant, seed).write_text(json.dumps(read, indent=2) + "\n")


def table() -> str:
    """Render the cells that exist; a gap is shown as a gap."""
    lines = [
        "| variant | seeds | test MSE | MAE | memory zeroed, MSE | ridge, MSE | parameters | fit, s |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for variant in VARIANTS:
        cells = [json.loads(file.read_text())["metrics"] for file in sorted(RESULTS.glob(f"{variant}_seed*.json"))]
        if not cells:
            lines.append(f"| {variant} | 0 | not run | | | | | |")
            continue
        scores = [cell["model"]["mse"] for cell in cells]
        spread = f" ± {statistics.stdev(scores):.4f}" if len(scores) > 1 else ""
        lines.append(
            f"| {variant} | {len(cells)} | {statistics.mean(scores):.4f}{spread} | {_mean(cells, 'model', 'mae')} | "
            f"{_mean(cells, 'parts', 'memory_zeroed', 'mse')} | {_mean(cells, 'baselines', 'ridge', 'mse')} | "
            f"{cells[0]['n_parameters']:,} | {statistics.median(c['seconds']['fit'] for c in cells):.0f} |"
        )
    return "\n".join(lines)


def _mean(cells: list[dict[str, Any]], *path: str) -> str:
    def pick(cell: Any) -> float:
        for key in path:
            cell = cell[key]
        return float(cell)

    return f"{statistics.mean(map(pick, cells)):.4f}"


def main() -> None:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--table", action="store_true", help="only print the table")
    options = parser.parse_args()
    for seed in [] if options.table else options.seeds:
        for variant in options.variants:
            if not cell_file(variant, seed).exists():
                run_cell(variant, seed)
    print(table())


if __name__ == "__main__":
    main()
