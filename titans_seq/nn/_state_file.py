"""Saving the state of a backbone and loading it again, after checks that name what does not fit."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from titans_seq.memory import MemoryState
from titans_seq.memory._step_cache import KernelRows, StepCache
from titans_seq.memory.state import PendingRows
from titans_seq.nn import _tensor_file
from titans_seq.nn._pack import outline, pack, unpack
from titans_seq.nn.cache import GrowingCache, WindowCache
from titans_seq.nn.ring import WindowRing
from titans_seq.nn.state import BackboneState, LayerState, OpenSegment

_KINDS = {
    kind.__name__: kind
    for kind in (
        BackboneState, LayerState, OpenSegment, WindowCache, WindowRing, GrowingCache, MemoryState, PendingRows,
        StepCache, KernelRows,
    )
}  # fmt: skip


def save_state(state: BackboneState, path: str | os.PathLike[str], about: Mapping[str, str]) -> None:
    """Write a file; see `BackboneState.save`."""
    tensors: dict[str, Tensor] = {}
    description = pack(state, "", tensors)
    _tensor_file.write(path, tensors, description, dict(about) | _memories(state))


def load_state(path: str | os.PathLike[str], like: BackboneState, about: Mapping[str, str]) -> BackboneState:
    """Read a file and check that it goes with ``like``; see `BackboneState.load`."""
    tensors, description, written = _tensor_file.read(path, like.position.device)
    file = os.fspath(path)
    try:
        _compare(file, _parts(description), [sorted(layer.parts) for layer in like.layers])
        state: BackboneState = unpack(description, "", tensors, like, _KINDS)
        found = {**outline(state), **_settings(state, like)}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} holds no state of a backbone: {error!r}") from error
    _compare_entries(file, found, {**outline(like), **_settings(like, state)})
    needed = {name: text for name, text in (dict(about) | _memories(like)).items() if name in written}
    _compare_entries(file, {name: written[name] for name in needed}, needed)
    return state


def packed_state(state: BackboneState) -> dict[str, Any]:
    """Return what belongs to the rows as tensors by name and a description of them: plain values to be pickled."""
    tensors: dict[str, Tensor] = {}
    description = pack(state, "", tensors)
    return {"tensors": {name: x.detach().clone() for name, x in tensors.items()}, "description": description}


def unpacked_state(packed: Mapping[str, Any], like: BackboneState) -> BackboneState:
    """Put together what `packed_state` returned, on the device of ``like``, from which the model's part is taken."""
    tensors = {name: x.to(like.position.device, copy=True) for name, x in packed["tensors"].items()}
    state: BackboneState = unpack(packed["description"], "", tensors, like, _KINDS)
    return state


def _memories(state: BackboneState) -> dict[str, str]:
    """Digest of the memories' initial weights: they tell one model from another of its shape."""
    initial = [() if layer.memory is None else layer.memory.initial for layer in state.layers]
    digest = _tensor_file.digest({f"{i}.{j}": w for i, ws in enumerate(initial) for j, w in enumerate(ws)})
    return {"initial weights of the memories": digest}


def _parts(description: Any) -> list[list[str]]:
    """What `LayerState.parts` would say of every layer."""
    layers = [layer["parts"] for layer in description["parts"]["layers"]]
    return [sorted(n for n in _PARTS if layer[n] != {"value": None}) for layer in layers]


_PARTS = ("memory", "window", "history", "segment")


def _settings(state: BackboneState, other: BackboneState) -> dict[str, Any]:
    """How the memories read, as far as both states know it: one that has read nothing does not."""
    found: dict[str, Any] = {}
    for i, (layer, as_layer) in enumerate(zip(state.layers, other.layers, strict=True)):
        a, b = layer.memory, as_layer.memory
        if a is not None and b is not None and a.chunk_size and b.chunk_size:
            found[f"layers.{i}.memory.chunk_size"] = a.chunk_size
        if a is not None and b is not None and a.cache is not None and b.cache is not None:
            found[f"layers.{i}.memory.rule"] = a.cache.rule
    return found


def _compare(file: str, found: list[list[str]], needed: list[list[str]]) -> None:
    if found != needed:
        raise ValueError(f"{file} holds {_told_parts(found)}, needed is {_told_parts(needed)}")


def _told_parts(layers: list[list[str]]) -> str:
    kinds = sorted({" and ".join(parts) or "nothing" for parts in layers})
    return f"the state of {len(layers)} layer{'s' * (len(layers) != 1)} of {', '.join(kinds)}"


def _compare_entries(file: str, found: Mapping[str, Any], needed: Mapping[str, Any]) -> None:
    for name in (*needed, *(n for n in found if n not in needed)):
        if found.get(name) != needed.get(name):
            raise ValueError(
                f"{file} does not fit: {name} is {_told(found.get(name))}, needed is {_told(needed.get(name))}"
            )


def _told(value: Any) -> str:
    return "missing" if value is None else str(value)
