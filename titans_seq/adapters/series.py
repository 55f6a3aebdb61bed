"""The series model: tokens → backbone → forecast on top of the closed-form linear one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from titans_seq.adapters.tokens import Patching, Tokens
from titans_seq.nn import Backbone, BackboneState


@dataclass(frozen=True)
class Correction:
    """What the network adds to the linear forecast, in units of the scaled series.

    Attributes
    ----------
    shift : Tensor, shape (batch, tokens, horizon)
        Added to the linear forecast.
    log_spread : Tensor, shape (batch, tokens, horizon)
        Logarithm of a factor on the width of the prediction intervals.
    scale : Tensor, shape (batch, tokens)
        Trailing standard deviation at the cut-off.
    """

    shift: Tensor
    log_spread: Tensor
    scale: Tensor


class SeriesModel(nn.Module):
    """Reads patches of one channel per batch row and corrects the linear forecast from every cut-off.

    The head starts at zero: with nothing learned the forecast is the linear one.

    Parameters
    ----------
    patching : Patching
    horizon : int
        Steps forecast from each cut-off.
    dropout : float
    **backbone
        Arguments of `titans_seq.nn.Backbone`.
    """

    def __init__(self, patching: Patching, horizon: int, *, dropout: float = 0.0, **backbone: Any) -> None:
        super().__init__()
        self.patching, self.horizon = patching, horizon
        self.backbone = Backbone(dropout=dropout, **backbone)
        d_model = self.backbone.config.d_model
        self.encoder = nn.Linear(patching.n_features, d_model)
        self.head = nn.Linear(d_model, 2 * horizon)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def read(
        self,
        tokens: Tokens,
        state: BackboneState | None = None,
        *,
        lengths: Tensor | None = None,
        zero_memory: bool = False,
    ) -> tuple[Tensor, BackboneState]:
        """Return hidden states (batch, tokens, d_model) and the next state of the stream."""
        return self.backbone(self._encode(tokens), state, mask=tokens.mask, lengths=lengths, zero_memory=zero_memory)

    def read_with_surprise(
        self,
        tokens: Tokens,
        state: BackboneState | None = None,
        *,
        lengths: Tensor | None = None,
        zero_memory: bool = False,
    ) -> tuple[Tensor, BackboneState, Tensor]:
        """Do the same and return how far the memories were from each token, too.

        Returns
        -------
        tuple
            Hidden states and next state as of `read`, and the mean over layers and heads of ‖e_t‖, the error of the
            memory's write, (batch, tokens): NaN for a masked token, of which nothing is written.

        Raises
        ------
        ValueError
            If the variant has no memory.
        """
        hidden, state, surprise = self.backbone(
            self._encode(tokens), state, mask=tokens.mask, lengths=lengths, zero_memory=zero_memory,
            return_surprise=True,
        )  # fmt: skip
        return hidden, state, torch.where(tokens.mask, surprise.float().mean((-1, -2)), torch.nan)

    def _encode(self, tokens: Tokens) -> Tensor:
        return self.encoder(tokens.features.to(self.encoder.weight.dtype))

    def correct(self, hidden: Tensor, scale: Tensor) -> Correction:
        """Turn hidden states (…, d_model) and trailing scales (…) into corrections (…, horizon)."""
        shift, log_spread = self.head(hidden).float().chunk(2, -1)
        return Correction(shift * scale.unsqueeze(-1), log_spread.clamp(-3.0, 3.0), scale)

    def n_parameters(self) -> int:
        """Number of learned numbers."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)
