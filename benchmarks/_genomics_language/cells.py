"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

ORDERS = tuple(range(13))
SEEDS = (0, 1, 2)
CONTROLS = {"mag": {}, "lmm": {"variant": "lmm"}, "swa": {"variant": "swa"}}
"""Models: arguments that differ from the defaults of `DNALanguageModel`."""


@dataclass(frozen=True)
class Task:
    """Bases to learn from and bases to predict: parts of files below dna/genomes.

    Attributes
    ----------
    train, test : tuple of str, int and int or None
        File, first base, end.
    """

    train: tuple[str, int, int | None]
    test: tuple[str, int, int | None]


YEAST_1, YEAST_2, E_COLI = "yeast_chrI.fa.gz", "yeast_chrII.fa.gz", "ecoli_W_NC_017664.fasta.gz"
TASKS = {
    "yeast": Task((YEAST_1, 0, None), (YEAST_2, 0, None)),
    "ecoli": Task((E_COLI, 0, 250_000), (E_COLI, 2_400_000, 3_200_000)),
}


@dataclass(frozen=True)
class Cell:
    """One measurement; its name is also that of its file."""

    kind: str
    task: str
    model: str = ""
    seed: int = 0

    @property
    def name(self) -> str:
        return "_".join(part for part in (self.kind, self.task, self.model) if part) + f"_s{self.seed}" * self.seeded

    @property
    def seeded(self) -> bool:
        return self.kind in ("model", "length")

    @property
    def arguments(self) -> dict[str, Any]:
        return {"task": asdict(TASKS[self.task]), "model": CONTROLS.get(self.model)}

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return getattr(measure, self.kind)(self, quick=quick)


def _cells() -> tuple[Cell, ...]:
    cells = [Cell("orders", "yeast"), Cell("mixture", "yeast")]
    cells += [Cell("model", "yeast", "mag", seed) for seed in SEEDS]
    cells += [Cell("model", "yeast", model, seed) for model in ("swa", "lmm") for seed in SEEDS]
    cells += [Cell("orders", "ecoli"), Cell("mixture", "ecoli")]
    cells += [Cell("model", "ecoli", model, seed) for model in CONTROLS for seed in SEEDS]
    return (*cells, Cell("length", "yeast", "mag", 0))


CELLS = _cells()
