"""The neural memory as a layer: projections, convolution and gates around the op of `titans_seq.memory`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.memory import MemoryState, init_state, memory_step, neural_memory, ready_for_steps
from titans_seq.memory._options import MemoryOptions, check_choice
from titans_seq.nn.conv import CausalConv
from titans_seq.nn.gates import hard_gate
from titans_seq.nn.norm import HeadRMSNorm, l2_normalize
from titans_seq.nn.state import LayerState, MemoryStart

GATES = ("sigmoid", "hard")
SILU_POWER = 0.36
"""Mean of silu(z)² for standard normal z."""


@dataclass(frozen=True)
class GateValues:
    """Gates of the tokens of one call, masked and padded ones among them.

    Attributes
    ----------
    theta, eta, alpha : Tensor, shape (batch, time, heads)
    writing, forgetting : Tensor or None, shape (batch, time, heads)
        What theta and alpha were made of: below 0 a hard gate is closed. None where the gate is held.
    hard : bool
        Whether theta and alpha are hard gates, else sigmoids.
    """

    theta: Tensor
    eta: Tensor
    alpha: Tensor
    writing: Tensor | None
    forgetting: Tensor | None
    hard: bool

    def openness(self, margin: float) -> Tensor:
        """Sum of how far theta and alpha are from closed in the mean; a hard gate's ``margin`` below counts, too."""
        return self._open(self.theta, self.writing, margin) + self._open(self.alpha, self.forgetting, margin)

    def _open(self, gate: Tensor, made_of: Tensor | None, margin: float) -> Tensor:
        return F.relu(made_of + margin).mean() if self.hard and made_of is not None else gate.mean()


