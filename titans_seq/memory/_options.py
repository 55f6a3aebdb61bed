"""The arguments of the op that do not change from token to token."""

from __future__ import annotations

from dataclasses import dataclass

RULE_NAMES = ("titans", "bounded")
LOSSES = ("l2", "dot")


@dataclass(frozen=True)
class MemoryOptions:
    """Checked options of `titans_seq.memory.neural_memory`; see there for their meaning."""

    chunk_size: int
    rule: str
    loss: str
    surprise_threshold: float
    decay_before_error: bool
    return_surprise: bool
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        check_choice("rule", self.rule, RULE_NAMES)
        check_choice("loss", self.loss, LOSSES)
        for name in ("chunk_size", "checkpoint_every"):
            value = getattr(self, name)
            if (isinstance(value, bool) or not isinstance(value, int)) and (value is not None or name == "chunk_size"):
                raise TypeError(f"{name} must be an integer, found {value!r}")
        if self.chunk_size < 1:
            raise ValueError(f"chunk_size must be at least 1, found {self.chunk_size}")
        if self.checkpoint_every is not None and self.checkpoint_every < 1:
            raise ValueError(f"checkpoint_every must be at least 1 chunk, found {self.checkpoint_every}")
        if not self.surprise_threshold >= 0:
            raise ValueError(f"surprise_threshold must be 0 (off) or positive, found {self.surprise_threshold}")
        if self.loss == "dot" and self.rule != "titans":
            raise ValueError(f"loss 'dot' has no error to bound: use rule='titans', found rule={self.rule!r}")
        if self.decay_before_error and self.rule != "bounded":
            raise ValueError(f"decay_before_error needs rule='bounded', found rule={self.rule!r}")


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Raise a ValueError that lists what is allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, found {value!r}")
