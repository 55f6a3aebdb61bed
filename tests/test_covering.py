"""The few rows that hold every pair."""

from __future__ import annotations

from itertools import product

import pytest
from covering import covering, pairs_of


@pytest.mark.parametrize("known", [[], [0, 5, 7]])
def test_every_pair_is_held_by_a_row_that_was_chosen_or_known(known: list[int]) -> None:
    rows = [{"a": a, "b": b, "c": c, "d": a == b} for a, b, c in product(range(3), range(4), range(3))]
    chosen = covering(rows, [rows[i] for i in known])
    assert set().union(*map(pairs_of, rows)) == set().union(*(pairs_of(rows[i]) for i in {*chosen, *known}))
    assert len(chosen) + len(known) < 20  # of 36; twelve pairs of a and b need a row each
    assert chosen == covering(rows, [rows[i] for i in known])


def test_a_row_that_stands_twice_is_chosen_once() -> None:
    assert covering([{"a": 1, "b": 2}] * 3) == [0]
    assert covering([{"a": 1, "b": 2}], [{"a": 1, "b": 2, "c": 3}]) == []
