"""Datasets by name: what a card says, and the data it describes.

A card is a YAML file in `datasets/`. Two small sets are embedded beside their cards; the others are read from
the folder that the environment variable TITANS_SEQ_DATA names, or downloaded, and checked either way.
"""

from __future__ import annotations

import difflib
import io
from functools import cache
from gzip import BadGzipFile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from titans_seq.data._fetch import content_sha256, find_or_download, read_content
from titans_seq.data._share import shipped
from titans_seq.data._utf8 import not_utf8
from titans_seq.data.text_tables import read_bytes

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = {
    "wide": ("sha256", "time", "rows", "frequency", "season_length"),
    "long": ("sha256", "time", "rows", "frequency", "season_length"),
    "fasta": ("sha256", "records", "bases"),
    "labelled": ("label", "sequence"),
}
_OTHERS = {
    "wide": ("records", "bases", "label", "sequence", "split_column"),
    "long": ("records", "bases", "label", "sequence", "split_column"),
    "fasta": (
        "time", "rows", "frequency", "season_length", "id", "target", "columns", "split",
        "label", "sequence", "split_column",
    ),
    "labelled": ("time", "frequency", "season_length", "target", "columns", "split", "records", "bases"),
}  # fmt: skip


class Card(BaseModel):
    """What is known of a dataset.

    Attributes
    ----------
    name, title, description, source, licence, citation, notes : str
        For people.
    url : str or None
        Address of the uncompressed file, where there is a stable one.
    run_by_us : bool
        False: nobody here has had the file, and what the card says of it is the source's word.
    where : str or None
        How to get a copy when there is no `url`.
    file : str
        Path beside the card (embedded) or below the folder TITANS_SEQ_DATA; `.gz` is decompressed.
    embedded : bool
        The file travels with the package.
    sha256 : str or None
        Checksum of the uncompressed content; None only of labelled sequences that are not `run_by_us`: then it is up
        to whoever fetches the file.
    format : {"wide", "long", "fasta", "labelled"}
        A table with one column per series, or with one row per series and time; a genome; or a table with a sequence
        and its label in each row.
    time, id, target : str or None
        Column names of a table; `id` and `target` of long ones only, `id` also of labelled sequences.
    columns : list of str or None
        Value columns of a wide table, in file order.
    rows : int or None
        Rows of a table; of labelled sequences that are not `run_by_us`, where the source says so.
    frequency : str or None
        Of a table: pandas alias, or "integer" when time is a count.
    season_length : int or None
        Of a table: steps per season; 1 where there is none.
    split : list of int or None
        Rows of train, validation and test, from the first row on; rows after are not used. Tables only.
    records, bases : int or None
        Of a genome: sequences, and their bases in all.
    sequence, label : str or None
        Of labelled sequences: column names.
    split_column : str or None
        Of labelled sequences: the column that says "train" or "test".
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    title: str
    description: str
    source: str
    licence: str
    citation: str
    file: str
    format: Literal["wide", "long", "fasta", "labelled"]
    sha256: str | None = None
    embedded: bool = False
    run_by_us: bool = True
    url: str | None = None
    where: str | None = None
    time: str | None = None
    rows: int | None = None
    frequency: str | None = None
    season_length: int | None = None
    id: str | None = None
    target: str | None = None
    columns: list[str] | None = None
    split: list[int] | None = None
    records: int | None = None
    bases: int | None = None
    sequence: str | None = None
    label: str | None = None
    split_column: str | None = None
    notes: str = ""

    @model_validator(mode="after")
    def _fits_its_format(self) -> Card:
        needed = _NEEDED[self.format] + (("sha256", "rows") if self.run_by_us and self.format == "labelled" else ())
        missing = [name for name in needed if getattr(self, name) is None]
        if missing:
            raise ValueError(f"a card of format {self.format} must have {', '.join(missing)}")
        foreign = [name for name in _OTHERS[self.format] if getattr(self, name) is not None]
        if foreign:
            raise ValueError(f"a card of format {self.format} has no {', '.join(foreign)}")
        return self

    @property
    def is_genome(self) -> bool:
        """Whether the data are a genome, see `load_genome`; else they are a table, see `load_dataset`."""
        return self.format == "fasta"

    @property
    def kind(self) -> str:
        """What the data are, in words."""
        kinds = {"fasta": "a genome", "labelled": "a set of labelled sequences"}
        return kinds.get(self.format, "a table of series")


def list_datasets() -> list[str]:
    """Return the names of all datasets that have a card."""
    return list(shipped("datasets"))


@cache
def dataset_card(name: str) -> Card:
    """Return the card of a dataset.

    Raises
    ------
    ValueError
        No card has this name; the message names the nearest one.
    """
    import yaml

    cards = shipped("datasets")
    if name not in cards:
        near = difflib.get_close_matches(name, cards, 1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(cards)}"
        raise ValueError(f"unknown dataset {name!r}; {hint}")
    return Card.model_validate(yaml.safe_load(cards[name].read_text(encoding="utf-8")))


def load_dataset(name_or_path: str | Path) -> pd.DataFrame:
    """Return a dataset as a pandas frame.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a card (see `list_datasets`), or path of a .csv, .csv.gz or .parquet file.

    Returns
    -------
    pandas.DataFrame
        The columns of the file, unchanged in value; the time column of a named set as datetime64
        (integers where the card's frequency is "integer"). Of labelled sequences all columns are text.

    Raises
    ------
    FileNotFoundError
        A file that does not exist and cannot be downloaded.
    ValueError
        An unknown name, a genome, a checksum that does not fit, a file that cannot be read.

    Examples
    --------
    >>> load_dataset("co2").shape
    (2284, 2)
    """
    name = str(name_or_path)
    if name not in shipped("datasets") and _looks_like_path(name):
        return _read_table(Path(name))
    card = dataset_card(name)
    if card.is_genome:
        raise ValueError(f"dataset {name!r} is a genome, not a table: use load_genome({name!r})")
    return _read_card(card, card_content(card))


def card_content(card: Card, sha256: str | None = None) -> bytes:
    """Return the uncompressed content of a card's file, checked.

    Parameters
    ----------
    card : Card
    sha256 : str, optional
        The checksum, where the card has none.

    Raises
    ------
    FileNotFoundError
        A file that does not exist and cannot be downloaded.
    ValueError
        Another checksum, or none at all: then the message has that of the file.
    """
    checksum = card.sha256 or sha256
    path = dataset_file(card, checksum)
    if checksum is None:
        raise ValueError(
            f"dataset {card.name!r} was not run by us and its card has no sha256; if you trust {path}, "
            f"confirm its content: sha256 {content_sha256(path)}"
        )
    return read_content(path, checksum)


def dataset_file(card: Card, sha256: str | None = None) -> Path:
    """Return where a card's file is; downloads it when it is neither embedded nor mirrored.

    Without a checksum, that of the card or `sha256`, nothing is downloaded.
    """
    if card.embedded:
        return shipped("datasets")[card.name].with_name(card.file)
    return find_or_download(card.name, card.file, card.sha256 or sha256, card.url, card.where)


def _read_card(card: Card, content: bytes) -> pd.DataFrame:
    import pandas as pd

    if card.format == "labelled":
        from titans_seq.data.sequences.tables import open_table

        return open_table(io.BytesIO(content), card.file, card.name)
    frame = pd.read_csv(io.BytesIO(content))
    if card.frequency != "integer":
        frame[card.time] = pd.to_datetime(frame[card.time])
    return frame


def _looks_like_path(name: str) -> bool:
    return "/" in name or "\\" in name or Path(name).suffix in (".csv", ".gz", ".parquet") or Path(name).is_file()


def _read_table(path: Path) -> pd.DataFrame:
    import pandas as pd

    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such data file")
    if path.suffix == ".parquet":
        return _read_parquet(path)
    if path.suffixes[-1:] != [".csv"] and path.suffixes[-2:] != [".csv", ".gz"]:
        raise ValueError(f"{path}: data files end in .csv, .csv.gz or .parquet")
    try:
        return pd.read_csv(path)
    except UnicodeDecodeError:
        raise ValueError(f"{path}: not a readable CSV file ({not_utf8(io.BytesIO(read_bytes(path)))})") from None
    except (ValueError, EOFError, BadGzipFile) as error:  # pandas' parser errors are ValueErrors
        raise ValueError(f"{path}: not a readable CSV file ({str(error).splitlines()[0]})") from None


def _read_parquet(path: Path) -> pd.DataFrame:
    import pandas as pd
    import polars as pl

    try:
        table = pl.read_parquet(path)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path}: not a readable parquet file ({str(error).splitlines()[0]})") from None
    # Column by column: polars' own conversion needs pyarrow.
    return pd.DataFrame({column.name: column.to_numpy() for column in table})
