"""Genomes by name, and the cards that describe them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from titans_seq.data import dataset_card, genomes, load_dataset, load_genome
from titans_seq.data.catalog import Card

FASTA = b">one first record\nACGT\nNNac\n>two\nTTTT\n"
FACTS = {
    "name": "tiny", "title": "", "description": "", "source": "", "licence": "", "citation": "",
    "file": "tiny.fasta", "sha256": hashlib.sha256(FASTA).hexdigest(),
}  # fmt: skip
GENOME = FACTS | {"format": "fasta", "records": 2, "bases": 12}
TABLE = FACTS | {"format": "wide", "time": "ds", "rows": 1, "frequency": "D", "season_length": 7}


def test_records_are_read_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.fasta").write_bytes(FASTA)
    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    monkeypatch.setattr(genomes, "dataset_card", lambda name: Card.model_validate(GENOME))
    assert load_genome("tiny") == {"one": "ACGTNNac", "two": "TTTT"}


def test_a_genome_that_is_another_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny.fasta").write_bytes(FASTA.replace(b"A", b"C"))
    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    monkeypatch.setattr(genomes, "dataset_card", lambda name: Card.model_validate(GENOME))
    with pytest.raises(ValueError, match="tiny.fasta: the sha256 of the content"):
        load_genome("tiny")


def test_a_genome_that_is_nowhere_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITANS_SEQ_DATA", raising=False)
    with pytest.raises(
        FileNotFoundError, match="dataset 'ecoli_w': TITANS_SEQ_DATA is not set .* a copy is test_files/"
    ):
        load_genome("ecoli_w")


def test_tables_and_genomes_are_not_confused() -> None:
    with pytest.raises(ValueError, match="dataset 'ecoli_w' is a genome, not a table: use load_genome"):
        load_dataset("ecoli_w")
    with pytest.raises(ValueError, match="dataset 'co2' is a table, not a genome: use load_dataset"):
        load_genome("co2")
    with pytest.raises(ValueError, match="unknown dataset 'ecoli'; did you mean 'ecoli_w'"):
        load_genome("ecoli")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({**GENOME, "bases": None}, "a card of format fasta must have bases"),
        ({**GENOME, "split": [1, 2, 3], "rows": 6}, "a card of format fasta has no rows, split"),
        ({**TABLE, "time": None, "rows": None}, "a card of format wide must have time, rows"),
        ({**TABLE, "bases": 3}, "a card of format wide has no bases"),
        ({**TABLE, "format": "fastq"}, "'wide', 'long', 'fasta' or 'labelled'"),
    ],
)
def test_a_card_has_the_fields_of_its_format(facts: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Card.model_validate(facts)


@pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")
def test_e_coli_is_what_its_card_says() -> None:
    card, records = dataset_card("ecoli_w"), load_genome("ecoli_w")
    assert list(records) == ["NC_017664.1"]
    assert len(records) == card.records
    assert sum(map(len, records.values())) == card.bases
    assert set(records["NC_017664.1"]) == set("ACGT")
