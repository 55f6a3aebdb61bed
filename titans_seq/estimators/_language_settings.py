"""Arguments of `DNALanguageModel`, checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.adapters.base_counts import MAX_ORDER
from titans_seq.adapters.next_base import letters_of
from titans_seq.data import Sequences
from titans_seq.estimators._next_base import FEWEST_BASES
from titans_seq.estimators._settings import VARIANTS, check_choice, check_integer, check_real, check_seed

if TYPE_CHECKING:
    from titans_seq.estimators.dna_language_model import DNALanguageModel

_AT_LEAST_ONE = (
    "stem_width", "d_model", "n_layers", "n_heads", "memory_depth", "memory_expansion", "chunk_size", "window_size",
    "piece_length", "max_train_bases", "batch_size", "early_stopping_patience",
)  # fmt: skip


def check_arguments(estimator: DNALanguageModel) -> None:
    """Raise a TypeError or ValueError that names the first bad argument."""
    for name in _AT_LEAST_ONE:
        check_integer(name, getattr(estimator, name), 1)
    for name in ("max_epochs", "n_persistent"):
        check_integer(name, getattr(estimator, name), 0)
    _check_orders(estimator.orders)
    check_choice("variant", estimator.variant, VARIANTS)
    check_choice("rule", estimator.rule, ("bounded", "titans"))
    check_real("dropout", estimator.dropout, -1e-9, 1.0)
    check_real("learning_rate", estimator.learning_rate, 0.0, np.inf)
    check_real("validation_fraction", estimator.validation_fraction, 0.0, 1.0)
    if estimator.max_minutes is not None:
        check_real("max_minutes", estimator.max_minutes, 0.0, np.inf)
    check_seed(estimator.random_state)


def check_enough(sequences: Sequences) -> None:
    """Raise a ValueError if there are too few bases to learn from."""
    known = int((letters_of(sequences.codes) < 4).sum())
    if known < FEWEST_BASES:
        raise ValueError(
            f"{known} of {len(sequences.codes)} letters are one of A, C, G and T; fit needs at least {FEWEST_BASES}"
        )


def check_reading(memory: str, counts: str, variant: str) -> None:
    """Raise a ValueError for a way of reading that there is not."""
    check_choice("memory", memory, ("learning", "frozen", "off"))
    check_choice("counts", counts, ("learning", "frozen"))
    if memory == "frozen" and variant in ("swa", "attention"):
        raise ValueError(f"variant {variant!r} has no memory to freeze")


def check_generation(n: int, temperature: float) -> None:
    """Raise a TypeError or ValueError for arguments of `generate`."""
    check_integer("n", n, 0)
    check_real("temperature", temperature, -1e-9, np.inf)


def _check_orders(orders: Any) -> None:
    try:
        found = list(orders)
    except TypeError:
        raise TypeError(f"orders must be a sequence of integers, found {orders!r}") from None
    if not found:
        raise ValueError("orders must name at least one order, found none")
    for order in found:
        check_integer("orders", order, 0)
        if order > MAX_ORDER:
            raise ValueError(f"orders must be at most {MAX_ORDER}, found {order}")
    if found != sorted(set(found)):
        raise ValueError(f"orders must increase, found {found}")
