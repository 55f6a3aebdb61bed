"""What each head of memory and of attention adds to the residual stream of a block."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from titans_seq.evaluation._probe import MemoryCall
from titans_seq.nn.memory_as_context import ContextMixer
from titans_seq.nn.mixer import Mixer
from titans_seq.nn.mixers import GatedMixer, MemoryMixer


class Contribution(NamedTuple):
    """Norms of what is added, and the share that `mag`'s gate gives the memory; each (batch, time, heads).

    Attributes
    ----------
    recalled : Tensor
        What the stream would lack if the memory's head returned nothing here, all else as it is. For `mac`: if the
        head had no say in the gate on the result; what it retrieved as context is attention's.
    attended : Tensor or None
        The same of the heads of attention; None without attention.
    mix : Tensor or None
        Mean of the gate over the width of the stream, the same for all heads; None but for `mag`.
    """

    recalled: Tensor
    attended: Tensor | None = None
    mix: Tensor | None = None


def contribution(mixer: Mixer, call: MemoryCall, attended: Tensor | None, mixing: Tensor | None) -> Contribution:
    """Take one call of a block apart; ``attended`` and ``mixing`` as in `Heard`."""
    if isinstance(mixer, ContextMixer):
        assert attended is not None
        return _of_context(mixer, call, attended)
    assert isinstance(mixer, MemoryMixer)
    n_heads = mixer.memory.n_heads
    recalled = _by_head(mixer.memory.project_out, call.by_head, n_heads)
    if attended is None:
        return Contribution(recalled.norm(dim=-1))
    seen = _by_head(mixer.attention.project_out, attended, n_heads)  # type: ignore[union-attr, arg-type]
    if mixing is None or not isinstance(mixer, GatedMixer):
        return Contribution(recalled.norm(dim=-1), seen.norm(dim=-1))
    gate = mixing.float().sigmoid().unsqueeze(-2)
    mix = gate.mean(-1).expand(*gate.shape[:2], n_heads)
    return Contribution((gate * recalled).norm(dim=-1), ((1 - gate) * seen).norm(dim=-1), mix)


def _of_context(mixer: ContextMixer, call: MemoryCall, attended: Tensor) -> Contribution:
    """`mac`: the stream gets P(result * sigmoid(returned)), result = RMSNorm(sum of attention's heads)."""
    result, returned = call.read.float().unsqueeze(-2), call.returned.float().unsqueeze(-2)
    gate = returned.sigmoid()
    recalled = _by_head(mixer.memory.project_out, call.by_head, mixer.memory.n_heads)
    lacking = result * (gate - (returned - recalled).sigmoid())
    seen = _by_head(mixer.attention.project_out, attended, mixer.attention.n_heads)
    norm = mixer.result_norm
    power = seen.sum(-2, keepdim=True).square().mean(-1, keepdim=True)
    seen = seen * torch.rsqrt(power + (norm.eps or 0.0)) * norm.weight.float() * gate
    project = mixer.project_out.weight.float().T
    return Contribution((lacking @ project).norm(dim=-1), (seen @ project).norm(dim=-1))


def _by_head(project: nn.Linear, x: Tensor, n_heads: int) -> Tensor:
    """Split what a projection makes of x into the parts that its heads bring: (batch, time, heads, d_model)."""
    weight = project.weight.float().unflatten(1, (n_heads, -1))
    return torch.einsum("bthd,ohd->btho", x.float().unflatten(-1, (n_heads, -1)), weight)
