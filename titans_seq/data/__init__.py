"""Data in and out: frames, panels, frequencies and splits.

Importing this loads numpy; pandas, polars and narwhals are loaded when a frame is read.
"""

from titans_seq.data._entries import read_entries
from titans_seq.data.catalog import dataset_card, list_datasets, load_dataset
from titans_seq.data.frames import FrameFormat, forecast_frame, path_frame, read_panel, row_frame
from titans_seq.data.frequency import Frequency, OffGridError
from titans_seq.data.genomes import load_genome
from titans_seq.data.panel import Panel
from titans_seq.data.rolling import RollingOrigin
from titans_seq.data.splits import cutoffs, split_rows

__all__ = [
    "FrameFormat",
    "Frequency",
    "OffGridError",
    "Panel",
    "RollingOrigin",
    "cutoffs",
    "dataset_card",
    "forecast_frame",
    "list_datasets",
    "load_dataset",
    "load_genome",
    "path_frame",
    "read_entries",
    "read_panel",
    "row_frame",
    "split_rows",
]
