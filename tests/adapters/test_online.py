"""The linear map that goes on learning, against ridges fitted from scratch at every cut-off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.online import MOST_PATCHES, OnlineLinear, online_forecasts, solved_at
from titans_seq.adapters.online_stream import OnlineStream
from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel

L, H, PENALTY = 7, 3, 0.05


def panel_of(lengths: list[int], seed: int = 0, origins: list[int] | None = None) -> Panel:
    random = np.random.default_rng(seed)
    values = np.concatenate([np.sin(np.arange(n) / 3 + i) + random.normal(size=n) for i, n in enumerate(lengths)])
    starts = np.zeros(len(lengths)) if origins is None else np.array(origins)
    return Panel(
        values, np.ones(len(values), dtype=bool), np.concatenate([[0], np.cumsum(lengths)]),
        tuple(range(len(lengths))), starts.astype(np.int64), Frequency("integer", 1),
    )  # fmt: skip


def scaled(panel: Panel, *, shared: bool) -> ScaledPanel:
    n = panel.n_series
    return ScaledPanel(panel, np.full(n, 0.3), np.full(n, 1.7), np.zeros(n, dtype=np.int64) if shared else np.arange(n))


def first_map(centring: str, n_maps: int) -> LinearMap:
    random = np.random.default_rng(9)
    return LinearMap(random.normal(size=(n_maps, L, H)), np.zeros((n_maps, H)), centring, PENALTY)


def fresh(centring: str, n_maps: int) -> OnlineLinear:
    return OnlineLinear.empty(first_map(centring, n_maps))


def level_of(x: np.ndarray, centring: str) -> np.ndarray:
    return {"none": 0 * x[:, -1:], "last": x[:, -1:], "mean": x.mean(1, keepdims=True)}[centring]


def refitted(data: ScaledPanel, at: int, cutoff: int, which: list[int], known: list[int], centring: str) -> np.ndarray:
    """Forecast of series ``at`` by a ridge of all windows of ``which`` within their first ``known`` rows."""
    inputs, targets = [], []
    for i in which:
        y = (data.panel.series(i)[0] - data.center[i]) / data.scale[i]
        inputs += [y[c - L : c] for c in range(L, known[i] - H + 1)]
        targets += [y[c : c + H] for c in range(L, known[i] - H + 1)]
    x, y = np.array(inputs), np.array(targets)
    level = level_of(x, centring)
    model = Ridge(alpha=PENALTY * len(x), fit_intercept=centring == "none").fit(x - level, y - level)
    own = (data.panel.series(at)[0] - data.center[at]) / data.scale[at]
    window = own[None, cutoff - L : cutoff]
    return (model.predict(window - level_of(window, centring)) + level_of(window, centring))[0]


@pytest.mark.parametrize("centring", ["none", "last", "mean"])
@pytest.mark.parametrize("shared", [True, False])
def test_every_forecast_is_that_of_a_ridge_fitted_on_all_that_was_known(centring: str, shared: bool) -> None:
    data = scaled(panel_of([60, 60]), shared=shared)
    cutoffs = np.array([40, 41, 45, 57, 40, 57])
    series = np.array([0, 0, 0, 0, 1, 1])
    found = online_forecasts(fresh(centring, 1 if shared else 2), data, series, cutoffs)
    for row, (i, c) in enumerate(zip(series, cutoffs, strict=True)):
        expected = refitted(data, i, c, [0, 1] if shared else [i], [c, c], centring)
        np.testing.assert_allclose(found[row], expected, rtol=1e-8, atol=1e-10)


def test_series_that_begin_later_count_by_time_and_not_by_row() -> None:
    data = scaled(panel_of([60, 40], origins=[100, 120]), shared=True)
    found = online_forecasts(fresh("last", 1), data, np.array([0, 1]), np.array([50, 25]))
    np.testing.assert_allclose(found[0], refitted(data, 0, 50, [0, 1], [50, 30], "last"), rtol=1e-8)
    np.testing.assert_allclose(found[1], refitted(data, 1, 25, [0, 1], [45, 25], "last"), rtol=1e-8)


@pytest.mark.parametrize("shared", [True, False])
def test_no_value_from_the_cut_off_on_changes_a_forecast(shared: bool) -> None:
    panel = panel_of([60, 60])
    changed = panel.values.copy()
    changed[45:60] += 100.0
    changed[60 + 45 :] -= 50.0
    later = Panel(changed, panel.observed, panel.offsets, panel.ids, panel.origins, panel.frequency)
    series, cutoffs = np.array([0, 1, 0]), np.array([45, 45, 44])
    before, after = (
        online_forecasts(fresh("mean", 1 if shared else 2), scaled(p, shared=shared), series, cutoffs)
        for p in (panel, later)
    )
    np.testing.assert_array_equal(before, after)


def test_between_solutions_the_map_of_the_block_serves() -> None:
    data = scaled(panel_of([60]), shared=True)
    found = online_forecasts(fresh("last", 1), data, np.zeros(8, dtype=int), np.arange(40, 48), refresh=4)
    for row, c in enumerate(range(40, 48)):
        np.testing.assert_allclose(found[row], refitted_at(data, c, 40 + 4 * (row // 4)), rtol=1e-8)


def refitted_at(data: ScaledPanel, cutoff: int, known: int) -> np.ndarray:
    return refitted(data, 0, cutoff, [0], [known], "last")


def test_rows_added_in_any_pieces_give_the_same_map() -> None:
    data = scaled(panel_of([80, 50]), shared=True)
    ends = np.array([80, 50])
    whole = OnlineLinear.start(first_map("mean", 1), data, ends).solve()
    pieces = OnlineLinear.start(first_map("mean", 1), data, np.array([20, 3]))
    before = np.array([20, 3])
    for known in ([21, 3], [33, 20], [80, 21], [80, 50]):
        pieces.add(data, before, np.array(known))
        before = np.array(known)
    np.testing.assert_allclose(pieces.solve().weights, whole.weights, rtol=1e-9)
    assert pieces.moments[0].n_windows == (80 - L - H + 1) + (50 - L - H + 1)


def test_a_map_without_windows_stays_as_it_was() -> None:
    data = scaled(panel_of([9, 60]), shared=False)
    first = first_map("last", 2)
    solved = OnlineLinear.start(first, data, np.array([9, 60])).solve()
    np.testing.assert_array_equal(solved.weights[0], first.weights[0])
    assert not np.allclose(solved.weights[1], first.weights[1])


def test_missing_values_are_neither_learned_nor_do_they_spread() -> None:
    panel = panel_of([200])
    observed = panel.observed.copy()
    observed[[20, 21, 90, 150]] = False
    observed[110:124] = False
    gappy = Panel(
        np.where(observed, panel.values, 0.0), observed, panel.offsets, panel.ids, panel.origins, panel.frequency
    )
    data = scaled(gappy, shared=True)
    found = online_forecasts(fresh("last", 1), data, np.zeros(60, dtype=int), np.arange(130, 190))
    assert np.isfinite(found).all()
    clean = online_forecasts(fresh("last", 1), scaled(panel, shared=True), np.zeros(60, dtype=int), np.arange(130, 190))
    assert np.abs(found[25:] - clean[25:]).mean() < 0.3 * np.abs(clean[25:]).mean()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("patch_length", [1, 4])
def test_a_stream_read_in_any_pieces_has_the_map_of_the_series_read_whole(shared: bool, patch_length: int) -> None:
    data = scaled(panel_of([90, 57]), shared=shared)
    linear = first_map("last", 1 if shared else 2)
    stream = OnlineStream.start(linear, upto(data, [31, 5]), patch_length)
    done = [31, 5]
    for ends in ([32, 5], [33, 9], [47, 30], [47, 31], [90, 57]):
        stream = stream.read(upto(data, ends, done))
        done = ends
    whole = OnlineStream.start(linear, data, patch_length)
    np.testing.assert_allclose(stream.online.linear.weights, whole.online.linear.weights, rtol=1e-8, atol=1e-11)
    np.testing.assert_array_equal(stream.values, whole.values)
    np.testing.assert_array_equal(stream.steps, [90, 57])
    assert stream.online.n_windows == whole.online.n_windows


def upto(data: ScaledPanel, ends: list[int], starts: list[int] | None = None) -> ScaledPanel:
    """Rows from ``starts`` to ``ends`` of each series."""
    panel, starts = data.panel, starts or [0] * len(ends)
    pieces = [panel.series(i)[0][a:b] for i, (a, b) in enumerate(zip(starts, ends, strict=True))]
    values = np.concatenate(pieces)
    offsets = np.concatenate([[0], np.cumsum([len(piece) for piece in pieces])])
    part = Panel(values, np.ones(len(values), dtype=bool), offsets, panel.ids, np.array(starts), panel.frequency)
    return ScaledPanel(part, data.center, data.scale, data.group)


def test_a_stream_keeps_as_much_however_long_it_was_and_comes_back_from_its_arrays() -> None:
    linear = first_map("mean", 1)
    sizes = []
    for n in (100, 1000):
        stream = OnlineStream.start(linear, scaled(panel_of([n]), shared=True), 4)
        tensors = stream.tensors()
        sizes.append(sum(np.asarray(x).nbytes for x in tensors.values()))
        again = OnlineStream.from_tensors(tensors, stream.online.linear, stream.group, 4)
        more = scaled(panel_of([30], seed=5), shared=True)
        np.testing.assert_array_equal(again.read(more).online.linear.weights, stream.read(more).online.linear.weights)
    assert sizes[0] == sizes[1]


def test_reading_on_leaves_the_stream_that_was_as_it_was() -> None:
    stream = OnlineStream.start(first_map("last", 1), scaled(panel_of([60]), shared=True), 4)
    before = {name: np.copy(x) for name, x in stream.tensors().items()}
    weights = stream.online.linear.weights.copy()
    stream.read(scaled(panel_of([30], seed=5), shared=True))
    for name, x in stream.tensors().items():
        np.testing.assert_array_equal(x, before[name])
    np.testing.assert_array_equal(stream.online.linear.weights, weights)


@given(st.integers(1, 20), st.integers(0, 200_000), st.integers(0, 5_000))
def test_solutions_stand_at_ends_of_patches_and_never_go_back(patch_length: int, rows: int, more: int) -> None:
    first, later = solved_at(np.array([rows, rows + more]), patch_length)
    assert first <= later and first % patch_length == 0
    assert 0 <= rows - first < MOST_PATCHES * patch_length
    if rows < 512 * patch_length:
        assert rows - first < patch_length


def test_a_long_stream_read_in_pieces_has_the_map_of_one_read_whole() -> None:
    """Beyond 512 patches maps are solved less often than patches end, and windows wait for the next solution."""
    patch = 2
    panel = panel_of([2_203, 1_499])
    data, like = scaled(panel, shared=True), first_map("last", 1)
    whole = OnlineStream.start(like, data, patch)
    lengths, at = panel.lengths, np.array([1_100, 701])

    def rows(begin: np.ndarray, end: np.ndarray) -> ScaledPanel:
        parts = [panel.series(i)[0][b:e] for i, (b, e) in enumerate(zip(begin, end, strict=True))]
        offsets = np.concatenate([[0], np.cumsum([len(x) for x in parts])])
        values = np.concatenate(parts)
        part = Panel(values, np.ones(len(values), bool), offsets, panel.ids, panel.origins, panel.frequency)
        return scaled(part, shared=True)

    stream = OnlineStream.start(like, rows(np.zeros(2, int), at), patch)
    for step in (3, 1, 200, 7, 10_000):
        end = np.minimum(at + step, lengths)
        stream, at = stream.read(rows(at, end)), end
    assert stream.counted.tolist() == whole.counted.tolist() != (lengths // patch * patch).tolist()
    np.testing.assert_allclose(stream.online.linear.weights, whole.online.linear.weights, atol=1e-9)
