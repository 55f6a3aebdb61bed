"""Which variants of the kernels a test compiles."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from typing import Any

from covering import covering

EVERY = "TITANS_SEQ_EVERY_VARIANT"
"""Environment variable: set to 1, nothing is left out."""


def every_wanted() -> bool:
    """Whether the environment asks for all variants."""
    return os.environ.get(EVERY, "0") not in ("", "0")


def default_shape() -> Any:
    """Return the sizes of the memory of `TitansForecaster` with the defaults of its arguments."""
    from titans_seq import TitansForecaster
    from titans_seq.memory.kernels.resources import Shape

    given = TitansForecaster(horizon=1).get_params()
    head_dim = given["d_model"] // given["n_heads"]
    width, depth = given["memory_expansion"] * head_dim, given["memory_depth"]
    return Shape(given["chunk_size"], head_dim, width, depth, given["rule"], "fp32")


def settings_of(variant: Any) -> dict[str, Hashable]:
    """Return all that the compiler is given: kernel, constants, options, types of the arguments."""
    types = {f"type of {name}": text for name, text in variant.types.items()}
    return {"kernel": variant.kernel.fn.__name__, **variant.constants, **variant.options, **types}


def some_of(variants: Iterable[Any], compiled_elsewhere: Iterable[Any] = ()) -> list[Any]:
    """Return variants in which every two settings that meet anywhere do meet, and meet in defaults if they can.

    Those that the tests of defaults compile anyway, ``compiled_elsewhere``, are left to them.
    """
    variants = list(variants)
    if every_wanted():
        return variants
    chosen, known = [], [settings_of(v) for v in compiled_elsewhere]
    for default in (True, False):
        some = [v for v in variants if v.default == default]
        found = [some[i] for i in covering([settings_of(v) for v in some], known)]
        chosen += found
        known += [settings_of(v) for v in found]
    return chosen
