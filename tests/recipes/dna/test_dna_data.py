"""The data section of a recipe for DNA: which sequences are trained on, and which are tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titans_seq.data import leak_report
from titans_seq.recipes import load_recipe
from titans_seq.recipes.dna.data import Examples, read_examples

HEAD = "schema: 1\ntask: {kind: classify}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    rows = ["id,sequence,label,part,chrom,y"]
    for i in range(60):
        text = "".join(random.choice(list("ACGT"), 40))
        part = ("train", "test", "spare")[min(i % 5, 2)] if i >= 20 else "train"
        rows.append(f"chr{i % 3}:{i}-{i + 40},{text},{'on' if i % 2 else 'off'},{part},chr{i % 4},{i / 7}")
    (tmp_path / "made.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def examples(data: str, kind: str = "classify") -> Examples:
    Path("r.yaml").write_text(f"schema: 1\ntask: {{kind: {kind}}}\ndata: {data}\n")
    return read_examples(load_recipe("r.yaml"))


def test_a_column_says_who_is_where_and_other_rows_are_not_used() -> None:
    found = examples("{path: made.csv, split: {column: part}}")
    assert (len(found.train), len(found.test), found.unused) == (28, 8, 24)
    assert found.split == {"by": "column", "column": "part", "train": ["train"], "test": ["test"]}
    both = examples("{path: made.csv, split: {column: part, train: [train, spare], test: [test]}}")
    assert (len(both.train), both.unused) == (52, 0)


def test_rows_are_places_in_the_file() -> None:
    found = examples("{path: made.csv, split: {column: part}}").test
    lines = Path("made.csv").read_text().splitlines()[1:]
    for row, name, text, label in zip(found.rows, found.sequences.ids, found.sequences, found.answers, strict=True):
        assert lines[row].split(",")[:3] == [name, text, label]


def test_a_random_split_takes_the_share_of_each_class_and_its_seed_decides() -> None:
    one, same, other = (examples(f"{{path: made.csv, split: {{by: random, test: 0.3, seed: {s}}}}}") for s in (1, 1, 2))
    assert [(one.test.answers == name).sum() for name in ("on", "off")] == [9, 9]
    np.testing.assert_array_equal(one.test.rows, same.test.rows)
    assert not np.array_equal(one.test.rows, other.test.rows)
    assert sorted([*one.train.rows, *one.test.rows]) == list(range(60))


def test_by_default_near_copies_stay_on_one_side() -> None:
    lines = Path("made.csv").read_text().splitlines()
    copies = [line.replace(":", ":9", 1) for line in lines[1:]]
    Path("twice.csv").write_text("\n".join(lines + copies) + "\n")
    found = examples("{path: twice.csv}")
    assert found.split == {"by": "homology", "test": 0.2, "seed": 0, "k": 16, "threshold": 0.2}
    assert leak_report(found.train.sequences, found.test.sequences).n_leaks == 0
    assert len(found.test) == 24
    random = examples("{path: twice.csv, split: {by: random}}")
    assert leak_report(random.train.sequences, random.test.sequences).n_leaks > 0


def test_chromosomes_are_of_a_column_or_of_the_ids() -> None:
    column = examples("{path: made.csv, split: {by: chromosome, column: chrom, test: [chr2, chr3]}}")
    assert (column.test.rows % 4 >= 2).all() and len(column.test) == 30
    ids = examples("{path: made.csv, split: {by: chromosome, test: [chr0, chr2]}}")
    assert (ids.train.rows % 3 == 1).all() and len(ids.train) == 20


def test_numbers_are_read_from_their_column() -> None:
    found = examples("{path: made.csv, target: y, split: {by: random}}", "regress")
    np.testing.assert_allclose(found.test.answers, found.test.rows / 7)
    assert (found.answer, found.answer_key) == ("y", "target")


def test_a_file_for_each_class_is_read() -> None:
    Path("one.fa").write_text("".join(f">a{i}\n{'ACGT' * 5}{'A' * i}\n" for i in range(1, 21)))
    Path("two.fa").write_text("".join(f">b{i}\n{'GGCC' * 5}{'A' * i}\n" for i in range(1, 21)))
    found = examples("{classes: {one: one.fa, two: two.fa}, split: {by: random, test: 0.25}}")
    assert (len(found.train), len(found.test)) == (30, 10)
    assert all(("one" if text.startswith("AC") else "two") == label
               for text, label in zip(found.test.sequences, found.test.answers, strict=True))  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("{path: made.csv, label: lable}", "made.csv has no column 'lable'; did you mean 'label'"),
        ("{path: made.csv, split: {column: prt}}", "made.csv has no column 'prt'; did you mean 'part'"),
        (
            "{path: made.csv, split: {column: part, test: [tests]}}",
            "data.split.test: no row of column 'part' is 'tests'; there are 'spare', 'test', 'train'",
        ),
        ("{path: made.csv, split: {by: chromosome, test: [chr9]}}", "no window is on 'chr9'; there are 'chr0'"),
        ("{path: made.csv, label: chrom, split: {column: part}}", "class 'chr[23]' is among the test sequences only"),
        ("{path: made.csv, label: part, split: {column: part}}", "all 28 training sequences are 'train'"),
        ("{path: made.csv, id: label, split: {by: chromosome, test: [x]}}", "line 2: the id 'off' names no chromosome"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: str, message: str) -> None:
    if "label: chrom" in data:  # chr2 and chr3 only among the test rows
        text = (
            Path("made.csv").read_text().replace(",train,chr2,", ",train,chr0,").replace(",train,chr3,", ",train,chr1,")
        )
        Path("made.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        examples(data)
    assert "\n" not in str(caught.value)


def test_the_positive_class_must_be_one_of_two() -> None:
    Path("r.yaml").write_text(HEAD + "data: {path: made.csv}\nevaluate: {positive: 'yes'}\n")
    with pytest.raises(ValueError, match="evaluate.positive: 'yes' must be one of two classes, there are 'off', 'on'"):
        read_examples(load_recipe("r.yaml"))
