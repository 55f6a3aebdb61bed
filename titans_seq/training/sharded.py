"""Weights, gradients and the optimizer's numbers spread over processes (FSDP: Zhao et al. 2023, arXiv 2304.11277)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from torch import Tensor, nn

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


def collected(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors whole, also those that are spread over processes, all of which have to call it."""
    # Sorted, as the processes have to take them in one order.
    return {name: x.full_tensor() if hasattr(x, "full_tensor") else x for name, x in sorted(tensors.items())}


def spread_like(x: Tensor, weight: Tensor) -> Tensor:
    """Spread what was collected of an entry of the optimizer, in the way the weight is that it belongs to."""
    mesh = getattr(weight, "device_mesh", None)
    if mesh is None or x.shape != weight.shape:
        return x
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(weight, DTensor)
    return distribute_tensor(x.to(weight.device), mesh, weight.placements, src_data_rank=None)
