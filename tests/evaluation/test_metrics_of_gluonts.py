"""The metrics against GluonTS's evaluation of the same forecasts, with missing values in histories and truths."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.split import split
from gluonts.ev import metrics as theirs
from gluonts.model.evaluation import evaluate_forecasts
from gluonts.model.forecast import QuantileForecast

from titans_seq.evaluation import metrics

HORIZON, SEASON = 8, 6
LEVELS = (0.025, 0.1, 0.5, 0.9, 0.975)


class Case:
    """Series of different lengths, forecasts of their last rows, and both ways of judging them."""

    def __init__(self, missing: float = 0.2, n_series: int = 7, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.targets = [rng.normal(size=40 + 3 * i) + 3 for i in range(n_series)]
        for target in self.targets:
            target[rng.random(len(target)) < missing] = np.nan
        self.quantiles = np.sort(rng.normal(size=(n_series, HORIZON, len(LEVELS))) + 3, axis=-1)
        self.mean = self.quantiles.mean(axis=-1) + 0.1

    @property
    def actual(self) -> np.ndarray:
        return np.stack([target[-HORIZON:] for target in self.targets])

    @property
    def observed(self) -> np.ndarray:
        return ~np.isnan(self.actual)

    def scale(self) -> np.ndarray:
        histories = [target[:-HORIZON] for target in self.targets]
        return np.array([metrics.seasonal_error(y, ~np.isnan(y), season_length=SEASON) for y in histories])

    def judged_by_gluonts(self, *which, axis=None) -> pd.Series | pd.DataFrame:
        entries = [{"start": pd.Period("2024-01-01", "h"), "target": y} for y in self.targets]
        _, template = split(entries, offset=-HORIZON)
        keys = ["mean", *map(str, LEVELS)]
        forecasts = [
            QuantileForecast(np.stack([mean, *quantiles.T]), pd.Period("2024-03-01", "h"), keys)
            for mean, quantiles in zip(self.mean, self.quantiles, strict=True)
        ]
        test_data = template.generate_instances(HORIZON)
        table = evaluate_forecasts(forecasts, test_data=test_data, metrics=which, seasonality=SEASON, axis=axis)
        return table.iloc[0] if axis is None else table


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_every_metric_is_that_of_gluonts(missing):
    case = Case(missing)
    found = case.judged_by_gluonts(
        *(theirs.MSE(), theirs.MAE(), theirs.RMSE(), theirs.MASE(), theirs.SMAPE(), theirs.MSIS()),
        *(theirs.MeanWeightedSumQuantileLoss(LEVELS), theirs.MeanSumQuantileLoss(LEVELS)),
    )
    actual, observed, scale, median = case.actual, case.observed, case.scale(), case.quantiles[..., 2]
    ours = {
        "MSE[mean]": metrics.mse(actual, case.mean, observed),
        "MAE[0.5]": metrics.mae(actual, median, observed),
        "RMSE[mean]": metrics.rmse(actual, case.mean, observed),
        "MASE[0.5]": metrics.mase(actual, median, scale, observed),
        "sMAPE[0.5]": metrics.smape(actual, median, observed),
        "MSIS": metrics.msis(actual, case.quantiles[..., 0], case.quantiles[..., -1], scale, observed, level=95),
        "mean_weighted_sum_quantile_loss": metrics.weighted_quantile_loss(actual, case.quantiles, LEVELS, observed),
        "mean_sum_quantile_loss": metrics.quantile_loss(actual, case.quantiles, LEVELS, observed) * observed.sum(),
    }
    assert found.to_dict() == pytest.approx(ours, rel=1e-9)


def test_one_number_per_series_is_that_of_gluonts():
    case = Case(missing=0.3)
    found = case.judged_by_gluonts(theirs.MSE(), theirs.MAE(), theirs.MASE(), theirs.SMAPE(), axis=1)
    actual, observed, median = case.actual, case.observed, case.quantiles[..., 2]
    for name, ours in {
        "MSE[mean]": metrics.mse(actual, case.mean, observed, axis=-1),
        "MAE[0.5]": metrics.mae(actual, median, observed, axis=-1),
        "MASE[0.5]": metrics.mase(actual, median, case.scale(), observed, axis=-1),
        "sMAPE[0.5]": metrics.smape(actual, median, observed, axis=-1),
    }.items():
        np.testing.assert_allclose(found[name].astype(float), ours, rtol=1e-9)


def test_scaled_errors_leave_out_a_constant_history_as_gluonts_does():
    case = Case()
    case.targets[2][:-HORIZON] = 5.0
    assert case.scale()[2] == 0
    found = case.judged_by_gluonts(theirs.MASE(), theirs.MSIS())
    low, median, high = (case.quantiles[..., i] for i in (0, 2, 4))
    assert found["MASE[0.5]"] == pytest.approx(metrics.mase(case.actual, median, case.scale(), case.observed), rel=1e-9)
    ours = metrics.msis(case.actual, low, high, case.scale(), case.observed)
    assert found["MSIS"] == pytest.approx(ours, rel=1e-9)


def test_zeros_forecast_as_zeros_count_in_our_smape_and_not_in_that_of_gluonts():
    case = Case()
    case.targets[1][-HORIZON : -HORIZON + 3] = 0.0
    case.quantiles[1, :3] = 0.0
    n = case.observed.sum()
    theirs_ = case.judged_by_gluonts(theirs.SMAPE())["sMAPE[0.5]"]
    ours = metrics.smape(case.actual, case.quantiles[..., 2], case.observed)
    assert ours == pytest.approx(theirs_ * (n - 3) / n, rel=1e-9)


def test_without_a_pair_one_season_apart_we_measure_step_by_step_and_gluonts_drops_the_series():
    case = Case(missing=0.0)
    case.targets[0] = case.targets[0][-HORIZON - SEASON :]  # as long as a season
    case.targets[1][:-HORIZON][np.arange(len(case.targets[1]) - HORIZON) % (2 * SEASON) < SEASON] = np.nan
    scale = case.scale()
    for i in (0, 1):
        history = case.targets[i][:-HORIZON]
        assert scale[i] == metrics.seasonal_error(history, ~np.isnan(history), season_length=1)
    found = case.judged_by_gluonts(theirs.MASE())["MASE[0.5]"]
    scale[:2] = 0
    assert found == pytest.approx(metrics.mase(case.actual, case.quantiles[..., 2], scale), rel=1e-9)
