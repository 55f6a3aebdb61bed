"""Made-up DNA that holds a motif or does not."""

from __future__ import annotations

import numpy as np

from titans_seq.data import read_sequences

MOTIF = "TATAAACG"


def planted(n: int, *, seed: int = 0, length: int = 40, at: int | None = None, both: bool = False):
    """Strings of one length and whether they hold the motif, at a place or anywhere, on one strand or either."""
    rng = np.random.default_rng(seed)
    holds = rng.permutation(np.arange(n) % 2).astype(bool)
    strings = []
    for i in range(n):
        bases = rng.choice(list("ACGT"), length)
        if holds[i]:
            place = rng.integers(0, length - len(MOTIF)) if at is None else at
            bases[place : place + len(MOTIF)] = list(MOTIF)
        strings.append("".join(bases))
    if both:
        turned = read_sequences(strings).reverse_complement().to_strings()
        strings = [b if flip else a for a, b, flip in zip(strings, turned, rng.random(n) < 0.5, strict=True)]
    return strings, holds


def ragged(n: int, *, seed: int = 0):
    """Strings of several lengths, with IUPAC codes and lower case among their letters, and made-up classes."""
    rng = np.random.default_rng(seed)
    letters = list("ACGT" * 8 + "NRYSWKMBDHVacgtn")
    strings = ["".join(rng.choice(letters, rng.integers(1, 60))) for _ in range(n)]
    return strings, np.array([i % 2 for i in range(n)])
