"""Bases that are left out of training: one by one and in runs, never of the padding."""

from __future__ import annotations

import numpy as np
import torch

from titans_seq.adapters.dna import DNAExamples
from titans_seq.data import read_sequences
from titans_seq.data.sequences.alphabet import LETTERS, UNKNOWN
from titans_seq.training.examples import ExampleLoader, Labelled, Loading


def batches(lengths: list[int], loading: Loading, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Codes and lengths of the batches of one epoch of sequences that are all A."""
    examples = DNAExamples(read_sequences(["A" * n for n in lengths]))
    labelled = Labelled(examples, np.zeros(len(lengths)), np.ones(len(lengths)))
    loader = ExampleLoader(labelled, np.arange(len(lengths)), loading, seed)
    return [(one.batch.codes, one.batch.lengths) for one in loader]


def test_runs_are_single_no_longer_than_a_quarter_and_anywhere_alike() -> None:
    ((codes, _),) = batches([40] * 4000, Loading(4000, 10**6, 10**6, unknown_runs=0.5))
    unknown = (codes == UNKNOWN).numpy()
    edges = np.diff(np.pad(unknown, ((0, 0), (1, 1))).astype(int), axis=1)
    assert ((edges == 1).sum(1) <= 1).all()
    assert unknown.sum(1).max() == 10
    assert 0.45 < unknown.any(1).mean() < 0.55
    share = unknown.mean(0)
    assert share.max() < 1.35 * share.min()


def test_padding_and_short_sequences_are_left_alone() -> None:
    for codes, lengths in batches(list(range(1, 60)), Loading(59, 10**6, 10**6, unknown_runs=1.0, unknown_bases=0.3)):
        outside = torch.arange(codes.shape[1]) >= lengths[:, None]
        assert (codes[outside] == len(LETTERS)).all()
        assert (codes[~outside] != len(LETTERS)).all()
    ((codes, _),) = batches([40] * 10, Loading(10, 10**6, 10**6))
    assert (codes == 0).all()


def test_a_copy_of_a_loader_draws_what_it_would_have_drawn() -> None:
    examples = DNAExamples(read_sequences(["ACGT" * 10] * 30))
    loader = ExampleLoader(
        Labelled(examples, np.zeros(30), np.ones(30)), np.arange(30), Loading(8, 10**6, 10**6, True, 0.1, 0.3), 0
    )
    list(loader)
    other = loader.fork()
    for one, same in zip(loader, other, strict=True):
        assert torch.equal(one.batch.codes, same.batch.codes)
