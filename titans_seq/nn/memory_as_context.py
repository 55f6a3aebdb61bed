"""Memory as context, `mac` (Titans, arXiv 2501.00663, section 4.1).

Segment by segment: retrieve from the memory as it was when the segment opened, attend causally to
[persistent | retrieved | segment], write the result into the memory, and let what the memory then returns
gate the result.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.nn._ragged import take_rows
from titans_seq.nn.attention import AttentionProjections, attend, hide
from titans_seq.nn.config import BlockConfig
from titans_seq.nn.memory_layer import Retrieval
from titans_seq.nn.mixer import Mixer, Reading, ReadResult, read_memory
from titans_seq.nn.norm import rms_norm
from titans_seq.nn.rotary import Table, rotary_table, rotate, table_at
from titans_seq.nn.segments import SegmentPlan
from titans_seq.nn.state import LayerState, OpenSegment


class Projected(NamedTuple):
    """Attention's queries, keys, values and the retrieval's queries: (batch, time, heads, head_dim)."""

    query: Tensor
    key: Tensor
    value: Tensor
    retrieval: Tensor


@dataclass(frozen=True)
class Piece:
    """Tokens of one segment per row.

    Attributes
    ----------
    tokens : Projected
    slot : Tensor of int64, shape (batch, width)
        Slot of the segment of every token.
    mask : Tensor of bool, shape (batch, width)
        False for masked tokens.
    lengths : Tensor of int64, shape (batch,)
    fresh : bool
        Whether all rows open a segment with this piece.
    """

    tokens: Projected
    slot: Tensor
    mask: Tensor
    lengths: Tensor
    fresh: bool

    @property
    def opens(self) -> Tensor:
        """Rows that open a segment with this piece."""
        return (self.slot[:, 0] == 0) & (self.lengths > 0)


class ContextMixer(Mixer):
    """`mac`: the memory's answers are context for attention, and attention decides what is memorised.

    A token sees only its own and earlier retrieved rows: a later one would tell it of its future.
    """

    state_parts = frozenset({"memory", "segment"})

    def __init__(self, config: BlockConfig) -> None:
        super().__init__(config)
        self.segment_length = config.segment
        self.memory = config.memory()
        self.attention = AttentionProjections(config.d_model, config.n_heads)
        self.retrieval = Retrieval(config.d_model, config.n_heads, self.memory.head_dim, conv_width=config.conv_width)
        self.result_norm = rms_norm(config.d_model)
        self.project_out = nn.Linear(config.d_model, config.d_model, bias=False)

    def init_state(self, batch_size: int) -> LayerState:
        """Return the memory's state and a segment without tokens."""
        state = self.memory.init_state(batch_size, self.norm(self.persistent))
        assert state.memory is not None
        like = self.attention.project_in.weight.detach()
        slots = (batch_size, self.segment_length)
        rows = like.new_zeros(*slots, 2, self.attention.n_heads, self.attention.head_dim)
        visible = like.new_zeros(*slots, dtype=torch.bool)
        tail = self.retrieval.conv.empty_tail(batch_size)
        return replace(state, segment=OpenSegment(rows, rows, visible, state.memory.weights, tail))

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Read tokens, a segment at a time."""
        assert state.segment is not None and state.memory is not None
        time = x.shape[1]
        plan = SegmentPlan.make(state.memory.position, time, self.segment_length, reading.lengths)
        tokens, tail = self._project(self.norm(x), state.segment.tail, reading.lengths)
        state = replace(state, segment=replace(state.segment, tail=tail))
        persistent = self.attention.keys_values(self.norm(self.persistent))
        results, surprises = [], []
        for piece in self._pieces(plan, tokens, reading.mask):
            result, state, surprise = self._read_piece(piece, state, persistent, reading)
            results.append(result)
            surprises.append(surprise)
        surprise = plan.join(surprises, time) if reading.return_surprise else None  # type: ignore[arg-type]
        return ReadResult(self.project_out(plan.join(results, time)), state, surprise)

    def _project(self, x: Tensor, tail: Tensor, lengths: Tensor | None) -> tuple[Projected, Tensor]:
        q, k, v = self.attention.queries_keys_values(x)
        retrieval, tail = self.retrieval.queries(x, tail, lengths)
        return Projected(q * self.attention.scale, k, v, retrieval), tail

    def _pieces(self, plan: SegmentPlan, tokens: Projected, mask: Tensor | None) -> list[Piece]:
        q = tokens.query
        mask = q.new_ones(q.shape[:2], dtype=torch.bool) if mask is None else mask
        cut: tuple[Tensor, ...] = plan.cut(torch.stack(list(tokens), 2)).unbind(1)
        masks, lengths = plan.cut(mask).unbind(1), plan.lengths.unbind(1)
        slots = plan.phase[..., None] + torch.arange(plan.width, device=q.device)
        slots = slots.clamp_max(self.segment_length - 1)
        fresh = ((plan.phase == 0) & (plan.lengths > 0)).all(0).tolist()
        return [
            Piece(Projected(*c.unbind(2)), *rest)
            for c, *rest in zip(cut, slots.unbind(1), masks, lengths, fresh, strict=True)
        ]

    def _read_piece(
        self, piece: Piece, state: LayerState, persistent: tuple[Tensor, Tensor], reading: Reading
    ) -> tuple[Tensor, LayerState, Tensor | None]:
        assert state.segment is not None and state.memory is not None
        weights = _opening_weights(piece, state.segment.weights, state.memory.weights)
        retrieved = self.retrieval(piece.tokens.retrieval, state.memory, weights)
        retrieved = torch.zeros_like(retrieved) if reading.zero_memory else retrieved
        table = self._table(retrieved)
        segment = self._write_segment(piece, retrieved, replace(state.segment, weights=weights), table)
        result = self.result_norm(self._attend(piece, segment, persistent, table))
        within = replace(reading, mask=piece.mask, lengths=piece.lengths)
        returned, state, surprise = read_memory(self.memory, result, replace(state, segment=segment), within)
        return result * returned.sigmoid(), state, surprise

    def _table(self, like: Tensor) -> Table:
        """Angles of all places: first the retrieved rows, then the tokens."""
        places = torch.arange(2 * self.segment_length, device=like.device)
        return rotary_table(places, self.attention.head_dim, like.dtype)

    def _write_segment(self, piece: Piece, retrieved: Tensor, segment: OpenSegment, table: Table) -> OpenSegment:
        key, value = self.attention.keys_values(retrieved)
        keys = torch.stack(
            (
                rotate(key, table_at(table, piece.slot)),
                rotate(piece.tokens.key, table_at(table, piece.slot + self.segment_length)),
            ),
            2,
        )
        values = torch.stack((value, piece.tokens.value), 2)
        return replace(
            segment,
            keys=_merge(segment.keys, keys, piece),
            values=_merge(segment.values, values, piece),
            visible=_merge(segment.visible, piece.mask, piece),
        )

    def _attend(self, piece: Piece, segment: OpenSegment, persistent: tuple[Tensor, Tensor], table: Table) -> Tensor:
        query = piece.tokens.query
        rotated = rotate(query, table_at(table, piece.slot + self.segment_length))
        slot, other = piece.slot[..., None], torch.arange(self.segment_length, device=query.device)
        seen = (segment.visible[:, None] & (other < slot)) | (other == slot)
        bias = hide(seen.repeat_interleave(2, -1)[:, None], query.dtype)
        keys = segment.keys.flatten(1, 2).permute(0, 2, 3, 1)
        values = segment.values.flatten(1, 2).transpose(1, 2)
        y = attend(query.transpose(1, 2), rotated.transpose(1, 2), keys, values, bias, persistent)
        return self.attention.join_heads(y.transpose(1, 2))


def _opening_weights(piece: Piece, carried: tuple[Tensor, ...], now: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if piece.fresh:
        return now
    opens = piece.opens[:, None, None, None]
    return tuple(torch.where(opens, n, c) for n, c in zip(now, carried, strict=True))


def _merge(old: Tensor, new: Tensor, piece: Piece) -> Tensor:
    """Put a piece's rows (batch, width, ...) into their slots of (batch, segment_length, ...)."""
    n_slots = old.shape[1]
    if piece.fresh:
        return F.pad(new, (0, 0) * (new.dim() - 2) + (0, n_slots - new.shape[1]))
    slot = torch.arange(n_slots, device=old.device) - piece.slot[:, :1]
    kept = (slot < 0) | (piece.lengths == 0)[:, None]
    moved = take_rows(new, slot.clamp(0, new.shape[1] - 1))
    return torch.where(kept.view(*kept.shape, *(1,) * (old.dim() - 2)), old.to(new.dtype), moved)
