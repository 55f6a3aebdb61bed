"""Rows beyond the trained horizon with covariates of every role."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import polars as pl
import pytest
from covariate_frames import ROLES, after, as_covariate_entries, before, moved_by_covariates

from titans_seq import TitansForecaster

Make = Callable[..., TitansForecaster]
CUT, HORIZON, FAR = 200, 6, 16


def values(forecast: pd.DataFrame) -> np.ndarray:
    return forecast.drop(columns=["unique_id", "ds"]).to_numpy().reshape(3, FAR, -1)


@pytest.fixture
def frame() -> pd.DataFrame:
    return moved_by_covariates()


@pytest.fixture
def fitted(make: Make, loud_network: None, frame: pd.DataFrame) -> TitansForecaster:
    return make(roles=ROLES, online_linear=False, max_epochs=0).fit(before(frame, CUT))


def expected_lead(history: pd.DataFrame, rows: int, kept: int) -> np.ndarray:
    """An autoregression of order one about the mean of the rows that are kept, continued: (n_series, rows)."""
    found = []
    for _, part in history.groupby("unique_id", sort=False):
        x = part["lead"].to_numpy()[-kept:]
        away = x - x.mean()
        share = np.clip(away[1:] @ away[:-1] / (away[:-1] @ away[:-1]), 0, 1)
        found.append(x.mean() + share ** np.arange(1, rows + 1) * away[-1])
    return np.stack(found)


@pytest.mark.parametrize("carry_state", [True, False])
@pytest.mark.parametrize("elsewhere", [True, False])
def test_more_rows_are_what_update_with_the_forecast_and_covariates_would_give(
    make: Make, loud_network: None, frame: pd.DataFrame, carry_state: bool, elsewhere: bool
) -> None:
    model = make(roles=ROLES, carry_state=carry_state, online_linear=False, max_epochs=0).fit(before(frame, CUT))
    X = before(frame, CUT) if elsewhere else None
    whole = values(model.predict(X, future=after(frame, CUT, FAR), horizon=FAR))[..., 0]
    first = model.predict(X, future=after(frame, CUT, HORIZON))["TitansForecaster"].to_numpy().reshape(3, HORIZON)
    np.testing.assert_array_equal(whole[:, :HORIZON], first)
    lead = expected_lead(before(frame, CUT), FAR, model.context_length_ + model.patch_length_)
    read = after(frame, CUT, FAR).assign(y=whole.ravel(), lead=lead.ravel())
    for begin in (HORIZON, 2 * HORIZON):
        model.update(after(read, begin - HORIZON, HORIZON))
        rows = min(HORIZON, FAR - begin)
        found = model.predict(future=after(frame, CUT + begin, HORIZON))["TitansForecaster"].to_numpy()
        np.testing.assert_allclose(
            found.reshape(3, HORIZON)[:, :rows], whole[:, begin : begin + rows], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("column", ["price", "promo"])
def test_what_is_known_ahead_changes_no_forecast_of_an_earlier_row(
    fitted: TitansForecaster, frame: pd.DataFrame, column: str
) -> None:
    ahead = after(frame, CUT, FAR)
    for row in (0, 4, 9, 15):
        other = ahead.copy()
        late = other.groupby("unique_id").cumcount() >= row
        other.loc[late, column] = ~other.loc[late, column] if column == "promo" else other.loc[late, column] + 2.0
        first, second = (values(fitted.predict(future=f, horizon=FAR, level=[80])) for f in (ahead, other))
        np.testing.assert_array_equal(first[:, :row, 0], second[:, :row, 0])
        assert (first[:, row:, 0] != second[:, row:, 0]).any()
        beyond = pd.concat([ahead, after(frame, CUT + FAR, 3).assign(**{column: 0})])
        np.testing.assert_array_equal(values(fitted.predict(future=beyond, horizon=FAR, level=[80])), first)


@pytest.mark.parametrize("column", ["lead", "size", "kind", "y"])
def test_what_is_not_known_ahead_is_not_read_from_the_frame_of_rows_to_forecast(
    fitted: TitansForecaster, frame: pd.DataFrame, column: str
) -> None:
    ahead = after(frame, CUT, FAR)
    without = ahead.drop(columns=column)
    strange = ahead.assign(**{column: 77.0})
    first, *others = (values(fitted.predict(future=f, horizon=FAR, level=[80])) for f in (ahead, without, strange))
    for other in others:
        np.testing.assert_array_equal(other, first)


@pytest.mark.parametrize("column", ["lead", "price", "promo", "kind"])
def test_covariates_of_the_history_count_in_later_blocks(
    fitted: TitansForecaster, frame: pd.DataFrame, column: str
) -> None:
    history, ahead = before(frame, CUT), after(frame, CUT, FAR)
    other = history.copy()
    last = (other.groupby("unique_id").cumcount() == CUT - 1).to_numpy()
    if column == "kind":
        other["kind"] = other["kind"].map({"x": "y", "y": "x"})
    else:
        other.loc[last, column] = ~other.loc[last, column] if column == "promo" else other.loc[last, column] + 3.0
    first, second = (values(fitted.predict(x, future=ahead, horizon=FAR)) for x in (history, other))
    assert (first[:, HORIZON:] != second[:, HORIZON:]).any()


def test_intervals_know_that_a_leading_indicator_is_not_known_in_later_blocks(make: Make) -> None:
    random = np.random.default_rng(0)
    n, rows, steps = 120, 300, 3
    lead = random.normal(size=(n, rows))
    y = np.roll(lead, steps, axis=1) + 0.1 * random.normal(size=(n, rows))
    frame = pd.DataFrame(
        {"unique_id": np.repeat(np.arange(n), rows), "ds": np.tile(np.arange(rows), n), "y": y.ravel(),
         "lead": lead.ravel()}
    )  # fmt: skip
    cut = rows - 4 * steps
    model = make(horizon=steps, roles={"lead": "past"}, max_epochs=0).fit(before(frame, cut))
    forecast = model.predict(level=[80], horizon=4 * steps)
    low, high = (forecast[f"TitansForecaster-{side}-80"].to_numpy().reshape(n, -1) for side in ("lo", "hi"))
    inside = (low <= y[:, cut:]) & (y[:, cut:] <= high)
    assert (high - low)[:, :steps].mean() < 0.3 * (high - low)[:, steps:].mean()
    for block in np.split(inside, 4, axis=1):
        assert 0.72 < block.mean() < 0.88, inside.mean(0)
    paths = model.sample(200, horizon=4 * steps, random_state=0)["TitansForecaster"].to_numpy().reshape(n, 200, -1)
    np.testing.assert_allclose(np.quantile(paths, 0.9, axis=1).mean(0), high.mean(0), atol=0.1)


def test_a_forecast_far_ahead_does_not_depend_on_the_other_series(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    history, ahead = before(frame, CUT), after(frame, CUT, FAR)
    whole = values(fitted.predict(history, future=ahead, horizon=FAR, level=[80]))
    alone = fitted.predict(history[history.unique_id == "s0"], future=ahead, horizon=FAR, level=[80])
    np.testing.assert_allclose(alone.iloc[:, 2:].to_numpy(), whole[0], rtol=1e-5, atol=1e-5)


def test_the_frame_to_fill_in_is_as_long_as_asked_and_a_shorter_one_is_refused_by_series(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    ahead = fitted.make_future_frame(horizon=FAR)
    assert len(ahead) == 3 * FAR and ahead["ds"].max() == pd.Timestamp("2024-01-01") + pd.Timedelta(days=CUT + FAR - 1)
    filled = ahead.assign(price=1.0, promo=False)
    assert fitted.predict(future=filled, horizon=FAR).notna().all(axis=None)
    with pytest.raises(ValueError, match=r"rows of series 's0' from 2024-07-19 to 2024-08-03, 16 in all"):
        fitted.predict(future=fitted.make_future_frame().assign(price=1.0, promo=False), horizon=FAR)
    short = filled[~((filled.unique_id == "s1") & (filled.ds == filled.ds.max()))]
    with pytest.raises(ValueError, match=r"rows of series 's1' from .* 16 in all"):
        fitted.predict(future=short, horizon=FAR)
    longer = pl.from_pandas(filled)
    np.testing.assert_array_equal(
        fitted.predict(future=longer, horizon=FAR).iloc[:, -1], fitted.predict(future=filled, horizon=FAR).iloc[:, -1]
    )


def test_entries_of_gluonts_that_go_on_as_far_are_forecast_as_far(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    expected = values(fitted.predict(before(frame, CUT), future=after(frame, CUT, FAR), horizon=FAR, level=[80]))
    entries = as_covariate_entries(before(frame, CUT + FAR), CUT)
    np.testing.assert_array_equal(values(fitted.predict(entries, horizon=FAR, level=[80])), expected)
    short = as_covariate_entries(before(frame, CUT + HORIZON), CUT)
    with pytest.raises(ValueError, match=r"entry 0 \('s0'\): feat_dynamic_real has shape \(1, 206\); .*\(1, 216\)"):
        fitted.predict(short, horizon=FAR)
