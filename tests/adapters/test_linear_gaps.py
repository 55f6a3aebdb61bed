"""Missing rows filled by the linear map's own forecasts, against filling them one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_seq.adapters._linear_fill import Centring
from titans_seq.adapters._linear_gaps import trailing_gap
from titans_seq.adapters.linear import LinearMap, linear_predict_torch

LENGTH, HORIZON = 9, 3


def made(centring: Centring, groups: int, fill_steps: int = HORIZON) -> LinearMap:
    random = np.random.default_rng(groups)
    weights = random.normal(size=(groups, LENGTH, HORIZON)) / LENGTH
    return LinearMap(weights, random.normal(size=(groups, HORIZON)) / 5, centring, fill_steps=fill_steps)


def windows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    values, observed = random.normal(size=(40, LENGTH)), random.random((40, LENGTH)) > 0.4
    observed[0], observed[1], observed[2, :-1], observed[3] = False, True, False, False
    observed[3, 0] = True
    return values, observed, random.integers(0, 3, 40)


def one_by_one(linear: LinearMap, values: np.ndarray, observed: np.ndarray, group: int) -> np.ndarray:
    """Forecast of one window; entries before the first observed one, or before the window, are as that one."""
    if not observed.any():
        return np.zeros(HORIZON) + linear.bias[group]
    first = int(observed.argmax())
    low, high = values[observed].min(), values[observed].max()
    x = np.full(LENGTH, values[first])
    ahead: list[float] = []
    for t in range(first, LENGTH):
        if observed[t]:
            x[t], ahead = values[t], []
            continue
        if not ahead:
            before = np.concatenate([np.full(LENGTH - t, x[0]), x[:t]])
            level = {"none": 0.0, "last": x[t - 1], "mean": x[first:t].mean()}[linear.centring]
            ahead = list(level + (before - level) @ linear.weights[group] + linear.bias[group])[: linear.fill_steps]
        x[t] = np.clip(ahead.pop(0), 2 * low - high, 2 * high - low)
    level = {"none": 0.0, "last": x[-1], "mean": x[first:].mean()}[linear.centring]
    return level + (x - level) @ linear.weights[group] + linear.bias[group]


@pytest.mark.parametrize("centring", ["none", "last", "mean"])
@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("steps", [1, 2, HORIZON])
def test_gaps_are_filled_row_by_row(centring: Centring, groups: int, steps: int) -> None:
    linear, (values, observed, group) = made(centring, groups, steps), windows()
    of = group if groups > 1 else np.zeros(40, dtype=np.int64)
    expected = np.array([one_by_one(linear, *row) for row in zip(values, observed, of, strict=True)])
    np.testing.assert_allclose(linear.predict(values, observed, of), expected, rtol=0, atol=1e-12)
    what = torch.from_numpy(linear.weights), torch.from_numpy(linear.bias), centring
    for dtype, atol in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        given = torch.from_numpy(values).to(dtype), torch.from_numpy(observed), torch.from_numpy(of)
        found = linear_predict_torch(*what, *given, fill_steps=steps)
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=atol)


def test_what_stands_at_missing_entries_changes_nothing() -> None:
    linear, (values, observed, _) = made("mean", 1), windows()
    other = np.where(observed, values, np.nan)
    np.testing.assert_array_equal(linear.predict(values, observed), linear.predict(other, observed))


def test_without_it_and_where_nothing_is_missing_all_is_as_it_was() -> None:
    values, observed, _ = windows()
    plain, filling = made("mean", 1, 0), made("mean", 1)
    assert np.array_equal(plain.predict(values), filling.predict(values))
    assert not np.allclose(plain.predict(values, observed), filling.predict(values, observed))


def test_a_map_that_runs_away_is_held() -> None:
    weights = np.zeros((1, 60, 1))
    weights[0, -1] = 2.0
    runaway = LinearMap(weights, np.zeros((1, 1)), "none", fill_steps=1)
    observed = np.arange(60) < 5
    assert abs(runaway.predict(np.linspace(1, 2, 60)[None], observed[None])[0, 0]) <= 2 * 2.1


def test_saved_maps_keep_it_and_older_ones_have_none() -> None:
    tensors = made("last", 2).tensors()
    assert LinearMap.from_tensors(tensors).fill_steps == HORIZON
    assert LinearMap.from_tensors({name: x for name, x in tensors.items() if name != "fill_steps"}).fill_steps == 0
    with pytest.raises(ValueError, match="fill_steps must be from 0 to the horizon, 3, got 4"):
        made("last", 2, 4)


def test_trailing_gaps_are_counted_from_the_last_observed_row() -> None:
    observed = torch.tensor([[1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0]]).bool()
    cutoffs = torch.arange(7).repeat(2, 1)
    assert trailing_gap(observed, cutoffs, 4).tolist() == [[0, 0, 0, 1, 2, 0, 1], [0, 1, 2, 3, 4, 4, 4]]
