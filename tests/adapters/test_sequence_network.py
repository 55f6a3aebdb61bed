"""Convolutions, heads and the network made of them: padding never changes a result, and every base matters."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from titans_seq.adapters.convolutions import ConvolutionTower, ValidBatchNorm, max_pool
from titans_seq.adapters.heads import Pool
from titans_seq.adapters.sequence_network import NetworkShape, SequenceNetwork
from titans_seq.nn._ragged import valid_tokens

SHAPE = {
    "channels": 8, "n_blocks": 2, "hidden": 8, "rank": 2, "first_width": 5, "dropout": 0.0,
    "backbone": {"d_model": 8, "n_layers": 1, "n_heads": 2, "chunk_size": 4, "window_size": 4, "n_persistent": 2},
}  # fmt: skip


def network(length: int | None = None, **options) -> SequenceNetwork:
    torch.manual_seed(0)
    found = SequenceNetwork(NetworkShape(3, 2, length, **SHAPE | options)).double().eval()
    for module in found.modules():
        if isinstance(module, nn.Linear) and module.out_features == 2 and not module.weight.any():
            nn.init.normal_(module.weight)
        if isinstance(module, ValidBatchNorm):
            module.mean.normal_()
            module.variance.uniform_(0.5, 2.0)
    return found


def padded(lengths: list[int], beyond: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    features = torch.zeros(len(lengths), max(lengths) + beyond, 3, dtype=torch.float64)
    for row, length in enumerate(lengths):
        generator = torch.Generator().manual_seed(row)
        features[row, :length] = torch.randn(length, 3, generator=generator, dtype=torch.float64)
    return features, torch.tensor(lengths)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(0, 30),
    st.sampled_from([(1, 1), (1, 4), (2, 3), (4, 2)]),
)
def test_a_row_gives_the_same_outputs_alone_and_beside_any_others(lengths, beyond, strides) -> None:
    model = network(lengths[0], pooling=strides[0], stride=strides[1])
    features, sizes = padded(lengths, beyond)
    found = model(features, sizes)
    for row, length in enumerate(lengths):
        alone = model(features[row : row + 1, :length], sizes[row : row + 1])
        torch.testing.assert_close(found[row], alone[0], rtol=0, atol=1e-10)


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa", "attention"])
@pytest.mark.parametrize("length", [37, None])
def test_every_position_matters_to_every_head(variant: str, length: int | None) -> None:
    model = network(length, pooling=2, stride=3, backbone=SHAPE["backbone"] | {"variant": variant})
    features, lengths = padded([37])
    features.requires_grad_()
    outputs = model(features, lengths)
    assert outputs.shape == (1, 1 if length is None else 2, 2)
    for head in outputs[0]:
        (gradient,) = torch.autograd.grad(head.sum(), features, retain_graph=True)
        assert (gradient.abs().amax(-1) > 0).all()


def test_the_placed_head_tells_places_apart_that_the_pooled_mean_cannot() -> None:
    model = network(24)
    features, lengths = padded([24, 24])
    features[1] = features[0].roll(5, 0)
    pooled, placed = (model(features, lengths)[0] - model(features, lengths)[1]).abs().sum(-1)
    assert placed > 1e-2


def test_rows_of_another_length_get_the_pooled_answer_twice() -> None:
    found = network(12)(*padded([12, 11, 13]))
    assert not torch.equal(found[0, 0], found[0, 1])
    assert torch.equal(found[1:, 0], found[1:, 1])


def test_statistics_of_a_batch_leave_the_padding_out() -> None:
    norm = ValidBatchNorm(3).double().train()
    features, lengths = padded([9, 4], beyond=5)
    valid = valid_tokens(lengths, features.shape[1])
    y = norm(features.transpose(1, 2), valid).transpose(1, 2)
    inside = features[valid]
    torch.testing.assert_close(y[valid], (inside - inside.mean(0)) / (inside.var(0, unbiased=False) + 1e-5).sqrt())
    torch.testing.assert_close(norm.mean, 0.1 * inside.mean(0))
    alone = ValidBatchNorm(3).double().train()
    torch.testing.assert_close(alone(inside.t()[None], None), y[valid].t()[None])
    for name in ("mean", "variance"):
        torch.testing.assert_close(getattr(alone, name), getattr(norm, name))


@pytest.mark.parametrize("width", [1, 2, 3, 50])
def test_pooling_takes_the_largest_valid_entry(width: int) -> None:
    features, lengths = padded([7, 3])
    found, valid = max_pool(features.transpose(1, 2) - 10, valid_tokens(lengths, 7), width)
    for row, length in enumerate(lengths.tolist()):
        assert valid[row].sum() == -(-length // width)
        for step in range(int(valid[row].sum())):
            own = features[row, step * width : min(length, (step + 1) * width)] - 10
            torch.testing.assert_close(found[row, :, step], own.amax(0))
    assert found.transpose(1, 2)[~valid].abs().sum() == 0 if width > 1 else True


def test_a_tower_sees_a_few_dozen_positions_and_no_more() -> None:
    tower = ConvolutionTower(3, 8, width=11, pooling=1, n_blocks=3, dropout=0.0).double().eval()
    features, lengths = padded([101])
    features.requires_grad_()
    (gradient,) = torch.autograd.grad(tower(features, lengths)[0][0, :, 50].sum(), features)
    seen = np.flatnonzero(gradient[0].abs().sum(-1).numpy())
    assert (seen.min(), seen.max()) == (50 - 19, 50 + 19)  # 5 of the first, then 2, 4 and 8 of the blocks


def test_a_pool_over_one_position_is_that_position_three_times() -> None:
    x = torch.randn(2, 4, 5)
    found = Pool(5)(x, torch.tensor([[True, False, False, False]] * 2))
    torch.testing.assert_close(found, x[:, 0].repeat(1, 3))
