"""The variants of the backbone by name."""

from __future__ import annotations

import difflib

from titans_seq.nn.memory_as_context import ContextMixer
from titans_seq.nn.mixer import Mixer
from titans_seq.nn.mixers import FullMixer, GatedMixer, LayeredMixer, MemoryMixer, WindowMixer

VARIANTS: dict[str, type[Mixer]] = {
    "mag": GatedMixer,
    "mal": LayeredMixer,
    "mac": ContextMixer,
    "lmm": MemoryMixer,
    "swa": WindowMixer,
    "attention": FullMixer,
}
"""Mixer of each variant; the controls `swa` and `attention` have no memory."""


def mixer_class(variant: str) -> type[Mixer]:
    """Return the mixer of a variant.

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    if variant in VARIANTS:
        return VARIANTS[variant]
    near = difflib.get_close_matches(str(variant), VARIANTS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"variant must be one of {', '.join(map(repr, VARIANTS))}, found {variant!r}{hint}")
