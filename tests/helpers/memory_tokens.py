"""Random tokens for a memory, for tests of the op and of its backends."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from titans_seq.memory import MemoryState, init_state


class Tokens:
    """Random tokens and memory weights for one configuration."""

    def __init__(
        self,
        batch: int = 2,
        time: int = 13,
        heads: int = 2,
        dim: int = 4,
        depth: int = 2,
        expansion: int = 2,
        dtype: torch.dtype = torch.float64,
        closed_gates: bool = False,
        seed: int = 0,
    ) -> None:
        g = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=g, dtype=torch.float64).to(dtype)

        self.q, self.k = (normalize(draw(batch, time, heads, dim), dim=-1) for _ in range(2))
        self.v = draw(batch, time, heads, dim)
        gates = torch.rand(3, batch, time, heads, generator=g, dtype=torch.float64)
        if closed_gates:
            ends = torch.rand(gates.shape, generator=g)
            gates[ends < 0.25] = 0.0
            gates[ends > 0.75] = 1.0
        self.theta, self.eta, self.alpha = gates.to(dtype)
        sizes = [dim] + [dim * expansion] * (depth - 1) + [dim]
        self.weights = tuple(draw(heads, i, o) / i**0.5 for i, o in zip(sizes, sizes[1:], strict=False))
        self.batch, self.time = batch, time
        self.mask = torch.rand(batch, time, generator=g) > 0.25

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        return self.q, self.k, self.v, self.theta, self.eta, self.alpha

    def state(self) -> MemoryState:
        return init_state(self.weights, batch_size=self.batch)

    def piece(self, start: int, stop: int) -> tuple[Tensor, ...]:
        return tuple(x[:, start:stop] for x in self.inputs)

    def rows(self, *rows: int) -> tuple[Tensor, ...]:
        return tuple(x[list(rows)] for x in self.inputs)
