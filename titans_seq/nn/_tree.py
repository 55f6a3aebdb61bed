"""Values made of tensors: the operations every state has in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import torch
from torch import Tensor

from titans_seq.memory._step_cache import write_rows

SHARED = {"shared": True}
"""Field metadata: the value belongs to the whole batch, not to its rows."""


@dataclass(frozen=True)
class StateTree:
    """A frozen dataclass whose fields are tensors, nested states, tuples of either, or None.

    Tensors are batch first, except in fields marked `SHARED`. Field metadata ``kind`` names the class of a
    nested state and ``many`` says that the field is a tuple; both are needed to rebuild a state from a flat
    dictionary.
    """

    def _map(self, leaf: Callable[[Tensor], Tensor], branch: Callable[[Any], Any], *, by_row: bool) -> Self:
        changed = {
            f.name: _apply(getattr(self, f.name), leaf, branch)
            for f in fields(self)
            if not (by_row and f.metadata.get("shared"))
        }
        return replace(self, **changed)

    def detach(self) -> Self:
        """Cut the state off from the graph that made it."""
        return self._map(Tensor.detach, lambda state: state.detach(), by_row=False)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> Self:
        """Move to a device and / or change the floating dtype."""

        def move(x: Tensor) -> Tensor:
            return x.to(device=device, dtype=dtype if x.is_floating_point() else None)

        return self._map(move, lambda state: state.to(device=device, dtype=dtype), by_row=False)

    def select(self, rows: Tensor) -> Self:
        """Return the rows named by an integer or boolean index tensor, in that order."""
        return self._map(lambda x: x[rows], lambda state: state.select(rows), by_row=True)

    def clone(self) -> Self:
        """Copy everything that belongs to rows, so that nothing of it is shared with this state."""
        return self._map(_own, lambda state: state.clone(), by_row=True)

    def first(self, batch_size: int) -> Self:
        """Return the first rows, as views."""
        return self._map(lambda x: x[:batch_size], lambda state: state.first(batch_size), by_row=True)

    def put(self, rows: Tensor, other: Self) -> Self:
        """Write ``other`` over the named rows, in this state's own tensors where their shapes allow it.

        Returns
        -------
        Self
            The state with the rows written: to be used instead of this one.
        """
        written = {
            f.name: _put(rows, getattr(self, f.name), getattr(other, f.name))
            for f in fields(self)
            if not f.metadata.get("shared")
        }
        return replace(self, **written)

    def settled(self) -> StateTree:
        """Return the form in which the state is saved, and stacked with others; by default it has but one."""
        return self

    @classmethod
    def stack(cls, states: Sequence[Self]) -> Self:
        """Join states along the batch; rows may stand at different positions.

        Raises
        ------
        ValueError
            If the list is empty or the states are not of the same model.
        """
        if not states:
            raise ValueError("stack needs at least one state, found none")
        joined = {
            f.name: _stack([getattr(s, f.name) for s in states]) for f in fields(cls) if not f.metadata.get("shared")
        }
        return replace(states[0], **joined)

    def tensors(self) -> dict[str, Tensor]:
        """Return every tensor under a flat name, detached and copied, for saving.

        The inverse of `from_tensors`. No two of them share storage, as safetensors demands.
        """
        flat: dict[str, Tensor] = {}
        for f in fields(self):
            _flatten(f.name, getattr(self, f.name), flat)
        return {name: _own(x.detach()) for name, x in flat.items()}

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Rebuild a state from what `tensors` returned."""
        values = {f.name: _rebuild(f.name, tensors, f.metadata) for f in fields(cls)}
        return cls(**values)


def _apply(value: Any, leaf: Callable[[Tensor], Tensor], branch: Callable[[Any], Any]) -> Any:
    if value is None:
        return None
    if isinstance(value, Tensor):
        return leaf(value)
    if isinstance(value, tuple):
        return tuple(_apply(v, leaf, branch) for v in value)
    return branch(value)


def _own(x: Tensor) -> Tensor:
    return x.clone(memory_format=torch.contiguous_format)


def _stack(values: list[Any]) -> Any:
    if len({type(v) for v in values}) > 1:
        values = [v.settled() if isinstance(v, StateTree) else v for v in values]
    first = values[0]
    if any(type(v) is not type(first) for v in values):
        raise ValueError("cannot stack states of different models: a part is missing in some of them")
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(values)
    if isinstance(first, tuple):
        if any(len(v) != len(first) for v in values):
            raise ValueError("cannot stack states of different models: numbers of layers differ")
        return tuple(_stack(list(v)) for v in zip(*values, strict=True))
    return type(first).stack(values)


def _put(rows: Tensor, into: Any, value: Any) -> Any:
    if into is None:
        return None
    if isinstance(into, Tensor):
        return write_rows(into, rows, value)
    if isinstance(into, tuple):
        return tuple(_put(rows, i, v) for i, v in zip(into, value, strict=True))
    return into.put(rows, value)


def _flatten(name: str, value: Any, flat: dict[str, Tensor]) -> None:
    if value is None:
        return
    if isinstance(value, Tensor):
        flat[name] = value
    elif isinstance(value, tuple):
        for i, v in enumerate(value):
            _flatten(f"{name}.{i}", v, flat)
    else:
        value = value.settled() if isinstance(value, StateTree) else value
        flat.update({f"{name}.{key}": x for key, x in value.tensors().items()})


def _rebuild(name: str, tensors: dict[str, Tensor], metadata: Any) -> Any:
    inside = _under(name, tensors)
    if metadata.get("many"):
        return tuple(
            _rebuild(str(i), inside, {"kind": metadata.get("kind")})
            for i in range(len({key.split(".")[0] for key in inside}))
        )
    if (kind := metadata.get("kind")) is None:
        return tensors.get(name)
    return kind.from_tensors(inside) if inside else None


def _under(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    prefix = name + "."
    return {key.removeprefix(prefix): x for key, x in tensors.items() if key.startswith(prefix)}
