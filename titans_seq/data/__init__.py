"""Data in and out: frames, panels, frequencies, DNA sequences and splits.

Importing this loads numpy; pandas, polars and narwhals are loaded when a frame is read, Biopython with GenBank.
"""

from titans_seq.data._entries import hold_entries, read_entries, read_entries_ahead
from titans_seq.data.catalog import dataset_card, list_datasets, load_dataset
from titans_seq.data.covariates import Covariates
from titans_seq.data.frames import (
    FrameFormat,
    cutoff_frame,
    forecast_frame,
    has_no_rows,
    path_frame,
    read_column,
    read_panel,
    row_frame,
)
from titans_seq.data.frequency import Frequency, OffGridError
from titans_seq.data.future import future_frame, read_future
from titans_seq.data.genomes import load_genome
from titans_seq.data.labelled import load_labelled
from titans_seq.data.panel import Panel
from titans_seq.data.rolling import RollingOrigin
from titans_seq.data.sequences import (
    Genome,
    Interval,
    LabelledSequences,
    LeakReport,
    ReferenceMismatchError,
    Sequences,
    Variant,
    check_reference,
    homology_groups,
    leak_report,
    read_bed,
    read_classes,
    read_labelled,
    read_sequences,
    read_vcf,
    split_by_chromosome,
    split_by_homology,
    write_fasta,
)
from titans_seq.data.simulated import simulate_motif_grammar
from titans_seq.data.splits import cutoffs, split_rows

__all__ = [
    "Covariates",
    "FrameFormat",
    "Frequency",
    "Genome",
    "Interval",
    "LabelledSequences",
    "LeakReport",
    "OffGridError",
    "Panel",
    "ReferenceMismatchError",
    "RollingOrigin",
    "Sequences",
    "Variant",
    "check_reference",
    "cutoff_frame",
    "cutoffs",
    "dataset_card",
    "forecast_frame",
    "future_frame",
    "has_no_rows",
    "hold_entries",
    "homology_groups",
    "leak_report",
    "list_datasets",
    "load_dataset",
    "load_genome",
    "load_labelled",
    "path_frame",
    "read_bed",
    "read_classes",
    "read_column",
    "read_entries",
    "read_entries_ahead",
    "read_future",
    "read_labelled",
    "read_panel",
    "read_sequences",
    "read_vcf",
    "row_frame",
    "simulate_motif_grammar",
    "split_by_chromosome",
    "split_by_homology",
    "split_rows",
    "write_fasta",
]
