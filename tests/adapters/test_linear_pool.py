"""Linear maps that trust older rows less, against scikit-learn's ridge on inputs written out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from titans_seq.adapters._linear_map import LinearMap, Member
from titans_seq.adapters._linear_moments import Moments, moments_of
from titans_seq.adapters._linear_pool import LAG_SCALE, PRIORS, best_of_each, prior, solve_members, solve_windows
from titans_seq.adapters._linear_sliding import sliding_sums
from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.linear import fit_linear, refit_linear
from titans_seq.adapters.online import OnlineLinear
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel

L, H = 12, 3


def panel_of(rows: list[np.ndarray], missing: float = 0.0) -> Panel:
    values = np.concatenate(rows)
    observed = np.random.default_rng(5).random(len(values)) >= missing
    offsets = np.concatenate([[0], np.cumsum([len(x) for x in rows])])
    zeros = np.zeros(len(rows), dtype=np.int64)
    return Panel(
        np.where(observed, values, 0.0), observed, offsets, tuple(range(len(rows))), zeros, Frequency("integer", 1)
    )


def waves(n_series: int, length: int, noise: float = 0.3, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [np.sin(np.arange(length) / (2 + i)) + noise * random.normal(size=length) for i in range(n_series)]


def autoregression(length: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    x = np.zeros(length)
    for t in range(1, length):
        x[t] = 0.9 * x[t - 1] + random.normal()
    return x


def reader_of(panel: Panel) -> WindowReader:
    return WindowReader(panel, np.zeros(panel.n_series), np.ones(panel.n_series), L, H)


def all_windows(reader: WindowReader):
    return reader.between(np.zeros(reader.panel.n_series, dtype=np.int64), reader.panel.lengths, 10**9)


def written_out(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Windows of one series, minus their last value."""
    rows = np.array([x[c - L : c + H] for c in range(L, len(x) - H + 1)])
    level = rows[:, L - 1 : L]
    return rows[:, :L] - level, rows[:, L:] - level


def ridge(x: np.ndarray, y: np.ndarray, scale: np.ndarray, penalty: float) -> np.ndarray:
    """Weights of the ridge on scaled inputs, for the inputs as they are."""
    used = scale > 0
    model = Ridge(alpha=penalty * len(x), fit_intercept=False).fit(x[:, used] * scale[used], y)
    weights = np.zeros((L, y.shape[1]))
    weights[used] = model.coef_.T * scale[used, None]
    return weights


@given(st.integers(1, 9), st.integers(1, 7), st.integers(1, 40), st.integers(0, 10**6))
def test_sums_of_sliding_windows_are_those_of_windows_written_out(length: int, horizon: int, n: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=n + length + horizon - 1)
    rows = np.stack([values[t : t + length + horizon] for t in range(n)])
    columns = np.column_stack([rows[:, :length], rows[:, :length].mean(1), np.ones(n)])
    targets = rows[:, length:]
    inputs, cross, squares = sliding_sums(values, length, horizon)
    np.testing.assert_allclose(inputs, columns.T @ columns, atol=1e-10)
    np.testing.assert_allclose(cross, columns.T @ targets, atol=1e-10)
    assert squares == pytest.approx(float(np.square(targets).sum()), abs=1e-10)


def test_windows_with_gaps_are_added_one_by_one_and_the_others_in_one_sweep() -> None:
    whole, gappy = waves(1, 60)[0], waves(1, 50, seed=3)[0]
    panel = panel_of([whole, gappy])
    panel.observed[70] = False
    reader = reader_of(panel)
    windows = all_windows(reader)
    found, slow = moments_of(reader, windows), Moments(L, H)
    for block in reader.blocks(windows):
        slow.add(block, block.targets)
    np.testing.assert_allclose(found.inputs, slow.inputs, rtol=1e-12)
    np.testing.assert_allclose(found.cross, slow.cross, rtol=1e-12)


def test_the_prior_narrows_with_the_lag_and_ends_at_its_reach() -> None:
    scale = prior(100, 2.0, 0.5)
    assert scale[:50].max() == 0.0
    np.testing.assert_allclose(scale[[-1, 50]], (1 + np.array([1, 50]) / LAG_SCALE) ** -2.0)


