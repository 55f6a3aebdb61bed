"""Covariates from `fit` to `predict`: what they do, and what must not leak through them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from titans_seq import TitansForecaster

Make = Callable[..., TitansForecaster]
ROLES = {"price": "future", "promo": "future", "lead": "past", "kind": "static"}
ROWS, HORIZON = 240, 6


def history(seed: int = 0, n_series: int = 3) -> pd.DataFrame:
    """Series that prices, promotions and an indicator of three rows before move."""
    random = np.random.default_rng(seed)
    parts = []
    for i in range(n_series):
        price, lead = np.cumsum(random.normal(size=ROWS)) * 0.3, random.normal(size=ROWS)
        promo = random.random(ROWS) < 0.2
        wave = np.sin(2 * np.pi * np.arange(ROWS) / 12)
        y = 5 * (i + 1) + wave - 0.8 * price + 1.5 * promo + np.roll(lead, 3) + 0.1 * random.normal(size=ROWS)
        parts.append(
            pd.DataFrame(
                {"unique_id": f"s{i}", "ds": pd.date_range("2024-01-01", periods=ROWS, freq="D"), "y": y,
                 "price": price, "promo": promo, "lead": lead, "kind": "xy"[i % 2]}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def before(frame: pd.DataFrame, row: int) -> pd.DataFrame:
    return frame[frame.groupby("unique_id").cumcount() < row]


def after(frame: pd.DataFrame, row: int, rows: int = HORIZON) -> pd.DataFrame:
    place = frame.groupby("unique_id").cumcount()
    return frame[(place >= row) & (place < row + rows)]


@pytest.fixture
def fitted(make: Make, loud_network: None) -> TitansForecaster:
    return make(roles=ROLES).fit(before(history(), 200))


def test_what_is_known_ahead_makes_forecasts_better(make: Make) -> None:
    data = history()
    error = {}
    for name, roles in (("with", {"price": "future", "promo": "future"}), ("without", None)):
        model = make(roles=roles, max_epochs=0).fit(before(data, 180))
        result = model.backtest(data, first_cutoff=180)
        error[name] = float(np.square(result.point - result.actual).mean())
    assert error["with"] < 0.7 * error["without"]


def test_a_leading_indicator_makes_forecasts_better(make: Make) -> None:
    data = history().assign(y=lambda f: np.roll(f["lead"], 3) + 0.3 * np.random.default_rng(1).normal(size=len(f)))
    error = {}
    for name, roles in (("with", {"lead": "past"}), ("without", None)):
        model = make(roles=roles, horizon=3, max_epochs=0).fit(before(data, 180))
        result = model.backtest(data, first_cutoff=180)
        error[name] = float(np.square(result.point - result.actual).mean())
    assert error["with"] < 0.5 * error["without"]


def test_effects_are_told_by_column_in_the_units_of_the_data(make: Make) -> None:
    data = history()
    model = make(roles=ROLES, max_epochs=0).fit(data)
    assert set(model.effect_) <= {"price", "price²", "promo"}
    off, on = model.effect_["promo"][-1]
    np.testing.assert_allclose((on - off) * np.mean(model._scale), 1.5, rtol=0.2)


@pytest.mark.parametrize("mode", ["windowed", "streaming"])
@pytest.mark.parametrize("column", ["lead", "price", "promo", "y"])
def test_rows_that_are_not_known_yet_do_not_change_a_forecast(fitted: TitansForecaster, column: str, mode: str) -> None:
    data, cut = history(), 210
    changed = data.copy()
    known = cut + (HORIZON if column in ("price", "promo") else 0)
    late = changed.groupby("unique_id").cumcount() >= known
    changed.loc[late, column] = ~changed.loc[late, column] if column == "promo" else changed.loc[late, column] + 50.0
    found = [fitted.backtest(x, first_cutoff=200, mode=mode) for x in (data, changed)]
    early = [result.point[result.cutoff == cut] for result in found]
    np.testing.assert_array_equal(early[0], early[1])


@pytest.mark.parametrize("column", ["lead", "price", "promo"])
def test_rows_that_are_known_do_change_it(fitted: TitansForecaster, column: str) -> None:
    data, cut = history(), 210
    changed = data.copy()
    row = (changed.groupby("unique_id").cumcount() == (cut - 1 if column == "lead" else cut)).to_numpy()
    changed.loc[row, column] = ~changed.loc[row, column] if column == "promo" else changed.loc[row, column] + 1.0
    found = [fitted.backtest(x, first_cutoff=200) for x in (data, changed)]
    assert (found[0].point[found[0].cutoff == cut] != found[1].point[found[1].cutoff == cut]).any()


def test_a_static_covariate_of_another_kind_changes_forecasts(fitted: TitansForecaster) -> None:
    data = history()
    other = data.assign(kind=data["kind"].map({"x": "y", "y": "x"}))
    ahead = after(data, ROWS - HORIZON)
    first, second = (fitted.predict(before(x, ROWS - HORIZON), future=ahead) for x in (data, other))
    assert (first["TitansForecaster"] != second["TitansForecaster"]).any()


@pytest.mark.parametrize("carry_state", [True, False])
@pytest.mark.parametrize("step", [1, 3, 40])
def test_rows_read_one_by_one_give_the_forecasts_of_rows_read_at_once(
    make: Make, loud_network: None, carry_state: bool, step: int
) -> None:
    data = history()
    model = make(roles=ROLES, carry_state=carry_state, online_linear=False).fit(before(data, 190))
    ahead = after(data, 230)
    whole = model.predict(before(data, 230), future=ahead)
    for row in range(190, 230, step):
        model.update(after(data, row, min(step, 230 - row)))
    pd.testing.assert_frame_equal(model.predict(future=ahead), whole, rtol=1e-4)


def test_saving_and_loading_changes_no_bit(fitted: TitansForecaster, tmp_path: Path) -> None:
    data = history()
    fitted.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    for model in (fitted, loaded):
        model.update(after(data, 200, 5))
    ahead = after(data, 205)
    pd.testing.assert_frame_equal(loaded.predict(future=ahead), fitted.predict(future=ahead), check_exact=True)
    assert loaded.effect_.keys() == fitted.effect_.keys()


def test_pandas_and_polars_and_any_order_of_rows_forecast_the_same(make: Make) -> None:
    data = history()
    train, ahead = before(data, 200), after(data, 200)
    shuffled = train.sort_values(["ds", "unique_id"])
    first = make(roles=ROLES).fit(train).predict(future=ahead)
    second = make(roles=ROLES).fit(pl.from_pandas(train)).predict(future=pl.from_pandas(ahead))
    np.testing.assert_array_equal(first["TitansForecaster"], second["TitansForecaster"].to_numpy())
    third = make(roles=ROLES).fit(shuffled).predict(future=ahead.iloc[::-1].iloc[::-1])
    np.testing.assert_array_equal(first["TitansForecaster"], third["TitansForecaster"])


def test_the_frame_to_fill_in_can_be_given_back(fitted: TitansForecaster) -> None:
    ahead = fitted.make_future_frame()
    assert list(ahead.columns) == ["unique_id", "ds", "price", "promo"]
    filled = ahead.assign(price=1.0, promo=False)
    assert fitted.predict(future=filled, level=[80]).notna().all(axis=None)
    new = history(seed=9, n_series=2).assign(unique_id=lambda f: "new" + f["unique_id"])
    filled = fitted.make_future_frame(new).assign(price=1.0, promo=True)
    assert fitted.predict(new, future=filled)["unique_id"].unique().tolist() == ["news0", "news1"]


def test_a_forecast_without_its_covariates_is_refused(fitted: TitansForecaster, make: Make) -> None:
    with pytest.raises(ValueError, match=r"pass future= with 'price', 'promo' of the 6 rows"):
        fitted.predict()
    with pytest.raises(ValueError, match=r"row 0: 'price' is missing"):
        fitted.predict(future=fitted.make_future_frame())
    plain = make(max_epochs=0).fit(before(history(), 200))
    with pytest.raises(ValueError, match="no covariate has the role 'future'"):
        plain.predict(future=after(history(), 200))
    with pytest.raises(ValueError, match="no column 'price'"):
        fitted.update(after(history(), 200).drop(columns="price"))
    with pytest.raises(ValueError, match="'y' is the column of ids, times or targets"):
        make(roles={"y": "past"}).fit(history())


def test_a_row_that_its_covariates_explain_is_no_surprise(make: Make) -> None:
    data = history()
    data["promo"] &= data.groupby("unique_id").cumcount() != 230
    data["y"] += 6.0 * data["promo"]
    model = make(roles={"promo": "future"}, max_epochs=0).fit(before(data, 200))
    plain = make(max_epochs=0).fit(before(data, 200))
    late = data.groupby("unique_id").cumcount() >= 200
    promoted = (data["promo"] & late).to_numpy()
    judged, without = (m.surprise(data, start="fresh") for m in (model, plain))
    pd.testing.assert_series_equal(judged["y"], data["y"], check_names=False)
    assert np.median(np.abs(judged["TitansForecaster"] - judged["y"])[promoted]) < 0.5 * np.median(
        np.abs(without["TitansForecaster"] - without["y"])[promoted]
    )


def test_one_series_without_ids_takes_its_covariates_from_the_other_columns(make: Make) -> None:
    data = history(n_series=1).drop(columns=["unique_id", "kind"])
    roles = {name: role for name, role in ROLES.items() if name != "kind"}
    model = make(roles=roles, max_epochs=0).fit(data.iloc[:200])
    assert model.ids_ == ["y"]
    forecast = model.predict(future=data.iloc[200:206])
    assert list(forecast.columns) == ["ds", "y"]


def test_missing_covariates_and_values_give_no_missing_forecast(make: Make) -> None:
    data = history()
    holes = np.random.default_rng(0).random(len(data)) < 0.2
    data.loc[holes, ["price", "lead"]] = np.nan
    data.loc[np.roll(holes, 7), "y"] = np.nan
    model = make(roles=ROLES).fit(before(data, 200))
    forecast = model.predict(future=after(history(), 200), level=[90])
    assert np.isfinite(forecast.drop(columns=["unique_id", "ds"]).to_numpy()).all()
