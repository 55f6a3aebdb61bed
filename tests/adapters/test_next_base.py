"""Next-base prediction: no base sees itself or its future, nothing depends on how a sequence is cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.adapters.next_base import (
    HORIZONS,
    NOTHING,
    Evidence,
    EvidenceReader,
    NextBaseModel,
    letters_of,
    with_frozen_memory,
)
from titans_seq.data import read_sequences
from titans_seq.nn import Backbone, BackboneState

ORDERS = (0, 1, 3, 13)
VARIANTS = ["mag", "mal", "mac", "lmm", "swa"]


def reader(width: int = 5) -> EvidenceReader:
    return EvidenceReader([BaseCounts(order) for order in ORDERS], width)


def random_codes(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).choice([0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 16], n).astype(np.uint8)


def model(variant: str = "mag", width: int = 5) -> NextBaseModel:
    """An untrained network all of whose parts have a say."""
    torch.manual_seed(0)
    backbone = Backbone(d_model=8, n_layers=1, variant=variant, chunk_size=4, window_size=4, n_persistent=2)
    made = NextBaseModel(len(ORDERS), backbone, width=width, hidden=4).double().eval()
    for layer in (made.small[2], made.head):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return made


@torch.no_grad()
def predicted(
    network: NextBaseModel, codes: np.ndarray, cuts: Sequence[int] = (), **options: bool
) -> tuple[Tensor, object]:
    found, state, reading = [], None, reader(network.width)
    for piece in np.split(codes, list(cuts)):
        evidence = Evidence.of([reading.read(piece)])
        evidence = Evidence(evidence.counts.double(), evidence.gains.double(), evidence.before)
        logits, _, state = network(evidence, state, **options)
        found.append(logits[0])
    return torch.cat(found), state


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_base_sees_neither_itself_nor_what_comes_after_it(variant: str) -> None:
    network, codes = model(variant), random_codes(60)
    first, _ = predicted(network, codes)
    for at in (0, 17, 40):
        other = codes.copy()
        other[at] = (other[at] + 1) % 4
        second, _ = predicted(network, other)
        assert torch.equal(first[: at + 1], second[: at + 1])
        assert not torch.equal(first[at + 1], second[at + 1])


@settings(max_examples=10)
@given(st.lists(st.integers(0, 50), max_size=4), st.sampled_from(VARIANTS))
def test_a_sequence_read_in_pieces_is_the_one_read_whole(cuts: list[int], variant: str) -> None:
    network, codes = model(variant), random_codes(50)
    whole, _ = predicted(network, codes)
    pieces, _ = predicted(network, codes, sorted(cuts))
    # Gains are handed out in float32: a sum cut elsewhere may round the other way.
    torch.testing.assert_close(pieces, whole, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("at", [0, 1, 700, 1998])
def test_one_base_anywhere_changes_the_state_at_the_end(at: int) -> None:
    network, codes = model("lmm"), random_codes(2000)
    other = codes.copy()
    other[at] = (other[at] + 1) % 4
    assert not torch.equal(memory(predicted(network, codes)[1]), memory(predicted(network, other)[1]))


def memory(state: BackboneState) -> Tensor:
    return state.layers[0].memory.weights[0]


def test_the_bases_before_each_and_nothing_before_the_first() -> None:
    reading = reader(width=3)
    codes = read_sequences(["AcRGT"]).codes
    first, second = reading.read(codes[:2]), reading.read(codes[2:])
    assert first.before.tolist() == [NOTHING, NOTHING, NOTHING, 0]
    assert second.before.tolist() == [NOTHING, 0, 1, 4, 2]
    reading.begin()
    assert reading.read(codes[:1]).before.tolist() == [NOTHING] * 3


def test_gains_are_averages_of_the_bits_saved_so_far() -> None:
    codes = random_codes(40)
    found = reader().read(codes)
    letters, averages = letters_of(codes), np.zeros((len(HORIZONS), len(ORDERS)))
    for t in range(40):
        np.testing.assert_allclose(found.gains[t], averages.reshape(-1), atol=1e-6)
        n = found.counts[t].astype(float)
        gain = np.log2(4 * (n[:, letters[t] & 3] + 1 / 16) / (n.sum(1) + 1 / 4)) if letters[t] < 4 else 0.0
        for i, horizon in enumerate(HORIZONS):
            averages[i] += (gain - averages[i]) / horizon


def test_what_is_known_ahead_is_what_reading_hands_out() -> None:
    reading, codes = reader(), random_codes(30)
    for t in range(30):
        ahead = reading.ahead()
        again = reading.ahead()
        found = reading.read(codes[t : t + 1])
        for name in ("counts", "gains", "before"):
            assert np.array_equal(getattr(ahead, name), getattr(found, name))
            assert np.array_equal(getattr(ahead, name), getattr(again, name))


def test_rows_do_not_see_each_other_nor_the_padding() -> None:
    network, codes = model(), [random_codes(20, 1), random_codes(12, 2)]
    rows = [reader().read(one) for one in codes]
    alone = [predicted(network, one)[0] for one in codes]
    padded = rows[1].cut(0, 12)
    wide = [np.concatenate((x, np.ones_like(x[:1]).repeat(8, 0))) for x in (padded.counts, padded.gains, padded.before)]
    both = Evidence.of([rows[0], type(padded)(*wide)])
    both = Evidence(both.counts.double(), both.gains.double(), both.before)
    with torch.no_grad():
        logits, _, _ = network(both, lengths=torch.tensor([20, 12]))
    torch.testing.assert_close(logits[0], alone[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(logits[1, :12], alone[1], rtol=0, atol=1e-10)


def test_with_nothing_learned_it_is_the_product_of_the_markov_models() -> None:
    torch.manual_seed(0)
    network = NextBaseModel(len(ORDERS), Backbone(d_model=8, n_layers=1), width=5).double()
    codes = random_codes(50)
    logits, _ = predicted(network, codes)
    counts = torch.from_numpy(reader().read(codes).counts.astype(float))
    expected = ((counts + 0.5) / (counts + 0.5).sum(-1, keepdim=True)).log().mean(1).log_softmax(-1)
    torch.testing.assert_close(logits.log_softmax(-1), expected)


def test_a_frozen_memory_is_read_but_not_written() -> None:
    network, codes = model(), random_codes(300)
    frozen = with_frozen_memory(network)
    _, start = predicted(frozen, codes[:1])
    found, end = predicted(frozen, codes)
    assert torch.equal(memory(start), memory(end))
    torch.testing.assert_close(memory(end)[0], network.backbone.blocks[0].mixer.memory.initial[0])
    learning, off = predicted(network, codes)[0], predicted(network, codes, zero_memory=True)[0]
    assert not torch.allclose(found, learning)
    assert not torch.allclose(found, off)


def test_a_gap_of_unknown_bases_leaves_the_memory_as_it_is() -> None:
    network, codes = model("lmm"), np.random.default_rng(0).integers(0, 4, 40).astype(np.uint8)
    gap = np.full(30, 4, dtype=np.uint8)
    before = predicted(network, np.concatenate((codes, gap[:1])))[1]
    after = predicted(network, np.concatenate((codes, gap)))[1]
    torch.testing.assert_close(memory(after), memory(before), rtol=0, atol=1e-12)


def test_a_width_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be at least 1, found 0"):
        NextBaseModel(2, Backbone(d_model=8), width=0)
