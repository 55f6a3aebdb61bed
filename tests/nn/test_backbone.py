"""The backbone's own face: arguments, errors, surprise, training."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch

from titans_seq.nn import VARIANTS, Backbone

WITH_MEMORY = [name for name, mixer in VARIANTS.items() if "memory" in mixer.state_parts]


@pytest.mark.parametrize("variant", WITH_MEMORY)
def test_surprise_comes_per_token_layer_and_head(variant: str) -> None:
    backbone, x = Backbone(12, 3, 2, variant), torch.randn(2, 37, 12)
    mask = torch.ones(2, 37, dtype=torch.bool)
    mask[0, 5] = False
    y, _, surprise = backbone(x, mask=mask, return_surprise=True)
    assert surprise.shape == (2, 37, 3, 2) and torch.equal(y, backbone(x, mask=mask)[0])
    assert not surprise[0, 5].any()
    assert (surprise[mask] > 0).all()
    assert backbone(x[:, :0], return_surprise=True)[2].shape == (2, 0, 3, 2)


@pytest.mark.parametrize("variant", ["swa", "attention"])
def test_a_variant_without_memory_has_no_surprise(variant: str) -> None:
    with pytest.raises(ValueError, match="has no memory"):
        Backbone(8, 1, 2, variant)(torch.randn(1, 3, 8), return_surprise=True)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_call_without_tokens_changes_nothing(variant: str) -> None:
    backbone = Backbone(8, 1, 2, variant)
    _, state = backbone(torch.randn(2, 5, 8))
    y, after = backbone(torch.randn(2, 0, 8), state)
    assert y.shape == (2, 0, 8)
    assert all(torch.equal(after.tensors()[name], t) for name, t in state.tensors().items())


@pytest.mark.parametrize("variant", VARIANTS)
def test_zeroing_the_memory_matters_where_there_is_one(variant: str) -> None:
    backbone, x = Backbone(8, 2, 2, variant), torch.randn(2, 37, 8)
    same = torch.equal(backbone(x, zero_memory=True)[0], backbone(x)[0])
    assert same is not backbone.has_memory


@pytest.mark.parametrize("variant", VARIANTS)
def test_dropout_acts_in_training_alone(variant: str) -> None:
    backbone, x = Backbone(8, 1, 2, variant, dropout=0.5), torch.randn(1, 9, 8)
    assert not torch.equal(backbone(x)[0], backbone(x)[0])
    backbone.eval()
    assert torch.equal(backbone(x)[0], backbone(x)[0])


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_backbone_can_be_pickled_and_copied(variant: str) -> None:
    backbone, x = Backbone(8, 1, 2, variant).eval(), torch.randn(1, 9, 8)
    expected, _ = backbone(x)
    for other in (copy.deepcopy(backbone), pickle.loads(pickle.dumps(backbone))):
        assert torch.equal(other(x)[0], expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_lowers_the_loss_of_a_copy_task(variant: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(8, 1, 2, variant, chunk_size=4, window_size=4)
    optimizer = torch.optim.Adam(backbone.parameters(), lr=1e-2)
    losses = []
    for _ in range(40):
        x = torch.randn(8, 12, 8)
        loss = (backbone(x)[0][:, 1:] - x[:, :-1]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "magg"}, r"variant must be one of .* found 'magg'; did you mean 'mag'\?"),
        ({"d_model": 9}, "d_model must be a multiple of n_heads, found 9, 2"),
        ({"n_layers": 0}, "n_layers must be at least 1, found 0"),
        ({"window_size": 0}, "window_size must be at least 1, found 0"),
        ({"segment_length": 0}, "segment_length must be at least 1, found 0"),
        ({"n_persistent": -1}, "n_persistent must be at least 0, found -1"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), found 1.0"),
        ({"initial_alpha": 0.0}, "initial_alpha must lie between 0 and 1, found 0.0"),
    ],
    ids=str,
)
def test_a_parameter_out_of_range_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backbone(**options)


def test_a_parameter_of_the_wrong_type_is_named() -> None:
    with pytest.raises(TypeError, match=r"chunk_size must be an integer, found 2\.5"):
        Backbone(chunk_size=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mask": torch.ones(2, 4, dtype=torch.bool)}, r"mask must be bool of shape \(2, 5\)"),
        ({"mask": torch.ones(2, 5)}, "found torch.float32"),
        ({"lengths": torch.tensor([5])}, r"lengths must have shape \(2,\)"),
        ({"lengths": torch.tensor([5, 6])}, r"lengths\[1\] must lie in \[0, 5\], found 6"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_the_tokens_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Backbone(8, 1)(torch.randn(2, 5, 8), **options)


def test_tokens_or_states_of_the_wrong_shape_are_named() -> None:
    backbone = Backbone(8, 1)
    with pytest.raises(ValueError, match=r"x must have shape \(batch, time, 8\), found \(2, 5, 7\)"):
        backbone(torch.randn(2, 5, 7))
    with pytest.raises(ValueError, match="the state has 3 rows, x has 2"):
        backbone(torch.randn(2, 5, 8), backbone.init_state(3))


def test_a_state_of_another_model_is_named() -> None:
    x = torch.randn(2, 5, 8)
    with pytest.raises(ValueError, match="the state has 2 layers, the backbone 1"):
        Backbone(8, 1)(x, Backbone(8, 2).init_state(2))
    with pytest.raises(ValueError, match="the state holds window; variant 'mac' needs memory, segment"):
        Backbone(8, 1, variant="mac")(x, Backbone(8, 1, variant="swa").init_state(2))
