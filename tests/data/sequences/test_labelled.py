"""Sequences with labels: tables, the UCI form, and a file for each class."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import read_classes, read_labelled, read_sequences

CSV = "id,sequence,label,score\na,ACGT,on,1.5\nb,GGCC,off,-2\nc,TTNN,on,1e3\n"


def written(folder: Path, text: str, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz", "t.tsv", "T.TSV.gz"])
def test_a_table_gives_sequences_labels_and_numbers(tmp_path: Path, name: str) -> None:
    text = CSV.replace(",", "\t") if ".tsv" in name.lower() else CSV
    found = read_labelled(written(tmp_path, text, name))
    assert found.sequences.to_strings() == ["ACGT", "GGCC", "TTNN"]
    assert list(found.sequences.ids) == ["a", "b", "c"]
    assert found.labels().tolist() == ["on", "off", "on"]
    assert found.numbers("score").tolist() == [1.5, -2.0, 1000.0]


def test_labels_that_look_like_missing_values_stay_labels(tmp_path: Path) -> None:
    found = read_labelled(written(tmp_path, "sequence,label\nACGT,NA\nACGT,N\nACGT,01\n"))
    assert found.labels().tolist() == ["NA", "N", "01"]


def test_names_that_look_repeated_and_names_that_are_empty_are_columns(tmp_path: Path) -> None:
    found = read_labelled(written(tmp_path, "sequence,label,label.1,,\nACGT,a,b,,\nGG,c,d,,\n"))
    assert found.labels().tolist() == ["a", "c"] and found.labels("label.1").tolist() == ["b", "d"]


@pytest.mark.parametrize("name", ["splice.data", "splice.data.gz"])
def test_the_form_of_the_uci_repository_is_read(tmp_path: Path, name: str) -> None:
    text = "EI,    ATRINS-DONOR-521,               CCAGCT\nN,  X-1,\tacgt\n\n"
    found = read_labelled(written(tmp_path, text, name))
    assert found.sequences.to_strings() == ["CCAGCT", "acgt"]
    assert list(found.sequences.ids) == ["ATRINS-DONOR-521", "X-1"]
    assert found.labels().tolist() == ["EI", "N"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", CSV.replace(",off", ","), "t.csv: row 1, line 3: label is missing; drop the row or label it"),
        ("t.csv", CSV.replace("GGCC", "GGXC"), "t.csv: row 1, line 3, column 'sequence': 'X' at position 2"),
        ("t.csv", CSV.replace("label", "Label"), "t.csv has no column 'label'; did you mean 'Label'?"),
        ("t.csv", "sequence,label\n", "t.csv has no rows"),
        (
            "t.csv",
            "sequence,label\nACGT,a,1\nACGT,b,2\n",
            "t.csv: rows have more fields than the header line",
        ),
        (
            "t.csv",
            "sequence,label\nACGT,a\nACGT,b,2\n",
            "t.csv: Error tokenizing data. C error: Expected 2 fields",
        ),
        ("t.csv", "sequence,label,sequence\nACGT,a,GG\n", "t.csv: columns 1 and 3 are both 'sequence'; rename one"),
        ("t.csv", "\ufeffid,label,n,label,sequence\n1,a,2,b,AC\n", "t.csv: columns 2 and 4 are both 'label'"),
        ("t.tsv.gz", "label\tsequence\tlabel\na\tAC\tb\n", "t.tsv.gz: columns 1 and 3 are both 'label'"),
        ("t.txt", CSV, "files with labels end in .csv, .tsv, .data, or .gz after it"),
        ("t.data", "EI, a, ACGT\nEI, b\n", "t.data: line 2 has 2 fields; it must be class, name, sequence"),
        ("t.data", "EI, a, ACGT\n, b, ACGT\n", "t.data: row 1, line 2: label is missing"),
    ],
)
def test_a_fault_is_named_with_its_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_labelled(written(tmp_path, text, name)).labels()
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [("", "is missing"), ("high", "is 'high', no finite number"), ("nan", "is 'nan', no finite number")],
)
def test_what_is_no_number_is_named_with_its_row(tmp_path: Path, value: str, message: str) -> None:
    found = read_labelled(written(tmp_path, CSV.replace("-2", value)))
    with pytest.raises(ValueError, match=f"row 1, line 3: score {message}"):
        found.numbers("score")


def test_rows_that_are_taken_are_named_as_before(tmp_path: Path) -> None:
    found = read_labelled(written(tmp_path, CSV.replace("c,TTNN,on", "c,TTNN,"))).take(np.array([2, 0]))
    assert found.sequences.to_strings() == ["TTNN", "ACGT"]
    with pytest.raises(ValueError, match="row 2, line 4: label is missing"):
        found.labels()


def test_a_damaged_gzip_file_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(CSV.encode() * 400)[:-30])
    with pytest.raises(ValueError, match="ends too early") as caught:
        read_labelled(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["t.csv", "t.tsv.gz", "t.data"])
def test_what_is_not_utf_8_is_named_by_its_line(tmp_path: Path, name: str) -> None:
    head = "" if name == "t.data" else "label,id,sequence\n"
    text = head + "".join(f"on,r{i},ACGT\n" for i in range(30_000)) + "on,Müller,ACGT\noff,Jürgen,GG\n"
    content = text.replace(",", "\t" if ".tsv" in name else ",").encode("windows-1252")
    path = tmp_path / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    line = 30_001 + bool(head)
    for read in (read_labelled, read_sequences) if head else (read_labelled,):
        with pytest.raises(ValueError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: line {line}: byte 0xfc is no UTF-8; save the file as UTF-8"


def test_a_file_for_each_class_is_joined_in_order(tmp_path: Path) -> None:
    one = written(tmp_path, ">a\nACGT\n>b\nCC\nGG\n", "one.fa")
    two = written(tmp_path, ">a\nTTTT\n", "two.fa.gz")
    found = read_classes({"yes": one, "no": two})
    assert found.sequences.to_strings() == ["ACGT", "CCGG", "TTTT"]
    assert found.labels().tolist() == ["yes", "yes", "no"]
    assert found.place(1) == f"{one}: record 2"
    assert found.place(2) == f"{two}: record 1"


names = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)


@given(rows=st.lists(st.tuples(names, st.text("ACGTN", min_size=1, max_size=9), names), min_size=1, max_size=9))
def test_what_pandas_writes_is_read_back(
    rows: list[tuple[str, str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    import pandas as pd

    path = tmp_path_factory.mktemp("t") / "t.csv"
    pd.DataFrame(rows, columns=["id", "sequence", "label"]).to_csv(path, index=False)
    found = read_labelled(path)
    assert found.sequences.to_strings() == [sequence for _, sequence, _ in rows]
    assert list(found.sequences.ids) == [name for name, _, _ in rows]
    assert found.labels().tolist() == [label for _, _, label in rows]


def test_a_table_of_labels_with_another_separator_says_what_to_state(tmp_path: Path) -> None:
    path = written(tmp_path, CSV.replace(",", ";"))
    with pytest.raises(ValueError, match="looks separated by ';'; save it with commas, or state its separator$"):
        read_labelled(path)
    assert (
        read_labelled(path, separator=";").labels().tolist() == read_labelled(written(tmp_path, CSV)).labels().tolist()
    )


def test_a_table_of_peptides_is_told_of(tmp_path: Path) -> None:
    path = written(tmp_path, "sequence,label\nACGT,a\nMKRSSSAAVHHDDGTSKNNWYR,b\n")
    with pytest.warns(UserWarning) as said:
        read_labelled(path)
    assert [str(one.message) for one in said] == [
        f"{path}: row 1, line 3: 16 of 22 letters are codes that stand for several bases, as in 1 of 2 records; "
        "is this a protein?"
    ]
