"""Named settings of the op: the comparison columns of an ablation, all from one piece of code."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from titans_seq.memory.op import neural_memory
from titans_seq.memory.state import MemoryState


@dataclass(frozen=True)
class Preset:
    """A published recurrence as settings of `neural_memory`.

    Attributes
    ----------
    name, source : str
        Name, and where the recurrence is published.
    rule, loss, decay_before_error
        Passed to the op.
    depth : int
        Number of weight matrices the recurrence has.
    theta, eta, alpha : float or None
        Gate held at this value; None leaves the caller's gate in force.
    per_token : bool
        Whether the published recurrence takes every gradient at the latest weights (chunk size then only
        sets speed) rather than at the weights with which a chunk opened.
    deviations : str
        Where our form differs from the publication.
    """

    name: str
    source: str
    rule: str
    depth: int
    loss: str = "l2"
    decay_before_error: bool = False
    theta: float | None = None
    eta: float | None = None
    alpha: float | None = None
    per_token: bool = True
    deviations: str = "none"

    def __call__(
        self,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        theta: Tensor,
        eta: Tensor,
        alpha: Tensor,
        state: MemoryState,
        *,
        chunk_size: int = 64,
        backend: str = "auto",
        mask: Tensor | None = None,
        lengths: Tensor | None = None,
    ) -> tuple[Tensor, MemoryState]:
        """Run `neural_memory` under this preset; arguments as there.

        Raises
        ------
        ValueError
            If the state's memory has another depth than the preset.
        """
        if state.depth != self.depth:
            raise ValueError(f"preset {self.name!r} has depth {self.depth}, the state has depth {state.depth}")
        gates = (_held(theta, self.theta), _held(eta, self.eta), _held(alpha, self.alpha))
        return neural_memory(
            q,
            k,
            v,
            *gates,
            state,
            chunk_size=chunk_size,
            rule=self.rule,
            loss=self.loss,
            decay_before_error=self.decay_before_error,
            backend=backend,
            mask=mask,
            lengths=lengths,
        )


def _held(gate: Tensor, value: float | None) -> Tensor:
    return gate if value is None else torch.full_like(gate, value)


_NORMALISED = "the step is divided by ‖k‖² + 1e-6, which for unit keys is 1 + 1e-6"

PRESETS: dict[str, Preset] = {
    p.name: p
    for p in (
        Preset(
            "linear_attention",
            "Katharopoulos et al., arXiv 2006.16236, without feature map or normaliser",
            "titans",
            1,
            loss="dot",
            theta=1.0,
            eta=0.0,
            alpha=0.0,
        ),
        Preset(
            "delta",
            "DeltaNet, Yang et al., arXiv 2406.06484",
            "bounded",
            1,
            eta=0.0,
            alpha=0.0,
            deviations=_NORMALISED,
        ),
        Preset(
            "gated_delta",
            "Gated DeltaNet, Yang et al., arXiv 2412.06464 (its α is our 1 − α)",
            "bounded",
            1,
            decay_before_error=True,
            eta=0.0,
            deviations=f"{_NORMALISED}; forgets to the initial weights, which are zero there",
        ),
        Preset(
            "ttt_linear",
            "TTT-Linear, Sun et al., arXiv 2407.04620",
            "titans",
            1,
            eta=0.0,
            alpha=0.0,
            per_token=False,
            deviations="no LayerNorm and residual around the inner model",
        ),
        Preset(
            "ttt_mlp",
            "TTT-MLP, Sun et al., arXiv 2407.04620",
            "titans",
            2,
            eta=0.0,
            alpha=0.0,
            per_token=False,
            deviations="SiLU for GELU; no biases, LayerNorm and residual around the inner model",
        ),
        Preset(
            "titans",
            "Titans, Behrouz et al., arXiv 2501.00663, eq. 9–14",
            "titans",
            2,
            per_token=False,
            deviations="SiLU in the memory's hidden layer",
        ),
    )
}
