"""Sessions of a pool beside the same streams read alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from titans_seq.nn import Backbone, BackboneState, Sessions


def build(variant: str, dtype: torch.dtype = torch.float64, **options: Any) -> Backbone:
    torch.manual_seed(0)
    sizes = {"d_model": 10, "n_layers": 2, "chunk_size": 5, "window_size": 7, "n_persistent": 3} | options
    return Backbone(n_heads=2, variant=variant, **sizes).to(dtype).eval()


def difference(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@dataclass
class Alone:
    """What one session was given, and what came back."""

    tokens: list[Tensor] = field(default_factory=list)
    mask: list[bool] = field(default_factory=list)
    outputs: list[Tensor | None] = field(default_factory=list)

    def worst(self, backbone: Backbone, end: BackboneState) -> float:
        """Largest difference from the session read alone in one call, its future included."""
        future = torch.randn(1, 6, 10).to(backbone.norm.weight.dtype)
        if not self.tokens:
            return difference(backbone(future, end)[0], backbone(future)[0])
        whole, state = backbone(torch.stack(self.tokens)[None], mask=torch.tensor(self.mask)[None])
        found = [difference(y, whole[0, i]) for i, y in enumerate(self.outputs) if y is not None]
        assert end.position.tolist() == [len(self.tokens)]
        return max([*found, difference(backbone(future, end)[0], backbone(future, state)[0])])


def begin(sessions: Sessions, backbone: Backbone, read: int) -> tuple[int, Alone]:
    x = torch.randn(read, 10).to(backbone.norm.weight.dtype)
    state = backbone(x[None])[1] if read else None
    return sessions.join(state), Alone(list(x), [True] * read, [None] * read)


def read(sessions: Sessions, backbone: Backbone, open_: dict[int, Alone], who: list[int], masked: bool) -> None:
    x = torch.randn(len(who), 10).to(backbone.norm.weight.dtype)
    mask = torch.rand(len(who)) > 0.3 if masked else torch.ones(len(who), dtype=torch.bool)
    y = sessions.step(who, x, mask=mask if masked else None)
    for i, token, keep, out in zip(who, x, mask.tolist(), y, strict=True):
        open_[i].tokens.append(token)
        open_[i].mask.append(keep)
        open_[i].outputs.append(out)
