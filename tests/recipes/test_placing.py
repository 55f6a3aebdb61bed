"""Faults that show when data are read, or an estimator looks at its arguments: they name the line of the recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from titans_seq import cli

HEAD = "schema: 1\ntask:\n  horizon: 2\n"
FILE = HEAD + "data:\n  path: my.csv\n  split: [20, 4, 4]\n"
DNA = "schema: 1\ntask:\n  kind: classify\ndata:\n  path: dna.csv\n"

FAULTS: dict[str, tuple[str, int, str]] = {
    "a split of more rows": (FILE.replace("20", "200"), 5, "data.path: my.csv: series 'y' has 28 rows"),
    "a horizon beyond the test": (FILE.replace("horizon: 2", "horizon: 9"), 6, "data.split: 4 test rows"),
    "a column that is not there": (FILE + "  time: date\n", 7, "data.time: the data have no 'date'"),
    "a covariate that is not there": (FILE + "  roles: {price: past}\n", 7, "data.roles: the data have no 'price'"),
    "times of another form": (FILE + "  time_format: '%d.%m.%Y'\n", 5, "row 0: ds '2020-01-01' is not of the form"),
    "a word among numbers": (FILE.replace("my.csv", "word.csv"), 5, "data.path: word.csv: row 8: y is 'oops'"),
    "an empty file": (FILE.replace("my.csv", "empty.csv"), 5, "empty.csv"),
    "a column of DNA that is not there": (DNA + "  sequence: bases\n", 5, "no column 'bases'"),
    "a word in DNA": (DNA.replace("dna.csv", "dash.csv"), 5, "dash.csv: row 40, line 42"),
    "a device that is none": (FILE + "train:\n  device: cud\n", 8, "train.device: device must be"),
    "a device of another system": (FILE + "train:\n  device: mps\n", 8, "train.device: device must be"),
    "a seed that is too large": (FILE + "train:\n  random_state: 99999999999\n", 8, "train.random_state: "),
    "a thousand processes": (FILE + "train:\n  devices: 1000\n", 8, "train.devices: devices is 1,000"),
    "a folder that is a file": (FILE + "output:\n  dir: my.csv\n", 8, "output.dir: my.csv exists"),
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"2020-01-{day:02d},{day}" for day in range(1, 29)]
    Path("my.csv").write_text("\n".join(["ds,y", *rows]))
    Path("word.csv").write_text("\n".join(["ds,y", *rows[:8], "2020-01-09,oops", *rows[9:]]))
    Path("empty.csv").touch()
    dna = ["sequence,label", *["ACGTACGTACGT,a", "TTTTACGTCCGT,b"] * 20]
    Path("dna.csv").write_text("\n".join(dna))
    Path("dash.csv").write_text("\n".join([*dna, "ACGT!CGT,a"]))


def fault_of(*arguments: str) -> str:
    before = set(Path().iterdir())
    result = CliRunner().invoke(cli.app, arguments)
    assert (result.exit_code, result.stdout) == (cli.USER_ERROR, ""), (result.output, result.exception)
    assert set(Path().iterdir()) == before
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_that_shows_late_names_the_line_of_the_recipe(case: str) -> None:
    content, number, words = FAULTS[case]
    Path("r.yaml").write_text(content)
    line = fault_of("run", "r.yaml")
    assert line.startswith(f"error: r.yaml:{number}:")
    assert words in line


def test_a_search_names_the_line_too(tmp_path: Path) -> None:
    Path("r.yaml").write_text(FILE.replace("my.csv", "word.csv") + "tune:\n  space:\n    model.chunk_size: [8, 16]\n")
    line = fault_of("tune", "r.yaml", "--output-dir", str(tmp_path))
    assert line.startswith("error: r.yaml:5:3: data.path: word.csv: row 8: y is 'oops'")


def test_what_an_option_said_is_named_as_that() -> None:
    Path("r.yaml").write_text(FILE)
    line = fault_of("run", "r.yaml", "--set", "data.path=word.csv")
    assert line.startswith("error: --set data.path: word.csv: row 8: y is 'oops'")
