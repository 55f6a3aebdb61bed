"""Sequences of lengths that `fit` did not see, of which k-mers say nothing."""

from __future__ import annotations

import warnings

import numpy as np
import torch

from titans_seq.data._calendar import Int64Array
from titans_seq.estimators._sequence_predicting import Member

MOST = 0.5
"""Share of an answer beyond which it has to be said that k-mers are missing in it."""


def warn_of_lengths(members: list[Member], lengths: Int64Array, *, subject: str = "", stacklevel: int = 4) -> None:
    """Warn of sequences of lengths (n,) that are left to networks which count less than k-mers elsewhere.

    The ``subject`` of the sentence is by default how many sequences they are.
    """
    missing = np.zeros(len(lengths))
    spans = []
    for member in members:
        kmers, share = member.model.kmers, member.choice.kmer_share
        if kmers is not None and share:
            spans.append(kmers.lengths.tolist())
            missing += share * ~kmers.fits(torch.from_numpy(lengths)).numpy() / len(members)
    rows = missing > MOST
    if rows.any():
        low, high = min(span[0] for span in spans), max(span[1] for span in spans)
        told = subject or f"{rows.sum():,} of {len(rows):,} sequences"
        warnings.warn(
            f"{told} are longer or shorter than those of fit ({low:,} to {high:,} bases): {missing.max():.0%} of an "
            "answer is due to k-mers, which say nothing of them; fit to such lengths, or ask about those of fit",
            UserWarning, stacklevel=stacklevel,
        )  # fmt: skip
