"""Malformed recipes: each ends with exit code 2 and a line or three that name the line; none starts training."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

import titans_seq
from titans_seq import cli

HEAD = "schema: 1\ntask:\n  horizon: 2\n"
CO2 = "data:\n  name: co2\n"
FILE = "data:\n  path: good.csv\n  split: [20, 4, 4]\n"
CLASSIFY = "schema: 1\ntask:\n  kind: classify\ndata:\n  path: dna.csv\n"
RECALL = "schema: 1\ntask:\n  kind: recall\n  name: copy\n"

MALFORMED: dict[str, tuple[str | bytes, int, str]] = {
    "an empty file": ("", 1, "found nothing"),
    "comments only": ("# later\n# more\n", 1, "found nothing"),
    "a list": ("- schema: 1\n", 1, "found a list"),
    "a word": ("quickstart\n", 1, "found 'quickstart'"),
    "two documents": (HEAD + CO2 + "---\n" + HEAD, 6, "document"),
    "an unclosed list": (HEAD + CO2 + "train: {max_epochs: [1}\n", 6, "not YAML"),
    "more levels than anybody means": (HEAD + CO2 + "model: " + "[" * 3000 + "]" * 3000 + "\n", 6, "levels"),
    "a tag of its own": (HEAD + CO2 + "model: !mine {d_model: 8}\n", 6, "the tag !mine is not allowed"),
    "a name no file can have": (HEAD + CO2 + 'output:\n  dir: "a\\0b"\n', 7, "cannot read"),
    "an unclosed quote": (HEAD + "data:\n  name: 'co2\n", 5, "not YAML"),
    "a tab": (HEAD + "data:\n\tname: co2\n", 5, "\\t"),
    "an indent that is off": (HEAD + CO2 + "model:\n  d_model: 8\n n_layers: 2\n", 8, "not YAML"),
    "no space after a colon": (HEAD + CO2 + "model:\n  d_model:8\n", 6, "a space after the colon"),
    "an alias": (HEAD + CO2 + "model: &m\n  d_model: 8\ntrain: *m\n", 8, "aliases are not allowed"),
    "a tag that runs code": (HEAD + CO2 + "output:\n  dir: !!python/object/apply:os.getcwd []\n", 7, "dir"),
    "a control character": (HEAD + CO2 + "output:\n  dir: a\x07b\n", 7, "character"),
    "Latin-1": ((HEAD + CO2 + "output:\n  dir: über\n").encode("latin-1"), 7, "UTF-8"),
    "UTF-16": ((HEAD + CO2).encode("utf-16"), 1, "UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\xff", 1, "UTF-8"),
    "a key that is there twice": (HEAD + CO2 + "model:\n  d_model: 8\n  d_model: 16\n", 8, "stands twice"),
    "a section that is there twice": (HEAD + CO2 + "model: {}\nmodel: {}\n", 7, "stands twice"),
    "a typo in a key": (HEAD + CO2 + "model:\n  n_layer: 2\n", 7, "did you mean 'n_layers'?"),
    "a typo in a section": (HEAD + CO2 + "modle:\n  n_layers: 2\n", 6, "did you mean 'model'?"),
    "a key of another section": (HEAD + CO2 + "model:\n  max_epochs: 2\n", 7, "did you mean 'train.max_epochs'?"),
    "a typo in a choice": (HEAD + CO2 + "model:\n  variant: magg\n", 7, "did you mean 'mag'?"),
    "a typo in a list": (HEAD + CO2 + "evaluate:\n  metrics: [mae, msee]\n", 7, "did you mean 'mse'?"),
    "a typo in a dataset": (HEAD + "data:\n  name: co3\n", 5, "did you mean 'co2'?"),
    "a typo in the kind": ("schema: 1\ntask:\n  kind: forcast\n  horizon: 2\n" + CO2, 3, "did you mean 'forecast'?"),
    "text for a number": (HEAD + CO2 + "train:\n  max_epochs: many\n", 7, "whole number, found 'many'"),
    "a fraction for a whole number": (HEAD + CO2 + "model:\n  d_model: 8.5\n", 7, "whole number"),
    "a number in quotes": (HEAD + CO2 + 'train:\n  learning_rate: "0.001"\n', 7, "must be a number"),
    "yes for true": (HEAD + CO2 + "model:\n  carry_state: yes\n", 7, "carry_state"),
    "one for a list": (HEAD + CO2 + "evaluate:\n  metrics: mse\n", 7, "must be a list"),
    "a list for one": ("schema: 1\ntask:\n  horizon: [2]\n" + CO2, 3, "whole number"),
    "text for a section": (HEAD + CO2 + "model: mag\n", 6, "must be a section"),
    "a negative number": (HEAD + CO2 + "train:\n  max_epochs: -1\n", 7, "at least 0, found -1"),
    "a horizon of nothing": ("schema: 1\ntask:\n  horizon: 0\n" + CO2, 3, "at least 1, found 0"),
    "an infinite number": (HEAD + CO2 + "train:\n  max_minutes: .inf\n", 7, "finite"),
    "levels that fall": (HEAD + CO2 + "model:\n  quantile_levels: [0.9, 0.1]\n", 7, "must increase"),
    "heads that do not divide": (HEAD + CO2 + "model:\n  d_model: 10\n  n_heads: 4\n", 8, "n_heads must divide"),
    "an interval without quantiles": (HEAD + CO2 + "evaluate:\n  level: [95]\n", 7, "needs the quantiles"),
    "keys that exclude each other": (
        HEAD + CO2 + "model:\n  carry_state: false\ntrain:\n  training_mode: contiguous\n", 9, "carry_state true"
    ),
    "no horizon": ("schema: 1\ntask:\n  kind: forecast\n" + CO2, 2, "horizon: this key is missing"),
    "no data": (HEAD, 1, "data: this key is missing"),
    "no schema": ("task:\n  horizon: 2\n" + CO2, 1, "schema: this key is missing"),
    "another schema": (HEAD.replace("1", "2") + CO2, 1, "must be 1, found 2"),
    "a file that is not there": (HEAD + FILE.replace("good", "gone"), 5, "there is no such data file"),
    "a file and a dataset": (HEAD + FILE + "  name: co2\n", 4, "give either name"),
    "a file without a split": (HEAD + "data:\n  path: good.csv\n", 4, "needs split"),
    "a split of two": (HEAD + "data:\n  path: good.csv\n  split: [20, 8]\n", 6, "3 entries, found 2"),
    "a form of times without a year": (HEAD + FILE + '  time_format: "%d.%m."\n', 7, "has no year"),
    "a zone that is none": (HEAD + FILE + "  timezone: Europe/Berln\n", 7, "did you mean 'Europe/Berlin'?"),
    "commas for two things": (HEAD + FILE + '  decimal: ","\n', 7, "give delimiter"),
    "a form of a dataset": (HEAD + CO2 + '  delimiter: ";"\n', 6, "leave it out"),
    "DNA of a forecast": (HEAD + "data:\n  name: splice_uci\n", 5, "a forecast needs a table of series"),
    "a horizon of classes": (CLASSIFY.replace("classify\n", "classify\n  horizon: 2\n"), 4, "horizon: unknown key"),
    "classes of one": (CLASSIFY.replace("path: dna.csv", "classes: {a: dna.csv}"), 5, "at least 2"),
    "a task of recall that is none": (RECALL.replace("copy", "copie"), 4, "did you mean 'copy'?"),
    "data of a task that makes its own": (RECALL + "data:\n  name: ecoli_w\n", 5, "makes its own streams"),
    "a search over what is none": (HEAD + CO2 + "tune:\n  space:\n    model.d_modl: [8]\n", 8, "model.d_model"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = [f"2020-01-{day:02d},{day}" for day in range(1, 29)]
    Path("good.csv").write_text("\n".join(["ds,y", *rows]))
    Path("dna.csv").write_text("\n".join(["sequence,label", *["ACGTACGTACGT,a", "TTTTACGTCCGT,b"] * 20]))
    for name in ("TitansForecaster", "DNAClassifier"):
        monkeypatch.setattr(getattr(titans_seq, name), "fit", lambda *a, **k: pytest.fail("training began"))
    monkeypatch.setattr("titans_seq.training.recall.train_recall", lambda *a, **k: pytest.fail("training began"))


def test_there_are_forty_or_more() -> None:
    assert len(MALFORMED) >= 40


@pytest.mark.parametrize("command", ["validate", "run"])
@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_recipe_is_up_to_three_lines_that_name_the_line(case: str, command: str) -> None:
    content, line, words = MALFORMED[case]
    Path("r.yaml").write_bytes(content if isinstance(content, bytes) else content.encode())
    result = CliRunner().invoke(cli.app, [command, "r.yaml"])
    lines = result.stderr.splitlines()
    assert result.exit_code == cli.USER_ERROR, (result.output, result.exception)
    assert result.stdout == ""
    assert 1 <= len(lines) <= 3, result.stderr
    assert all(text.startswith("error: r.yaml:") for text in lines), result.stderr
    assert any(re.match(rf"error: r\.yaml:{line}:", text) and words in text for text in lines), result.stderr
    assert {path.name for path in Path().iterdir()} == {"good.csv", "dna.csv", "r.yaml"}
