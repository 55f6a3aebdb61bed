"""Labelled sequences by name."""

from __future__ import annotations

import io

from titans_seq.data.catalog import card_content, dataset_card
from titans_seq.data.sequences.labelled import LabelledSequences, labelled_rows


def load_labelled(
    name: str, *, sha256: str | None = None, sequence_col: str | None = None, id_col: str | None = None
) -> LabelledSequences:
    """Return the sequences of a dataset whose card has the format "labelled", with all other columns.

    Parameters
    ----------
    name : str
        Name of a card, see `list_datasets`.
    sha256 : str, optional
        Of the uncompressed content, where the card has none: sets that were not run by us.
    sequence_col, id_col : str, optional
        Other columns than those of the card.

    Raises
    ------
    FileNotFoundError
        A file that does not exist and cannot be downloaded.
    ValueError
        An unknown name, another kind of dataset, a checksum that does not fit or is missing.

    Examples
    --------
    >>> splice = load_labelled("splice_uci")
    >>> len(splice), sorted(set(splice.labels().tolist()))
    (3190, ['EI', 'IE', 'N'])
    """
    card = dataset_card(name)
    if card.format != "labelled":
        raise ValueError(f"dataset {name!r} is {card.kind}, not a set of labelled sequences")
    content = card_content(card, sha256)
    columns = {"sequence_col": sequence_col or card.sequence, "id_col": id_col or card.id}
    return labelled_rows(io.BytesIO(content), card.file, name, **columns)
