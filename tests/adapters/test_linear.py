"""The linear map: fills, closed form, choice on validation, missing values, saving, torch twin."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge

from titans_seq.adapters._linear_select import per_series_is_feasible, select
from titans_seq.adapters._linear_targets import refined_ridge
from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.linear import (
    CENTRINGS,
    PENALTIES,
    LinearMap,
    fill_window,
    fill_window_torch,
    fit_linear,
    linear_predict_torch,
)
from titans_seq.data.frequency import Frequency
from titans_seq.data.panel import Panel


def panel_of(*series):
    """Build a panel of integer steps; NaN is missing."""
    values = np.concatenate([np.asarray(one, dtype=float) for one in series])
    offsets = np.concatenate([[0], np.cumsum([len(one) for one in series])])
    observed = ~np.isnan(values)
    origins = np.zeros(len(series), dtype=np.int64)
    names = tuple("abcdefgh"[: len(series)])
    return Panel(np.where(observed, values, 0.0), observed, offsets, names, origins, Frequency("integer", 1))


def walk(n, seed, *, noise=1.0):
    """Return a daily-looking series: a cycle of 12, a slow walk, and noise."""
    rng = np.random.default_rng(seed)
    steps = np.arange(n)
    return 3 * np.sin(2 * np.pi * steps / 12) + rng.normal(size=n).cumsum() * 0.2 + noise * rng.normal(size=n)


def reader_of(panel, length=10, horizon=4):
    return WindowReader(panel, np.zeros(panel.n_series), np.ones(panel.n_series), length, horizon)


def fit(panel, train_end, length=10, horizon=4, **options):
    n = panel.n_series
    return fit_linear(panel, np.ones(n), np.zeros(n), np.full(n, train_end), length, horizon, **options)


def windows_of(values, first, last, length=10, horizon=4):
    """Cut one series by hand."""
    cut = range(first, last + 1)
    x = np.array([values[c - length : c] for c in cut])
    return x, np.array([values[c : c + horizon] for c in cut])


def level_of(x, centring):
    return {"none": np.zeros(len(x)), "last": x[:, -1], "mean": x.mean(1)}[centring][:, None]


# --- windows -----------------------------------------------------------------------------------------------


def test_a_gap_takes_the_last_observed_value_and_a_leading_gap_the_first():
    values = np.array([[np.nan, 2.0, np.nan, np.nan, 5.0], [np.nan] * 5, [1.0, 2.0, 3.0, 4.0, np.nan]])
    filled = fill_window(values, ~np.isnan(values))
    np.testing.assert_array_equal(filled, [[2, 2, 2, 2, 5], [0, 0, 0, 0, 0], [1, 2, 3, 4, 4]])


def test_the_torch_fill_equals_the_numpy_fill_and_lets_no_gradient_through_a_gap():
    rng = np.random.default_rng(0)
    values, observed = rng.normal(size=(50, 9)), rng.random((50, 9)) > 0.6
    observed[3] = False
    values[~observed] = np.nan
    tensor = torch.tensor(values, requires_grad=True)
    filled = fill_window_torch(tensor, torch.tensor(observed))
    np.testing.assert_array_equal(filled.detach().numpy(), fill_window(values, observed))
    filled.sum().backward()
    gradient = tensor.grad.numpy()
    assert (gradient[~observed] == 0).all()
    np.testing.assert_array_equal(gradient.sum(axis=1), 9.0 * observed.any(axis=1))


def test_many_windows_are_thinned_evenly_from_first_to_last():
    reader = reader_of(panel_of(walk(300, 0), walk(200, 1)))
    every = reader.between(np.array([0, 0]), np.array([300, 200]), 10**6)
    some = reader.between(np.array([0, 0]), np.array([300, 200]), 48)
    assert len(every) == (300 - 13) + (200 - 13)
    assert len(some) == 48
    assert (some.series[0], some.cutoff[0]) == (0, 10)
    assert (some.series[-1], some.cutoff[-1]) == (1, 196)
    position = np.searchsorted(every.series * 1000 + every.cutoff, some.series * 1000 + some.cutoff)
    assert set(np.diff(position)) <= {10, 11}


def test_windows_with_less_than_half_observed_are_left_out():
    values = walk(60, 0)
    values[20:28] = np.nan
    windows = reader_of(panel_of(values)).between(np.array([0]), np.array([60]), 10**6)
    expected = [
        c
        for c in range(10, 57)
        if np.isfinite(values[c - 10 : c]).sum() >= 5 and np.isfinite(values[c : c + 4]).sum() >= 2
    ]
    assert windows.cutoff.tolist() == expected


# --- closed form -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("centring", CENTRINGS)
@pytest.mark.parametrize("penalty", [1e-6, 1e-2, 10.0])
def test_the_closed_form_equals_scikit_learns_ridge_on_the_same_windows(centring, penalty):
    values = walk(200, 0)
    linear = fit(panel_of(values), 150, penalties=[penalty], centrings=[centring])
    x, y = windows_of(values, 10, 146)
    level = level_of(x, centring)
    ridge = Ridge(alpha=penalty * len(x), fit_intercept=centring == "none", solver="svd")
    ridge.fit(x - level, y - level)
    np.testing.assert_allclose(linear.weights[0], ridge.coef_.T, rtol=0, atol=1e-8)
    np.testing.assert_allclose(linear.bias[0], np.broadcast_to(ridge.intercept_, 4), rtol=0, atol=1e-8)
    later, _ = windows_of(values, 150, 196)
    level = level_of(later, centring)
    np.testing.assert_allclose(linear.predict(later), level + ridge.predict(later - level), rtol=0, atol=1e-8)


def test_every_score_is_the_validation_error_of_scikit_learns_ridge():
    series = [walk(200, 0), walk(170, 1) * 2 + 5]
    center, scale = np.array([1.0, 4.0]), np.array([2.0, 3.0])
    panel, end = panel_of(*series), np.array([140, 120])
    reader = WindowReader(panel, center, scale, 10, 4)
    train, validation = reader.between(end * 0, end - 4, 10**6), reader.between(end, panel.lengths, 10**6)
    scaled = [(v - c) / s for v, c, s in zip(series, center, scale, strict=True)]
    fits = [windows_of(v, 10, e - 4) for v, e in zip(scaled, end, strict=True)]
    later = [windows_of(v, e, len(v) - 4) for v, e in zip(scaled, end, strict=True)]
    choices = select(reader, train, validation, PENALTIES, CENTRINGS)
    assert len(choices) == 6
    for choice in choices:
        errors = np.concatenate(
            [_ridge_errors(choice, fits if choice.shared else fits[i : i + 1], later[i]) for i in range(2)]
        )
        assert choice.score == pytest.approx((errors**2).mean(), rel=1e-8)


def _ridge_errors(choice, fits, later):
    x, y = (np.concatenate(part) for part in zip(*fits, strict=True))
    level, late = level_of(x, choice.centring), level_of(later[0], choice.centring)
    ridge = Ridge(alpha=choice.penalty * len(x), fit_intercept=choice.centring == "none", solver="svd")
    ridge.fit(x - level, y - level)
    return late + ridge.predict(later[0] - late) - later[1]


def test_the_choice_is_the_best_of_all_variants_and_penalties():
    panel = panel_of(walk(300, 0), walk(300, 1))
    best = fit(panel, 200, centrings=["last", "mean"])
    alone = [
        fit(panel, 200, centrings=[centring], penalties=[penalty]).validation_score
        for centring in ("last", "mean")
        for penalty in PENALTIES
    ]
    assert best.validation_score == pytest.approx(min(alone), rel=1e-9)
    assert best.penalty in PENALTIES


def test_each_series_gets_its_own_map_where_the_series_differ():
    steps = np.arange(400)
    panel = panel_of(np.sin(2 * np.pi * steps / 7), np.sin(2 * np.pi * steps / 10))
    linear = fit(panel, 300, length=4)
    assert not linear.shared
    assert linear.weights.shape == (2, 4, 4)
    values, observed = panel.gather([0, 1, 0], [310, 320, 330], 8)
    forecast = linear.predict(values[:, :4], observed[:, :4], np.array([0, 1, 0]))
    np.testing.assert_allclose(forecast, values[:, 4:], atol=1e-3)


def test_one_map_is_shared_where_each_series_alone_is_short():
    panel = panel_of(*[walk(60, seed, noise=0.5) for seed in range(8)])
    assert fit(panel, 45, length=20).shared


def test_one_map_per_series_is_not_tried_where_it_would_be_too_large_or_too_slow():
    assert per_series_is_feasible(414, 168, 48)
    assert not per_series_is_feasible(1, 168, 48)
    assert not per_series_is_feasible(100_000, 168, 48)
    assert not per_series_is_feasible(2_000, 512, 1)


def test_windows_go_uncentred_where_the_level_is_stable_and_centred_where_it_drifts():
    rng = np.random.default_rng(0)
    stable = rng.normal(size=(4, 600)) + 0.3
    assert fit(panel_of(*stable), 400).centring == "none"
    drifting = stable.copy()
    drifting[:, :400] += np.linspace(-6, 0, 400)
    reader = reader_of(panel_of(*drifting))
    end = np.full(4, 400)
    assert fit(panel_of(*drifting), 400).centring != "none"
    alone = select(
        reader,
        reader.between(end * 0, end - 4, 10**6),
        reader.between(end, end + 200, 10**6),
        PENALTIES,
        CENTRINGS,
    )
    assert alone[0].centring == "none"


@pytest.mark.parametrize("centring", ["last", "mean"])
def test_a_centred_map_commutes_with_shifts(centring):
    values = walk(200, 0)
    linear = fit(panel_of(values), 150, centrings=[centring])
    x, _ = windows_of(values, 150, 190)
    np.testing.assert_allclose(linear.predict(x + 1000.0), linear.predict(x) + 1000.0, rtol=0, atol=1e-9)


# --- what is read ------------------------------------------------------------------------------------------


def test_validation_rows_choose_but_do_not_fit():
    values = walk(200, 0)
    changed = values.copy()
    changed[150:] = walk(50, 9)
    options = {"penalties": [0.01], "centrings": ["last"]}
    before, after = (fit(panel_of(v), 150, **options) for v in (values, changed))
    np.testing.assert_array_equal(before.weights, after.weights)
    assert before.validation_score != after.validation_score


def test_training_targets_with_gaps_do_not_look_past_the_training_rows():
    values = walk(200, 0)
    values[148:150] = np.nan
    changed = values.copy()
    changed[150:] += 100.0
    options = {"penalties": [0.01], "centrings": ["last"]}
    before, after = (fit(panel_of(v), 150, **options) for v in (values, changed))
    np.testing.assert_array_equal(before.weights, after.weights)


def test_without_later_rows_the_last_training_windows_choose():
    values = walk(200, 0)
    linear = fit(panel_of(values), 200, centrings=["last"])
    x, y = windows_of(values, 10, 196)
    level = level_of(x, "last")
    ridge = Ridge(alpha=linear.penalty * len(x), fit_intercept=False, solver="svd").fit(x - level, y - level)
    np.testing.assert_allclose(linear.weights[0], ridge.coef_.T, rtol=0, atol=1e-8)
    # Of 187 training cut-offs the last fifth, 38, are held out; the first of these is 159.
    held_out = fit(panel_of(values), 159, centrings=["last"])
    assert (held_out.penalty, held_out.validation_score) == (linear.penalty, linear.validation_score)


def test_series_too_short_for_a_window_are_forecast_by_their_last_value():
    linear = fit(panel_of([1.0, 2.0, 3.0]), 3)
    assert np.isinf(linear.validation_score)
    np.testing.assert_array_equal(linear.predict(np.arange(10.0)[None]), np.full((1, 4), 9.0))


def test_a_series_without_training_windows_takes_the_map_of_all():
    steps = np.arange(400)
    long, other = np.sin(2 * np.pi * steps / 7), np.sin(2 * np.pi * steps / 10)
    panel = panel_of(long, other, long[:5])
    linear = fit_linear(panel, np.ones(3), np.zeros(3), np.array([300, 300, 5]), 4, 4)
    assert not linear.shared
    shared = fit(panel.select([0, 1]), 300, length=4, penalties=[linear.penalty], centrings=[linear.centring])
    joint = refined_ridge(
        reader_of(panel, 4),
        reader_of(panel, 4).between(np.zeros(3, int), np.array([296, 296, 1]), 10**6),
        linear.centring,
        linear.penalty,
    )
    np.testing.assert_allclose(linear.weights[2], joint[0])
    np.testing.assert_allclose(linear.weights[:2], shared.weights)


@pytest.mark.parametrize("shape", ["constant", "zeros"])
def test_a_constant_series_is_forecast_as_constant(shape):
    values = np.full(100, 3.0 if shape == "constant" else 0.0)
    linear = fit(panel_of(values), 80)
    np.testing.assert_allclose(linear.predict(values[None, :10]), np.full((1, 4), values[0]), atol=1e-4)


# --- missing values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("centring", CENTRINGS)
def test_with_missing_targets_each_horizon_step_is_the_ridge_of_the_windows_that_observed_it(centring):
    values = walk(400, 0)
    values[np.random.default_rng(1).random(400) < 0.15] = np.nan
    reader = reader_of(panel_of(values))
    windows = reader.between(np.array([0]), np.array([396]), 10**6)
    weights, bias = refined_ridge(reader, windows, centring, 0.01, steps=500, tolerance=1e-13)
    raw = np.array([values[c - 10 : c] for c in windows.cutoff])
    x, seen = fill_window(raw, np.isfinite(raw)), np.isfinite(raw)
    y = np.array([values[c : c + 4] for c in windows.cutoff])
    mean = np.nanmean(raw, axis=1, keepdims=True)
    level = {"none": 0 * mean, "last": x[:, -1:], "mean": mean}[centring]
    assert not seen.all()
    for step in range(4):
        rows = np.isfinite(y[:, step])
        assert not rows.all()
        ridge = Ridge(alpha=0.01 * len(x), fit_intercept=centring == "none", solver="svd")
        ridge.fit((x - level)[rows], (y - level)[rows, step])
        np.testing.assert_allclose(weights[:, step], ridge.coef_, rtol=0, atol=1e-8)
        assert bias[step] == pytest.approx(ridge.intercept_, abs=1e-8)


def test_missing_validation_targets_do_not_count_in_the_score():
    values = walk(300, 0)
    values[[210, 230, 231, 260]] = np.nan
    linear = fit(panel_of(values), 200, penalties=[0.01], centrings=["mean"])
    panel = panel_of(values)
    x, seen = panel.gather(np.zeros(97, int), np.arange(190, 287), 14)
    errors = (linear.predict(x[:, :10], seen[:, :10]) - x[:, 10:])[seen[:, 10:]]
    assert linear.validation_score == pytest.approx((errors**2).mean(), rel=1e-9)


def test_what_stands_at_missing_inputs_changes_nothing():
    linear = fit(panel_of(walk(200, 0)), 150)
    rng = np.random.default_rng(0)
    values, observed = rng.normal(size=(30, 10)), rng.random((30, 10)) > 0.4
    observed[7] = False
    forecasts = [linear.predict(np.where(observed, values, junk), observed) for junk in (0.0, np.nan, 1e9)]
    assert np.isfinite(forecasts[0]).all()
    np.testing.assert_array_equal(forecasts[0], forecasts[1])
    np.testing.assert_array_equal(forecasts[0], forecasts[2])


@pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
def test_a_map_fitted_on_a_series_full_of_gaps_is_finite(share):
    values = walk(300, 0)
    values[np.random.default_rng(2).random(300) < share] = np.nan
    linear = fit(panel_of(values, walk(300, 1)), 220)
    assert np.isfinite(linear.predict(np.zeros((2, 10)), np.zeros((2, 10), bool), np.array([0, 1]))).all()


# --- saving, torch, errors ---------------------------------------------------------------------------------


def random_map(n_maps, centring):
    rng = np.random.default_rng(3)
    return LinearMap(rng.normal(size=(n_maps, 10, 4)) / 3, rng.normal(size=(n_maps, 4)), centring, 0.1, 0.5)


@pytest.mark.parametrize("centring", CENTRINGS)
@pytest.mark.parametrize("as_torch", [False, True])
def test_saved_tensors_give_the_same_map_back(centring, as_torch):
    linear = random_map(3, centring)
    tensors = linear.tensors()
    if as_torch:
        tensors = {name: torch.from_numpy(array) for name, array in tensors.items()}
    again = LinearMap.from_tensors(tensors)
    np.testing.assert_array_equal(again.weights, linear.weights)
    np.testing.assert_array_equal(again.bias, linear.bias)
    assert (again.centring, again.penalty, again.validation_score) == (centring, 0.1, 0.5)
    assert (again.shared, again.context_length, again.horizon) == (False, 10, 4)


@pytest.mark.parametrize("centring", CENTRINGS)
@pytest.mark.parametrize("n_maps", [1, 3])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_the_torch_twin_forecasts_what_numpy_forecasts(centring, n_maps, dtype, tolerance):
    linear, rng = random_map(n_maps, centring), np.random.default_rng(4)
    values, observed = rng.normal(size=(40, 10)), rng.random((40, 10)) > 0.3
    group = rng.integers(0, 3, size=40)
    expected = linear.predict(values, observed, group)
    twin = linear_predict_torch(
        torch.tensor(linear.weights),
        torch.tensor(linear.bias),
        centring,
        torch.tensor(values, dtype=dtype),
        torch.tensor(observed),
        torch.tensor(group),
    )
    assert twin.dtype == dtype
    assert np.abs(twin.numpy() - expected).max() <= tolerance * np.abs(expected).max()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context_length": 0}, "context_length must be at least 1, got 0"),
        ({"horizon": 0}, "horizon must be at least 1, got 0"),
        ({"penalties": [0.0]}, "penalties must be positive"),
        ({"centrings": ["first"]}, "centring must be one of 'none', 'last', 'mean', got 'first'"),
        ({"scale": [1.0, 0.0]}, "scale of series 'b' is 0.0; it must be positive"),
        ({"center": [np.nan, 0.0]}, "center of series 'a' is nan"),
        ({"train_end": [50]}, "train_end must hold one number for each of 2 series"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {
        "scale": [1.0, 1.0],
        "center": [0.0, 0.0],
        "train_end": [50, 50],
        "context_length": 5,
        "horizon": 2,
    }
    with pytest.raises(ValueError, match=message):
        fit_linear(panel_of(walk(60, 0), walk(60, 1)), **(arguments | change))


def test_a_map_per_series_asks_for_the_series():
    with pytest.raises(ValueError, match="weights for each of 3 series; pass group"):
        random_map(3, "last").predict(np.zeros((2, 10)))
    with pytest.raises(ValueError, match="series numbers from 0 to 2"):
        random_map(3, "last").predict(np.zeros((2, 10)), None, np.array([0, 3]))
    with pytest.raises(ValueError, match=r"windows \(n, 10\) expected, got \(2, 9\)"):
        random_map(3, "last").predict(np.zeros((2, 9)), None, np.array([0, 2]))


def test_an_incomplete_saved_map_is_refused():
    tensors = random_map(1, "last").tensors()
    del tensors["bias"]
    with pytest.raises(ValueError, match="the linear map lacks 'bias'"):
        LinearMap.from_tensors(tensors)


# --- real data ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def etth1():
    """Return ETTh1 as one panel per split: values of the 14,400 rows used, one series per column."""
    root = os.environ.get("TITANS_SEQ_DATA")
    if not root:
        pytest.skip("TITANS_SEQ_DATA is not set; it names the folder that holds ts/ETTh1.csv.gz")
    with gzip.open(Path(root) / "ts" / "ETTh1.csv.gz", "rt") as file:
        return np.loadtxt(file, delimiter=",", skiprows=1, usecols=range(1, 8))[:14_400]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("length", "horizon", "expected"),
    [
        (336, 96, 0.370),
        (96, 96, 0.383),
        (512, 96, 0.364),
        (336, 192, 0.403),
        (336, 336, 0.425),
        (336, 720, 0.421),
    ],
)
def test_on_etth1_the_map_chosen_on_validation_has_the_known_test_error(etth1, length, horizon, expected):
    train, later = 8_640, 11_520
    center, scale = etth1[:train].mean(axis=0), etth1[:train].std(axis=0)
    panel = panel_of(*etth1.T)
    linear = fit_linear(panel.slice_rows(0, later), scale, center, np.full(7, train), length, horizon)
    cut = np.arange(later, 14_400 - horizon + 1)
    assert len(cut) == 2_880 - horizon + 1
    total = 0.0
    for i in range(7):
        values, observed = panel.gather(np.full(len(cut), i), cut - length, length + horizon)
        values = (values - center[i]) / scale[i]
        forecast = linear.predict(values[:, :length], observed[:, :length], np.full(len(cut), i))
        total += ((forecast - values[:, length:]) ** 2).mean() / 7
    assert total == pytest.approx(expected, abs=0.001)
