"""The memory on a GPU: kernel tests, speed beside titans-pytorch, attention and fla, roofline, and a forecaster.

One command on any machine with CUDA. Every part is tried; what one fails with is recorded and the next goes on. The
file is written after each part. Peers that are not installed are named as such. About ten minutes; `--parts` runs
some of them and keeps what the file holds of the others.

Run: python benchmarks/gpu.py [--parts kernel_tests layer …] [--device cpu --tiny]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

PARTS = ("kernel_tests", "layer", "long_stream", "roofline", "attention", "forecaster")
OUTPUT = Path(__file__).parent / "results" / "gpu.json"


def main() -> int:
    """Run the parts and write the file; 2 without the device."""
    options = _options()
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print("no CUDA device: this benchmark measures a GPU (--device cpu --tiny tries its code)", file=sys.stderr)
        return 2
    from _gpu.setup import Setup
    from _memory.provenance import provenance

    torch.manual_seed(0)
    setup = Setup.tiny(options.device) if options.tiny else Setup(options.device)
    output = options.output or (Path(tempfile.mkdtemp()) / "gpu.json" if options.tiny else OUTPUT)
    command = " ".join(["python", "benchmarks/gpu.py", *sys.argv[1:]])
    about = {"command": command, "seed": 0, "setup": vars(setup), "environment": provenance()}
    parts = _earlier(output)
    failed = False
    for name in options.parts:
        parts[name] = _run(name, setup) | about
        failed |= "error" in parts[name]
        _write(output, {"benchmark": "gpu", "parts": {name: parts[name] for name in PARTS if name in parts}})
        print(f"{name}: {parts[name].get('error', 'done')} ({parts[name]['wall_seconds']:.0f} s)", flush=True)
    print(summary(parts), output, sep="\n")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda", help="cpu needs --tiny")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes, into a temporary file: tries the code")
    parser.add_argument("--output", type=Path, help="the result file")
    options = parser.parse_args()
    if options.device == "cpu" and not options.tiny:
        parser.error("--device cpu needs --tiny: a CPU's figures come from benchmarks/memory.py")
    return options


def _run(name: str, setup: Any) -> dict[str, Any]:
    began = time.perf_counter()
    try:
        from _gpu.parts import PARTS as FUNCTIONS
        from _gpu.setup import error_text

        try:
            record: dict[str, Any] = {"results": FUNCTIONS[name](setup)}
        except Exception as error:  # one part's failure must not cost the others their run
            record = {"error": error_text(error), "traceback": traceback.format_exc()[-3000:]}
    except ImportError as error:
        record = {"error": f"{type(error).__name__}: {error}"}
    return record | {"wall_seconds": time.perf_counter() - began}


def _earlier(output: Path) -> dict[str, Any]:
    return json.loads(output.read_text())["parts"] if output.exists() else {}


def _write(output: Path, record: dict[str, Any]) -> None:
    """Write whole or not at all."""
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_suffix(".part")
    part.write_text(json.dumps(record, indent=2) + "\n")
    part.replace(output)


def summary(parts: dict[str, Any]) -> str:
    """One line per contender: part, case, contender, and its figures or its error."""
    lines = []
    for name, part in parts.items():
        for case, contenders in part.get("results", {}).items():
            records = contenders if isinstance(contenders, dict) else {}
            records = {"": records} if {"error", "mse"} & set(records) else records
            for contender, record in records.items():
                if isinstance(record, dict) and (text := _figures(record)):
                    lines.append(f"{name:12} {case:46} {contender:40} {text}")
    return "\n".join(lines)


def _figures(record: dict[str, Any]) -> str:
    if "error" in record:
        return str(record["error"]).splitlines()[0][:120]
    if "mse" in record:
        return f"MSE {record['mse']['combined']:.4f}, fit {record['fit_seconds']:.1f} s"
    if "milliseconds" not in record:
        return ""
    share = f", {record['fraction_of_matmul']:.1%} of matmul" if "fraction_of_matmul" in record else ""
    return f"{record['milliseconds']:.3g} ms, {record['tokens_per_second']:,.0f} tokens/s{share}"


if __name__ == "__main__":
    sys.exit(main())
