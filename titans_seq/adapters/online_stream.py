"""What a linear map that goes on learning keeps of its series, so that new rows can be read later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from titans_seq.adapters._linear_fill import BoolArray, FloatArray, IntArray
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.online import MOST_PATCHES, OnlineLinear, solved_at
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel


@dataclass(frozen=True)
class OnlineStream:
    """Sums, and the last rows of every series; its size does not depend on how much was read.

    The map is solved again as `solved_at` says, and stays the same in between.

    Attributes
    ----------
    online : OnlineLinear
        With every window whose last target was read when the map was solved last.
    values, observed : array (n_series, kept), float64 and bool
        The last rows, scaled; as many as windows with targets to come look back on.
    steps : int array (n_series,)
        Rows read in all.
    group : int array (n_series,)
        Group of each series in the map.
    patch_length : int
    weights : float array (n_series, kept), optional
        What the last rows count as targets. Default: all alike.
    later : float array (n_series,), optional
        What rows that are still to be read will count.
    """

    online: OnlineLinear
    values: FloatArray
    observed: BoolArray
    steps: IntArray
    group: IntArray
    patch_length: int
    weights: FloatArray | None = None
    later: FloatArray | None = None

    @classmethod
    def start(cls, linear: LinearMap, data: ScaledPanel, patch_length: int) -> OnlineStream:
        """Read whole series from their first row on, and solve the map."""
        lengths = data.panel.lengths
        online = OnlineLinear.start(linear, data, solved_at(lengths, patch_length))
        online.solve()
        kept = _kept(linear, patch_length)
        which = np.arange(data.panel.n_series)
        values, observed = (x.numpy() for x in data.gather(which, lengths - kept, kept))
        stream = cls(online, values, observed, lengths.copy(), data.group, patch_length)
        if data.weight is None:
            return stream
        return replace(stream, weights=data.weights(which, lengths - kept, kept), later=data.last_weight())

    @property
    def counted(self) -> IntArray:
        """Rows of each series read when the map was solved last: windows that end by then are in the sums."""
        return solved_at(self.steps, self.patch_length)

    def select(self, series: IntArray) -> OnlineStream:
        """Return the same map with its series in another order."""
        own: dict[str, Any] = {n: getattr(self, n)[series] for n in ("values", "observed", "steps", "group")}
        if self.weights is not None and self.later is not None:
            own |= {"weights": self.weights[series], "later": self.later[series]}
        return replace(self, **own)

    def read(self, data: ScaledPanel) -> OnlineStream:
        """Return the stream after new rows of all its series (none for some), in its order."""
        new = data.panel.lengths
        values, observed = data.gather(np.arange(len(new)), np.zeros_like(new), int(new.max(initial=0)))
        joined, first = self._joined(values.numpy(), observed.numpy(), new)
        online, steps = self.online.copy(), self.steps + new
        known = solved_at(steps, self.patch_length)
        online.learn(joined, np.maximum(self.counted - first, 0), np.maximum(known - first, 0))
        kept = self.values.shape[1]
        last, seen = joined.gather(np.arange(len(new)), joined.panel.lengths - kept, kept)
        start = joined.panel.lengths - kept
        weights = None if self.weights is None else joined.weights(np.arange(len(new)), start, kept)
        return replace(self, online=online, values=last.numpy(), observed=seen.numpy(), steps=steps, weights=weights)

    def _joined(self, values: FloatArray, observed: BoolArray, new: IntArray) -> tuple[ScaledPanel, IntArray]:
        """The rows kept and the new ones as a panel, and the row of its series at which each begins."""
        n, kept = self.values.shape
        held = np.minimum(self.steps, kept)
        there = np.concatenate(
            [np.arange(kept) >= kept - held[:, None], np.arange(values.shape[1]) < new[:, None]], axis=1
        )
        rows = np.concatenate([self.values, values], axis=1)[there]
        seen = np.concatenate([self.observed, observed], axis=1)[there]
        offsets = np.concatenate([[0], np.cumsum(there.sum(1))])
        zeros = np.zeros(n, dtype=np.int64)
        panel = Panel(rows, seen, offsets, tuple(range(n)), zeros, Frequency("integer", 1))
        return ScaledPanel(panel, np.zeros(n), np.ones(n), self.group, self._weights(there)), self.steps - held

    def _weights(self, there: BoolArray) -> FloatArray | None:
        """Weights of the rows kept and of the new ones, of those that are there (n_series, rows)."""
        if self.weights is None or self.later is None:
            return None
        n, kept = self.weights.shape
        new = np.broadcast_to(self.later[:, None], (n, there.shape[1] - kept))
        return np.concatenate([self.weights, new], axis=1)[there]

    def tensors(self) -> dict[str, Any]:
        """Return everything but the map as arrays, for saving."""
        moments = self.online.moments
        weights = {} if self.weights is None else {"weights": self.weights, "later": self.later}
        return weights | {
            "inputs": np.stack([m.inputs for m in moments]),
            "cross": np.stack([m.cross for m in moments]),
            "squares": np.array([m.squares for m in moments]),
            "values": self.values,
            "observed": self.observed,
            "steps": self.steps,
        }

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Any], linear: LinearMap, group: IntArray, patch_length: int
    ) -> OnlineStream:
        """Rebuild from `tensors` and the map as it was last solved.

        Raises
        ------
        ValueError, KeyError
            An entry is missing or does not fit.
        """
        online = OnlineLinear.empty(linear)
        for i, moments in enumerate(online.moments):
            for name in ("inputs", "cross"):
                found = np.asarray(tensors[name])
                if len(found) != len(online.moments) or found[i].shape != getattr(moments, name).shape:
                    raise ValueError(f"the {name} of the linear map's sums have shape {found.shape}")
                setattr(moments, name, found[i].astype(np.float64))
            moments.squares = float(tensors["squares"][i])
        values, observed, steps = (np.asarray(tensors[name]) for name in ("values", "observed", "steps"))
        kept = _kept(linear, patch_length)
        if values.shape != (len(group), kept) or observed.shape != values.shape or steps.shape != group.shape:
            raise ValueError(f"the last rows of the linear map have shape {values.shape}")
        weights, later = (np.asarray(tensors[n]) if "weights" in tensors else None for n in ("weights", "later"))
        if weights is not None and (weights.shape != values.shape or later is None or later.shape != steps.shape):
            raise ValueError(f"the weights of the linear map's rows have shape {weights.shape}")
        return cls(online, values, observed.astype(bool), steps, group, patch_length, weights, later)


def _kept(linear: LinearMap, patch_length: int) -> int:
    """Rows that windows which are not in the sums yet look back on."""
    return linear.context_length + linear.horizon + MOST_PATCHES * patch_length
