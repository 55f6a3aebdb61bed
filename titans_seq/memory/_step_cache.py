"""What reading token by token keeps of the open chunk, in slots of fixed place: derived data, never saved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from torch import Tensor

Tensors = tuple[Tensor, ...]


@dataclass(frozen=True)
class KernelRows:
    """What the hidden layers' part of the kernel needs of a chunk's earlier tokens (rule "bounded", depth 2 and up).

    Rows of a batch may stand at different phases: all share these slots, and slots without a token, or with one
    that is not kept, have zeros in ``in_weights`` and ``in_momentum``.

    Attributes
    ----------
    slopes : tuple of Tensor, each (batch, heads, chunk, width)
        silu' of every hidden layer at the opening weights.
    inputs : tuple of Tensor, each (batch, heads, chunk, width)
        Inputs of the second and later hidden layers; those of the first are the keys.
    in_weights, in_momentum : Tensor, shape (batch, heads, 1, chunk)
        Weights of each token's gradient in M_t and S_t.
    beta, gamma : Tensor, shape (batch, heads, 1, 1)
        Weights of the opening weights and of the opening momentum in M_t.
    gamma_momentum : Tensor, shape (batch, heads, 1, 1)
        Weight of the opening momentum in S_t.
    largest : Tensor, shape (batch, heads, 1, 1)
        Largest uncorrected error of the chunk so far.
    row_norms : tuple of Tensor, each (batch, heads, 1, width)
        ‖W[j, :]‖² of the opening weights that follow each hidden layer.
    """

    slopes: Tensors
    inputs: Tensors
    in_weights: Tensor
    in_momentum: Tensor
    beta: Tensor
    gamma: Tensor
    gamma_momentum: Tensor
    largest: Tensor
    row_norms: Tensors


@dataclass(frozen=True)
class StepCache:
    """The open chunk of a state that is read token by token.

    Attributes
    ----------
    rows : Tensor, shape (batch, heads, chunk, 3 × head_dim)
        Key, value and ρ e (the error as the hidden layers learn it) of every token, by slot; the last only with a
        kernel. Zeros where no kept token stands.
    gates : Tensor, shape (batch, heads, chunk, 3)
        θ, η and α as given; zeros alike.
    keep : Tensor of bool, shape (batch, heads, chunk)
    kernel : KernelRows or None
        None where the rule or the depth does not need it.
    rule : tuple
        Rule, loss and order of decay that the cache was made for.
    """

    rows: Tensor
    gates: Tensor
    keep: Tensor
    kernel: KernelRows | None
    rule: tuple[Any, ...]

    @property
    def keys(self) -> Tensor:
        """Keys by slot, (batch, heads, chunk, head_dim): a view, like those below."""
        return self._part(0)

    @property
    def values(self) -> Tensor:
        """Values by slot."""
        return self._part(1)

    @property
    def pulls(self) -> Tensor:
        """ρ e by slot; only with a kernel."""
        return self._part(2)

    def _part(self, i: int) -> Tensor:
        width = self.rows.shape[-1] // (2 if self.kernel is None else 3)
        return self.rows.narrow(-1, i * width, width)

    def map(self, fn: Callable[[Tensor], Tensor]) -> StepCache:
        """Apply ``fn`` to every tensor."""
        return combine(lambda tensors: fn(tensors[0]), [self])


def combine(fn: Callable[[Sequence[Tensor]], Tensor], values: Sequence[Any]) -> Any:
    """Apply ``fn`` to the tensors that stand in the same place of several values of one structure."""
    first = values[0]
    if isinstance(first, Tensor):
        return fn(values)
    if isinstance(first, tuple):
        return tuple(combine(fn, parts) for parts in zip(*values, strict=True))
    if is_dataclass(first) and not isinstance(first, type):
        parts = {f.name: combine(fn, [getattr(v, f.name) for v in values]) for f in fields(first)}
        return replace(first, **parts)
    return first


def write_rows(into: Tensor, rows: Tensor, values: Tensor) -> Tensor:
    """Write ``values`` over the named rows of ``into``, unless they are a view of it that stands there already."""
    if into.data_ptr() == values.data_ptr() and rows.tolist() == list(range(len(values))):
        return into
    shared = into.untyped_storage().data_ptr() == values.untyped_storage().data_ptr()
    return into.index_copy_(0, rows, values.clone() if shared else values)
