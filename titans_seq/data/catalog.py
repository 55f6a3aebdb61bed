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

from pydantic import BaseModel, ConfigDict

from titans_seq.data._fetch import find_or_download, read_content
from titans_seq.data._share import shipped

if TYPE_CHECKING:
    import pandas as pd


class Card(BaseModel):
    """What is known of a dataset.

    Attributes
    ----------
    name, title, description, source, licence, citation, notes : str
        For people.
    url : str or None
        Address of the uncompressed file, where there is a stable one.
    where : str or None
        How to get a copy when there is no `url`.
    file : str
        Path beside the card (embedded) or below the folder TITANS_SEQ_DATA; `.gz` is decompressed.
    embedded : bool
        The file travels with the package.
    sha256 : str
        Checksum of the uncompressed content.
    format : {"wide", "long"}
        One column per series, or one row per series and time.
    time, id, target : str
        Column names; `id` and `target` of long sets only.
    columns : list of str
        Value columns of a wide set, in file order.
    rows : int
        Rows of the file.
    frequency : str
        pandas alias, or "integer" when time is a count.
    season_length : int
        Steps per season; 1 where there is none.
    split : list of int or None
        Rows of train, validation and test, from the first row on; rows after are not used.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: str
    title: str
    description: str
    source: str
    licence: str
    citation: str
    file: str
    sha256: str
    format: Literal["wide", "long"]
    time: str
    rows: int
    frequency: str
    season_length: int
    embedded: bool = False
    url: str | None = None
    where: str | None = None
    id: str | None = None
    target: str | None = None
    columns: list[str] | None = None
    split: list[int] | None = None
    notes: str = ""


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
        (integers where the card's frequency is "integer").

    Raises
    ------
    FileNotFoundError
        A file that does not exist and cannot be downloaded.
    ValueError
        An unknown name, a checksum that does not fit, a file that cannot be read.

    Examples
    --------
    >>> load_dataset("co2").shape
    (2284, 2)
    """
    name = str(name_or_path)
    if name not in shipped("datasets") and _looks_like_path(name):
        return _read_table(Path(name))
    card = dataset_card(name)
    return _read_card(card, read_content(dataset_file(card), card.sha256))


def dataset_file(card: Card) -> Path:
    """Return where a card's file is; downloads it when it is neither embedded nor mirrored."""
    if card.embedded:
        return shipped("datasets")[card.name].with_name(card.file)
    return find_or_download(card.name, card.file, card.sha256, card.url, card.where)


def _read_card(card: Card, content: bytes) -> pd.DataFrame:
    import pandas as pd

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
