"""The backbone: a stack of residual blocks of one variant that reads streams piece by piece."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn

from titans_seq.nn._ragged import valid_tokens
from titans_seq.nn.blocks import Block
from titans_seq.nn.config import BlockConfig
from titans_seq.nn.mixer import Reading, Step
from titans_seq.nn.norm import rms_norm
from titans_seq.nn.rotary import Table, rotary_table
from titans_seq.nn.state import BackboneState, LayerState
from titans_seq.nn.variants import mixer_class


class Backbone(nn.Module):
    """Reads streams of continuous tokens; what it remembers is a `BackboneState`, carried by the caller.

    Parameters
    ----------
    d_model : int, default 32
        Width of the tokens; a multiple of ``n_heads``.
    n_layers : int, default 2
        Blocks, all of the same variant.
    n_heads : int, default 2
        Heads of attention and memory.
    variant : {"mag", "mal", "mac", "lmm", "swa", "attention"}, default "mag"
        How memory and attention work together; `swa` and `attention` have no memory.
    memory_depth : int, default 2
        Weight matrices of a memory, 1 to 4.
    memory_expansion : int, default 2
        Hidden width of a memory over its head's width.
    chunk_size : int, default 16
        Tokens of a memory that share one point of linearisation.
    window_size : int, default 16
        Tokens that sliding-window attention sees.
    n_persistent : int, default 4
        Learned tokens before every stream: always seen by attention, read once by the memory.
    dropout : float, default 0.0
        On what each block adds, and within its MLP.
    rule : {"bounded", "titans"}, default "bounded"
        Update rule of the memory.
    segment_length : int, optional
        Tokens per segment of `mac`; default ``window_size``.
    loss, surprise_threshold, backend
        As in `titans_seq.memory.neural_memory`.
    initial_theta, initial_eta, initial_alpha : float, default None, 0.5, 0.0025
        Step, momentum and forgetting of an untrained memory layer, in (0, 1); None: by rule, see
        `NeuralMemory`.
    gate, association, hold_theta, hold_eta, hold_alpha, conv_width, decay_before_error
        How a memory layer's gates are made or held, what it begins as, and what it convolves; see `NeuralMemory`.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range.

    Examples
    --------
    >>> backbone = Backbone(d_model=8, n_layers=1)
    >>> y, state = backbone(torch.randn(1, 5, 8))
    >>> y, state = backbone(torch.randn(1, 3, 8), state)
    >>> state.position
    tensor([8])
    """

    def __init__(
        self,
        d_model: int = 32,
        n_layers: int = 2,
        n_heads: int = 2,
        variant: str = "mag",
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 16,
        window_size: int = 16,
        n_persistent: int = 4,
        dropout: float = 0.0,
        rule: str = "bounded",
        *,
        segment_length: int | None = None,
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
        self.config = BlockConfig(
            d_model=d_model, n_heads=n_heads, memory_depth=memory_depth, memory_expansion=memory_expansion,
            chunk_size=chunk_size, window_size=window_size, segment_length=segment_length,
            n_persistent=n_persistent, dropout=dropout, rule=rule, loss=loss,
            surprise_threshold=surprise_threshold, backend=backend, initial_theta=initial_theta,
            initial_eta=initial_eta, initial_alpha=initial_alpha, gate=gate, association=association,
            hold_theta=hold_theta, hold_eta=hold_eta, hold_alpha=hold_alpha, conv_width=conv_width,
            decay_before_error=decay_before_error,
        )  # fmt: skip
        if n_layers < 1:
            raise ValueError(f"n_layers must be at least 1, found {n_layers}")
        self.variant, self.mixer_class = variant, mixer_class(variant)
        blocks = [Block(self.mixer_class(self.config), self.config) for _ in range(n_layers)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.norm = rms_norm(d_model)

    @property
    def has_memory(self) -> bool:
        """Whether the variant has a memory."""
        return "memory" in self.mixer_class.state_parts

    def init_state(self, batch_size: int) -> BackboneState:
        """Return the state of ``batch_size`` streams before position 0."""
        device = self.norm.weight.device
        layers = tuple(block.init_state(batch_size) for block in self.blocks)
        return BackboneState(layers, torch.zeros(batch_size, dtype=torch.int64, device=device))

    @overload
    def forward(
        self, x: Tensor, state: BackboneState | None = None, *, mask: Tensor | None = None,
        lengths: Tensor | None = None, return_surprise: Literal[False] = False, zero_memory: bool = False,
    ) -> tuple[Tensor, BackboneState]: ...  # fmt: skip
    @overload
    def forward(
        self, x: Tensor, state: BackboneState | None = None, *, mask: Tensor | None = None,
        lengths: Tensor | None = None, return_surprise: Literal[True], zero_memory: bool = False,
    ) -> tuple[Tensor, BackboneState, Tensor]: ...  # fmt: skip
    def forward(
        self,
        x: Tensor,
        state: BackboneState | None = None,
        *,
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
        return_surprise: bool = False,
        zero_memory: bool = False,
    ) -> tuple[Tensor, BackboneState] | tuple[Tensor, BackboneState, Tensor]:
        """Read tokens.

        Parameters
        ----------
        x : Tensor, shape (batch, time, d_model)
            What stands under the mask or in the padding is not looked at; it may be NaN.
        state : BackboneState, optional
            What an earlier call handed back; None at the start of the streams. It is not changed.
        mask : Tensor of bool, shape (batch, time), optional
            False for masked tokens: they have an output, but nothing is learned from them and no other
            token attends to them.
        lengths : Tensor of int, shape (batch,), optional
            Tokens of each row; those beyond are padding, are not read, and their output is zero.
        return_surprise : bool, default False
            Also return the memories' surprise, shape (batch, time, n_layers, n_heads).
        zero_memory : bool, default False
            Replace what the memories return by zeros, all else unchanged: an ablation.

        Returns
        -------
        tuple of Tensor and BackboneState
            The result, shaped like ``x``, and the next state; then the surprise if asked for.

        Raises
        ------
        ValueError
            If shapes do not fit, or surprise is asked of a variant that has no memory.
        """
        self._check(x, state, mask, lengths, return_surprise)
        state = self.init_state(x.shape[0]) if state is None else state
        lengths = None if lengths is None else lengths.to(x.device)
        valid = None if lengths is None else valid_tokens(lengths, x.shape[1])
        x, layers, surprise = self._read(
            _zero_outside(x, mask, valid), state.layers, Reading(mask, lengths, zero_memory, return_surprise)
        )
        state = BackboneState(layers, state.position + (x.shape[1] if lengths is None else lengths))
        y = _zero_outside(self.norm(x), valid)
        return (y, state) if surprise is None else (y, state, surprise)

    def ready(self, state: BackboneState) -> BackboneState:
        """Return a state that `step` may write to in place from the first token on; it shares no tensors."""
        self._check_state(state, state.batch_size)
        layers = (b.mixer.ready(layer, state.position) for b, layer in zip(self.blocks, state.layers, strict=True))
        return BackboneState(tuple(layers), state.position.clone())

    @overload
    def step(
        self, x: Tensor, state: BackboneState, *, mask: Tensor | None = None, read: Tensor | None = None,
        return_surprise: Literal[False] = False, zero_memory: bool = False, inplace: bool = False,
    ) -> tuple[Tensor, BackboneState]: ...  # fmt: skip
    @overload
    def step(
        self, x: Tensor, state: BackboneState, *, mask: Tensor | None = None, read: Tensor | None = None,
        return_surprise: Literal[True], zero_memory: bool = False, inplace: bool = False,
    ) -> tuple[Tensor, BackboneState, Tensor]: ...  # fmt: skip
    def step(
        self,
        x: Tensor,
        state: BackboneState,
        *,
        mask: Tensor | None = None,
        read: Tensor | None = None,
        return_surprise: bool = False,
        zero_memory: bool = False,
        inplace: bool = False,
    ) -> tuple[Tensor, BackboneState] | tuple[Tensor, BackboneState, Tensor]:
        """Read one token of every row: what `forward` returns for it, sooner.

        But for `attention`, which looks at everything read, its cost does not depend on how much that was.

        Parameters
        ----------
        x : Tensor, shape (batch, d_model)
        state : BackboneState
        mask : Tensor of bool, shape (batch,), optional
            False for masked tokens.
        read : Tensor of bool, shape (batch,), optional
            False for rows that read nothing in this call: their output is zero, their state stays as it is.
        return_surprise, zero_memory
            As in `forward`; surprise of shape (batch, n_layers, n_heads).
        inplace : bool, default False
            Write into the tensors of ``state`` where they come from an earlier step. That state, and all that
            shares its tensors, must not be used again; only the one returned.

        Returns
        -------
        tuple of Tensor and BackboneState
            The result, shaped like ``x``, and the next state; then the surprise if asked for.

        Raises
        ------
        ValueError
            If shapes do not fit, or surprise is asked of a variant that has no memory.

        Notes
        -----
        A step has no graph. Where gradients are enabled, `forward` reads the token instead, and ``inplace`` is not
        heeded.
        """
        self._check_step(x, state, mask, read)
        if return_surprise and not self.has_memory:
            raise ValueError(f"variant {self.variant!r} has no memory, hence no surprise to return")
        step = Step(state.position, mask, read, zero_memory, return_surprise, inplace, self._rotation(state.position))
        if torch.is_grad_enabled() and (x.requires_grad or any(p.requires_grad for p in self.parameters())):
            return self._step_with_graph(x, state, step)
        layers: list[LayerState] = []
        surprises: list[Tensor] = []
        x = _zero_outside(x, mask, read)
        for block, layer in zip(self.blocks, state.layers, strict=True):
            x, layer, surprise = block.step(x, layer, step)
            layers.append(layer)
            surprises += [] if surprise is None else [surprise]
        y = _zero_outside(self.norm(x), read)
        state = BackboneState(tuple(layers), state.position + (1 if read is None else read))
        return (y, state, torch.stack(surprises, 1)) if return_surprise else (y, state)

    def _rotation(self, position: Tensor) -> Table | None:
        """Angles of one token per row, (batch, 1, 1, head_dim // 2), where attention has a window."""
        if "window" not in self.mixer_class.state_parts:
            return None
        head_dim = self.config.d_model // self.config.n_heads
        return rotary_table(position[:, None], head_dim, self.norm.weight.dtype)

    def _step_with_graph(self, x: Tensor, state: BackboneState, step: Step) -> Any:
        reading = step.as_reading()
        found = self(
            x[:, None], state, mask=reading.mask, lengths=reading.lengths,
            return_surprise=step.return_surprise, zero_memory=step.zero_memory,
        )  # fmt: skip
        return tuple(part.squeeze(1) if isinstance(part, Tensor) else part for part in found)

    def _check_step(self, x: Tensor, state: BackboneState, mask: Tensor | None, read: Tensor | None) -> None:
        if x.dim() != 2 or x.shape[1] != self.config.d_model:
            raise ValueError(f"x must have shape (batch, {self.config.d_model}), found {tuple(x.shape)}")
        self._check_state(state, x.shape[0])
        for name, rows in (("mask", mask), ("read", read)):
            if rows is not None and (rows.shape != x.shape[:1] or rows.dtype != torch.bool):
                found = f"{rows.dtype} of {tuple(rows.shape)}"
                raise ValueError(f"{name} must be bool of shape {tuple(x.shape[:1])}, found {found}")

    def _read(
        self, x: Tensor, layers: tuple[LayerState, ...], reading: Reading
    ) -> tuple[Tensor, tuple[LayerState, ...], Tensor | None]:
        states, surprises = [], []
        if x.shape[1] == 0:
            nothing = x.new_zeros(*x.shape[:2], len(layers), self.config.n_heads)
            return x, layers, nothing if reading.return_surprise else None
        for block, layer in zip(self.blocks, layers, strict=True):
            x, layer, surprise = block(x, layer, reading)
            states.append(layer)
            surprises.append(surprise)
        return x, tuple(states), torch.stack(surprises, 2) if reading.return_surprise else None

    def _check(
        self,
        x: Tensor,
        state: BackboneState | None,
        mask: Tensor | None,
        lengths: Tensor | None,
        return_surprise: bool,
    ) -> None:
        if x.dim() != 3 or x.shape[2] != self.config.d_model:
            shape = f"(batch, time, {self.config.d_model})"
            raise ValueError(f"x must have shape {shape}, found {tuple(x.shape)}")
        if state is not None:
            self._check_state(state, x.shape[0])
        if mask is not None and (mask.shape != x.shape[:2] or mask.dtype != torch.bool):
            raise ValueError(
                f"mask must be bool of shape {tuple(x.shape[:2])}, found {mask.dtype} of {tuple(mask.shape)}"
            )
        if lengths is not None:
            _check_lengths(lengths, x)
        if return_surprise and not self.has_memory:
            raise ValueError(f"variant {self.variant!r} has no memory, hence no surprise to return")

    def _check_state(self, state: BackboneState, batch_size: int) -> None:
        if state.batch_size != batch_size:
            raise ValueError(f"the state has {state.batch_size} rows, x has {batch_size}")
        if len(state.layers) != len(self.blocks):
            raise ValueError(f"the state has {len(state.layers)} layers, the backbone {len(self.blocks)}")
        expected = self.mixer_class.state_parts
        for layer in state.layers:
            if layer.parts != expected:
                found = ", ".join(sorted(layer.parts))
                raise ValueError(
                    f"the state holds {found}; variant {self.variant!r} needs {', '.join(sorted(expected))}"
                )


def _check_lengths(lengths: Tensor, x: Tensor) -> None:
    if lengths.shape != x.shape[:1]:
        raise ValueError(f"lengths must have shape ({x.shape[0]},), found {tuple(lengths.shape)}")
    for row, n in enumerate(lengths.tolist()):
        if not 0 <= n <= x.shape[1]:
            raise ValueError(f"lengths[{row}] must lie in [0, {x.shape[1]}], found {n}")


def _zero_outside(x: Tensor, *masks: Tensor | None) -> Tensor:
    """Put zeros where a mask is False; unlike a product with it, this also ends NaN."""
    for mask in masks:
        if mask is not None:
            x = torch.where(mask[..., None], x, 0)
    return x
