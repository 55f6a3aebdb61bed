"""SIMULATED sequences whose rule is known: what a model must find is what was planted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from titans_seq.data.sequences._names import Names
from titans_seq.data.sequences._ragged import offsets_of
from titans_seq.data.sequences._texts import encode_texts
from titans_seq.data.sequences.labelled import LABEL, LabelledSequences
from titans_seq.data.sequences.sequences import Sequences

FIRST, SECOND = "TGACTCAT", "CACGTTGG"
NEAR, FAR = (4, 12), (20, 40)
"""Bases between the two motifs: where they act together, and where they do not."""

CLASSES = ("decoy", "module")
DECOYS = ("order", "distance", "alone")
"""What is wrong with a decoy."""


def simulate_motif_grammar(
    n: int = 1500, *, length: int = 100, random_state: int | np.random.Generator | None = None
) -> LabelledSequences:
    """Return SIMULATED sequences in which order and distance of two motifs decide the class.

    Sequences are random bases (A, C, G and T alike) with motifs anywhere. In a "module", half of all, TGACTCAT stands
    before CACGTTGG with 4 to 12 bases between them. A "decoy" has both in the wrong order at such a distance, or in the
    right order with 20 to 40 bases between them, or one of the two alone: a third of the decoys each. So counts of
    words say no more than whether both motifs are there, and which base stands at which place says next to nothing.

    Parameters
    ----------
    n : int, default 1500
        Sequences, at least 2.
    length : int, default 100
        Bases of each, at least 56: both motifs and the largest distance.
    random_state : int, Generator or None, default None

    Returns
    -------
    LabelledSequences
        With the column `label`, and ids "simulated_0", "simulated_1", ...

    Raises
    ------
    ValueError
        Too few sequences, or bases.

    Examples
    --------
    >>> made = simulate_motif_grammar(4, random_state=0)
    >>> made.sequences.lengths.tolist(), sorted(made.labels().tolist())
    ([100, 100, 100, 100], ['decoy', 'decoy', 'module', 'module'])
    """
    least = len(FIRST) + FAR[1] + len(SECOND)
    if n < 2:
        raise ValueError(f"n must be at least 2, got {n}")
    if length < least:
        raise ValueError(f"length must be at least {least}, to hold two motifs and what is between them; got {length}")
    random = np.random.default_rng(random_state)
    labels = np.array(CLASSES)[random.permutation(np.arange(n) % 2)]
    texts = [_sequence(label == "module", length, random) for label in labels]
    codes, lengths = encode_texts(texts, lambda i: f"sequence {i}")
    sequences = Sequences(codes, offsets_of(lengths), Names.of(f"simulated_{i}" for i in range(n)))
    return LabelledSequences(sequences, {LABEL: labels}, lambda i: f"simulated sequence {i}", "the simulated set")


def _sequence(module: bool, length: int, random: np.random.Generator) -> str:
    kind = "module" if module else str(random.choice(DECOYS))
    one, two = (SECOND, FIRST) if kind == "order" else (FIRST, SECOND)
    low, high = FAR if kind == "distance" else NEAR
    between = int(random.integers(low, high + 1))
    width = len(one) + between + len(two)
    start = int(random.integers(0, length - width + 1))
    kept = random.permutation([True, False]) if kind == "alone" else np.array([True, True])
    bases = _bases(length, random)
    for motif, place, planted in zip((one, two), (start, start + width - len(two)), kept, strict=True):
        if planted:
            bases[place : place + len(motif)] = list(motif)
    return "".join(bases)


def _bases(length: int, random: np.random.Generator) -> NDArray[np.str_]:
    return random.choice(np.array(list("ACGT")), length)
