"""A tree of dataclasses taken apart into named tensors and a description in JSON, and put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

from torch import Tensor

from titans_seq.memory import MemoryState
from titans_seq.memory.state import cached_pending
from titans_seq.nn.cache import GrowingCache

Kinds = Mapping[str, type[Any]]
TENSOR = "tensor"


def pack(value: Any, name: str, flat: dict[str, Tensor]) -> Any:
    """Put the tensors that belong to rows into ``flat``; returns a description of how they hang together.

    What belongs to the model (`titans_seq.nn._tree.SHARED`, a memory's initial weights) is left out, and so is what
    is a view of another part. Nothing derived is: a state whose cache is made anew reads on with other roundings.
    """
    if isinstance(value, Tensor):
        flat[name] = value
        return TENSOR
    if value is None or isinstance(value, bool | int | str):
        return {"value": value}
    if isinstance(value, tuple):
        return [pack(v, f"{name}.{i}", flat) for i, v in enumerate(value)]
    if isinstance(value, GrowingCache):
        value = value.trim()  # in a pool it is as wide as the longest history, which is another session's affair
    parts = {n: pack(getattr(value, n), f"{name}.{n}".lstrip("."), flat) for n in _packed(value)}
    return {"kind": type(value).__name__, "parts": parts}


def _packed(value: Any) -> Iterator[str]:
    for f in fields(value):
        view = isinstance(value, MemoryState) and f.name == "pending" and value.cache is not None
        if not view and not _is_shared(type(value), f):
            yield f.name


def _is_shared(kind: type[Any], field: Any) -> bool:
    return bool(field.metadata.get("shared")) or (kind is MemoryState and field.name == "initial")


def unpack(description: Any, name: str, tensors: Mapping[str, Tensor], like: Any, kinds: Kinds) -> Any:
    """Put together what `pack` took apart; what belongs to the model comes from ``like``.

    Raises
    ------
    KeyError, TypeError, AttributeError
        If the description and the tensors, or ``like``, do not go together.
    """
    if description == TENSOR:
        return tensors[name]
    if isinstance(description, list):
        models = like if isinstance(like, tuple) else (None,) * len(description)
        return tuple(
            unpack(d, f"{name}.{i}", tensors, model, kinds)
            for i, (d, model) in enumerate(zip(description, models, strict=False))
        )
    if "value" in description:
        return description["value"]
    kind = kinds[description["kind"]]
    parts = {
        n: unpack(d, f"{name}.{n}".lstrip("."), tensors, getattr(like, n, None), kinds)
        for n, d in description["parts"].items()
    }
    parts |= {f.name: getattr(like, f.name) for f in fields(kind) if _is_shared(kind, f)}
    if kind is MemoryState and parts["cache"] is not None:
        parts["pending"] = cached_pending(parts["cache"])
    return kind(**parts)


def outline(state: Any) -> dict[str, str]:
    """Dtype and shape, without the batch, of every tensor, in the one form that states of all kinds have.

    Widths that depend on how much was read are left out.
    """
    flat: dict[str, Tensor] = {}
    for i, layer in enumerate(state.layers):
        window, memory = layer.window, layer.memory
        plain = replace(
            layer,
            window=None if window is None else window.settled(),
            memory=None if memory is None else replace(memory, cache=None),
        )
        pack(plain, f"layers.{i}", flat)
    return {name: _outlined(name, x) for name, x in flat.items()}


def _outlined(name: str, x: Tensor) -> str:
    grows = ".pending." in name or ".history." in name
    shape = tuple(x.shape[2 if grows else 1 :])
    return f"{str(x.dtype).removeprefix('torch.')} of {shape}"
