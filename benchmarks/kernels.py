"""What the Triton kernels need on GPUs that need not be there: registers, spills and shared memory, by compiling.

Writes results/kernels.json and results/kernels.md. Runs without a GPU; about seven minutes on one core.

Run: python benchmarks/kernels.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from _memory.provenance import provenance

from titans_seq.memory.kernels.resources import Shape, compile_resources, forward_variants
from titans_seq.memory.kernels.resources_backward import backward_variants

RESULTS = Path(__file__).parent / "results"
SHAPES = [Shape(size, 64, width) for size in (16, 32, 64) for width in (64, 256)]
CAPABILITIES = (90, 80)


def rows() -> list[dict[str, Any]]:
    """Compile every variant that autotuning can pick."""
    found = []
    for capability in CAPABILITIES:
        for variant in (*forward_variants(SHAPES), *backward_variants(SHAPES)):
            needs = compile_resources(variant, capability)
            found.append({"gpu": f"sm_{capability}", "variant": variant.name, "default": variant.default} | needs)
            print(json.dumps(found[-1]), file=sys.stderr)
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Render a table; defaults first."""
    lines = ["| GPU | default | variant | registers | spilled B | shared KiB |", "|---|---|---|---|---|---|"]
    for r in sorted(found, key=lambda r: (r["gpu"], not r["default"], r["variant"])):
        mark = "yes" if r["default"] else ""
        name = r["variant"].replace("|", ",")
        lines.append(
            f"| {r['gpu']} | {mark} | {name} | {r['registers']} | {r['spill_bytes']} | {r['shared'] / 1024:.1f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Compile, write, print."""
    found = rows()
    result = {"benchmark": "kernels", "command": "python benchmarks/kernels.py", "environment": provenance()}
    (RESULTS / "kernels.json").write_text(json.dumps(result | {"rows": found}, indent=1) + "\n")
    text = "# Kernels compiled, not run\n\n" + table(found)
    (RESULTS / "kernels.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
