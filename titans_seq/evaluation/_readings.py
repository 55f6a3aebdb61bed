"""From what was heard of a call to one array of numbers per stream."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.evaluation._contributions import contribution
from titans_seq.evaluation._probe import Heard, MemoryCall, Probe
from titans_seq.memory import MemoryState
from titans_seq.nn.memory_layer import GateValues

QUANTITIES = ("surprise", "theta", "eta", "alpha", "recalled", "attended", "mix", "drift")
"""What is read off for every token, layer and head, in this order."""
DRIFT = QUANTITIES.index("drift")

Readings = NDArray[np.float32]


def readings(probe: Probe) -> Iterator[Readings]:
    """Yield, stream by stream, what was heard since the probe was cleared.

    Yields
    ------
    float32 array (tokens, layers, heads, quantities)
        The tokens that the stream read, padding left out. NaN: no such quantity (a masked token has no gates and no
        surprise; drift is known after the last token only).
    """
    layers = [_layer(probe, place) for place in range(len(probe.blocks))]
    drifts = [drift(heard.calls[-1].memory) for heard in probe.blocks]
    valid = layers[0][1]
    values = torch.stack([found for found, _ in layers], 2).cpu().numpy()
    last = torch.stack(drifts, 1).cpu().numpy()
    for row, inside in enumerate(valid.cpu().numpy()):
        mine = values[row, inside]
        mine[-1:, :, :, DRIFT] = last[row]
        yield mine


def drift(memory: MemoryState) -> Tensor:
    """Distance of a memory's weights from the initial ones, over the norm of those: (batch, heads)."""
    pairs = list(zip(memory.weights, memory.initial, strict=True))
    moved = sum(((now - start).float().square().sum((-1, -2)) for now, start in pairs), start=torch.zeros(()))
    size = sum((start.float().square().sum((-1, -2)) for _, start in pairs), start=torch.zeros(()))
    return (moved / size.clamp_min(1e-30)).sqrt()


def _layer(probe: Probe, place: int) -> tuple[Tensor, Tensor]:
    """Return (batch, time, heads, quantities) of one layer, and which of them are no padding."""
    heard, watch = probe.blocks[place], probe.watch
    calls = range(len(heard.calls))
    found = [_call(heard, i, watch.calls[place][i], watch.surprise[place][i]) for i in calls]
    return torch.cat(found, 1), torch.cat([_inside(call) for call in heard.calls], 1)


def _call(heard: Heard, i: int, gates: GateValues, surprise: Tensor) -> Tensor:
    call = heard.calls[i]
    attended, mixing = (given[i] if given else None for given in (heard.attended, heard.mixing))
    learned = [_unmasked(x.float(), call.mask) for x in (surprise, gates.theta, gates.eta, gates.alpha)]
    nothing = torch.full_like(learned[0], torch.nan)
    added = [nothing if x is None else x for x in contribution(heard.mixer, call, attended, mixing)]
    return torch.stack([*learned, *added, nothing], -1)


def _unmasked(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else torch.where(mask[..., None], x, torch.nan)


def _inside(call: MemoryCall) -> Tensor:
    batch, time = call.read.shape[:2]
    places = torch.arange(time, device=call.read.device).expand(batch, time)
    return places < (time if call.lengths is None else call.lengths.to(places.device)[:, None])
