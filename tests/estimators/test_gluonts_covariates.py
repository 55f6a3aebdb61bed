"""Covariates in GluonTS entries: the fields are read as the columns of a frame are, in fit and in the predictor."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from covariate_frames import ROLES, after, as_covariate_entries, before, moved_by_covariates
from gluonts.dataset.pandas import PandasDataset
from gluonts.dataset.split import split
from gluonts.ev import metrics as theirs
from gluonts.evaluation import Evaluator, make_evaluation_predictions
from gluonts.model import Predictor, evaluate_model

from titans_seq import TitansForecaster
from titans_seq.evaluation import metrics

Make = Callable[..., TitansForecaster]
HORIZON, TRAIN, WINDOWS = 6, 200, 3
FIELDS = {
    "feat_dynamic_real": "future", "feat_dynamic_cat": "future", "past_feat_dynamic_real": "past",
    "feat_static_real": "static", "feat_static_cat": "static",
}  # fmt: skip


@pytest.fixture
def frame() -> pd.DataFrame:
    return moved_by_covariates()


@pytest.fixture
def fitted(make: Make, loud_network: None, frame: pd.DataFrame) -> TitansForecaster:
    return make(roles=ROLES, max_epochs=0).fit(before(frame, TRAIN))


def values(forecast: pd.DataFrame) -> np.ndarray:
    return forecast.drop(columns=["unique_id", "ds"]).to_numpy().reshape(3, HORIZON, -1)


def test_the_predictor_forecasts_what_predict_says_of_the_same_rows(
    fitted: TitansForecaster, frame: pd.DataFrame
) -> None:
    expected = fitted.predict(before(frame, 210), future=after(frame, 210, HORIZON), level=[80])
    entries = as_covariate_entries(before(frame, 210 + HORIZON), 210)
    forecasts = list(fitted.to_gluonts(batch_size=2).predict(entries))
    found = np.stack([np.stack([f.mean, f.quantile(0.1), f.quantile(0.9)], -1) for f in forecasts])
    np.testing.assert_allclose(found, values(expected), rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(values(fitted.predict(entries, level=[80])), values(expected))
    paths = next(iter(fitted.to_gluonts(num_samples=201).predict(entries)))
    np.testing.assert_allclose(paths.quantile(0.5), fitted.predict(entries, quantiles=[0.5]).iloc[:6, -1], atol=0.1)


@pytest.mark.parametrize("field", ["feat_dynamic_real", "feat_dynamic_cat", "past_feat_dynamic_real"])
def test_every_field_that_changes_with_time_is_read_up_to_its_end(fitted: TitansForecaster, field: str) -> None:
    entries = as_covariate_entries(before(moved_by_covariates(), 210 + HORIZON), 210)
    changed = [entry | {field: entry[field].copy()} for entry in entries]
    for entry in changed:
        entry[field][:, -1] = 1 - entry[field][:, -1] if field.endswith("cat") else entry[field][:, -1] + 1.0
    first, second = (values(fitted.predict(e)) for e in (entries, changed))
    assert (first[:, -1] != second[:, -1]).any()


@pytest.mark.parametrize(("field", "other"), [("feat_static_cat", 1), ("feat_static_real", 9.0)])
def test_static_fields_are_read(fitted: TitansForecaster, field: str, other: float) -> None:
    entries = as_covariate_entries(before(moved_by_covariates(), 210 + HORIZON), 210)[:1]
    changed = [entry | {field: np.array([other])} for entry in entries]
    assert (fitted.predict(entries).iloc[:, -1] != fitted.predict(changed).iloc[:, -1]).any()


@pytest.mark.parametrize("field", ["feat_dynamic_real", "feat_dynamic_cat", "past_feat_dynamic_real"])
def test_nothing_after_the_cut_off_leaks_into_the_predictor(fitted: TitansForecaster, field: str) -> None:
    """What is known ahead counts from its own row on; what is not known ahead is not looked at after the target."""
    cut, ahead = 210, 3 if field.startswith("feat") else 0
    entries = as_covariate_entries(before(moved_by_covariates(), cut + HORIZON), cut)
    changed = []
    for entry in entries:
        known = np.concatenate([entry[field], np.zeros((1, cut + HORIZON - entry[field].shape[1]))], 1)
        known[:, cut + ahead :] = 1 - known[:, cut + ahead :]
        changed.append(entry | {field: known})
    first, second = (values(fitted.predict(e)) for e in (entries, changed))
    np.testing.assert_array_equal(first[:, :3], second[:, :3])
    assert (first[:, 3:] != second[:, 3:]).any() == (ahead > 0)


def test_a_fit_on_entries_is_a_fit_on_the_frame(make: Make, frame: pd.DataFrame) -> None:
    entries = as_covariate_entries(before(frame, TRAIN))
    roles = {name: ROLES[name] for name in ("price", "promo", "lead", "size", "kind")}
    ours = make(roles=roles).fit(before(frame, TRAIN))
    theirs_ = make(roles=FIELDS).fit(iter(entries))
    ahead = as_covariate_entries(before(frame, 210 + HORIZON), 210)
    expected = ours.predict(before(frame, 210), future=after(frame, 210, HORIZON), level=[80])
    np.testing.assert_array_equal(values(theirs_.predict(iter(ahead), level=[80])), values(expected))
    assert set(theirs_.effect_) <= {"feat_dynamic_real_0", "feat_dynamic_real_0²", "feat_dynamic_cat_0"}
    np.testing.assert_array_equal(theirs_.effect_["feat_dynamic_cat_0"], ours.effect_["promo"])
    later = as_covariate_entries(after(frame, TRAIN, 10))
    now = theirs_.update(later).make_future_frame()
    assert list(now.columns) == ["unique_id", "ds", "feat_dynamic_real_0", "feat_dynamic_cat_0"]
    known = after(frame, 210, HORIZON)
    filled = now.assign(feat_dynamic_real_0=known["price"].to_numpy(), feat_dynamic_cat_0=known["promo"].to_numpy(int))
    ours.update(after(frame, TRAIN, 10))
    np.testing.assert_array_equal(values(theirs_.predict(future=filled)), values(ours.predict(future=known)))


def test_the_evaluation_of_gluonts_runs_unchanged_on_its_own_datasets(make: Make, frame: pd.DataFrame) -> None:
    data = frame.assign(promo=frame["promo"].astype(float), kind=frame["kind"].astype("category"))
    dataset = PandasDataset.from_long_dataframe(
        data, item_id="unique_id", timestamp="ds", target="y", freq="D", feat_dynamic_real=["price", "promo"],
        past_feat_dynamic_real=["lead"], static_feature_columns=["size", "kind"], dtype=np.float64,
    )  # fmt: skip
    train, test = split(dataset, offset=-HORIZON * WINDOWS)
    windows = test.generate_instances(HORIZON, windows=WINDOWS)
    of_frame = make(roles=ROLES).fit(before(frame, 240 - HORIZON * WINDOWS))
    actual, point = [], []
    for cut in range(240 - HORIZON * WINDOWS, 240, HORIZON):
        known = after(frame, cut, HORIZON)
        point.append(of_frame.predict(before(frame, cut), future=known)["TitansForecaster"].to_numpy())
        actual.append(known["y"].to_numpy())
    expected = metrics.mse(np.stack(actual), np.stack(point))
    for forecaster in (of_frame, make(roles={f: r for f, r in FIELDS.items() if f != "feat_dynamic_cat"}).fit(train)):
        predictor = forecaster.to_gluonts(batch_size=4)
        found = evaluate_model(predictor, test_data=windows, metrics=[theirs.MSE(), theirs.MSIS()]).iloc[0]
        if forecaster is of_frame:
            assert found["MSE[mean]"] == pytest.approx(expected, rel=1e-5)
        assert np.isfinite(found["MSIS"])
    forecasts, truths = make_evaluation_predictions(dataset, predictor)
    total, per_series = Evaluator(num_workers=0)(truths, forecasts)
    assert np.isfinite(total["MSE"]) and per_series.item_id.tolist() == ["s0", "s1", "s2"]


def test_a_predictor_with_covariates_is_written_and_read(
    fitted: TitansForecaster, frame: pd.DataFrame, tmp_path: Path
) -> None:
    entries = as_covariate_entries(before(frame, 210 + HORIZON), 210)
    predictor = fitted.to_gluonts()
    predictor.serialize(tmp_path)
    read = Predictor.deserialize(tmp_path)
    for ours, other in zip(predictor.predict(entries), read.predict(entries), strict=True):
        np.testing.assert_array_equal(ours.mean, other.mean)


def test_names_of_categories_and_their_numbers_are_the_same(fitted: TitansForecaster, frame: pd.DataFrame) -> None:
    entries = as_covariate_entries(before(frame, 210 + HORIZON), 210)
    named = [entry | {"feat_static_cat": ["xy"[int(entry["feat_static_cat"][0])]]} for entry in entries]
    pd.testing.assert_frame_equal(fitted.predict(named), fitted.predict(entries))
    lost = [entry | {"feat_static_cat": np.array([-1.0])} for entry in entries]
    nobody = before(frame, 210).assign(kind=None)
    expected = fitted.predict(nobody, future=after(frame, 210, HORIZON))
    np.testing.assert_array_equal(values(fitted.predict(lost)), values(expected))
    new = [entry | {"feat_static_cat": np.array([5])} for entry in entries]
    np.testing.assert_array_equal(values(fitted.predict(new)), values(expected))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"feat_dynamic_real": None}, r"('s2') has no 'feat_dynamic_real'"),
        ({"past_feat_dynamic_real": None}, r"('s2') has no 'past_feat_dynamic_real'"),
        ({"feat_static_cat": [0, 1]}, "('s2'): feat_static_cat has shape (2,); it must be (1,): one row (kind)"),
        ({"feat_dynamic_real": np.ones((1, 212))}, "feat_dynamic_real has shape (1, 212); it must be (1, 216): one row "
         "(price), by the 210 steps of target and the 6 to forecast"),
        ({"feat_dynamic_real": np.ones((2, 216))}, "feat_dynamic_real has shape (2, 216); it must be (1, 210)"),
        ({"feat_dynamic_real": np.ones(216)}, "feat_dynamic_real has shape (216,); it must be (rows, 210)"),
        ({"past_feat_dynamic_real": np.ones((1, 200))}, "past_feat_dynamic_real has shape (1, 200); it must be "
         "(1, 210)"),
        ({"past_feat_dynamic_real": np.full((1, 210), np.inf)}, "('s2'): past_feat_dynamic_real, row 0 ('lead'), step "
         "0 is inf"),
        ({"feat_static_real": ["big"]}, "('s2'): feat_static_real, row 0 ('size'): ['big'] are not numbers"),
        ({"feat_dynamic_real": np.full((1, 216), np.nan)}, "('s2'), step 210: price is missing; fill it in"),
        ({"feat_dynamic_cat": np.full((1, 216), 0.5)}, "feat_dynamic_cat, row 0 ('promo'): 0.5 is no category's"),
    ],
)  # fmt: skip
def test_an_entry_whose_covariates_cannot_be_read_is_named_with_the_field(
    fitted: TitansForecaster, frame: pd.DataFrame, changes: dict[str, Any], words: str
) -> None:
    entries = as_covariate_entries(before(frame, 210 + HORIZON), 210)
    for name, value in changes.items():
        entries[2][name] = value
    with pytest.raises(ValueError, match=re.escape(words)):
        fitted.predict(entries)
    with pytest.raises(ValueError, match=re.escape(words)):
        list(fitted.to_gluonts(batch_size=2).predict(entries))


@pytest.mark.parametrize(
    ("roles", "words"),
    [
        ({"price": "future"}, r"'price' is no field of GluonTS entries; .* are 'feat_dynamic_real': 'future'"),
        ({"feat_dynamic_real": "past"}, r"'feat_dynamic_real' has the role 'past'; in GluonTS entries it is 'future'"),
        ({"past_feat_dynamic_cat": "past"}, r"entry 0 \('s0'\) has no 'past_feat_dynamic_cat'"),
    ],
)  # fmt: skip
def test_roles_that_entries_do_not_have_are_refused(
    make: Make, frame: pd.DataFrame, roles: dict[str, str], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        make(roles=roles).fit(as_covariate_entries(before(frame, TRAIN)))
