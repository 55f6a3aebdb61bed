"""Labelled sequences by name: cards, checksums, and sets that nobody here has run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from titans_seq.data import catalog, dataset_card, labelled, list_datasets, load_dataset, load_genome, load_labelled
from titans_seq.data.catalog import Card

TABLE = b"name,dna,class\na,ACGT,on\nb,GGCC,NA\n"
SHA256 = hashlib.sha256(TABLE).hexdigest()
FACTS = {
    "name": "tiny", "title": "Tiny", "description": "", "source": "", "licence": "", "citation": "",
    "file": "dna/tiny.csv", "format": "labelled", "id": "name", "sequence": "dna", "label": "class",
}  # fmt: skip
OURS = FACTS | {"sha256": SHA256, "rows": 2}
THEIRS = FACTS | {"run_by_us": False, "where": "elsewhere"}


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dna").mkdir()
    (tmp_path / "dna" / "tiny.csv").write_bytes(TABLE)
    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    return tmp_path


def use(monkeypatch: pytest.MonkeyPatch, facts: dict[str, object]) -> None:
    for module in (labelled, catalog):
        monkeypatch.setattr(module, "dataset_card", lambda name: Card.model_validate(facts))


@pytest.mark.usefixtures("mirror")
def test_the_columns_of_the_card_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, OURS)
    found = load_labelled("tiny")
    assert found.sequences.to_strings() == ["ACGT", "GGCC"]
    assert list(found.sequences.ids) == ["a", "b"]
    assert found.labels("class").tolist() == ["on", "NA"]
    assert load_dataset("tiny")["class"].tolist() == ["on", "NA"]


def test_another_content_is_refused(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, OURS)
    (mirror / "dna" / "tiny.csv").write_bytes(TABLE.replace(b"ACGT", b"ACGA"))
    with pytest.raises(ValueError, match="tiny.csv: the sha256 of the content"):
        load_labelled("tiny")


@pytest.mark.usefixtures("mirror")
def test_a_set_without_checksum_is_read_when_the_user_gives_it(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, THEIRS)
    with pytest.raises(ValueError, match=f"'tiny' was not run by us .* confirm its content: sha256 {SHA256}"):
        load_labelled("tiny")
    assert len(load_labelled("tiny", sha256=SHA256)) == 2
    with pytest.raises(ValueError, match="the sha256 of the content"):
        load_labelled("tiny", sha256="0" * 64)


def test_nothing_is_downloaded_without_a_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TITANS_SEQ_DATA", str(tmp_path))
    monkeypatch.setattr("pooch.retrieve", lambda *a, **k: pytest.fail("downloaded"))
    use(monkeypatch, THEIRS | {"url": "https://x.y/tiny.csv"})
    with pytest.raises(FileNotFoundError, match="without a sha256 nothing is downloaded"):
        load_labelled("tiny")


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({**OURS, "label": None}, "a card of format labelled must have label"),
        ({**OURS, "sha256": None}, "a card of format labelled must have sha256"),
        ({**OURS, "rows": None}, "a card of format labelled must have rows"),
        ({**OURS, "time": "ds"}, "a card of format labelled has no time"),
    ],
)
def test_a_card_has_the_fields_of_labelled_sets(facts: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Card.model_validate(facts)


def test_other_kinds_of_data_are_not_confused_with_them() -> None:
    with pytest.raises(ValueError, match="'co2' is a table of series, not a set of labelled sequences"):
        load_labelled("co2")
    with pytest.raises(ValueError, match="'splice_uci' is a set of labelled sequences, not a genome"):
        load_genome("splice_uci")


def test_sets_that_were_not_run_say_so() -> None:
    cards = [dataset_card(name) for name in list_datasets()]
    theirs = [card for card in cards if not card.run_by_us]
    assert {card.name[:3] for card in theirs} == {"gb_", "nt_"}
    for card in theirs:
        assert card.sha256 is None
        assert card.notes.startswith("NOT RUN BY US")
        assert card.where and card.split_column == "split"


@pytest.mark.slow
@pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")
@pytest.mark.parametrize("name", ["splice_uci", "mouse_tata_promoters"])
def test_the_sets_are_what_their_cards_say(name: str) -> None:
    card, found = dataset_card(name), load_labelled(name)
    assert len(found) == card.rows
    assert set(found.column("split").tolist()) == {"train", "test"}
    for label in set(found.labels().tolist()):
        assert f"{label}, {(found.labels() == label).sum():,}" in " ".join(card.description.split())
