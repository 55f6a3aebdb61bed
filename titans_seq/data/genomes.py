"""Genomes by name."""

from __future__ import annotations

import io

from titans_seq.data.catalog import card_content, dataset_card
from titans_seq.data.sequences.fasta import read_fasta


def load_genome(name: str) -> dict[str, str]:
    """Return the sequences of a dataset whose card has the format "fasta".

    Parameters
    ----------
    name : str
        Name of a card, see `list_datasets`.

    Returns
    -------
    dict of str to str
        Bases by record: the first word of its title. Their case is that of the file; U is read as T.

    Raises
    ------
    FileNotFoundError
        A file that does not exist and cannot be downloaded.
    ValueError
        An unknown name, a table, a checksum that does not fit.

    Examples
    --------
    >>> len(load_genome("ecoli_w")["NC_017664.1"])
    4897452
    """
    card = dataset_card(name)
    if not card.is_genome:
        what = "a table" if card.format != "labelled" else card.kind
        raise ValueError(f"dataset {name!r} is {what}, not a genome: use load_dataset({name!r})")
    found = read_fasta(io.BytesIO(card_content(card)), name)
    return dict(zip(found.ids, found, strict=True))
