"""The mixers that read a call in one go: memory, attention, and both (Titans, sections 4.2 to 4.4)."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from titans_seq.nn.config import BlockConfig
from titans_seq.nn.mixer import Mixer, Reading, ReadResult, Step, read_memory, step_memory
from titans_seq.nn.norm import rms_norm
from titans_seq.nn.state import LayerState
from titans_seq.nn.window_step import step_window


class MemoryMixer(Mixer):
    """`lmm`: the memory alone."""

    steps_in_place = True

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.memory = config.memory()

    def init_state(self, batch_size: int) -> LayerState:
        """Return the state before position 0, persistent tokens read."""
        return self.memory.init_state(batch_size, self.norm(self.persistent))

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Read tokens with the memory."""
        return read_memory(self.memory, self.norm(x), state, reading)

    def step(self, x: Tensor, state: LayerState, step: Step) -> ReadResult:
        """Read one token per row with the memory."""
        return step_memory(self.memory, self.norm(x), state, step)


class WindowMixer(Mixer):
    """`swa`: sliding-window attention alone, a control."""

    state_parts = frozenset({"window"})
    steps_in_place = True

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.attention = config.window_attention()

    def init_state(self, batch_size: int) -> LayerState:
        """Return an empty window."""
        return LayerState(window=self.attention.empty_cache(batch_size))

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Attend within the window."""
        y, window = self.attention(
            self.norm(x), state.window, persistent=self.norm(self.persistent),
            mask=reading.mask, lengths=reading.lengths,
        )  # fmt: skip
        return ReadResult(y, replace(state, window=window))

    def step(self, x: Tensor, state: LayerState, step: Step) -> ReadResult:
        """Attend within the window, one query per row."""
        y, window = step_window(self.attention, self.norm(x), self.norm(self.persistent), state.window, step)
        return ReadResult(y, replace(state, window=window))


class FullMixer(Mixer):
    """`attention`: causal attention to everything read, a control."""

    state_parts = frozenset({"history"})

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.attention = config.full_attention()

    def init_state(self, batch_size: int) -> LayerState:
        """Return an empty history."""
        return LayerState(history=self.attention.empty_cache(batch_size))

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Attend to everything read."""
        y, history = self.attention(
            self.norm(x), state.history, persistent=self.norm(self.persistent),
            mask=reading.mask, lengths=reading.lengths,
        )  # fmt: skip
        return ReadResult(y, replace(state, history=history))


class GatedMixer(MemoryMixer):
    """`mag`: memory and sliding-window attention side by side, mixed by a gate of the token."""

    state_parts = frozenset({"memory", "window"})

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.attention = config.window_attention()
        self.gate = nn.Linear(config.d_model, config.d_model)

    def init_state(self, batch_size: int) -> LayerState:
        """Return the memory's state and an empty window."""
        return replace(super().init_state(batch_size), window=self.attention.empty_cache(batch_size))

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Read with both and mix."""
        x = self.norm(x)
        attended, window = self.attention(
            x, state.window, persistent=self.norm(self.persistent), mask=reading.mask, lengths=reading.lengths
        )
        recalled, state, surprise = read_memory(self.memory, x, state, reading)
        gate = self.gate(x).sigmoid()
        return ReadResult(attended.lerp(recalled, gate), replace(state, window=window), surprise)

    def step(self, x: Tensor, state: LayerState, step: Step) -> ReadResult:
        """Read one token per row with both and mix."""
        x = self.norm(x)
        attended, window = step_window(self.attention, x, self.norm(self.persistent), state.window, step)
        recalled, state, surprise = step_memory(self.memory, x, state, step)
        gate = self.gate(x).sigmoid()
        return ReadResult(attended.lerp(recalled, gate), replace(state, window=window), surprise)


class LayeredMixer(MemoryMixer):
    """`mal`: the memory first, then sliding-window attention on what it leaves."""

    state_parts = frozenset({"memory", "window"})

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.attention = config.window_attention()
        self.attention_norm = rms_norm(config.d_model)

    def init_state(self, batch_size: int) -> LayerState:
        """Return the memory's state and an empty window."""
        return replace(super().init_state(batch_size), window=self.attention.empty_cache(batch_size))

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Read with the memory, then attend."""
        recalled, state, surprise = read_memory(self.memory, self.norm(x), state, reading)
        attended, window = self.attention(
            self.attention_norm(x + recalled), state.window, persistent=self.attention_norm(self.persistent),
            mask=reading.mask, lengths=reading.lengths,
        )  # fmt: skip
        return ReadResult(recalled + attended, replace(state, window=window), surprise)

    def step(self, x: Tensor, state: LayerState, step: Step) -> ReadResult:
        """Read one token per row with the memory, then attend."""
        recalled, state, surprise = step_memory(self.memory, self.norm(x), state, step)
        attended, window = step_window(
            self.attention, self.attention_norm(x + recalled), self.attention_norm(self.persistent), state.window, step
        )
        return ReadResult(recalled + attended, replace(state, window=window), surprise)
