"""Values that say that there is none."""

from __future__ import annotations

from typing import Any


def is_missing(value: Any) -> bool:
    """Whether a value is None, NaN, NaT or the NA of pandas, which is not loaded for this."""
    if value is None or type(value).__name__ == "NAType":
        return True
    try:
        return bool(value != value)
    except ValueError:  # an array, of which each item may differ
        return False
