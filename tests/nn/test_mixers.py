"""What distinguishes the variants."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from titans_seq.nn.config import BlockConfig
from titans_seq.nn.memory_as_context import ContextMixer
from titans_seq.nn.mixer import Mixer, Reading
from titans_seq.nn.mixers import GatedMixer, LayeredMixer, MemoryMixer, WindowMixer
from titans_seq.nn.rotary import rotary_table, rotate

CONFIG = BlockConfig(d_model=12, n_heads=2, chunk_size=5, window_size=7, n_persistent=3)
ZEROED = Reading(zero_memory=True)


def build(mixer: type[Mixer], config: BlockConfig = CONFIG) -> Mixer:
    torch.manual_seed(0)
    return mixer(config).double()


def tokens(time: int = 23) -> Tensor:
    return torch.randn(2, time, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("mixer", [GatedMixer, LayeredMixer, MemoryMixer, ContextMixer])
def test_a_zeroed_memory_changes_the_result_and_goes_on_learning(mixer: type[Mixer]) -> None:
    m, x = build(mixer), tokens()
    y, state, _ = m(x, m.init_state(2), Reading())
    zeroed, zeroed_state, _ = m(x, m.init_state(2), ZEROED)
    assert (y - zeroed).abs().max() > 1e-3
    assert zeroed_state.memory is not None and state.memory is not None
    assert (zeroed_state.memory.weights[-1] - m.init_state(2).memory.weights[-1]).abs().max() > 1e-3
    if mixer is not ContextMixer:  # there the memory is written with what attention made of its answers
        assert torch.equal(zeroed_state.memory.weights[-1], state.memory.weights[-1])


@pytest.mark.parametrize("mixer", [GatedMixer, LayeredMixer, MemoryMixer, ContextMixer])
def test_with_a_zeroed_memory_no_parameter_of_it_matters(mixer: type[Mixer]) -> None:
    m, x = build(mixer), tokens()
    before, _, _ = m(x, m.init_state(2), ZEROED)
    with torch.no_grad():
        for p in m.memory.parameters():
            p.mul_(1.1)
    assert torch.equal(m(x, m.init_state(2), ZEROED)[0], before)


def test_lmm_without_memory_is_nothing_and_mal_is_attention_alone() -> None:
    x = tokens()
    lmm = build(MemoryMixer)
    assert not lmm(x, lmm.init_state(2), ZEROED)[0].any()
    mal, swa = build(LayeredMixer), build(WindowMixer)
    swa.attention, swa.persistent, swa.norm = mal.attention, mal.persistent, mal.attention_norm
    expected, _, _ = swa(x, swa.init_state(2), Reading())
    torch.testing.assert_close(mal(x, mal.init_state(2), ZEROED)[0], expected)


def test_mag_mixes_memory_and_attention_by_its_gate() -> None:
    mag, x = build(GatedMixer), tokens()
    with torch.no_grad():
        mag.gate.weight.zero_()
    results = []
    for level in (-40.0, 40.0, 0.0):
        with torch.no_grad():
            mag.gate.bias.fill_(level)
        results.append(mag(x, mag.init_state(2), Reading())[0])
    normed = mag.norm(x)
    attended, _ = mag.attention(normed, persistent=mag.norm(mag.persistent))
    recalled, _ = mag.memory(normed, mag.init_state(2))
    for found, expected in zip(results, (attended, recalled, (attended + recalled) / 2), strict=True):
        torch.testing.assert_close(found, expected)


def loop_context(m: ContextMixer, x: Tensor) -> Tensor:
    """Section 4.1 of the paper, one stream, segment by segment and query by query."""
    state, a, length = m.init_state(1), m.norm(x), m.segment_length
    pk, pv = m.attention.keys_values(m.norm(m.persistent))
    queries, _ = m.retrieval.queries(a, state.segment.tail, None)
    out = []
    for start in range(0, x.shape[1], length):
        s = a[:, start : start + length]
        n = s.shape[1]
        h = m.retrieval(queries[:, start : start + length], state.memory, state.memory.weights)
        q, k, v = m.attention.queries_keys_values(s)
        hk, hv = m.attention.keys_values(h)
        table = rotary_table(torch.arange(n), m.attention.head_dim, x.dtype)
        later = rotary_table(torch.arange(length, length + n), m.attention.head_dim, x.dtype)
        rq, rk, rh = rotate(q, later), rotate(k, later), rotate(hk, table)
        y = torch.zeros_like(q)
        for t in range(n):
            for i in range(m.attention.n_heads):
                placed = torch.cat((rh[0, : t + 1, i], rk[0, : t + 1, i])) @ rq[0, t, i]
                scores = torch.cat((pk[:, i] @ q[0, t, i], placed)) * m.attention.scale
                y[0, t, i] = scores.softmax(0) @ torch.cat((pv[:, i], hv[0, : t + 1, i], v[0, : t + 1, i]))
        result = m.result_norm(m.attention.join_heads(y))
        returned, state = m.memory(result, state)
        out.append(m.project_out(result * returned.sigmoid()))
    return torch.cat(out, 1)


@pytest.mark.parametrize("segment_length", [4, 5, 7])
@pytest.mark.parametrize("n_persistent", [0, 3])
def test_mac_retrieves_attends_writes_and_gates(segment_length: int, n_persistent: int) -> None:
    mac = build(ContextMixer, replace(CONFIG, segment_length=segment_length, n_persistent=n_persistent))
    assert isinstance(mac, ContextMixer)
    x = tokens()[:1]
    found, _, _ = mac(x, mac.init_state(1), Reading())
    torch.testing.assert_close(found, loop_context(mac, x), rtol=0, atol=1e-12)