def test_a_shared_map_is_the_mean_of_ridges_under_their_priors() -> None:
    rows = waves(2, 80)
    members = (Member(0.5, 1.0, 0.01), Member(2.0, 0.5, 0.1))
    x, y = (np.concatenate(parts) for parts in zip(*(written_out(r) for r in rows), strict=True))
    expected = np.mean([ridge(x, y, prior(L, m.decay, m.reach), m.penalty) for m in members], axis=0)
    reader = reader_of(panel_of(rows))
    found = solve_windows(reader, all_windows(reader), plain(), members)
    np.testing.assert_allclose(found.weights[0], expected, atol=1e-9)
    assert found.shared and found.members == members


def test_a_series_own_weights_are_the_ridge_of_what_the_shared_map_leaves_over() -> None:
    rows = waves(3, 80)
    member = Member(0.5, 1.0, 0.01, (0.02, math.inf, 3.0))
    scale = prior(L, 0.5, 1.0)
    each = [written_out(r) for r in rows]
    x, y = (np.concatenate(parts) for parts in zip(*each, strict=True))
    shared = ridge(x, y, scale, 0.01)
    reader = reader_of(panel_of(rows))
    found = solve_windows(reader, all_windows(reader), plain(), (member,))
    for i, penalty in enumerate(member.own):
        own = 0.0 if penalty == math.inf else ridge(each[i][0], each[i][1] - each[i][0] @ shared, scale, penalty)
        np.testing.assert_allclose(found.weights[i], shared + own, atol=1e-9)


def plain() -> LinearMap:
    return LinearMap(np.zeros((1, L, H)), np.zeros((1, H)), "last", 1.0, 0.5)


def test_each_series_chooses_for_itself_and_follows_the_others_where_it_has_nothing_to_judge_on() -> None:
    errors = np.array([[1.0, 2.0, 4.0], [8.0, 2.0, 1.0], [9.0, 9.0, 1.0], [0.0, 0.0, 0.0]])
    chosen = best_of_each(errors, np.array([50.0, 50.0, 50.0, 0.0]))
    assert chosen.tolist() == [0, 2, 2, 2]


def test_of_equally_good_penalties_the_strongest_is_chosen() -> None:
    assert best_of_each(np.ones((1, 4)), np.array([3.0])).tolist() == [3]


def test_recent_rows_that_decide_are_found_through_a_long_look_back() -> None:
    """Few windows, many inputs: a prior that trusts older rows less finds what a flat one cannot."""
    x = autoregression(400, seed=1)
    panel = panel_of([x[:300]])
    ends = np.array([220])
    given = (panel, np.ones(1), np.zeros(1), ends, 80, 4)
    flat, pooled = fit_linear(*given), fit_linear(*given, priors=PRIORS)
    assert pooled.members and pooled.validation_score < flat.validation_score
    rows = np.array([x[c - 80 : c + 4] for c in range(300, 396)])

    def error(linear: LinearMap) -> float:
        return float(np.square(linear.predict(rows[:, :80]) - rows[:, 80:]).mean())

    assert error(pooled) < error(flat)


def test_a_plain_ridge_stays_where_it_judges_better() -> None:
    """Only the oldest row of the window decides: a prior that distrusts it cannot be chosen."""
    random = np.random.default_rng(2)
    x = random.normal(size=600)
    for t in range(L, 600):
        x[t] = 0.95 * x[t - L] + 0.05 * x[t]
    panel = panel_of([x])
    linear = fit_linear(panel, np.ones(1), np.zeros(1), np.array([450]), L, 1, priors=((2.0, 0.5),))
    assert linear.members == ()


def test_gaps_leave_a_pooled_map_finite_and_close_to_that_without_them() -> None:
    rows = waves(3, 400)
    whole, gappy = (panel_of(rows, missing) for missing in (0.0, 0.05))
    ends = np.full(3, 300)
    maps = [fit_linear(p, np.ones(3), np.zeros(3), ends, L, H, priors=PRIORS) for p in (whole, gappy)]
    windows = np.array([r[c - L : c] for r in rows for c in (350, 380)])
    group = np.repeat(np.arange(3), 2)
    forecasts = [m.predict(windows, group=None if m.shared else group) for m in maps]
    assert np.abs(forecasts[0] - forecasts[1]).max() < 0.2


