"""A residual block: a mixer over tokens, then a gated MLP on each token."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from titans_seq.nn.config import BlockConfig
from titans_seq.nn.mixer import Mixer, Reading, ReadResult, Step
from titans_seq.nn.norm import rms_norm
from titans_seq.nn.state import LayerState


class GatedMLP(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv 2002.05202) with about the parameters of a fourfold MLP.

    Parameters
    ----------
    d_model : int
    dropout : float, default 0.0
        Of the hidden entries.
    """

    def __init__(self, d_model: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        hidden = 8 * max(1, round(d_model / 3))
        self.project_in = nn.Linear(d_model, 2 * hidden, bias=False)
        self.project_out = nn.Linear(hidden, d_model, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., d_model) to the same shape."""
        gate, value = self.project_in(x).chunk(2, -1)
        return self.project_out(self.dropout(F.silu(gate) * value))


class Block(nn.Module):
    """Pre-norm residual block of one variant.

    Parameters
    ----------
    mixer : Mixer
        It holds its own norm.
    config : BlockConfig
    """

    def __init__(self, mixer: Mixer, config: BlockConfig) -> None:
        super().__init__()
        self.mixer = mixer
        self.norm = rms_norm(config.d_model)
        self.mlp = GatedMLP(config.d_model, dropout=config.dropout)
        self.dropout = nn.Dropout(config.dropout)

    def init_state(self, batch_size: int) -> LayerState:
        """Return the state before position 0."""
        return self.mixer.init_state(batch_size)

    def forward(self, x: Tensor, state: LayerState, reading: Reading) -> ReadResult:
        """Read x (batch, time, d_model); the result is the new residual stream."""
        delta, state, surprise = self.mixer(x, state, reading)
        x = x + self.dropout(delta)
        return ReadResult(x + self.dropout(self.mlp(self.norm(x))), state, surprise)

    def step(self, x: Tensor, state: LayerState, step: Step) -> ReadResult:
        """Read one token per row, x (batch, d_model)."""
        delta, state, surprise = self.mixer.step(x, state, step)
        x = x + self.dropout(delta)
        return ReadResult(x + self.dropout(self.mlp(self.norm(x))), state, surprise)
