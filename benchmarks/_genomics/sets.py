"""The labelled sets: files below dna/labelled, whose column `split` says what is train and what is test."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LabelledSet:
    """What is known of a set before it is read.

    Attributes
    ----------
    about : str
        For the tables.
    train, test : int
        Rows of either part.
    length : int or None
        Bases of every sequence; None where they differ.
    goals : dict
        Score to what it is to reach.
    answer : {"label", "target"}
        Column: classes, or numbers.
    """

    about: str
    train: int
    test: int
    length: int | None
    goals: dict[str, float]
    answer: str = "label"

    @property
    def is_regression(self) -> bool:
        return self.answer == "target"


SETS = {
    "splice_uci": LabelledSet(
        "primate splice junctions, three classes", 2528, 662, 60, {"accuracy": 0.975, "mcc": 0.960}
    ),
    "mouse_tata_promoters": LabelledSet(
        "mouse TATA promoters against gene fragments", 3737, 1045, 251, {"accuracy": 0.977, "mcc": 0.935}
    ),
    "arabidopsis_promoters": LabelledSet(
        "TATA promoters, other promoters, gene fragments", 15140, 3714, 251, {"accuracy": 0.935, "auroc": 0.988}
    ),
    "ecoli_sigma70_promoters": LabelledSet(
        "E. coli sigma-70 promoters against coding fragments", 3085, 754, 81, {"mcc": 0.815}
    ),
    "idna_6mA_athaliana": LabelledSet(
        "6mA in A. thaliana: is the base in the middle methylated", 31874, 31872, 41, {"accuracy": 0.870}
    ),
    "idna_4mC_fvesca": LabelledSet(
        "4mC in F. vesca: is the base in the middle methylated", 15798, 15796, 41, {"accuracy": 0.862}
    ),
    "dnabert_promoter_1k": LabelledSet(
        "human windows of DNABERT's example", 766, 234, 101, {"accuracy": 0.970, "auroc": 0.995}
    ),
    "dragonn_example_1kb": LabelledSet(
        "genomic windows of DragoNN's example", 4001, 999, 1000, {"accuracy": 0.825, "auroc": 0.900}
    ),
    "dream_yeast_mpra_regression": LabelledSet(
        "expression from random yeast promoters", 5084, 1286, None, {"pearson": 0.630}, "target"
    ),
    "SIMULATED_primer_motif": LabelledSet(
        "SIMULATED, not real DNA: a planted motif", 1575, 425, 50, {"accuracy": 0.995}
    ),
}


NEEDLE = "sars_cov_2_418"
"""Whole genomes that one base tells apart."""


def path_of(name: str) -> Path:
    """File of a set."""
    root = os.environ.get("TITANS_SEQ_DATA")
    if root is None:
        raise FileNotFoundError(
            f"TITANS_SEQ_DATA is not set; it names the folder that holds dna/labelled/{name}.csv.gz"
        )
    return Path(root) / "dna" / "labelled" / f"{name}.csv.gz"
