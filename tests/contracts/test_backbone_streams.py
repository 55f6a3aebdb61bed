"""Laws of reading: however a stream is cut, batched or padded, each row reads the same."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from titans_seq.nn import VARIANTS, Backbone, BackboneState

TIME = 41
CUTS = {
    "in the middle of chunk, window and segment": [13],
    "at boundaries of chunk and segment": [5, 7, 10, 14, 35],
    "into tiny and empty pieces": [0, 1, 1, 2, 3, 20, 21, 40],
    "into single tokens": list(range(1, TIME)),
}
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


def build(variant: str, dtype: torch.dtype = torch.float64, **options: int | float | str) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 10, "n_heads": 2, "chunk_size": 5, "window_size": 7, "n_persistent": 3}
    return Backbone(variant=variant, **(sizes | options)).to(dtype).eval()


def tokens(batch: int, dtype: torch.dtype = torch.float64, d_model: int = 10, time: int = TIME) -> Tensor:
    return torch.randn(batch, time, d_model, dtype=dtype, generator=torch.Generator().manual_seed(1))


def read_pieces(
    backbone: Backbone, x: Tensor, cuts: list[int], mask: Tensor | None = None
) -> tuple[Tensor, BackboneState]:
    state, pieces = backbone.init_state(x.shape[0]), []
    for start, stop in itertools.pairwise([0, *cuts, x.shape[1]]):
        y, state = backbone(x[:, start:stop], state, mask=None if mask is None else mask[:, start:stop])
        pieces.append(y)
    return torch.cat(pieces, 1), state


def assert_close(found: Tensor, expected: Tensor, tolerance: float = 1e-12) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


def assert_same_future(
    backbone: Backbone, found: BackboneState, expected: BackboneState, tolerance: float = 1e-12
) -> None:
    """Two states are the same if whatever follows is read alike."""
    x = tokens(found.batch_size, backbone.norm.weight.dtype, backbone.config.d_model, 23)
    assert torch.equal(found.position, expected.position)
    assert_close(backbone(x, found)[0], backbone(x, expected)[0], tolerance)


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stream_cut_anywhere_is_read_as_one(variant: str, dtype: torch.dtype, cuts: list[int]) -> None:
    backbone, x = build(variant, dtype), tokens(2, dtype)
    whole, state = backbone(x)
    found, carried = read_pieces(backbone, x, cuts)
    assert_close(found, whole, TOLERANCE[dtype])
    assert_same_future(backbone, carried, state, TOLERANCE[dtype])


@pytest.mark.parametrize("prefilled", [0, 1, 13, 14, 35])
@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_stream_decoded_by_steps_is_read_as_one(variant: str, dtype: torch.dtype, prefilled: int) -> None:
    backbone, x = build(variant, dtype), tokens(2, dtype)
    mask = torch.rand(2, TIME, generator=torch.Generator().manual_seed(2)) > 0.3
    with torch.no_grad():
        whole, end = backbone(x, mask=mask)
        _, state = backbone(x[:, :prefilled], mask=mask[:, :prefilled])
        found = []
        for i in range(prefilled, TIME):
            y, state = backbone.step(x[:, i], state, mask=mask[:, i], inplace=i % 3 > 0)
            found.append(y)
        assert_close(torch.stack(found, 1), whole[:, prefilled:], TOLERANCE[dtype])
        assert_same_future(backbone, state, end, TOLERANCE[dtype])


@pytest.mark.parametrize("cuts", CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_masked_stream_cut_anywhere_is_read_as_one(variant: str, cuts: list[int]) -> None:
    backbone, x = build(variant), tokens(2)
    mask = torch.rand(2, TIME, generator=torch.Generator().manual_seed(2)) > 0.3
    mask[0, :9] = False
    assert_close(read_pieces(backbone, x, cuts, mask)[0], backbone(x, mask=mask)[0])


@pytest.mark.parametrize(
    "options",
    [
        {"n_persistent": 0},
        {"window_size": 1, "chunk_size": 1},
        {"window_size": 3, "chunk_size": 16},
        {"window_size": 64, "segment_length": 5},
        {"memory_depth": 1},
        {"memory_depth": 3},
        {"rule": "titans", "chunk_size": 4},
        {"n_layers": 1, "n_heads": 1, "d_model": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_cut_does_not_matter_for_other_sizes_and_rules(variant: str, options: dict[str, int]) -> None:
    backbone, x = build(variant, **options), tokens(2, d_model=options.get("d_model", 10))
    mask = torch.rand(2, TIME, generator=torch.Generator().manual_seed(2)) > 0.2
    mask[0, 0] = False
    assert_close(read_pieces(backbone, x, [1, 8, 29], mask)[0], backbone(x, mask=mask)[0], 1e-11)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_flow_through_a_state_carried_inside_a_chunk(variant: str) -> None:
    backbone = build(variant)
    x = tokens(2).requires_grad_()
    weight = torch.randn(2, TIME, 10, dtype=x.dtype, generator=torch.Generator().manual_seed(3))
    inputs = [x, *backbone.parameters()]
    whole = torch.autograd.grad((backbone(x)[0] * weight).sum(), inputs)
    pieces = torch.autograd.grad((read_pieces(backbone, x, [3, 13, 26])[0] * weight).sum(), inputs)
    for found, expected in zip(pieces, whole, strict=True):
        assert_close(found, expected, 1e-9)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_parameter_and_token_gets_a_gradient(variant: str) -> None:
    backbone = build(variant)
    x = tokens(2).requires_grad_()
    (backbone(x)[0] * torch.randn_like(x)).sum().backward()
    assert x.grad is not None and (x.grad.abs().sum(-1) > 0).all()
    silent = [name for name, p in backbone.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert silent == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_padded_row_reads_like_the_row_alone(variant: str) -> None:
    backbone, x = build(variant), tokens(5)
    lengths = torch.tensor([TIME, 17, 0, 1, 28])
    first, state = backbone(x, lengths=lengths)
    second, state = backbone(x[:, :19], state, lengths=torch.tensor([3, 19, 6, 0, 14]))
    for row, (n, m) in enumerate(zip(lengths.tolist(), [3, 19, 6, 0, 14], strict=True)):
        alone, own = backbone(x[row : row + 1, :n])
        assert_close_or_empty(first[row, :n], alone[0])
        more, own = backbone(x[row : row + 1, :m], own)
        assert_close_or_empty(second[row, :m], more[0])
        assert not first[row, n:].any() and not second[row, m:].any()
        assert_same_future(backbone, state.select(torch.tensor([row])), own)


def assert_close_or_empty(found: Tensor, expected: Tensor) -> None:
    if expected.numel():
        assert_close(found, expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_may_hold_nan(variant: str) -> None:
    backbone, x = build(variant), tokens(2)
    lengths = torch.tensor([11, 30])
    expected, _ = backbone(x, lengths=lengths)
    x[0, 11:], x[1, 30:] = float("nan"), float("inf")
    found, state = backbone(x, lengths=lengths)
    assert torch.equal(found, expected)
    assert all(t.isfinite().all() for t in state.tensors().values())
