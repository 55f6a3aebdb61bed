"""Tables in text files: delimiters, marks, encodings and missing values."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from titans_seq.data.text_tables import TableForm, is_text_table, read_text_table


def written(folder: Path, text: str | bytes, name: str = "t.csv", encoding: str = "utf-8") -> Path:
    content = text.encode(encoding) if isinstance(text, str) else text
    path = folder / name
    path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return path


def test_numbers_are_numbers_and_missing_values_are_missing(tmp_path: Path) -> None:
    path = written(tmp_path, "t;a;b\n1;1,5;x\n2;-;\n3; 2,0 ;N/A\n4;;y\n")
    table = read_text_table(path, TableForm(";", ",", missing=("-",)), time_col="t")
    assert table["t"].tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(table["a"], [1.5, np.nan, 2.0, np.nan])
    assert table["b"].tolist() == ["x", None, None, "y"]


def test_a_word_among_numbers_stays_to_be_named(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, "t,a\n1,1\n2,oops\n"), TableForm(), time_col="t")
    assert table["a"].tolist() == [1.0, "oops"]


def test_a_point_is_no_digit_where_the_comma_is_the_mark(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, "t;a\n1;1,5\n2;1.5\n"), TableForm(";", ","), time_col="t")
    assert table["a"].tolist() == [1.5, "1.5"]


@pytest.mark.parametrize(
    ("name", "form", "text", "encoding"),
    [
        ("t.tsv", TableForm(), "t\tä\n1\t2\n", "utf-8-sig"),
        ("t.txt.gz", TableForm("|"), "t|ä\n1|2\n", "utf-8"),
        ("t.csv", TableForm(encoding="windows-1252"), "t,ä\n1,2\n", "windows-1252"),
        ("t.csv", TableForm(encoding="utf-16"), "t,ä\n1,2\n", "utf-16"),
        ("t.csv", TableForm(thousands="."), 't,"ä"\n1,"2"\n', "utf-8"),
    ],
)
def test_forms_of_files(tmp_path: Path, name: str, form: TableForm, text: str, encoding: str) -> None:
    path = written(tmp_path, text, name, encoding)
    assert is_text_table(path)
    table = read_text_table(path, form, time_col="t")
    assert {column: values.tolist() for column, values in table.items()} == {"t": [1], "ä": [2.0]}


def test_ids_stay_text(tmp_path: Path) -> None:
    path = written(tmp_path, "id,t,y\n007,1,2\nNA,1,3\n")
    table = read_text_table(path, TableForm(), time_col="t", id_col="id")
    assert table["id"].tolist() == ["007", "NA"]


@pytest.mark.parametrize(
    ("text", "form", "words"),
    [
        (
            "d,y\n1.2.2024,1\n30.2.2024,2\n",
            TableForm(time_format="%d.%m.%Y"),
            "row 1: d '30.2.2024' is not of",
        ),
        ("a,b\n1,2,3\n", TableForm(), "more fields than the header"),
        ("", TableForm(), "not a readable table"),
        (b"a,b\n1,\xfc\n", TableForm(), "line 2: byte 0xfc is no UTF-8; save the file as UTF-8, or state its encoding"),
        ("a,b\nü,1\n".encode("latin-1").decode("latin-1"), TableForm(encoding="utf-16"), "not a text file in utf-16"),
    ],
)
def test_what_cannot_be_read_is_one_line(tmp_path: Path, text: str | bytes, form: TableForm, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_text_table(written(tmp_path, text), form, time_col="d")
    assert "\n" not in str(caught.value)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"t,a\n1,2\n")[:-4])
    with pytest.raises(ValueError, match=r"t\.csv\.gz: cannot be read"):
        read_text_table(tmp_path / "t.csv.gz", TableForm())
