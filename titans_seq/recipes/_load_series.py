"""The table that the data section of a forecast recipe names, before anything is selected from it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from titans_seq.data.catalog import load_dataset
from titans_seq.data.text_tables import TableForm, is_text_table, read_text_table
from titans_seq.recipes.schema import Data

if TYPE_CHECKING:
    import pandas as pd

FORM_KEYS = ("delimiter", "decimal", "thousands", "encoding", "missing", "time_format", "timezone")


def load_table(data: Data, time_col: str, id_col: str) -> pd.DataFrame:
    """Read the file or dataset of a data section, its times parsed and in order if it asks for that.

    Raises
    ------
    FileNotFoundError, ValueError
        See `load_dataset` and `read_text_table`.
    """
    if data.name is not None:
        frame = load_dataset(data.name)
    else:
        frame = load_file(Path(str(data.path)), data, time_col, id_col)
    if data.sort and time_col in frame.columns:
        frame = frame.sort_values(time_col, kind="stable", ignore_index=True)
    return frame


def load_file(path: Path, data: Data, time_col: str, id_col: str) -> pd.DataFrame:
    """Read a file in the form that a data section states."""
    stated = any(getattr(data, key) is not None for key in FORM_KEYS)
    usual = path.suffix == ".parquet" or path.name.endswith((".csv", ".csv.gz"))
    if not is_text_table(path) or (usual and not stated and not data.sort):
        return load_dataset(str(path))
    return read_text_table(path, table_form(data), time_col=time_col, id_col=id_col)


def table_form(data: Data) -> TableForm:
    """Return how the file of a data section is written."""
    given = {key: getattr(data, key) for key in FORM_KEYS if getattr(data, key) is not None}
    return TableForm(**given | {"missing": tuple(given.get("missing", ()))})
