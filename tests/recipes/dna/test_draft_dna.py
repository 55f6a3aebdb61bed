"""`titans-seq new --task classify`: a recipe for labelled DNA that runs as it stands."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from titans_seq import cli
from titans_seq.recipes import load_recipe
from titans_seq.recipes.dna.data import read_examples

SHORT = ("--set", "train.max_epochs=1", "--set", "model.n_members=1", "--quiet")
RANDOM = np.random.default_rng(0)
SEQUENCES = ["".join(RANDOM.choice(list("ACGT"), 40)) for _ in range(60)]
LABELS = ["promoter", "other"] * 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def new(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["new", *arguments])


def table(name: str, head: str, rows: list[str]) -> str:
    Path(name).write_text("\n".join([head, *rows]))
    return name


def test_a_table_is_looked_at_and_its_recipe_runs() -> None:
    rows = [f"s{i};{s};{y}" for i, (s, y) in enumerate(zip(SEQUENCES, LABELS, strict=True))]
    result = new("--task", "classify", "--data", table("my.csv", "name;dna;kind of", rows))
    assert result.exit_code == 0, result.stderr
    data = load_recipe("my.yaml").data
    assert (data.sequence, data.id, data.label, data.delimiter) == ("dna", "name", "kind of", ";")
    assert data.split.by == "homology"
    assert "60 sequences of 40 bases, 48 to train and 12 to test; other 30, promoter 30" in result.stdout
    done = CliRunner().invoke(cli.app, ["run", "my.yaml", *SHORT])
    assert done.exit_code == 0, done.stderr
    assert Path("runs/my/scores.png").is_file()


def test_a_file_for_each_class() -> None:
    for name, part in (("enhancers.fa", SEQUENCES[:30]), ("background.fa", SEQUENCES[30:])):
        Path(name).write_text("".join(f">{i}\n{s}\n" for i, s in enumerate(part)))
    result = new("--task", "classify", "--data", "enhancers.fa", "--data", "background.fa", "--output", "two.yaml")
    assert result.exit_code == 0, result.stderr
    assert load_recipe("two.yaml").data.classes == {"enhancers": "enhancers.fa", "background": "background.fa"}


def test_a_column_that_splits_is_used() -> None:
    rows = [f"{s},{i % 2},{'test' if i % 5 == 0 else 'train' if i % 7 else 'dev'}" for i, s in enumerate(SEQUENCES)]
    result = new("--task", "classify", "--data", table("my.csv", "seq,label,set", rows))
    recipe = load_recipe("my.yaml")
    assert (recipe.data.split.column, recipe.data.split.train, recipe.data.split.test) == ("set", ["train"], ["test"])
    assert recipe.evaluate.positive == "1"
    assert "rows whose set is dev are not used" in result.stdout
    examples = read_examples(recipe)
    assert len(examples.test) == 12


def test_numbers_are_regressed() -> None:
    rows = [f"{s}\t{i}\t{i / 7:.3f}" for i, s in enumerate(SEQUENCES)]
    assert new("--task", "regress", "--data", table("my.tsv", "sequence\tn\texpression", rows)).exit_code == 0
    assert load_recipe("my.yaml").data.target == "expression"


def test_copies_that_fill_a_class_are_split_by_chance_and_that_is_said() -> None:
    rows = [f"{SEQUENCES[0] if i % 2 else SEQUENCES[i]},{'same' if i % 2 else 'other'}" for i in range(60)]
    result = new("--task", "classify", "--data", table("my.csv", "sequence,label", rows))
    assert result.exit_code == 0, result.stderr
    assert load_recipe("my.yaml").data.split.by == "random"
    assert "split by chance" in result.stdout


@pytest.mark.parametrize(
    ("task", "head", "rows", "words"),
    [
        ("classify", "a,b", ["hello,1", "world,2"], "no column of DNA sequences"),
        ("classify", "sequence,name", [f"{s},n{i}" for i, s in enumerate(SEQUENCES)], "no column of labels"),
        ("regress", "sequence,label", [f"{s},x" for s in SEQUENCES], "no column of numbers"),
        (
            "classify",
            "sequence,kind",
            [f"{s},{'ab'[i % 2] if i != 3 else ''}" for i, s in enumerate(SEQUENCES)],
            "in 'kind' row 3 is '': complete or remove it",
        ),
        ("regress", "sequence;size", [f"{s};0,{i}" for i, s in enumerate(SEQUENCES)], "write decimals with a point"),
        ("guess", "sequence,label", [f"{s},x" for s in SEQUENCES], "--task must be one of"),
    ],
)
def test_what_cannot_be_classified_is_one_line(task: str, head: str, rows: list[str], words: str) -> None:
    result = new("--task", task, "--data", table("my.csv", head, rows))
    assert result.exit_code == cli.USER_ERROR, result.output
    (line,) = result.stderr.splitlines()
    assert words in line
    assert [path.name for path in Path().iterdir()] == ["my.csv"]


def test_one_file_of_sequences_has_no_classes() -> None:
    Path("a.fa").write_text(">1\nACGTACGT\n")
    assert "name a file for each class" in new("--task", "classify", "--data", "a.fa").stderr
