"""What is measured: the memory layer and its op, titans-pytorch, attention and LSTM, each as a run of no argument."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from _memory.measure import SEED, Run
from titans_seq.memory import init_state, neural_memory
from titans_seq.nn import NeuralMemory

Read = Callable[[Tensor], Tensor]


class CausalAttention(nn.Module):
    """Causal softmax attention with its projections and nothing else (fused `scaled_dot_product_attention`)."""

    def __init__(self, d_model: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.project_in = nn.Linear(d_model, 3 * d_model, bias=False)
        self.project_out = nn.Linear(d_model, d_model, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project_in(x).unflatten(-1, (3, self.n_heads, -1)).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.project_out(y.transpose(1, 2).flatten(-2))


def our_layer(d_model: int, n_heads: int, expansion: int, *, chunk_size: int = 64, rule: str = "bounded") -> Read:
    """The whole layer: projections, convolution, gates, memory, norm, output gate."""
    layer = NeuralMemory(d_model, n_heads, memory_expansion=expansion, chunk_size=chunk_size, rule=rule)
    return lambda x: layer(x)[0]


def peer_layer(d_model: int, *, chunk_size: int = 64, **options: Any) -> Read:
    """titans-pytorch's layer; its memory is two layers of expansion 4 unless told otherwise."""
    from titans_pytorch import NeuralMemory as PeerMemory

    layer = PeerMemory(dim=d_model, chunk_size=chunk_size, **options)
    return lambda x: layer(x)[0]


def attention_layer(d_model: int, n_heads: int) -> Read:
    return CausalAttention(d_model, n_heads)


def lstm_layer(d_model: int) -> Read:
    layer = nn.LSTM(d_model, d_model, batch_first=True)
    return lambda x: layer(x)[0]


def tokens(batch: int, time: int, d_model: int) -> Tensor:
    """Draw standard normal tokens; they take part in the gradient, as in the middle of a network."""
    generator = torch.Generator().manual_seed(SEED)
    return torch.randn(batch, time, d_model, generator=generator).requires_grad_()


def forward_run(read: Read, x: Tensor) -> Run:
    def run() -> Tensor:
        with torch.no_grad():
            return read(x)

    return run


def training_run(read: Read, x: Tensor) -> Run:
    """Forward and backward to the tokens and every parameter."""

    def run() -> None:
        x.grad = None
        read(x).square().mean().backward()

    return run


def as_run(read: Read, x: Tensor, mode: str) -> Run:
    return training_run(read, x) if mode == "train" else forward_run(read, x)


class OpInputs:
    """Arguments of `neural_memory` as an untrained layer would pass them: unit queries and keys, spread-out gates.

    Queries, keys and values are of ``dtype``; gates and weights are fp32.
    """

    def __init__(
        self,
        batch: int,
        time: int,
        n_heads: int,
        head_dim: int,
        expansion: int,
        *,
        chunk_size: int = 64,
        rule: str = "bounded",
        backend: str = "auto",
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        draw: dict[str, Any] = {"generator": torch.Generator(device).manual_seed(SEED), "device": device}

        def leaf(x: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
            return x.to(dtype).requires_grad_()

        def tokens() -> Tensor:
            return torch.randn(batch, time, n_heads, head_dim, **draw)

        def gate(level: float) -> Tensor:
            return leaf(level * (0.8 + 0.4 * torch.rand(batch, time, n_heads, **draw)))

        hidden = expansion * head_dim
        theta = 0.5 if rule == "bounded" else 0.5 / (1 + chunk_size * 0.36 * hidden)
        q, k = (leaf(F.normalize(tokens(), dim=-1), dtype) for _ in range(2))
        self.inputs = (q, k, leaf(tokens(), dtype), gate(theta), gate(0.5), gate(0.0025))
        last = 0.1 * (0.36 * hidden) ** -0.5
        self.weights = (
            leaf(torch.randn(n_heads, head_dim, hidden, **draw)),
            leaf(last * torch.randn(n_heads, hidden, head_dim, **draw)),
        )
        self.options: dict[str, Any] = {"chunk_size": chunk_size, "rule": rule, "backend": backend}
        self.batch, self.tokens = batch, batch * time

    def read(self) -> Tensor:
        state = init_state(self.weights, batch_size=self.batch)
        y, _ = neural_memory(*self.inputs, state, **self.options)
        return y

    def run(self, mode: str) -> Run:
        return self._train if mode == "train" else self._forward

    def _forward(self) -> Tensor:
        with torch.no_grad():
            return self.read()

    def _train(self) -> None:
        for x in (*self.inputs, *self.weights):
            x.grad = None
        self.read().square().mean().backward()
