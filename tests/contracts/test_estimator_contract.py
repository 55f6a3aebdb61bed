"""What every forecaster promises, over variants and ways of reading."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from titans_seq import TitansForecaster

SMALL = {
    "horizon": 5, "context_length": 16, "patch_length": 4, "sequence_length": 32, "d_model": 8, "n_layers": 1,
    "n_heads": 2, "chunk_size": 4, "window_size": 4, "n_persistent": 2, "batch_size": 8, "max_epochs": 1,
    "random_state": 0, "verbose": 0,
}  # fmt: skip
VARIANTS = ["mag", "mal", "mac", "lmm", "swa", "attention"]


def make(**options: Any) -> TitansForecaster:
    return TitansForecaster(**{**SMALL, **options})


def series(n: int = 160, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.sin(np.arange(n) / 3) * 4 + 30 + rng.normal(size=n) * 0.2


def long_frame(lengths: dict[Any, int] | None = None) -> pd.DataFrame:
    lengths = {"a": 160, "b": 120} if lengths is None else lengths
    parts = [
        pd.DataFrame({"unique_id": k, "ds": pd.date_range("2024-03-01", periods=n, freq="D"), "y": series(n, i)})
        for i, (k, n) in enumerate(lengths.items())
    ]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize("carry_state", [True, False])
@pytest.mark.parametrize("variant", VARIANTS)
def test_fit_and_predict_give_the_next_rows_of_every_series(variant: str, carry_state: bool) -> None:
    frame = long_frame()
    out = make(variant=variant, carry_state=carry_state).fit(frame).predict(level=[80, 95])
    suffixes = ["", "-lo-80", "-hi-80", "-lo-95", "-hi-95"]
    assert list(out.columns) == ["unique_id", "ds", *(f"TitansForecaster{s}" for s in suffixes)]
    for name, group in out.groupby("unique_id"):
        last = frame.ds[frame.unique_id == name].iloc[-1]
        assert list(group.ds) == list(pd.date_range(last, periods=6, freq="D")[1:])
    assert np.isfinite(out.drop(columns=["unique_id", "ds"]).to_numpy()).all()


def test_parameters_survive_clone_get_and_set() -> None:
    forecaster = make(variant="lmm")
    assert clone(forecaster).get_params() == forecaster.get_params()
    assert forecaster.set_params(d_model=16).d_model == 16
    with pytest.raises(ValueError, match="Invalid parameter 'n_layer'"):
        forecaster.set_params(n_layer=2)


@pytest.mark.parametrize("call", [
    lambda f: f.predict(), lambda f: f.update(long_frame()), lambda f: f.save("nowhere"),
    lambda f: f.backtest(long_frame(), first_cutoff=100), lambda f: f.score(long_frame()), lambda f: f.to_gluonts(),
])  # fmt: skip
def test_an_unfitted_forecaster_says_so(call) -> None:
    with pytest.raises(NotFittedError, match="call fit first"):
        call(make())


@pytest.mark.parametrize("carry_state", [True, False])
def test_predict_and_backtest_change_nothing(carry_state: bool, tmp_path) -> None:
    frame = long_frame()
    forecaster = make(carry_state=carry_state).fit(frame)
    forecaster.save(tmp_path / "before")
    first = forecaster.predict(level=[80])
    forecaster.predict(frame)
    forecaster.backtest(frame, first_cutoff=100, stride=4)
    pd.testing.assert_frame_equal(forecaster.predict(level=[80]), first)
    forecaster.save(tmp_path / "after")
    before, after = ((tmp_path / n / "model.safetensors").read_bytes() for n in ("before", "after"))
    assert before == after


def test_the_same_seed_gives_the_same_bits_and_global_generators_are_left_alone() -> None:
    frame = long_frame()
    torch.manual_seed(7)
    np.random.seed(7)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    runs = [make(max_epochs=2).fit(frame) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    for (name, a), b in zip(runs[0]._model.state_dict().items(), runs[1]._model.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    pd.testing.assert_frame_equal(runs[0].predict(level=[80]), runs[1].predict(level=[80]), check_exact=True)
    other = make(max_epochs=2, random_state=1).fit(frame)
    assert not torch.equal(other._model.encoder.weight, runs[0]._model.encoder.weight)


def test_the_frame_library_that_came_in_goes_out() -> None:
    frame = long_frame()
    expected = make().fit(frame).predict(level=[80])
    ours = make().fit(pl.from_pandas(frame)).predict(level=[80])
    assert isinstance(ours, pl.DataFrame)
    for column in expected.columns[2:]:
        np.testing.assert_allclose(ours[column].to_numpy(), expected[column].to_numpy())


def test_wide_frames_and_arrays_forecast_like_long_frames() -> None:
    values = np.stack([series(150, 0), series(150, 1)])
    ds = pd.date_range("2024-01-01", periods=150, freq="D")
    frame = pd.DataFrame({"ds": ds, "a": values[0], "b": values[1]})
    long = frame.melt("ds", var_name="unique_id", value_name="y")
    wide_out = make().fit(frame).predict()
    long_out = make().fit(long).predict()
    assert list(wide_out.columns) == ["ds", "a", "b"]
    np.testing.assert_allclose(wide_out[["a", "b"]].to_numpy().T.ravel(), long_out["TitansForecaster"])
    array_out = make().fit(values).predict()
    assert array_out.shape == (2, 5)


def test_integer_time_steps_go_on_as_integers() -> None:
    frame = pd.DataFrame({"unique_id": 7, "ds": np.arange(10, 10 + 3 * 140, 3), "y": series(140)})
    out = make().fit(frame).predict()
    assert out.ds.tolist() == [430, 433, 436, 439, 442]
    assert out.unique_id.tolist() == [7] * 5


def test_missing_values_are_masked_and_nothing_comes_out_missing() -> None:
    frame = long_frame()
    holes = frame.copy()
    holes.loc[np.random.default_rng(0).random(len(frame)) < 0.3, "y"] = np.nan
    holes.loc[holes.index[-7:], "y"] = np.nan
    before = holes.copy()
    out = make().fit(holes).predict(level=[80])
    assert np.isfinite(out.iloc[:, 2:].to_numpy()).all()
    pd.testing.assert_frame_equal(holes, before)


def test_a_series_does_not_depend_on_the_series_beside_it() -> None:
    frame = long_frame({"a": 160, "b": 120, "c": 90})
    forecaster = make(max_epochs=1).fit(frame)
    together = forecaster.predict(frame)
    alone = forecaster.predict(frame[frame.unique_id == "b"])
    ours = together.TitansForecaster[together.unique_id == "b"].to_numpy()
    np.testing.assert_allclose(ours, alone.TitansForecaster, rtol=1e-6)


@pytest.mark.parametrize("levels", [[50, 80, 90, 99], [10, 20, 30]])
def test_quantiles_cannot_cross(levels: list[int]) -> None:
    out = make(max_epochs=2).fit(long_frame()).predict(level=levels)
    columns = [f"TitansForecaster-lo-{x}" for x in sorted(levels, reverse=True)]
    columns += [f"TitansForecaster-hi-{x}" for x in sorted(levels)]
    assert (np.diff(out[columns].to_numpy(), axis=1) >= 0).all()


def test_new_series_can_be_forecast_without_a_fit() -> None:
    forecaster = make().fit(long_frame())
    out = forecaster.predict(long_frame({"new": 60, "a": 80}))
    assert out.unique_id.unique().tolist() == ["new", "a"]
    assert np.isfinite(out.TitansForecaster).all()


def test_very_short_series_ride_along_with_longer_ones() -> None:
    out = make().fit(long_frame({"long": 200, "short": 3})).predict(level=[80])
    assert np.isfinite(out.iloc[:, 2:].to_numpy()).all()


def test_a_constant_series_is_forecast_as_that_constant() -> None:
    out = make().fit(np.full((1, 150), 5.0)).predict()
    np.testing.assert_allclose(out, 5.0, atol=0.05)


def test_a_fitted_forecaster_can_be_copied_and_pickled() -> None:
    forecaster = make().fit(long_frame())
    for other in (copy.deepcopy(forecaster), pickle.loads(pickle.dumps(forecaster))):
        pd.testing.assert_frame_equal(other.predict(), forecaster.predict())


def test_values_beyond_single_precision_are_refused_and_change_nothing() -> None:
    forecaster = make().fit(series()[None])
    before = forecaster.predict()
    with pytest.raises(ValueError, match="series 0, row 1: 1e\\+39 is more than 1e\\+09 standard deviations"):
        forecaster.update(np.array([[30.0, 1e39, 30.0]]))
    np.testing.assert_array_equal(forecaster.predict(), before)


def test_rows_of_another_time_zone_are_refused() -> None:
    frame = long_frame({"a": 100})
    forecaster = make(max_epochs=0).fit(frame[:90])
    later = frame[90:].assign(ds=lambda x: x.ds.dt.tz_localize("Europe/Berlin"))
    with pytest.raises(ValueError, match="column 'ds' is in Europe/Berlin, fit had no time zone"):
        forecaster.update(later)


def test_max_epochs_0_is_the_linear_map_alone() -> None:
    forecaster = make(max_epochs=0).fit(long_frame())
    assert forecaster.network_weight_ == 0
    assert forecaster.history_ == []


def test_validation_rows_choose_but_are_not_fitted() -> None:
    frame = long_frame({"a": 200})
    changed = frame.copy()
    changed.loc[150:, "y"] += np.random.default_rng(1).normal(size=50)
    models = [make(max_epochs=0).fit(f[:150], validation=f[150:]) for f in (frame, changed)]
    same_choice = (
        models[0].linear_.penalty == models[1].linear_.penalty
        and models[0].linear_.centring == models[1].linear_.centring
    )
    assert not same_choice or np.array_equal(models[0].linear_.weights, models[1].linear_.weights)
    assert models[0].predict().ds.iloc[0] == frame.ds.iloc[-1] + pd.Timedelta(days=1)


# --- files -------------------------------------------------------------------------------------------------


def test_a_saved_model_is_two_files_that_hold_no_code(tmp_path) -> None:
    make().fit(long_frame()).save(tmp_path / "m")
    assert sorted(p.name for p in (tmp_path / "m").iterdir()) == ["model.json", "model.safetensors"]
    json.loads((tmp_path / "m" / "model.json").read_text())


@pytest.mark.parametrize("name", ["model.json", "model.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "noise", "gone"])
def test_a_damaged_model_is_refused_in_one_line(tmp_path, name: str, damage: str) -> None:
    make(max_epochs=0).fit(long_frame()).save(tmp_path / "m")
    file = tmp_path / "m" / name
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(content[: len(content) // 2] if damage == "cut" else b"\x80" * 100)
    with pytest.raises((ValueError, FileNotFoundError)) as error:
        TitansForecaster.load(tmp_path / "m")
    assert str(tmp_path / "m") in str(error.value)
    assert "\n" not in str(error.value)


def test_bytes_changed_within_a_model_are_noticed(tmp_path) -> None:
    make(max_epochs=0).fit(long_frame()).save(tmp_path / "m")
    file = tmp_path / "m" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-40] ^= 0xFF
    file.write_bytes(bytes(content))
    with pytest.raises(ValueError, match="checksum"):
        TitansForecaster.load(tmp_path / "m")


def test_numpy_scalars_as_arguments_survive_saving(tmp_path) -> None:
    given = {"horizon": np.int64(5), "learning_rate": np.float32(0.25), "random_state": np.int64(3)}
    make(max_epochs=0, **given).fit(long_frame()).save(tmp_path / "m")
    loaded = TitansForecaster.load(tmp_path / "m")
    assert (loaded.horizon, loaded.learning_rate, loaded.random_state) == (5, 0.25, 3)


def test_saving_into_a_folder_that_holds_more_than_a_model_is_refused(tmp_path) -> None:
    forecaster = make(max_epochs=0).fit(long_frame())
    forecaster.save(tmp_path / "m")
    forecaster.save(tmp_path / "m")
    (tmp_path / "m" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="not a saved model"):
        forecaster.save(tmp_path / "m")
    assert (tmp_path / "m" / "notes.txt").read_text() == "mine"


def test_saving_over_something_else_is_refused(tmp_path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(FileExistsError, match="not a saved model"):
        make(max_epochs=0).fit(long_frame()).save(tmp_path / "thesis")
    assert [p.name for p in tmp_path.iterdir()] == ["thesis"]


# --- bad arguments and data --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"horizon": 0}, ValueError, "horizon must be at least 1, found 0"),
        ({"device": "foo"}, ValueError, "device must be 'auto', 'cpu' or 'cuda', found 'foo'"),
        ({"random_state": 2**40}, ValueError, "random_state must be an integer from 0"),
        ({"carry_state": "no"}, TypeError, "carry_state must be True or False, found 'no'"),
        ({"dropout": "x"}, TypeError, "dropout must be a number, found 'x'"),
        ({"context_length": 10**6}, ValueError, "context_length is 1000000; the longest series has 128 rows"),
        ({"quantile_levels": None}, TypeError, "quantile_levels must be numbers"),
        ({"horizon": 2.5}, TypeError, "horizon must be an integer, found 2.5"),
        ({"variant": "mga"}, ValueError, "variant must be one of .*'mag'.* found 'mga'"),
        ({"learning_rate": -1}, ValueError, "learning_rate must lie between"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must lie between"),
        ({"quantile_levels": (0.9, 0.1)}, ValueError, "quantile_levels must increase"),
        ({"on_gap": "fill"}, ValueError, "on_gap must be one of 'raise', 'mask', found 'fill'"),
        ({"d_model": 9, "n_heads": 2}, ValueError, "d_model must be a multiple of n_heads"),
    ],
)
def test_a_bad_argument_is_named(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options).fit(long_frame())


def spoil(how: str) -> pd.DataFrame:
    frame = long_frame({"a": 60, "b": 60})
    if how == "nan timestamp":
        frame.loc[17, "ds"] = pd.NaT
    elif how == "duplicate":
        frame.loc[17, "ds"] = frame.ds[16]
    elif how == "gap":
        frame = frame.drop(index=17)
    elif how == "mixed frequencies":
        frame.loc[60:, "ds"] = pd.date_range("2024-01-01", periods=60, freq="h")
    elif how == "strings in y":
        frame = frame.astype({"y": object})
        frame.loc[17, "y"] = "twelve"
    elif how == "empty":
        frame = frame.iloc[:0]
    elif how == "one row":
        frame = frame.iloc[:61]
    return copy.deepcopy(frame)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("nan timestamp", "17"),
        ("duplicate", "'a'.*17|17.*'a'"),
        ("gap", "'a'.*on_gap"),
        ("mixed frequencies", "mixed frequencies: series '"),
        ("strings in y", "'twelve'"),
        ("empty", "empty|no rows"),
        ("one row", "'b' has one row"),
    ],
)
def test_bad_data_is_refused_in_one_line_that_names_the_place(how: str, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message) as error:
        make().fit(spoil(how))
    assert "\n" not in str(error.value)


def test_series_no_longer_than_the_horizon_are_refused() -> None:
    with pytest.raises(ValueError, match="no series is longer than the horizon of 5 rows; the longest has 4"):
        make().fit(long_frame({"a": 4}))


def test_levels_outside_their_range_are_named() -> None:
    forecaster = make(max_epochs=0).fit(long_frame())
    with pytest.raises(ValueError, match="level must lie between 0 and 99, found 101"):
        forecaster.predict(level=[101])
    with pytest.raises(ValueError, match="quantiles must lie between 0 and 1"):
        forecaster.predict(quantiles=[1.5])
    with pytest.raises(ValueError, match="level must lie between 0 and 99, found 99.9"):
        forecaster.predict(level=99.9)


def test_a_backtest_that_cannot_be_is_refused() -> None:
    forecaster = make(max_epochs=0).fit(long_frame())
    with pytest.raises(ValueError, match="stride must be at least 1, found 100 and 0"):
        forecaster.backtest(long_frame(), first_cutoff=100, stride=0, mode="streaming")
    with pytest.raises(ValueError, match="no series has 999"):
        forecaster.backtest(long_frame(), first_cutoff=999, stride=4)
