"""Genomes by name."""

from __future__ import annotations

import io

from titans_seq.data._fetch import read_content
from titans_seq.data.catalog import dataset_card, dataset_file


def load_genome(name: str) -> dict[str, str]:
    """Return the sequences of a dataset whose card has the format "fasta".

    Parameters
    ----------
    name : str
        Name of a card, see `list_datasets`.

    Returns
    -------
    dict of str to str
        Bases by record: the first word of its title. Letters and their case are those of the file.

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
        raise ValueError(f"dataset {name!r} is a table, not a genome: use load_dataset({name!r})")
    from Bio.SeqIO.FastaIO import SimpleFastaParser

    text = read_content(dataset_file(card), card.sha256).decode("ascii")
    return {title.split(maxsplit=1)[0]: bases for title, bases in SimpleFastaParser(io.StringIO(text))}
