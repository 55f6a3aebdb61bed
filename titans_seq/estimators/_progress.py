"""A bar on standard error for what takes long, in a terminal only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar


class _Sized(Protocol):
    def __len__(self) -> int: ...


Piece = TypeVar("Piece", bound=_Sized)

_LONG = 5.0
"""Seconds before the bar appears."""


def with_progress(pieces: Iterable[Piece], total: int, what: str, shown: bool) -> Iterator[Piece]:
    """Yield the pieces of some work; the bar counts their lengths."""
    if not shown:
        yield from pieces
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=what, leave=False, delay=_LONG, unit_scale=total >= 10_000) as bar:
        for piece in pieces:
            yield piece
            bar.update(len(piece))
