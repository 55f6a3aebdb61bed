"""Cutting a call at the segment boundaries of every row."""

from __future__ import annotations

import itertools

import pytest
import torch

from titans_seq.nn.segments import SegmentPlan

SEGMENT = 7


@pytest.mark.parametrize("time", [1, 3, 7, 8, 14, 20])
@pytest.mark.parametrize("phases", [(0, 0), (3, 3), (0, 6), (5, 1)])
def test_pieces_hold_each_token_once_in_its_own_segment(phases: tuple[int, int], time: int) -> None:
    for lengths in [None, *map(torch.tensor, itertools.product((0, time // 2, time), repeat=2))]:
        plan = SegmentPlan.make(torch.tensor(phases) + 2 * SEGMENT, time, SEGMENT, lengths)
        x = torch.arange(2 * time).view(2, time)
        pieces = plan.cut(x)
        for row, phase in enumerate(phases):
            n = time if lengths is None else int(lengths[row])
            expected = [[] for _ in range(plan.n_pieces)]
            for t in range(n):
                expected[(phase + t) // SEGMENT].append(int(x[row, t]))
            found = [pieces[row, i, : plan.lengths[row, i]].tolist() for i in range(plan.n_pieces)]
            assert found == expected
            assert plan.phase[row].tolist() == [phase] + [0] * (plan.n_pieces - 1)
            joined = plan.join(list(pieces.unbind(1)), time)
            assert torch.equal(joined[row, :n], x[row, :n]) and joined.shape == x.shape
