"""DNA sequences: readers, genomes, variants, splits and leaks.

Importing this loads numpy; Biopython, pandas and scipy are loaded when they are needed.
"""

from titans_seq.data.sequences.bed import read_bed
from titans_seq.data.sequences.coordinates import Interval, Variant
from titans_seq.data.sequences.fasta import write_fasta
from titans_seq.data.sequences.genome import Genome
from titans_seq.data.sequences.homology import homology_groups, split_by_chromosome, split_by_homology
from titans_seq.data.sequences.labelled import LabelledSequences, read_classes, read_labelled
from titans_seq.data.sequences.leaks import Leak, LeakReport, leak_report
from titans_seq.data.sequences.read import read_sequences
from titans_seq.data.sequences.sequences import Sequences
from titans_seq.data.sequences.vcf import Mismatch, ReferenceCheck, ReferenceMismatchError, check_reference, read_vcf

__all__ = [
    "Genome",
    "Interval",
    "LabelledSequences",
    "Leak",
    "LeakReport",
    "Mismatch",
    "ReferenceCheck",
    "ReferenceMismatchError",
    "Sequences",
    "Variant",
    "check_reference",
    "homology_groups",
    "leak_report",
    "read_bed",
    "read_classes",
    "read_labelled",
    "read_sequences",
    "read_vcf",
    "split_by_chromosome",
    "split_by_homology",
    "write_fasta",
]
