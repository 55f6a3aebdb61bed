"""Where streams are forecast from: every row after the first patch is served by exactly one cut-off."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.adapters._cutoffs import Cutoffs

lengths = st.integers(1, 17)


@given(lengths, lengths)
def test_every_row_after_the_first_patch_has_one_forecast_that_reaches_it(patch_length: int, horizon: int) -> None:
    grid = Cutoffs(patch_length, horizon)
    _, place = grid.between(np.array([0]), np.array([6 * patch_length]))
    served = np.concatenate([np.arange(a, b) for a, b in zip(place, grid.next(place), strict=True)])
    assert served.tolist() == list(range(patch_length, 7 * patch_length if horizon >= patch_length else served[-1] + 1))
    assert (grid.next(place) - place <= min(horizon, patch_length)).all()
    assert set(range(patch_length, 6 * patch_length + 1, patch_length)) <= set(place.tolist())


@given(lengths, lengths, st.integers(0, 200))
def test_the_latest_cut_off_is_the_last_one_not_after_a_position(patch_length: int, horizon: int, at: int) -> None:
    grid, position = Cutoffs(patch_length, horizon), np.array([at])
    _, place = grid.between(np.array([0]), position)
    latest = grid.latest(position)
    assert at < grid.next(position)[0]
    assert (latest + grid.step > at).all() or at - at % patch_length + patch_length <= at
    assert latest.tolist() == ([place[-1]] if at >= patch_length else [at - at % patch_length % grid.step])
    assert grid.within_patch(position)[0] == latest[0] % patch_length


def test_streams_begin_and_end_where_they_like() -> None:
    series, place = Cutoffs(4, 3).between(np.array([0, 6, 9]), np.array([8, 6, 13]))
    assert series.tolist() == [0, 0, 0, 1, 2, 2, 2]
    assert place.tolist() == [4, 7, 8, 4, 8, 11, 12]
