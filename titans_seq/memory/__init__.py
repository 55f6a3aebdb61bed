"""The memory rule: a small network per head that learns, while reading, to map keys to values."""

from titans_seq.memory.op import neural_memory
from titans_seq.memory.presets import PRESETS, Preset
from titans_seq.memory.state import MemoryState, PendingRows, init_state
from titans_seq.memory.step import memory_step, ready_for_steps

__all__ = [
    "PRESETS",
    "MemoryState",
    "PendingRows",
    "Preset",
    "init_state",
    "memory_step",
    "neural_memory",
    "ready_for_steps",
]
