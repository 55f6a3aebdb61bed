"""Datasets by name: cards, mirror, download, checksums."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from titans_seq.data import catalog
from titans_seq.data._share import share_folder
from titans_seq.data.catalog import Card, dataset_card, dataset_file, list_datasets, load_dataset

EMBEDDED = ["co2", "macrodata"]


def card_of(content: bytes, **changes: object) -> Card:
    facts = {
        "name": "tiny", "title": "", "description": "", "source": "", "licence": "", "citation": "",
        "file": "ts/tiny.csv.gz", "sha256": hashlib.sha256(content).hexdigest(), "format": "wide",
        "time": "ds", "rows": 1, "frequency": "D", "season_length": 7,
    }  # fmt: skip
    return Card.model_validate(facts | changes)


@pytest.mark.parametrize("name", list_datasets())
def test_every_card_is_complete_and_named_after_its_file(name: str) -> None:
    card = dataset_card(name)
    assert card.name == name
    assert len(card.sha256 or "") == (64 if card.run_by_us else 0)
    assert card.embedded or card.url or card.where
    assert (card.format == "long") == (card.id is not None and card.target is not None)
    assert (card.format == "wide") == (card.columns is not None)
    assert (card.format == "labelled") == (card.label is not None)
    assert card.split is None or sum(card.split) <= card.rows


@pytest.mark.parametrize("name", EMBEDDED)
def test_embedded_data_fit_their_card(name: str) -> None:
    card, frame = dataset_card(name), load_dataset(name)
    assert card.licence == "public domain"
    assert list(frame.columns) == [card.time, *(card.columns or [])]
    assert len(frame) == card.rows
    assert frame[card.time].dtype == "datetime64[ns]"


def test_only_public_domain_data_are_embedded() -> None:
    files = {path.name for path in share_folder("datasets").iterdir() if path.suffix not in (".yaml", ".py")}
    assert files - {"__pycache__"} == {"co2.csv", "macrodata.csv"}


def test_co2_has_the_documented_weeks_and_gaps() -> None:
    co2 = load_dataset("co2")
    assert co2["co2"].isna().sum() == 59
    assert (co2["ds"].diff().dropna() == pd.Timedelta(weeks=1)).all()
    assert co2["ds"].iloc[[0, -1]].astype(str).tolist() == ["1958-03-29", "2001-12-29"]


def test_macrodata_are_twelve_whole_quarterly_series() -> None:
    macro = load_dataset("macrodata")
    assert macro.shape == (203, 13)
    assert not macro.isna().any().any()
    assert macro["ds"].tolist() == pd.date_range("1959-01-01", periods=203, freq="QS").tolist()


def test_an_unknown_name_brings_the_nearest() -> None:
    with pytest.raises(ValueError, match="unknown dataset 'EETh1'; did you mean 'ETTh1'"):
        load_dataset("EETh1")


def test_the_mirror_is_read_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"ds,a\n2020-01-01,1.5\n"
    (tmp_path / "ts").mkdir()
    (tmp_path / "ts" / "tiny.csv.gz").write_bytes(gzip.compress(content))
    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    monkeypatch.setattr(catalog, "shipped", lambda folder: {"tiny": tmp_path})
    monkeypatch.setattr(catalog, "dataset_card", lambda name: card_of(content))
    frame = load_dataset("tiny")
    assert frame["a"].tolist() == [1.5]
    assert frame["ds"].iloc[0] == pd.Timestamp("2020-01-01")
    monkeypatch.setattr(catalog, "dataset_card", lambda name: card_of(b"other"))
    with pytest.raises(ValueError, match="tiny.csv.gz: the sha256 of the content .*fetch it again") as caught:
        load_dataset("tiny")
    assert "\n" not in str(caught.value)


def test_a_broken_gzip_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ts").mkdir()
    (tmp_path / "ts" / "tiny.csv.gz").write_bytes(b"no gzip")
    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    monkeypatch.setattr(catalog, "shipped", lambda folder: {"tiny": tmp_path})
    monkeypatch.setattr(catalog, "dataset_card", lambda name: card_of(b""))
    with pytest.raises(ValueError, match="tiny.csv.gz: not a readable gzip file"):
        load_dataset("tiny")


def test_without_mirror_the_original_is_downloaded_with_its_checksum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, cache = tmp_path / "origin" / "tiny.csv", tmp_path / "cache"
    source.parent.mkdir()
    source.write_bytes(b"ds,a\n2020-01-01,1.5\n")
    monkeypatch.delenv("TITANS_SEQ_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: cache)
    monkeypatch.setattr("pooch.core.choose_downloader", lambda url, progressbar: copy_file)
    card = card_of(source.read_bytes(), url=source.as_uri())
    assert dataset_file(card).read_bytes() == source.read_bytes()
    with pytest.raises(ValueError, match="dataset 'tiny': file:.* no longer has the sha256"):
        dataset_file(card_of(b"other", url=source.as_uri()))


def copy_file(url: str, output: str, pooch: object) -> None:
    Path(output).write_bytes(Path(url.removeprefix("file://")).read_bytes())


def test_a_failed_download_names_the_variable_and_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(url: str, output: str, pooch: object) -> None:
        raise ConnectionError("no route\nto host")

    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    monkeypatch.setattr("pooch.core.choose_downloader", lambda url, progressbar: fail)
    message = r"does not exist and https://x.y/a.csv .*\(no route\).*\$TITANS_SEQ_DATA/ts"
    with pytest.raises(FileNotFoundError, match=message):
        dataset_file(card_of(b"", url="https://x.y/a.csv"))


def test_a_set_without_address_says_where_a_copy_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITANS_SEQ_DATA", raising=False)
    message = r"TITANS_SEQ_DATA is not set .* a copy is illness.zip .*national_illness.csv.gz"
    with pytest.raises(FileNotFoundError, match=message):
        load_dataset("national_illness")


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet"])
def test_a_file_of_ones_own_is_read(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"mine{ending}"
    table = pl.DataFrame({"ds": [1, 2, 3], "a": [0.5, None, 2.5]})
    text = table.write_csv().encode()
    if ending == ".parquet":
        table.write_parquet(path)
    else:
        path.write_bytes(gzip.compress(text) if ending == ".csv.gz" else text)
    frame = load_dataset(path)
    assert frame["ds"].tolist() == [1, 2, 3]
    np.testing.assert_array_equal(frame["a"], [0.5, np.nan, 2.5])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.csv", b"", "empty.csv: not a readable CSV file"),
        ("bytes.csv", b"\xff\xfe\x00", "bytes.csv: not a readable CSV file"),
        ("latin.csv", b"ds,y\n1,2\n2,\xfc\n", r"latin.csv: not a .* \(line 3: byte 0xfc is no UTF-8; save the file as"),
        (
            "latin.csv.gz",
            gzip.compress(b"ds,y\n1,2\n2,\xfc\n", mtime=0),
            r"latin.csv.gz: .*line 3: byte 0xfc is no UTF-8",
        ),
        ("broken.csv.gz", b"no gzip", "broken.csv.gz: not a readable CSV file"),
        ("broken.parquet", b"PAR0", "broken.parquet: not a readable parquet file"),
        ("table.xlsx", b"", r"table.xlsx: data files end in .csv, .csv.gz or .parquet"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_dataset(tmp_path / name)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="nowhere.csv: there is no such data file"):
        load_dataset("nowhere.csv")
