"""SIMULATED sequences hold what they say they hold."""

from __future__ import annotations

import numpy as np
import pytest

from titans_seq.data import simulate_motif_grammar
from titans_seq.data.simulated import FAR, FIRST, NEAR, SECOND


def is_module(text: str) -> bool:
    """Whether the motifs stand in the right order at the right distance, found without knowing where."""
    first = [i for i in range(len(text)) if text.startswith(FIRST, i)]
    second = [i for i in range(len(text)) if text.startswith(SECOND, i)]
    return any(NEAR[0] <= b - a - len(FIRST) <= NEAR[1] for a in first for b in second)


def test_the_rule_decides_the_class() -> None:
    made = simulate_motif_grammar(600, length=80, random_state=3)
    found = np.array([is_module(text) for text in made.sequences])
    np.testing.assert_array_equal(found, made.labels() == "module")


def test_every_kind_of_decoy_is_there_and_half_are_modules() -> None:
    made = simulate_motif_grammar(600, length=80, random_state=3)
    labels = made.labels()
    assert (labels == "module").sum() == 300
    decoys = [text for text, label in zip(made.sequences, labels, strict=True) if label == "decoy"]
    alone = sum((FIRST in text) != (SECOND in text) for text in decoys)
    order = sum(SECOND in text and FIRST in text and text.index(SECOND) < text.index(FIRST) for text in decoys)
    assert alone > 60 and order > 60 and len(decoys) - alone - order > 60


def test_the_seed_decides_everything() -> None:
    one, two = (simulate_motif_grammar(20, random_state=5) for _ in range(2))
    assert one.sequences.equals(two.sequences)
    assert one.labels().tolist() == two.labels().tolist()
    assert not one.sequences.equals(simulate_motif_grammar(20, random_state=6).sequences)


def test_the_shortest_length_fits_the_widest_decoy() -> None:
    least = len(FIRST) + FAR[1] + len(SECOND)
    assert set(simulate_motif_grammar(50, length=least, random_state=0).sequences.lengths) == {least}
    with pytest.raises(ValueError, match=f"length must be at least {least}"):
        simulate_motif_grammar(50, length=least - 1)
    with pytest.raises(ValueError, match="n must be at least 2, got 1"):
        simulate_motif_grammar(1)
