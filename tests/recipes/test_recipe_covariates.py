"""Covariates in recipes: columns with a role are known to the forecaster, in wide and in long files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from titans_seq import TitansForecaster
from titans_seq.recipes import load_recipe, run_recipe

ROWS = 260
TEXT = """
schema: 1
task: {horizon: 4}
data: {path: made.csv, split: [160, 50, 50], ROLES}
model: {context_length: 16, patch_length: 4}
train: {max_epochs: 0}
evaluate: {mode: MODE, baselines: []}
"""
ROLES = "roles: {price: future, day: future, weather: past}"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def wide() -> pd.DataFrame:
    random = np.random.default_rng(0)
    price = random.normal(size=ROWS)
    day = np.where(random.random(ROWS) < 0.3, "sale", "usual")
    a, b = (size * (2 * price + 3 * (day == "sale")) + 0.1 * random.normal(size=ROWS) for size in (1, 10))
    ds = pd.date_range("2024-01-01", periods=ROWS, freq="D").strftime("%Y-%m-%d")
    return pd.DataFrame({"ds": ds, "a": a, "b": b, "price": price, "day": day, "weather": random.normal(size=ROWS)})


def long() -> pd.DataFrame:
    one = wide()
    names = ("price", "day", "weather")
    parts = [one[["ds", *names]].assign(unique_id=name, y=one[name], kind=f"kind {name}") for name in ("a", "b")]
    return pd.concat(parts[::-1])


def score(frame: pd.DataFrame, roles: str, mode: str = "windowed") -> float:
    frame.to_csv("made.csv", index=False)
    Path("made.yaml").write_text(TEXT.replace("ROLES", roles).replace("MODE", mode))
    return run_recipe(load_recipe("made.yaml"), Path("out"), overwrite=True, quiet=True).metrics["model"]["mse"]


@pytest.mark.parametrize("mode", ["windowed", "streaming"])
def test_what_is_known_ahead_lowers_the_error_of_wide_and_of_long_files(folder: Path, mode: str) -> None:
    columns = ["ds", "a", "b"]
    without = score(wide()[columns], "on_gap: raise", mode)
    assert score(wide(), ROLES, mode) < 0.1 * without
    assert score(long(), ROLES.replace("}", ", kind: static}"), mode) < 0.1 * without
    assert "price" in Path("out/recipe.yaml").read_text()


def test_the_saved_model_is_that_of_the_estimator(folder: Path) -> None:
    score(wide(), ROLES)
    frame = wide().assign(ds=lambda x: pd.to_datetime(x.ds))
    roles = {"price": "future", "day": "future", "weather": "past"}
    same = TitansForecaster(4, context_length=16, patch_length=4, max_epochs=0, roles=roles, verbose=0)
    same.fit(frame[:160], validation=frame[160:210])
    future = frame[["ds", "price", "day", "weather"]][210:214]
    loaded = TitansForecaster.load("out/model")
    pd.testing.assert_frame_equal(loaded.predict(future=future), same.predict(future=future))


def test_missing_rows_of_a_masked_file_keep_the_others_covariates(folder: Path) -> None:
    roles = "roles: {weather: past}, on_gap: mask"
    rows = wide()[["ds", "a", "b", "weather"]].drop(index=[40, 41, 100])
    assert np.isfinite(score(rows, roles))


def test_a_column_that_is_not_there_is_named_with_the_nearest(folder: Path) -> None:
    with pytest.raises(ValueError, match=r"data\.roles: the data have no 'prise'; did you mean 'price'\?"):
        score(wide(), "roles: {prise: future}")
    with pytest.raises(ValueError, match="roles"):
        score(wide(), "roles: {price: later}")
