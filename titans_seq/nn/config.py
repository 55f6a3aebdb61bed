"""What the parts of a block need to know about its dimensions."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from titans_seq.nn.full_attention import FullAttention
from titans_seq.nn.memory_layer import NeuralMemory, check_gates
from titans_seq.nn.window_attention import SlidingWindowAttention


@dataclass(frozen=True)
class BlockConfig:
    """Arguments of a block; see `Backbone` for their meaning."""

    d_model: int
    n_heads: int = 2
    memory_depth: int = 2
    memory_expansion: int = 2
    chunk_size: int = 16
    window_size: int = 16
    segment_length: int | None = None
    n_persistent: int = 4
    dropout: float = 0.0
    rule: str = "bounded"
    loss: str = "l2"
    surprise_threshold: float = 0.0
    backend: str = "auto"
    initial_theta: float | None = None
    initial_eta: float = 0.5
    initial_alpha: float = 0.0025
    gate: str = "sigmoid"
    association: bool = True
    hold_theta: float | None = None
    hold_eta: float | None = None
    hold_alpha: float | None = None
    conv_width: int = 4
    decay_before_error: bool = False

    def __post_init__(self) -> None:
        for name in (
            "d_model",
            "n_heads",
            "memory_depth",
            "memory_expansion",
            "chunk_size",
            "window_size",
            "conv_width",
        ):
            _check_at_least(1, name, getattr(self, name))
        _check_at_least(0, "n_persistent", self.n_persistent)
        if self.segment_length is not None:
            _check_at_least(1, "segment_length", self.segment_length)
        if self.d_model % self.n_heads:
            raise ValueError(f"d_model must be a multiple of n_heads, found {self.d_model}, {self.n_heads}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), found {self.dropout}")
        for name in ("initial_theta", "initial_eta", "initial_alpha"):
            level = getattr(self, name)
            if level is not None and not 0 < level < 1:
                raise ValueError(f"{name} must lie between 0 and 1, found {level}")
        check_gates(self.gate, {name: getattr(self, name) for name in ("hold_theta", "hold_eta", "hold_alpha")})

    @property
    def segment(self) -> int:
        """Tokens per segment of memory as context."""
        return self.window_size if self.segment_length is None else self.segment_length

    def reading(self, parts: frozenset[str]) -> dict[str, Any]:
        """Return what decides on how blocks of given parameters read, of a variant whose state has these ``parts``.

        Neither the backend belongs to it nor what is for training only.
        """
        left_out = _NOT_IN_READING | (set() if "window" in parts else {"window_size"})
        left_out |= set() if "memory" in parts else _MEMORY_OPTIONS
        found = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in left_out}
        return found | ({"segment_length": self.segment} if "segment" in parts else {})

    def memory(self) -> NeuralMemory:
        """Build the block's memory layer."""
        names = {f.name for f in fields(self)} & _MEMORY_OPTIONS
        return NeuralMemory(self.d_model, self.n_heads, **{name: getattr(self, name) for name in names})

    def window_attention(self) -> SlidingWindowAttention:
        """Build the block's sliding-window attention."""
        return SlidingWindowAttention(self.d_model, self.n_heads, self.window_size)

    def full_attention(self) -> FullAttention:
        """Build the block's full attention."""
        return FullAttention(self.d_model, self.n_heads)


# How fast, how it is trained, and where training begins.
_NOT_IN_READING = {
    "segment_length", "backend", "dropout", "initial_theta", "initial_eta", "initial_alpha", "association",
}  # fmt: skip
_MEMORY_OPTIONS = {
    "memory_depth", "memory_expansion", "chunk_size", "rule", "loss", "surprise_threshold", "backend",
    "initial_theta", "initial_eta", "initial_alpha", "gate", "association",
    "hold_theta", "hold_eta", "hold_alpha", "conv_width", "decay_before_error",
}  # fmt: skip


def _check_at_least(least: int, name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be an integer, found {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, found {value}")
