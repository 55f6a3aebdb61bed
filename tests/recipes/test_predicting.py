"""`titans-seq predict`: a state that is carried from call to call is the state that read everything at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from typer.testing import CliRunner

from titans_seq import DNARegressor, TitansForecaster, cli
from titans_seq.estimators import _progress
from titans_seq.recipes import load_recipe, run_recipe
from titans_seq.recipes.predicting import Request, predict_series

RECIPE = """
schema: 1
task: {horizon: 6}
data:
  {path: all.csv, delimiter: ";", decimal: ",", time: Tag, time_format: "%d.%m.%Y", split: [200, 40, 20], sort: true}
model: {context_length: 24, patch_length: 4, d_model: 8, n_layers: 1, window_size: 4, online_linear: true}
train: {max_epochs: 2, learning_rate: 1e-2, random_state: 0}
"""
ROWS, KNOWN = 400, 240


def text(first: int, stop: int) -> str:
    days = pd.date_range("2022-01-01", periods=ROWS)
    random = np.random.default_rng(0)
    wave = 10 + 3 * np.sin(np.arange(ROWS)[:, None] * [0.9, 0.4]) + random.normal(size=(ROWS, 2))
    wave[250:253, 0] = np.nan
    lines = [f"{d:%d.%m.%Y};{a:.3f};{b:.3f}".replace(".", ",").replace(",", ".", 2).replace("nan", "")
             for d, (a, b) in zip(days, wave, strict=True)]  # fmt: skip
    return "\n".join(["Tag;a;b", *lines[first:stop]])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("all.csv").write_text(text(0, ROWS))
        Path("later.csv").write_text(text(KNOWN, ROWS))
        Path("one.csv").write_text(text(KNOWN, KNOWN + 77))
        Path("two.csv").write_text(text(KNOWN + 77, ROWS))
        Path("r.yaml").write_text(RECIPE)
        run_recipe(load_recipe("r.yaml"), Path("run"), quiet=True)
    forecaster = TitansForecaster.load(folder / "run" / "model")
    forecaster._combination = type(forecaster._combination)(1.0, False, forecaster._combination.offsets)
    forecaster.save(folder / "run" / "model")  # the network takes part, whatever validation said
    return folder


@pytest.fixture(autouse=True)
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return tmp_path


def asked(**options: object) -> pl.DataFrame:
    return predict_series(Path("run"), Request(**{"level": (80.0,)} | options)).table  # type: ignore[arg-type]


def test_reading_in_two_halves_with_the_state_between_is_reading_it_whole(here: Path) -> None:
    whole = asked(data=Path("later.csv"))
    asked(data=Path("one.csv"), state_out=here / "s1")
    halves = asked(data=Path("two.csv"), state_in=here / "s1")
    assert_frame_equal(halves, whole, rel_tol=1e-5, abs_tol=1e-4)
    before = asked()
    assert not np.allclose(before["a"], whole["a"])


def test_the_network_has_a_part_in_these_forecasts(here: Path) -> None:
    asked(data=Path("one.csv"), state_out=here / "s")
    with_network = TitansForecaster.load(here / "s" / "model")
    without = TitansForecaster.load(here / "s" / "model")
    without._combination = type(without._combination)(0.0, False, without._combination.offsets)
    assert np.abs(with_network.predict()["a"] - without.predict()["a"]).max() > 0.01


def test_rows_that_were_read_before_are_skipped_and_counted(here: Path) -> None:
    found = predict_series(Path("run"), Request(data=Path("all.csv"), level=(80.0,)))
    assert_frame_equal(found.table, asked(data=Path("later.csv")))
    assert found.notes == [
        "160 new rows of all.csv were read; 240 had been read before",
        "forecasts begin after 2023-02-04",
    ]


def test_only_new_rows_are_given_to_the_network(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    update = TitansForecaster.update
    monkeypatch.setattr(TitansForecaster, "update", lambda self, X: rows.append(len(X)) or update(self, X))
    monkeypatch.setattr(TitansForecaster, "fit", lambda *a, **k: pytest.fail("fitted again"))
    asked(data=Path("one.csv"), state_out=here / "s")
    asked(data=Path("all.csv"), state_in=here / "s")
    assert rows == [77, ROWS - KNOWN - 77]


def test_a_state_is_a_model_of_its_own(here: Path) -> None:
    asked(data=Path("one.csv"), state_out=here / "s")
    assert {path.name for path in (here / "s").iterdir()} == {"model", "recipe.yaml", "state.json"}
    assert json.loads((here / "s" / "state.json").read_text())["rows"] == {"a": KNOWN + 77, "b": KNOWN + 77}
    found = predict_series(here / "s", Request(data=Path("two.csv"), level=(80.0,))).table
    assert_frame_equal(found, asked(data=Path("two.csv"), state_in=here / "s"))


def test_the_model_itself_is_never_changed(here: Path) -> None:
    before = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
    asked(data=Path("all.csv"), state_out=here / "s")
    assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == before


def test_a_state_is_replaced_on_request_only_and_in_its_place(here: Path) -> None:
    asked(data=Path("one.csv"), state_out=here / "s")
    with pytest.raises(FileExistsError, match="holds an earlier state; add --overwrite"):
        asked(state_out=here / "s")
    request = Request(data=Path("two.csv"), state_in=here / "s", state_out=here / "s")
    predict_series(Path("run"), request, overwrite=True)
    assert json.loads((here / "s" / "state.json").read_text())["rows"] == {"a": ROWS, "b": ROWS}
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("")
    with pytest.raises(FileExistsError, match="is not the folder of an earlier state"):
        predict_series(Path("run"), Request(state_out=here / "mine"), overwrite=True)


def test_times_are_written_as_the_file_writes_them() -> None:
    table = asked(data=Path("later.csv"))
    assert table["Tag"].to_list()[:2] == ["05.02.2023", "06.02.2023"]
    assert table.columns == ["Tag", "a", "b", "a-lo-80", "b-lo-80", "a-hi-80", "b-hi-80"]
    typed = predict_series(Path("run"), Request(), as_text=False).table
    assert typed["Tag"].dtype.is_temporal()


def test_a_saved_forecaster_without_a_recipe_reads_what_is_seen_in_the_file(here: Path) -> None:
    TitansForecaster.load("run/model").save(here / "saved")
    found = predict_series(here / "saved", Request(data=Path("later.csv"), level=(80.0,))).table
    expected = asked(data=Path("later.csv"))
    assert_frame_equal(found.drop("Tag"), expected.drop("Tag"))
    assert found["Tag"].to_list()[0] == "2023-02-05"


def test_a_gap_and_another_models_state_and_a_missing_column_are_named(here: Path) -> None:
    Path(here / "gap.csv").write_text(text(KNOWN + 5, ROWS))
    with pytest.raises(ValueError, match="5 rows are missing between 2022-08-28"):
        asked(data=here / "gap.csv")
    other = TitansForecaster(6, context_length=24, patch_length=4, max_epochs=0, random_state=1, time_col="Tag")
    frame = pd.DataFrame({"Tag": pd.date_range("2022-01-01", periods=240), "a": np.arange(240.0), "b": 1.5})
    other.fit(frame).save(here / "other")
    with pytest.raises(ValueError, match="is the state of another model than run"):
        asked(state_in=here / "other")
    (here / "x.csv").write_text("Tag;a\n01.01.2024;1\n")
    with pytest.raises(ValueError, match="there is no column 'b'; it has Tag, a"):
        asked(data=here / "x.csv")


def test_a_model_of_another_kind_is_refused(here: Path) -> None:
    sequences = ["ACGT" * 10, "TTGA" * 10] * 8
    DNARegressor(max_epochs=0, n_members=1, random_state=0, verbose=0).fit(sequences, [1.0, 2.0] * 8).save(here / "dna")
    with pytest.raises(ValueError, match="holds a DNARegressor; predict needs a TitansForecaster"):
        predict_series(here / "dna", Request())


def test_far_beyond_the_horizon_a_line_comes_before_the_forecasts(here: Path) -> None:
    TitansForecaster(1, max_epochs=0).fit(np.sin(np.arange(80.0))).save(here / "model")
    far = CliRunner().invoke(cli.app, ["predict", str(here / "model"), "--horizon", "1001"])
    assert far.exit_code == 0
    assert far.stderr.splitlines() == [
        "warning: 1,001 rows are 1,001 times the horizon that the model was trained for (1): they are forecast 1 after "
        "1, each from the ones before, which takes long"
    ]
    for options in (["--horizon", "1000"], ["--horizon", "1001", "--quiet"]):
        assert CliRunner().invoke(cli.app, ["predict", str(here / "model"), *options]).stderr == ""


def test_a_terminal_shows_how_far_the_forecasts_are(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "_LONG", 0.0)
    monkeypatch.setattr(TitansForecaster, "_show_progress", lambda self: bool(self.verbose))  # there is no terminal
    TitansForecaster(5, max_epochs=0, verbose=0).fit(np.sin(np.arange(80.0))).save(here / "model")
    asked = Request(horizon=40, level=(80.0,), state_out=here / "state")
    predict_series(here / "model", asked, warn=print)
    shown = capsys.readouterr().err
    assert "rows ahead" in shown and "0/35" in shown
    assert "blocks of the paths of 1 of 1 series" in shown and "0/8" in shown
    assert TitansForecaster.load(here / "state" / "model").verbose == 0
    predict_series(here / "model", Request(horizon=40, level=(80.0,)))
    assert capsys.readouterr().err == ""


def test_covariates_come_from_the_files(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    random, days = np.random.default_rng(0), pd.date_range("2022-01-01", periods=300)
    price = random.uniform(1, 2, 300)
    table = pd.DataFrame(
        {"unique_id": 7, "ds": days, "price": price, "y": 20 - 5 * price + random.normal(size=300) / 9}
    )
    table[:280].to_csv("shop.csv", index=False)
    recipe = "schema: 1\ntask: {horizon: 5}\ndata: {path: shop.csv, split: [200, 30, 30], roles: {price: future}}\n"
    Path("r.yaml").write_text(recipe + "train: {max_epochs: 0, random_state: 0}\n")
    run_recipe(load_recipe("r.yaml"), Path("run"), quiet=True)
    with pytest.raises(ValueError, match="pass future= with 'price'"):
        predict_series(Path("run"), Request(data=Path("shop.csv")))
    table[280:285].assign(price=1.0).drop(columns="y").to_csv("low.csv", index=False)
    table[280:285].assign(price=2.0).drop(columns="y").to_csv("high.csv", index=False)
    low, high = (
        predict_series(Path("run"), Request(data=Path("shop.csv"), future=Path(f"{name}.csv"))).table
        for name in ("low", "high")
    )
    assert low["unique_id"].to_list() == [7] * 5
    difference = low["TitansForecaster"].to_numpy() - high["TitansForecaster"].to_numpy()
    assert difference.mean() == pytest.approx(5, abs=1)
