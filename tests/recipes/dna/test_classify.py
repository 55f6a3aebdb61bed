"""`titans-seq classify` and the script to copy: answers are those of the saved model."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from planted_motifs import planted
from typer.testing import CliRunner, Result

from titans_seq import DNAClassifier, DNARegressor, cli
from titans_seq.data import read_sequences, write_fasta
from titans_seq.data._share import share_folder
from titans_seq.estimators import _dna, _sequence_predicting

TINY = {
    "channels": 8, "d_model": 4, "n_heads": 1, "memory_expansion": 1, "n_members": 1, "max_epochs": 1,
    "random_state": 0, "verbose": 0,
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    strings, holds = planted(60)
    DNAClassifier(**TINY).fit(strings, np.where(holds, "motif", "none")).save(folder / "classes")
    DNARegressor(**TINY).fit(strings, holds * 2.5).save(folder / "numbers")
    DNAClassifier(**TINY).fit(strings, np.stack((holds, ~holds), 1).astype(int)).save(folder / "labels")
    run = folder / "run"
    DNAClassifier(**TINY, sequence_col="dna").fit(strings, holds.astype(int)).save(run / "model")
    (run / "recipe.yaml").write_text("schema: 1\n")
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    strings, _ = planted(30, seed=1)
    write_fasta(read_sequences(strings), "some.fa")
    pl.DataFrame({"id": [f"s{i}" for i in range(30)], "dna": strings}).write_csv("some.csv")
    return tmp_path


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, ["classify", *map(str, arguments)])


def error_of(result: Result) -> str:
    assert result.exit_code == cli.USER_ERROR, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line.removeprefix("error: ")


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet"])
def test_what_is_written_is_what_the_model_says(models: Path, ending: str) -> None:
    result = call(models / "classes", "some.fa", "--output", f"out.{ending}")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"30 sequences written to out.{ending}\n"
    if ending == "parquet":
        table = pl.read_parquet("out.parquet")
    else:
        table = pl.read_csv(f"out.{ending}", separator="\t" if ending == "tsv" else ",")
    model = DNAClassifier.load(models / "classes")
    assert table.columns == ["id", "predicted", "p_motif", "p_none"]
    assert table["predicted"].to_list() == model.predict("some.fa").tolist()
    np.testing.assert_array_equal(table.select("p_motif", "p_none").to_numpy(), model.predict_proba("some.fa"))
    assert {path.name for path in Path().iterdir()} == {"some.fa", "some.csv", f"out.{ending}"}


def test_the_first_rows_are_shown(models: Path) -> None:
    lines = call(models / "classes", "some.fa").stdout.splitlines()
    assert lines[0].split() == ["id", "predicted", "p_motif", "p_none"]
    assert len(lines) == 22
    assert lines[-1] == "... 10 more rows: write all with --output"


def test_a_run_is_a_model_and_its_columns_are_known(models: Path) -> None:
    assert call(models / "run", "some.csv", "--output", "out.csv").exit_code == 0
    model = DNAClassifier.load(models / "run" / "model")
    table = pl.read_csv("out.csv")
    assert table["id"].to_list() == [f"s{i}" for i in range(30)]
    assert table["predicted"].to_list() == model.predict("some.csv").tolist()


def test_columns_can_be_named(models: Path) -> None:
    result = call(models / "classes", "some.csv", "--sequence-col", "dna", "--id-col", "dna", "--output", "out.csv")
    assert result.exit_code == 0, result.stderr
    assert pl.read_csv("out.csv")["id"].to_list() == pl.read_csv("some.csv")["dna"].to_list()


def test_numbers_and_several_labels_are_told(models: Path) -> None:
    assert call(models / "numbers", "some.fa", "--output", "numbers.parquet").exit_code == 0
    numbers = DNARegressor.load(models / "numbers").predict("some.fa")
    np.testing.assert_array_equal(pl.read_parquet("numbers.parquet")["predicted"], numbers)
    assert call(models / "labels", "some.fa", "--output", "labels.parquet").exit_code == 0
    labels = DNAClassifier.load(models / "labels").predict("some.fa")
    table = pl.read_parquet("labels.parquet")
    assert table.columns == ["id", "label_0", "label_1", "p_0", "p_1"]
    np.testing.assert_array_equal(table.select("label_0", "label_1").to_numpy(), labels)


def test_a_file_is_replaced_on_request_only(models: Path) -> None:
    Path("out.csv").write_text("mine")
    message = error_of(call(models / "classes", "some.fa", "--output", "out.csv"))
    assert message == "out.csv exists; add --overwrite or choose another file"
    assert Path("out.csv").read_text() == "mine"
    assert call(models / "classes", "some.fa", "--output", "out.csv", "--overwrite", "--quiet").stdout == ""
    assert len(pl.read_csv("out.csv")) == 30


def test_what_takes_long_is_said_unless_it_is_to_be_quiet(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_dna, _sequence_predicting):
        monkeypatch.setattr(module, "MAX_POSITIONS", 20)
    loud = call(models / "classes", "some.fa", "--output", "out.csv")
    assert loud.stderr.startswith("30 of 30 sequences are long: about ")
    assert call(models / "classes", "some.fa", "--output", "out.csv", "--overwrite", "--quiet").output == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gone", "some.fa"), "gone: there is no such folder"),
        (("classes", "gone.fa"), "gone.fa does not exist"),
        (("classes", "some.csv"), "some.csv has no column 'sequence' (it has id, dna); pass sequence_col="),
        (("classes", "some.csv", "--sequence-col", "dn"), "some.csv has no column 'dn'; did you mean sequence_col="),
        (("classes", "bad.fa"), "bad.fa: record 2 'b', line 4: 'X' is no base"),
        (("classes", "some.fa", "--output", "out.xlsx"), "out.xlsx: answers are written as .csv, .tsv, .parquet"),
        (("classes", "some.fa", "--output", "no/out.csv"), "no/out.csv: there is no folder no"),
        (("forecast", "some.fa"), "holds a TitansForecaster; classify needs a DNAClassifier or DNARegressor"),
        (("damaged", "some.fa"), "model.json is damaged"),
    ],
)  # fmt: skip
def test_what_the_user_can_mend_is_one_line(models: Path, arguments: tuple[str, ...], message: str) -> None:
    Path("bad.fa").write_text(">a\nACGT\n>b\nACXT\n")
    for name, text in (("forecast", '{"estimator": "TitansForecaster"}'), ("damaged", "{")):
        (models / name).mkdir(exist_ok=True)
        (models / name / "model.json").write_text(text)
    model = models / arguments[0] if (models / arguments[0]).exists() else arguments[0]
    assert message in error_of(call(model, *arguments[1:]))
    assert not list(Path().glob("out*"))


SCRIPT = share_folder("recipes") / "dna_classify.py"


def script(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def test_the_script_to_copy_is_short() -> None:
    assert len(SCRIPT.read_text().splitlines()) < 40


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("some.fa",), "some.fa"),
        (("yes=some.fa", "some.fa"), "several files must be class=file, each with a class of its own"),
        (("yes=some.fa", "yes=some.fa"), "several files must be class=file, each with a class of its own"),
        (("yes=some.fa",), "label: two or more classes are needed, each in training and test; not numbers"),
        (("mine.csv", "--label", "gap"), "mine.csv: row 3, line 5: gap is missing; drop the row or label it"),
        (("mine.csv", "--label", "king"), "mine.csv has no column 'king'; did you mean 'kind'?"),
        (("mine.csv", "--label", "score"), "score: two or more classes are needed"),
        (("mine.csv", "--label", "kind", "--save", "kept"), "kept exists and is not a saved model"),
        (("mine.csv", "--label", "kind", "--save", "some.fa"), "some.fa"),
    ],
)  # fmt: skip
def test_the_script_to_copy_says_what_is_wrong_in_one_line_and_trains_nothing(
    arguments: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    strings, holds = planted(40)
    gaps = ["" if row == 3 else "a" for row in range(40)]
    table = {"sequence": strings, "kind": holds.astype(int), "gap": gaps, "score": np.arange(40) / 7}
    pl.DataFrame(table).write_csv("mine.csv")
    Path("kept").mkdir()
    Path("kept/notes.txt").write_text("mine")
    monkeypatch.setattr(sys, "argv", ["dna_classify.py", *arguments, "--epochs", "1"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    said = capsys.readouterr()
    assert (stopped.value.code, said.out) == (2, "")
    (line,) = said.err.splitlines()
    assert line.startswith("error: ") and message in line
    assert not Path("dna_model").exists() and Path("kept/notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_the_script_to_copy_replaces_a_model_of_its_own(models: Path) -> None:
    strings, holds = planted(80)
    pl.DataFrame({"sequence": strings, "label": holds.astype(int)}).write_csv("mine.csv")
    Path("dna_model").mkdir()
    for name in ("model.json", "model.safetensors"):
        (Path("dna_model") / name).write_bytes((models / "numbers" / name).read_bytes())
    done = script("mine.csv", "--epochs", "1")
    assert done.returncode == 0, done.stderr
    assert DNAClassifier.load("dna_model").classes_.tolist() == ["0", "1"]


@pytest.mark.slow
@pytest.mark.parametrize("by_class", [False, True])
def test_the_script_to_copy_trains_reports_and_saves(by_class: bool) -> None:
    strings, holds = planted(80)
    if by_class:
        for name, kept in (("yes", holds), ("no", ~holds)):
            own = read_sequences([text for text, keep in zip(strings, kept, strict=True) if keep])
            write_fasta(own, f"{name}.fa")
        arguments = ["yes=yes.fa", "no=no.fa"]
    else:
        pl.DataFrame({"sequence": strings, "kind": holds.astype(int)}).write_csv("mine.csv")
        arguments = ["mine.csv", "--label", "kind"]
    done = script(*arguments, "--epochs", "1", "--save", "saved")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "0 of 16 test sequences are like one of 64 training sequences" in done.stdout
    assert "5-mers         accuracy" in done.stdout
    assert len(DNAClassifier.load("saved").predict("some.fa")) == 30
