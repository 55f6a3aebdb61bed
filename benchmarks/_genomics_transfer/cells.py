"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

SEEDS = (0, 1, 2)
LABELS = 200
PRETRAINING = {"orders": (1, 2, 3, 4, 6, 8, 10, 12), "max_epochs": 2, "random_state": 0}
FITTING = {"n_members": 1}


@dataclass(frozen=True)
class Task:
    """Unlabelled bases, and labelled sequences of the same species.

    Attributes
    ----------
    genome : str
        File below dna/genomes.
    bases : int
        How many of it are read.
    labelled : str
        Set below dna/labelled; of its training rows a few are drawn, of its test rows all are asked.
    column : str
        What is told of them.
    """

    genome: str
    bases: int
    labelled: str
    column: str


TASKS = {
    "ecoli": Task("ecoli_W_NC_017664.fasta.gz", 150_000, "ecoli_sigma70_promoters", "label"),
    "yeast": Task("yeast_chrI.fa.gz", 150_000, "dream_yeast_mpra_regression", "target"),
}


@dataclass(frozen=True)
class Cell:
    """One measurement; its name is also that of its file."""

    task: str
    start: str
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.task}_{self.start}" + f"_s{self.seed}" * (self.start != "pretrain")

    @property
    def arguments(self) -> dict[str, Any]:
        return {"task": asdict(TASKS[self.task]), "labels": LABELS, "pretraining": PRETRAINING, "fitting": FITTING}

    def call(self, cache: Path, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        if self.start == "pretrain":
            return measure.pretrained(self, cache, quick=quick)
        return measure.fitted(self, cache, quick=quick)


CELLS = tuple(
    [Cell(task, "pretrain") for task in TASKS]
    + [Cell(task, start, seed) for task in TASKS for seed in SEEDS for start in ("scratch", "language")]
)
