"""Whole genomes of SARS-CoV-2 told apart by one base: D614G, which is A23403G of the reference."""

from __future__ import annotations

import re
import time
from typing import Any

import numpy as np

from titans_seq import DNAClassifier
from titans_seq.data import Sequences, read_labelled
from titans_seq.evaluation.label_scores import class_scores

from .cells import Cell
from .sets import NEEDLE, path_of

CLASSES = ("D614", "G614")
TRAIN, TEST = 329, 88
SITE, LINKED = 23403, (241, 3037, 14408)
"""Places in the reference NC_045512.2, from 1; the linked ones changed in the same lineage."""
AROUND = re.compile("TATCAGG[AG]TGTTAACTG")
"""Bases about the site, which is the eighth of them."""
REGION, ATTRIBUTED = 500, 3

Result = dict[str, Any]


def measure(cell: Cell, *, quick: bool) -> Result:
    """Accuracy on whole genomes, and which base counts most in some of them."""
    train, y, test, asked = load(quick)
    cpu = [time.process_time()]
    model = DNAClassifier(random_state=cell.seed, device="cpu", verbose=0, **({"max_epochs": 0} if quick else {}))
    model.fit(train, y)
    cpu.append(time.process_time())
    said = model.predict_proba(test)
    cpu.append(time.process_time())
    texts = whole(test, asked, 1)[:1] if quick else whole(test, asked, ATTRIBUTED)
    return {
        "n_train": len(y), "n_test": len(asked), "scores": class_scores(asked, said, list(CLASSES)),
        "kmer_share": model.kmer_share_, "attributions": [attributed(model, text) for text in texts],
        "mutagenesis": None if quick else mutated(model, whole(test, asked, 1)[-1]),
        "fit_cpu_seconds": cpu[1] - cpu[0], "predict_cpu_seconds": cpu[2] - cpu[1],
    }  # fmt: skip


def load(quick: bool) -> tuple[Sequences, Any, Sequences, Any]:
    """Train and test genomes and their classes; those of unknown class are left out."""
    found = read_labelled(path_of(NEEDLE))
    labels, split = found.labels("spike614"), found.column("split")
    parts: list[Any] = []
    for part, expected in (("train", TRAIN), ("test", TEST)):
        rows = np.flatnonzero(np.isin(labels, CLASSES) & (split == part))
        assert len(rows) == expected, f"{NEEDLE} has {len(rows)} {part} genomes, expected {expected}"
        rows = rows[:90] if quick else rows
        parts += [found.sequences.take(rows), labels[rows]]
    return parts[0], parts[1], parts[2], parts[3]


def whole(test: Sequences, labels: Any, n: int) -> list[str]:
    """Return the first genomes of either class whose bases about the site are known."""
    texts = [test[i].upper() for i in range(len(test))]
    known = [AROUND.search(text) is not None for text in texts]
    return [texts[i] for kind in CLASSES for i in np.flatnonzero((labels == kind) & known)[:n]]


def site_of(text: str) -> int:
    """Return where the site is, from 0."""
    found = AROUND.search(text)
    assert found is not None
    return found.start() + 7


def attributed(model: DNAClassifier, text: str) -> Result:
    """Rank the bases of a genome by what integrated gradients say, and name the first if it is one of the sites."""
    cpu = time.process_time()
    found = model.integrated_gradients(text)
    top = int(np.argmax(np.abs(found.attributions)))
    place = top - site_of(text) + SITE  # in the reference, if nothing is inserted or deleted between
    return {
        "first": place, "is_site": place == SITE, "is_linked": place in LINKED,
        "completeness_gap": found.completeness_gap,
        "change": found.score - found.baseline_score, "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip


def mutated(model: DNAClassifier, text: str) -> Result:
    """Change every base about the site, and say which matters most."""
    cpu, site = time.process_time(), site_of(text)
    found = model.mutagenesis(text, region=(site - REGION, site + REGION))
    largest = np.abs(found.effects).max(1)
    first = int(np.argmax(largest))
    others = np.delete(largest, first)
    return {
        "first": first - REGION + SITE, "effect": float(largest[first]), "next_effect": float(others.max()),
        "cpu_seconds": time.process_time() - cpu,
    }  # fmt: skip
