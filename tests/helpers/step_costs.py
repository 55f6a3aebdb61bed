"""What a call does, without a clock: its operations, with their shapes, and the largest tensor they make."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class StepCost(TorchDispatchMode):
    """Context that lists operations as (name, shapes of the results), and the most entries of a new tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, ...]] = []
        self.largest = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {x.untyped_storage().data_ptr() for x in tree_leaves((args, kwargs)) if isinstance(x, Tensor)}
        out = func(*args, **(kwargs or {}))
        made = [x for x in tree_leaves(out) if isinstance(x, Tensor)]
        self.operations.append((str(func), *(tuple(x.shape) for x in made)))
        new = [x.numel() for x in made if x.untyped_storage().data_ptr() not in given]
        self.largest = max(self.largest, *new, 0)
        return out
