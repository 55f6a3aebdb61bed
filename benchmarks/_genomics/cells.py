"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .sets import NEEDLE, SETS

SEEDS = (0, 1, 2)
ALONE: dict[str, Any] = {"kmers": False, "n_members": 1}
NETWORKS: dict[str, dict[str, Any]] = {
    "ours": {},
    "network": ALONE,
    "attention": ALONE | {"variant": "attention", "d_model": 40},
    "swa": ALONE | {"variant": "swa", "d_model": 40},
    "cnn": {},
}
"""Arguments that differ from the defaults of the estimators; 40 wide, the controls have as many parameters as a network
with a memory. These three stand alone, as k-mers and a mean over networks would make them alike."""

ONE_HOT = ("one_hot", "one_hot_hgb")
BASELINES = ("majority", "kmer_4", "kmer_5", "kmer_6", "one_hot", "kmer_4_hgb", "one_hot_hgb")


@dataclass(frozen=True)
class Cell:
    """One measurement; its name is also that of its file.

    Attributes
    ----------
    data : str
    kind : {"leaks", "baseline", "network", "needle"}
    model : str
    seed : int
        Of networks; baselines draw nothing.
    """

    data: str
    kind: str
    model: str = ""
    seed: int = 0

    @property
    def name(self) -> str:
        return f"{self.data}_{self.model or self.kind}" + f"_s{self.seed}" * (self.kind in ("network", "needle"))

    @property
    def arguments(self) -> dict[str, Any]:
        return NETWORKS.get(self.model, {})

    def call(self, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return getattr(measure, self.kind)(self, quick=quick)  # type: ignore[no-any-return]


def baselines_of(data: str) -> tuple[str, ...]:
    """Places need one length, a majority needs classes."""
    left_out = ONE_HOT * (SETS[data].length is None) + ("majority",) * SETS[data].is_regression
    return tuple(model for model in BASELINES if model not in left_out)


def _cells() -> tuple[Cell, ...]:
    cells = [Cell(data, "leaks") for data in SETS]
    cells += [Cell(data, "baseline", model) for data in SETS for model in baselines_of(data)]
    cells += [Cell(NEEDLE, "needle", seed=seed) for seed in SEEDS]
    return (*cells, *(Cell(data, "network", model, seed) for data in SETS for model in NETWORKS for seed in SEEDS))


CELLS = _cells()
