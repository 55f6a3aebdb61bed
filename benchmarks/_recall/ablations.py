"""Settings of the ablation: one change each from the same small model, trained and tested the same way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .setups import Setup

SMALL = Setup(
    backbone={"d_model": 32, "chunk_size": 16},
    settings={"tokens_per_step": 2048, "write_price": 1.0, "write_margin": 0.3, "free_steps": 125, "price_steps": 75},
    curriculum=((64, 250), (128, 80), (256, 80)),
)  # fmt: skip
HELD = {"hold_eta": 0.0, "hold_alpha": 0.0}
PRICED = SMALL.settings


def _changed(**settings: Any) -> Setup:
    return Setup(backbone=SMALL.backbone, settings=PRICED | settings, curriculum=SMALL.curriculum)


def _changed_curriculum(curriculum: tuple[tuple[int, int], ...]) -> Setup:
    return Setup(backbone=SMALL.backbone, settings=PRICED, curriculum=curriculum)


PHRASES = replace(SMALL, task_arguments={"n_needles": 8, "haystack": "phrase"})
ABLATIONS: dict[str, Setup] = {
    "base (mag, bounded, depth 2, chunk 16)": SMALL,
    "rule titans": SMALL.with_backbone(rule="titans"),
    "preset linear_attention": SMALL.with_backbone(rule="titans", memory_depth=1, loss="dot", hold_theta=1.0, **HELD),
    "preset delta": SMALL.with_backbone(memory_depth=1, **HELD),
    "preset gated_delta": SMALL.with_backbone(memory_depth=1, decay_before_error=True, hold_eta=0.0),
    "preset ttt_linear": SMALL.with_backbone(rule="titans", memory_depth=1, **HELD),
    "preset ttt_mlp": SMALL.with_backbone(rule="titans", **HELD),
    "depth 1": SMALL.with_backbone(memory_depth=1),
    "depth 3": SMALL.with_backbone(memory_depth=3),
    "depth 4": SMALL.with_backbone(memory_depth=4),
    "momentum off": SMALL.with_backbone(hold_eta=0.0),
    "forgetting off": SMALL.with_backbone(hold_alpha=0.0),
    "convolution off": SMALL.with_backbone(conv_width=1),
    "persistent tokens off": SMALL.with_backbone(n_persistent=0),
    "chunk 32": SMALL.with_backbone(chunk_size=32),
    "chunk 64": SMALL.with_backbone(chunk_size=64),
    "chunk 128": SMALL.with_backbone(chunk_size=128),
    "mal": SMALL.with_backbone(variant="mal"),
    "mac": SMALL.with_backbone(variant="mac", d_model=31),
    "lmm": SMALL.with_backbone(variant="lmm", n_layers=3, d_model=30),
    "swa (no memory)": SMALL.with_backbone(variant="swa", d_model=43),
    "attention (no memory)": SMALL.with_backbone(variant="attention", d_model=43),
    "no price on writing": _changed(write_price=0.0),
    "sigmoid gates": SMALL.with_backbone(gate="sigmoid"),
    "sigmoid gates, no price": _changed(write_price=0.0).with_backbone(gate="sigmoid"),
    "sigmoid gates, no price, forgetting begins at 5e-5": _changed(write_price=0.0).with_backbone(
        gate="sigmoid", initial_alpha=5e-5
    ),
    "random projections (no association at the start)": SMALL.with_backbone(association=False),
    "surprise threshold 0.5": SMALL.with_backbone(surprise_threshold=0.5),
    "surprise threshold 2": SMALL.with_backbone(surprise_threshold=2.0),
    "auxiliary reconstruction loss 0.1": _changed(reconstruction=0.1),
    "two stages: 100 steps without memory": _changed(core_steps=100),
    "no curriculum: 256 tokens from the start": _changed_curriculum(((256, 410),)),
    "states carried and detached: pieces of 64": _changed(piece_length=64),
    "predictive surprise gates writing": SMALL,
    "phrase haystack": PHRASES,
    "phrase haystack, predictive surprise gates writing": PHRASES,
}
"""Widths of variants are those of about as many parameters; `predictive surprise` changes the layer: `experiments`."""

COLUMN: dict[str, dict[str, Any]] = {
    "base (mag, bounded, depth 2, chunk 16)": {},
    "rule titans": {"rule": "titans"},
    "depth 1": {"memory_depth": 1},
    "momentum off": {"hold_eta": 0.0},
    "forgetting off": {"hold_alpha": 0.0},
    "swa (no memory)": {"variant": "swa", "d_model": 40},
}
"""Settings of the ETTm1 column: arguments of the forecaster's backbone."""


def slug(name: str) -> str:
    """Name of a setting in file names."""
    kept = "".join(c if c.isalnum() else "_" for c in name.lower())
    return "_".join(filter(None, kept.split("_")))
