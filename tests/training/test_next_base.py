"""Training of next-base models: it learns, keeps the best epoch, keeps its time, and repeats itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.adapters.next_base import EvidenceReader, NextBaseModel
from titans_seq.nn import Backbone
from titans_seq.training.next_base import BaseStream, NextBaseResult, bits_of_streams, train_next_base

ORDERS = (1, 3)


def stream(n: int, seed: int, unknown: bool = False) -> BaseStream:
    """Bases of which most are the complement of the one five before, which contexts of 1 and 3 bases don't show."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, n).astype(np.uint8)
    for t in np.flatnonzero(random.random(n) < 0.8):
        codes[t] = 3 - codes[t - 5] if t >= 5 else codes[t]
    if unknown:
        codes[n // 2 :: 7] = 4
    return BaseStream(codes, EvidenceReader([BaseCounts(k) for k in ORDERS], 8).read(codes))


def model() -> NextBaseModel:
    torch.manual_seed(0)
    return NextBaseModel(len(ORDERS), Backbone(d_model=16, n_layers=1, chunk_size=8, window_size=8), width=8)


OPTIONS = {
    "batch_size": 4, "piece_length": 32, "learning_rate": 5e-3, "max_epochs": 3, "max_seconds": None,
    "patience": 3, "seed": 0,
}  # fmt: skip


def trained(network: NextBaseModel, **options: object) -> NextBaseResult:
    held_out = [stream(300, 9), stream(200, 10, unknown=True)]
    streams = [stream(900, 1), stream(700, 2, unknown=True)]
    given = OPTIONS | {"validate": lambda: bits_of_streams(network, held_out)} | options
    return train_next_base(network, streams, **given)


def test_it_learns_what_counts_do_not_see() -> None:
    result = trained(model(), max_epochs=8, learning_rate=1e-2)
    first, best = result.history[0]["validation_bits"], result.best_validation
    assert first > 1.9
    assert best < 0.8 * first


def test_the_best_epoch_is_kept_and_training_stops_after_it() -> None:
    network, told = model(), iter([2.0, 1.0, 1.5, 1.6, 1.7])
    kept = []

    def validate() -> float:
        kept.append({name: x.clone() for name, x in network.state_dict().items()})
        return next(told)

    result = trained(network, validate=validate, max_epochs=9, patience=2)
    assert (result.best_epoch, result.best_validation, result.stopped_by) == (1, 1.0, "early_stopping")
    assert len(result.history) == 4
    assert all(torch.equal(x, kept[1][name]) for name, x in network.state_dict().items())


def test_it_stops_when_the_time_is_up() -> None:
    result = trained(model(), max_seconds=0.0, max_epochs=1000)
    assert result.stopped_by == "max_minutes"
    assert len(result.history) <= 2


def test_the_same_seed_gives_the_same_weights_and_leaves_global_generators_alone() -> None:
    before = torch.random.get_rng_state()
    one, two, other = model(), model(), model()
    torch.random.set_rng_state(before)
    for network, seed in ((one, 0), (two, 0), (other, 1)):
        trained(network, seed=seed, max_epochs=1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(x, two.state_dict()[name]) for name, x in one.state_dict().items())
    assert not torch.equal(one.head.weight, other.head.weight)


@pytest.mark.parametrize("piece", [7, 10_000])
def test_bits_of_streams_side_by_side_are_those_of_each_alone(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    network = model()
    trained(network, max_epochs=1)
    streams = [stream(120, 3, unknown=True), stream(80, 4)]
    known = [int((s.letters < 4).sum()) for s in streams]
    alone = [bits_of_streams(network, [s]) for s in streams]
    monkeypatch.setattr("titans_seq.training.next_base._READ", piece)
    expected = (alone[0] * known[0] + alone[1] * known[1]) / sum(known)
    assert bits_of_streams(network, streams) == pytest.approx(expected, rel=1e-5)
