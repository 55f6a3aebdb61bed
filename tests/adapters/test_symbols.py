"""Streams of symbols and of vectors: however they are cut, batched or masked, each row is read alike."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from titans_seq.adapters.symbols import SymbolModel, SymbolState, VectorModel
from titans_seq.nn import Backbone

TIME = 20


def backbone(**options: Any) -> Backbone:
    sizes = {"d_model": 8, "n_layers": 1, "chunk_size": 4, "window_size": 5, "n_persistent": 2, "gate": "hard"}
    return Backbone(**(sizes | options))


def build(stem_width: int = 1, **options: Any) -> SymbolModel:
    torch.manual_seed(0)
    return SymbolModel(7, 3, backbone(**options), stem_width=stem_width).double().eval()


def symbols(batch: int = 2, seed: int = 1) -> Tensor:
    return torch.randint(0, 7, (batch, TIME), generator=torch.Generator().manual_seed(seed))


def read(
    model: SymbolModel, x: Tensor, cuts: list[int], mask: Tensor | None = None, lengths: Tensor | None = None
) -> tuple[Tensor, SymbolState]:
    state, pieces = model.init_state(len(x)), []
    for start, stop in itertools.pairwise([0, *sorted(cuts), x.shape[1]]):
        hidden, state = model(
            x[:, start:stop], state, mask=None if mask is None else mask[:, start:stop],
            lengths=None if lengths is None else (lengths - start).clamp(0, stop - start),
        )  # fmt: skip
        pieces.append(hidden)
    return torch.cat(pieces, 1), state


def assert_close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


@settings(max_examples=15)
@given(
    stem_width=st.sampled_from([1, 2, 5, 30]),
    cuts=st.lists(st.integers(0, TIME), max_size=4),
    masked=st.booleans(),
    lengths=st.none() | st.tuples(st.integers(0, TIME), st.integers(0, TIME)),
)
def test_a_stream_cut_anywhere_is_read_as_one(
    stem_width: int, cuts: list[int], masked: bool, lengths: tuple[int, int] | None
) -> None:
    model, x = build(stem_width), symbols()
    mask = torch.rand(2, TIME, generator=torch.Generator().manual_seed(2)) > 0.3 if masked else None
    rows = None if lengths is None else torch.tensor(lengths)
    with torch.no_grad():
        expected, after = model(x, mask=mask, lengths=rows)
        found, carried = read(model, x, cuts, mask, rows)
        assert_close(found, expected)
        assert_close(model(symbols(seed=3), carried)[0], model(symbols(seed=3), after)[0])


@pytest.mark.parametrize("stem_width", [1, 6])
def test_no_state_is_the_state_before_position_0(stem_width: int) -> None:
    model, x = build(stem_width), symbols()
    assert torch.equal(model(x)[0], model(x, model.init_state(2))[0])
    assert model.init_state(3).tail.shape == (3, stem_width - 1, 8)


def test_the_stem_adds_what_the_convolution_makes_of_a_symbol_and_those_before_it() -> None:
    model, x = build(3, variant="swa"), symbols(1)
    assert model.stem is not None
    seen: list[Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(x)
    embedded = model.embedding(x)[0]
    for t in (0, 1, 2, 11):
        made = model.stem.bias
        for back in range(min(t, 2) + 1):
            made = made + model.stem.weight[:, :, 2 - back] @ embedded[t - back]
        assert_close(seen[0][0, t], embedded[t] + torch.nn.functional.gelu(made))


@pytest.mark.parametrize("variant", ["mag", "mac", "swa"])
@pytest.mark.parametrize("stem_width", [1, 6])
def test_rows_are_independent(stem_width: int, variant: str) -> None:
    model, x = build(stem_width, variant=variant), symbols(3)
    lengths = torch.tensor([TIME, 9, 13])
    together, state = model(x, lengths=lengths)
    more, _ = model(x, state)
    for row, n in enumerate(lengths.tolist()):
        alone, own = model(x[row : row + 1, :n])
        assert_close(together[row, :n], alone[0])
        assert_close(more[row], model(x[row : row + 1], own)[0][0])


def test_nothing_of_a_masked_symbol_reaches_others_through_the_stem() -> None:
    model, x = build(6), symbols()
    mask = torch.ones(2, TIME, dtype=torch.bool)
    mask[:, 7:10] = False
    other = x.clone()
    other[:, 7:10] = (x[:, 7:10] + 1) % 7
    assert torch.equal(model(x, mask=mask)[0], model(other, mask=mask)[0])
    assert not torch.equal(model(x)[0], model(other)[0])


@pytest.mark.parametrize("stem_width", [1, 6])
def test_a_detached_state_cuts_the_graph_and_keeps_the_values(stem_width: int) -> None:
    model, x = build(stem_width), symbols()
    _, state = model(x)
    cut = state.detach()
    assert not any(t.requires_grad for t in (cut.tail, *cut.backbone.tensors().values()))
    for layer in cut.backbone.layers:
        assert layer.memory is not None and not any(w.requires_grad for w in layer.memory.weights)
    for found, expected in zip(cut.backbone.tensors().values(), state.backbone.tensors().values(), strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(model(x, cut)[0], model(x, state)[0])

    def reaches_the_first_piece(state: SymbolState) -> bool:
        model.zero_grad()
        model(torch.full((2, TIME), 6), state)[0].sum().backward()
        assert model.embedding.weight.grad is not None
        return bool(model.embedding.weight.grad[:6].any())

    _, state = model(x % 6)
    assert not reaches_the_first_piece(state.detach())
    assert reaches_the_first_piece(state)


def test_zeroed_memories_read_as_if_there_were_none() -> None:
    model, x = build(variant="lmm", n_layers=2), symbols()
    hidden, _ = model(x, zero_memory=True)
    earlier = x.clone()
    earlier[:, :-1] = 0
    assert torch.equal(model(earlier, zero_memory=True)[0][:, -1], hidden[:, -1])
    assert not torch.equal(model(earlier)[0][:, -1], model(x)[0][:, -1])


@pytest.mark.parametrize("cuts", [[], [0, 3, 3, 11]])
def test_vectors_are_read_as_their_projections(cuts: list[int]) -> None:
    torch.manual_seed(0)
    model = VectorModel(5, 2, backbone()).double().eval()
    x = torch.randn(2, TIME, 5, dtype=torch.float64)
    mask = torch.rand(2, TIME) > 0.3
    x = torch.where(mask[..., None], x, torch.nan)
    expected, _ = model.backbone(torch.where(mask[..., None], model.embedding(x), 0), mask=mask)
    state, pieces = None, []
    for start, stop in itertools.pairwise([0, *cuts, TIME]):
        hidden, state = model(x[:, start:stop], state, mask=mask[:, start:stop])
        pieces.append(hidden)
    assert_close(torch.cat(pieces, 1), expected)
    assert model.head(hidden).shape[-1] == 2


def test_a_stem_of_no_symbols_is_refused() -> None:
    with pytest.raises(ValueError, match="stem_width must be at least 1, found 0"):
        build(0)


def test_a_state_of_other_rows_or_another_variant_is_refused() -> None:
    model = build(4)
    with pytest.raises(ValueError, match="the state has 3 rows and a stem of 4; needed are 2 rows and one of 4"):
        model(symbols(), model.init_state(3))
    with pytest.raises(ValueError, match="the state has 2 rows and a stem of 1; needed are 2 rows and one of 4"):
        model(symbols(), build().init_state(2))
    with pytest.raises(ValueError, match="variant 'mag' needs memory, window"):
        model(symbols(), build(4, variant="swa").init_state(2))


def test_surprise_is_not_among_what_a_model_returns() -> None:
    for model, x in ((build(), symbols()), (VectorModel(5, 2, backbone()), torch.zeros(1, 2, 5))):
        with pytest.raises(TypeError, match="return_surprise"):
            model(x, return_surprise=True)