def test_a_map_fitted_again_keeps_its_penalties_and_learns_from_every_row() -> None:
    panel = panel_of([autoregression(300, seed) for seed in (1, 2)])
    chosen = replace(plain(), members=(Member(0.5, 1.0, 0.01, (0.1, math.inf)),))
    again = refit_linear(chosen, panel, np.ones(2), np.zeros(2))
    assert again.members == chosen.members and again.validation_score == chosen.validation_score
    reader = reader_of(panel)
    expected = solve_windows(reader, all_windows(reader), chosen, chosen.members)
    np.testing.assert_array_equal(again.weights, expected.weights)


def test_members_are_saved_with_the_map() -> None:
    members = (Member(0.5, 1.0, 0.01, (0.1, math.inf)), Member(2.0, 0.5, 0.1, (3.0, 4.0)))
    linear = LinearMap(np.ones((2, L, H)), np.zeros((2, H)), "last", 1.0, 0.5, members)
    assert LinearMap.from_tensors(linear.tensors()).members == members
    shared = LinearMap(np.ones((1, L, H)), np.zeros((1, H)), "last", 1.0, 0.5, (Member(0.5, 1.0, 0.01),))
    assert LinearMap.from_tensors(shared.tensors()).members == shared.members
    assert LinearMap.from_tensors(plain().tensors()).members == ()


@pytest.mark.parametrize("own", [(), (0.05, 0.5)])
def test_a_pooled_map_that_goes_on_learning_is_that_of_all_rows_read(own: tuple[float, ...]) -> None:
    panel = panel_of(waves(2, 120))
    members = (Member(0.5, 1.0, 0.01, own), Member(2.0, 0.5, 0.1, own))
    like = LinearMap(np.zeros((len(own) or 1, L, H)), np.zeros((len(own) or 1, H)), "last", 1.0, 0.5, members)
    group = np.arange(2) if own else np.zeros(2, dtype=np.int64)
    data = ScaledPanel(panel, np.zeros(2), np.ones(2), group)
    online = OnlineLinear.empty(like)
    for begin in range(0, 120, 40):
        online.learn(data, np.full(2, begin), np.full(2, begin + 40))
    reader = reader_of(panel)
    expected = solve_windows(reader, all_windows(reader), like, members)
    np.testing.assert_allclose(online.linear.weights, expected.weights, atol=1e-10)


def test_no_windows_leave_a_member_at_nothing() -> None:
    found = solve_members(Moments(L, H), [Moments(L, H)], plain(), (Member(0.5, 1.0, 0.1, (1.0,)),))
    assert not found.weights.any()


def test_a_look_back_longer_than_the_rows_bear_is_left_to_members_of_half_its_reach() -> None:
    random = np.random.default_rng(4)
    season = np.tile(random.normal(size=10), 13)
    x = np.where(np.arange(130) < 60, 5.0, 1.0) * season + 0.1 * random.normal(size=130)
    linear = fit_linear(
        panel_of([x]), np.ones(1), np.zeros(1), np.array([105]), 40, 5, centrings=("last",), priors=PRIORS
    )
    assert linear.members and {member.reach for member in linear.members} == {0.5}
    assert not linear.weights[:, :20].any()


@pytest.mark.parametrize("height", [1e6, 1e9])
def test_a_spike_of_any_height_leaves_the_map_finite(height: float) -> None:
    """The sums are then far from well conditioned."""
    rows = waves(2, 400)
    rows[0][150] = height
    linear = fit_linear(panel_of(rows), np.ones(2), np.zeros(2), np.full(2, 300), L, H, priors=PRIORS)
    again = refit_linear(linear, panel_of(rows), np.ones(2), np.zeros(2))
    window = np.array([rows[1][200 - L : 200]])
    group = None if again.shared else np.array([1])
    assert np.abs(again.predict(window, group=group)).max() < 10
