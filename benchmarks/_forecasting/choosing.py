"""What a look-back is chosen by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Errors = dict[str, list[float]]
"""Mean squared errors on blocks of validation rows, by look-back."""


def longest_as_good(every: Sequence[Errors]) -> str:
    """Choose by the errors in blocks of validation rows, of each look-back, at each horizon."""
    common = [length for length in every[0] if all(length in found for found in every)]
    summed = {length: np.sum([found[length] for found in every], axis=0) for length in common}
    best = min(common, key=lambda length: float(summed[length].mean()))
    worse = {length: found - summed[best] for length, found in summed.items()}
    as_good = [length for length, d in worse.items() if d.mean() <= d.std(ddof=1) / np.sqrt(len(d))]
    return max(as_good, key=int)
