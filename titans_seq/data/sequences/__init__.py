"""DNA sequences: readers, genomes, variants, splits and leaks.

Importing this loads numpy; Biopython, pandas and scipy are loaded when they are needed.
"""

from titans_seq.data.sequences.fasta import write_fasta
from titans_seq.data.sequences.read import read_sequences
from titans_seq.data.sequences.sequences import Sequences

__all__ = [
    "Sequences",
    "read_sequences",
    "write_fasta",
]