class NeuralMemory(nn.Module):
    """Reads a stream of tokens with a memory per head that learns them as it goes.

    Tokens are projected to queries, keys and values, passed through SiLU and a causal depthwise convolution;
    queries and keys are scaled to unit length. What the memory returns is normalised per head, gated by the
    token and projected back (Titans, arXiv 2501.00663, section 4.4).

    Parameters
    ----------
    d_model : int
        Width of the tokens.
    n_heads : int
        Memories per layer.
    head_dim : int, optional
        Width of keys and values; default ``d_model // n_heads``.
    memory_depth : int, default 2
        Weight matrices of a memory, 1 to 4.
    memory_expansion : int, default 2
        Hidden width of a memory over ``head_dim``.
    chunk_size, rule, loss, surprise_threshold, backend
        As in `titans_seq.memory.neural_memory`.
    initial_theta, initial_eta, initial_alpha : float, default None, 0.5, 0.0025
        Step, momentum and forgetting of an untrained layer, in (0, 1). Forgetting starts nearly closed: a
        memory learns to forget more easily than to remember. The step's default is 0.5, and far less for
        the rule "titans", whose steps are not normalised: there a chunk of equal keys takes one full step.
    gate : {"sigmoid", "hard"}, default "sigmoid"
        What makes step and forgetting of the token. A hard gate (see `titans_seq.nn.gates.hard_gate`) can close
        exactly, and what a memory holds then stays to the last bit however much it reads. Momentum is a sigmoid
        either way.
    association : bool, default True
        Begin as a memory of what follows what; False: random projections.
    hold_theta, hold_eta, hold_alpha : float, optional
        Hold a gate at this value in [0, 1] for all tokens, e.g. ``hold_eta=0.0`` for a memory without momentum.
    conv_width : int, default 4
        Tokens under the convolution; 1: each token by itself.
    decay_before_error : bool, default False
        As in `titans_seq.memory.neural_memory`.

    Notes
    -----
    The initial weights are parameters. Those of the last layer start small: an untrained memory returns next
    to nothing, yet gradients reach every layer.
    """

    def __init__(
        self,
        d_model: int,
        n_heads: int,
        head_dim: int | None = None,
        *,
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 64,
        rule: str = "bounded",
        loss: str = "l2",
        surprise_threshold: float = 0.0,
        backend: str = "auto",
        initial_theta: float | None = None,
        initial_eta: float = 0.5,
        initial_alpha: float = 0.0025,
        gate: str = "sigmoid",
        association: bool = True,
        hold_theta: float | None = None,
        hold_eta: float | None = None,
        hold_alpha: float | None = None,
        conv_width: int = 4,
        decay_before_error: bool = False,
    ) -> None:
        super().__init__()
        check_gates(gate, {"hold_theta": hold_theta, "hold_eta": hold_eta, "hold_alpha": hold_alpha})
        if conv_width < 1:
            raise ValueError(f"conv_width must be at least 1, found {conv_width}")
        # Refuses here what the op would refuse at the first token.
        MemoryOptions(chunk_size, rule, loss, surprise_threshold, decay_before_error, return_surprise=False)
        self.gate, self.hold, self.decay_before_error = gate, (hold_theta, hold_eta, hold_alpha), decay_before_error
        self.on_gates: Callable[[GateValues], None] | None = None
        self.on_surprise: Callable[[Tensor], None] | None = None
        self.n_heads, self.head_dim = n_heads, head_dim or d_model // n_heads
        self.chunk_size, self.rule, self.loss = chunk_size, rule, loss
        self.surprise_threshold, self.backend = surprise_threshold, backend
        inner = self.n_heads * self.head_dim
        self.project_in = nn.Linear(d_model, 3 * inner, bias=False)
        self.conv = CausalConv(3 * inner, width=conv_width)
        self.gates = nn.Linear(d_model, 3 * n_heads + inner)
        self.norm = HeadRMSNorm(n_heads, self.head_dim)
        self.project_out = nn.Linear(inner, d_model, bias=False)
        self.initial = nn.ParameterList(
            initial_weights(n_heads, self.head_dim, memory_expansion * self.head_dim, memory_depth)
        )
        if initial_theta is None:
            key_power = 1.0 if memory_depth == 1 else SILU_POWER * memory_expansion * self.head_dim
            initial_theta = 0.5 if rule == "bounded" else (1 - initial_eta) / (1 + chunk_size * key_power)
        self._init_gates((initial_theta, initial_eta, initial_alpha))
        if association:
            self._init_association()

    @torch.no_grad()
    def _init_association(self) -> None:
        """Begin as a memory of what follows what: key of the token before, value and query of the token.

        Queries and keys share their projection, so a token recalls what came after the likes of it. Learned
        from there; a random start finds this only after many hundred steps.
        """
        inner = self.n_heads * self.head_dim
        query, key, _ = self.project_in.weight.split(inner)
        key.copy_(query)
        self.conv.weight.mul_(0.1)
        self.conv.weight[:, -1] += 1.0
        if self.conv.width == 1:
            return
        self.conv.weight[inner : 2 * inner, -1] -= 1.0
        self.conv.weight[inner : 2 * inner, -2] += 1.0

    def _init_gates(self, levels: Sequence[float]) -> None:
        with torch.no_grad():
            self.gates.bias.zero_()
            self.gates.weight[: 3 * self.n_heads].mul_(0.1)
            hard = (self.gate == "hard", False, self.gate == "hard")
            biases = self.gates.bias[: 3 * self.n_heads].view(3, -1)
            for bias, level, is_hard in zip(biases, levels, hard, strict=True):
                bias.fill_(level if is_hard else math.log(level / (1 - level)))

    def start(self, prefix: Tensor | None = None) -> MemoryStart:
        """Return the state before position 0 of a stream, after reading ``prefix`` (n, d_model) if given.

        The memory's positions, and with them its chunks, begin after the prefix.
        """
        weights = tuple(w.to(torch.promote_types(w.dtype, torch.float32)) for w in self.initial)
        start = MemoryStart(init_state(weights, batch_size=1), self.conv.empty_tail(1))
        if prefix is None or prefix.shape[0] == 0:
            return start
        _, state = self(prefix[None], LayerState(memory=start.memory, tail=start.tail, start=start))
        return MemoryStart(state.memory.rebase(), state.tail)

    def init_state(self, batch_size: int, prefix: Tensor | None = None) -> LayerState:
        """Return the state of ``batch_size`` streams before position 0, as `start` leaves them."""
        start = self.start(prefix)
        rows = start.expand(batch_size)
        return LayerState(memory=rows.memory, tail=rows.tail, start=start)

    def ready(self, memory: MemoryState) -> MemoryState:
        """Return a memory that `step` may write to in place."""
        return ready_for_steps(
            memory, chunk_size=self.chunk_size, rule=self.rule, loss=self.loss,
            decay_before_error=self.decay_before_error,
        )  # fmt: skip

    @overload
    def forward(
        self, x: Tensor, state: LayerState | None = None, *, mask: Tensor | None = None,
        lengths: Tensor | None = None, return_surprise: Literal[False] = False,
    ) -> tuple[Tensor, LayerState]: ...  # fmt: skip
    @overload
    def forward(
        self, x: Tensor, state: LayerState | None = None, *, mask: Tensor | None = None,
        lengths: Tensor | None = None, return_surprise: bool,
    ) -> tuple[Tensor, LayerState] | tuple[Tensor, LayerState, Tensor]: ...  # fmt: skip
    def forward(
        self,
        x: Tensor,
        state: LayerState | None = None,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        return_surprise: bool = False,
    ) -> tuple[Tensor, LayerState] | tuple[Tensor, LayerState, Tensor]:
        """Read tokens.

        Parameters
        ----------
        x : Tensor, shape (batch, time, d_model)
        state : LayerState, optional
            What an earlier call handed back; None at the start of a stream.
        mask : Tensor of bool, shape (batch, time), optional
            False for masked tokens: the memory reads for them, but does not learn them.
        lengths : Tensor of int, shape (batch,), optional
            Tokens beyond are padding and are not read.
        return_surprise : bool, default False
            Also return how far the memory was from each token, shape (batch, time, heads).

        Returns
        -------
        tuple
            The result, shaped like ``x``, the next state, and the surprise if asked for.
        """
        state = self.init_state(x.shape[0]) if state is None else state
        assert state.memory is not None and state.tail is not None
        q, k, v, tail = self._queries_keys_values(x, state.tail, lengths)
        theta, eta, alpha, output_gate = self._gates(x)
        y, memory, surprise = self._learn(
            (q, k, v, theta, eta, alpha), state.memory, {"mask": mask, "lengths": lengths},
            return_surprise or self.on_surprise is not None,
        )  # fmt: skip
        if surprise is not None and self.on_surprise is not None:
            self.on_surprise(surprise)
        y = self.project_out((self.norm(y) * output_gate).flatten(-2))
        state = replace(state, memory=memory, tail=tail)
        return (y, state, surprise) if return_surprise and surprise is not None else (y, state)

    def step(
        self,
        x: Tensor,
        state: LayerState,
        *,
        mask: Tensor | None = None,
        read: Tensor | None = None,
        return_surprise: bool = False,
        inplace: bool = False,
    ) -> tuple[Tensor, LayerState, Tensor | None]:
        """Read one token per row, at a cost that does not depend on its position.

        Parameters
        ----------
        x : Tensor, shape (batch, d_model)
        state : LayerState
        mask, read, inplace
            As in `titans_seq.memory.memory_step`.
        return_surprise : bool, default False
            Also return the surprise, shape (batch, heads); else None.

        Returns
        -------
        tuple of Tensor, LayerState, and Tensor or None
        """
        assert state.memory is not None and state.tail is not None
        mixed, tail = self.conv.step(F.silu(self.project_in(x)), state.tail)
        if read is not None:
            tail = torch.where(read[:, None, None], tail, state.tail)
        mixed = mixed.unflatten(-1, (3, self.n_heads, self.head_dim))
        q, k = l2_normalize(mixed[:, :2]).unbind(1)
        theta, eta, alpha, output_gate = self._gates(x)
        y, memory, *surprise = memory_step(
            q, k, mixed[:, 2], theta, eta, alpha, state.memory, chunk_size=self.chunk_size, rule=self.rule,
            loss=self.loss, surprise_threshold=self.surprise_threshold, decay_before_error=self.decay_before_error,
            mask=mask, read=read, return_surprise=return_surprise or self.on_surprise is not None, inplace=inplace,
        )  # type: ignore[call-overload]  # fmt: skip
        if self.on_surprise is not None:
            self.on_surprise(surprise[0].unsqueeze(1))
        y = self.project_out((self.norm(y) * output_gate).flatten(-2))
        return y, replace(state, memory=memory, tail=tail), surprise[0] if return_surprise else None

    def _learn(
        self,
        inputs: tuple[Tensor, ...],
        memory: MemoryState,
        masks: dict[str, Tensor | None],
        return_surprise: bool,
    ) -> tuple[Tensor, MemoryState, Tensor | None]:
        options: dict[str, Any] = {
            "chunk_size": self.chunk_size, "rule": self.rule, "loss": self.loss, "backend": self.backend,
            "surprise_threshold": self.surprise_threshold, "decay_before_error": self.decay_before_error, **masks,
        }  # fmt: skip
        if return_surprise:
            return neural_memory(*inputs, memory, return_surprise=True, **options)  # type: ignore[call-overload]
        return *neural_memory(*inputs, memory, **options), None  # type: ignore[call-overload]

    def _queries_keys_values(
        self, x: Tensor, tail: Tensor, lengths: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        # In place where no graph needs the projection: a long read allocates less.
        projected = F.silu(self.project_in(x), inplace=not torch.is_grad_enabled())
        mixed, tail = self.conv(projected, tail, lengths)
        mixed = mixed.unflatten(-1, (3, self.n_heads, self.head_dim))
        q, k = l2_normalize(mixed[..., :2, :, :]).unbind(-3)
        return q, k, mixed[..., 2, :, :], tail

    def _gates(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rule, output = self.gates(x).split((3 * self.n_heads, self.n_heads * self.head_dim), -1)
        # In half precision 1 - alpha would round to 1.
        rule = rule.to(torch.promote_types(rule.dtype, torch.float32))
        writing, momentum, forgetting = rule.unflatten(-1, (3, self.n_heads)).unbind(-2)
        close = hard_gate if self.gate == "hard" else torch.sigmoid
        made = (close(writing), momentum.sigmoid(), close(forgetting))
        theta, eta, alpha = (
            gate if level is None else torch.full_like(gate, level) for gate, level in zip(made, self.hold, strict=True)
        )
        if self.on_gates is not None:
            self._report((theta, eta, alpha), (writing, forgetting))
        return theta, eta, alpha, output.sigmoid().unflatten(-1, (self.n_heads, self.head_dim))

    def _report(self, gates: Sequence[Tensor], made_of: Sequence[Tensor]) -> None:
        assert self.on_gates is not None
        if gates[0].dim() == 2:  # of a single step
            gates, made_of = ([x.unsqueeze(1) for x in xs] for xs in (gates, made_of))
        (theta, eta, alpha), (writing, forgetting) = gates, made_of
        self.on_gates(
            GateValues(
                theta, eta, alpha, writing if self.hold[0] is None else None,
                forgetting if self.hold[2] is None else None, self.gate == "hard",
            )
        )  # fmt: skip


class Retrieval(nn.Module):
    """Reads a memory without writing to it: the first step of memory as context (`mac`).

    Parameters
    ----------
    d_model, n_heads, head_dim, conv_width : int
        As in `NeuralMemory`.
    """

    def __init__(self, d_model: int, n_heads: int, head_dim: int, *, conv_width: int = 4) -> None:
        super().__init__()
        self.n_heads, self.head_dim = n_heads, head_dim
        self.project_in = nn.Linear(d_model, n_heads * head_dim, bias=False)
        self.conv = CausalConv(n_heads * head_dim, width=conv_width)
        self.norm = HeadRMSNorm(n_heads, head_dim)
        self.project_out = nn.Linear(n_heads * head_dim, d_model, bias=False)

    def queries(self, x: Tensor, tail: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return unit queries (batch, time, heads, head_dim) for x, and the next tail."""
        mixed, tail = self.conv(F.silu(self.project_in(x)), tail, lengths)
        return l2_normalize(mixed.unflatten(-1, (self.n_heads, self.head_dim))), tail

    def forward(self, queries: Tensor, memory: MemoryState, weights: tuple[Tensor, ...]) -> Tensor:
        """Return what the memory with these weights answers, shape (batch, time, d_model)."""
        return self.project_out(self.norm(replace(memory, weights=weights).read(queries)).flatten(-2))


def check_gates(gate: str, hold: Mapping[str, float | None]) -> None:
    """Raise a ValueError for an unknown kind of gate, or one that is held outside [0, 1]."""
    check_choice("gate", gate, GATES)
    for name, level in hold.items():
        if level is not None and not 0 <= level <= 1:
            raise ValueError(f"{name} must lie in [0, 1], found {level}")


def initial_weights(n_heads: int, head_dim: int, hidden: int, depth: int) -> list[Tensor]:
    """Draw initial weights of shape (heads, in, out) for a memory of ``depth`` layers.

    Keys have unit length, so the first layer's entries have unit variance and its outputs are spread over the
    curved part of SiLU; later layers keep that spread; the last is ten times smaller.
    """
    widths = [head_dim, *[hidden] * (depth - 1), head_dim]
    weights = []
    for layer, (n_in, n_out) in enumerate(zip(widths, widths[1:], strict=False)):
        scale = 1.0 if layer == 0 else (SILU_POWER * n_in) ** -0.5
        if layer == depth - 1:
            scale = 0.1 * (scale if depth > 1 else n_in**-0.5)
        weights.append(torch.randn(n_heads, n_in, n_out) * scale)
    return weights
