"""Small classifiers and regressors of DNA, each fitted once; nothing that is asked of them may change them."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any, TypeVar

import numpy as np
from planted_motifs import MOTIF, planted, ragged

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.data import read_sequences
from titans_seq.estimators._sequence_predicting import Member

Model = TypeVar("Model", DNAClassifier, DNARegressor)
SMALL: dict[str, Any] = {
    "channels": 16, "d_model": 4, "n_heads": 1, "memory_expansion": 1, "n_persistent": 2, "dropout": 0.0,
    "learning_rate": 0.01, "n_members": 1, "stride": 12, "variant": "swa", "max_epochs": 8, "random_state": 0,
    "verbose": 0, "reverse_complement": False,
}  # fmt: skip
LENGTH = 40


def both_heard(model: Model) -> Model:
    """Let k-mers and network count alike: beside a network as small as these, validation may hear the k-mers only."""

    def halved(member: Member) -> Member:
        share = 0.0 if member.model.kmers is None else 0.5
        return replace(member, choice=replace(member.choice, kmer_share=share))

    model._members = [halved(member) for member in model._members]
    model.kmer_share_ = [member.choice.kmer_share for member in model._members]
    return model


@cache
def one_strand(kmers: bool = True) -> DNAClassifier:
    """Return what finds the motif anywhere on the strand it is given."""
    strings, holds = planted(400, length=LENGTH)
    return both_heard(DNAClassifier(**SMALL, kmers=kmers).fit(strings, np.where(holds, "on", "off")))


@cache
def both_strands() -> DNAClassifier:
    """Return what finds the motif on either strand, with two members that have a memory."""
    strings, holds = planted(200, length=LENGTH, both=True)
    options = SMALL | {"reverse_complement": True, "n_members": 2, "variant": "mag", "max_epochs": 6}
    return both_heard(DNAClassifier(**options).fit(strings, holds))


@cache
def three_classes(kmers: bool = True) -> DNAClassifier:
    """Return what tells three shares of G and C apart, of sequences of several lengths."""
    strings, _ = ragged(90)
    shares = [np.mean([letter in "GCS" for letter in bases.upper()]) for bases in strings]
    y = np.array(["low", "mid", "high"])[np.digitize(shares, [0.4, 0.6])]
    return both_heard(DNAClassifier(**SMALL | {"max_epochs": 3}, kmers=kmers).fit(strings, y))


@cache
def several_labels() -> DNAClassifier:
    """Return what gives each sequence two labels: the motif, and more A than T."""
    strings, holds = planted(120, length=LENGTH)
    y = np.stack((holds, [bases.count("A") > bases.count("T") for bases in strings]), 1).astype(int)
    return both_heard(DNAClassifier(**SMALL | {"max_epochs": 2}).fit(strings, y))


@cache
def regressor(n_targets: int = 1) -> DNARegressor:
    """Return what measures shares of G and C in percent, and of A."""
    strings, _ = planted(120, length=LENGTH)
    y = np.array([[100 * np.mean([b in "GC" for b in bases]), bases.count("A")] for bases in strings], dtype=float)
    return both_heard(DNARegressor(**SMALL | {"max_epochs": 3}).fit(strings, y if n_targets == 2 else y[:, 0]))


def background(length: int, seed: int = 7) -> str:
    """Return bases by chance, without the motif on either strand."""
    rng, turned = np.random.default_rng(seed), read_sequences([MOTIF]).reverse_complement()[0]
    bases = "".join(rng.choice(list("ACGT"), length))
    assert MOTIF not in bases and turned not in bases
    return bases


def holding(length: int, at: int, seed: int = 7) -> str:
    """Return bases by chance with the motif in one place."""
    bases = background(length, seed)
    return bases[:at] + MOTIF + bases[at + len(MOTIF) :]


def log_odds(p: np.ndarray) -> np.ndarray:
    """Return log p / (1 - p)."""
    return np.log(p) - np.log1p(-p)
