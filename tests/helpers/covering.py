"""A few rows of a table that hold every pair of its values: what goes wrong mostly hangs on one value or on two."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations

Row = Mapping[str, Hashable]
Pair = tuple[tuple[str, Hashable], tuple[str, Hashable]]


def pairs_of(row: Row) -> set[Pair]:
    """Return every two of a row's values, with the names of their columns."""
    return set(combinations(sorted(row.items(), key=lambda item: item[0]), 2))


def covering(rows: Sequence[Row], known: Iterable[Row] = ()) -> list[int]:
    """Return the numbers of rows, in order, that together hold every pair of values that some row holds.

    The next row is always the one with the most pairs not yet seen, of equals the first: few are chosen, though not
    the fewest possible, and always the same ones. Pairs of the rows ``known`` count as seen.
    """
    seen = set().union(*(pairs_of(row) for row in known))
    left = {number: pairs_of(row) - seen for number, row in enumerate(rows)}
    chosen = []
    while left := {number: pairs for number, pairs in left.items() if pairs}:
        best = max(left, key=lambda number: len(left[number]))
        chosen.append(best)
        found = left[best]
        left = {number: pairs - found for number, pairs in left.items()}
    return sorted(chosen)
