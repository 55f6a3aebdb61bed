"""Weights, gradients and the optimizer's numbers spread over processes (FSDP: Zhao et al. 2023, arXiv 2304.11277)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def spread_weights(model: Model, mesh: Any, methods: Sequence[str]) -> Model:
    """Spread the weights of a model over the processes of a mesh, in place.

    Parameters
    ----------
    model : Module
    mesh : DeviceMesh
        With a dimension "data_parallel".
    methods : sequence of str
        Methods in which the weights are used, beside ``forward``: they are whole there, and nowhere else.
    """
    from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

    fully_shard(model, mesh=mesh["data_parallel"])
    for name in methods:
        register_fsdp_forward_method(model, name)
    return model


def collect_weights(spread: nn.Module, whole: nn.Module) -> None:
    """Copy weights that are spread over processes into a model that is whole; all processes have to call it."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

    whole.load_state_dict(get_model_state_dict(spread, options=StateDictOptions(full_state_dict=True)))
