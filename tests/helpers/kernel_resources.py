"""What compiled kernels need, gathered over a test run for a table at its end (see `conftest.py`)."""

from __future__ import annotations

from typing import Any

LINES: list[str] = []


def note_resources(capability: int, variant: Any, needs: dict[str, Any]) -> None:
    """Add a line; ``*`` marks default configurations."""
    mark = "*" if variant.default else " "
    LINES.append(
        f"sm_{capability} {mark} {variant.name:95s} {needs['registers']:4d} registers"
        f"{needs['spill_bytes']:7d} B spilled {needs['shared'] / 1024:6.1f} KiB shared{needs['seconds']:6.1f} s"
    )
