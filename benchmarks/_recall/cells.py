"""The list of cells, and what each measures. Imports nothing heavy until a cell runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .ablations import ABLATIONS, COLUMN, slug
from .setups import SETUPS

K = 1024
MOTIF = {"n_motifs": 1, "n_known": 2, "motif_length": 14}  # fourteen bases at random occur once in 268 million
OF_FOUR = MOTIF | {"n_known": 4}


@dataclass(frozen=True)
class Cell:
    """One measurement: a trained setup read at one length, or its training.

    Attributes
    ----------
    name : str
        Also the name of its file.
    kind : {"train", "score", "scale", "ablation", "ettm1"}
    setup : str
    seed : int
        Of the model; part ``n`` of a score draws its trials with seed 1,000 + n.
    arguments : dict
        Of the function of that kind.
    """

    name: str
    kind: str
    setup: str
    seed: int = 0
    arguments: dict[str, Any] = field(default_factory=dict)

    def call(self, cache: Path, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        from . import measure

        return getattr(measure, self.kind)(self, cache, quick=quick)  # type: ignore[no-any-return]


def _train() -> list[Cell]:
    seeds = {"needles": 3, "overwrite": 3, "shapes": 3, "dna": 1}
    return [
        Cell(f"train_{setup}_s{seed}", "train", setup, seed)
        for setup in SETUPS
        for seed in range(seeds.get(setup, 1))
    ]  # fmt: skip


def _score(
    setup: str, test: dict[str, Any], length: int, trials: int, *, seed: int = 0, parts: int = 1, label: str = ""
) -> list[Cell]:
    name = f"{setup}_s{seed}_{label + '_' if label else ''}{_short(length)}"
    return [
        Cell(f"{name}_part{n}" if parts > 1 else name, "score", setup, seed,
             {"test": test, "length": length, "n_trials": trials // parts, "part": n})
        for n in range(parts)
    ]  # fmt: skip


def _short(length: int) -> str:
    if length % (K * K) == 0:
        return f"{length // (K * K)}m"
    return f"{length // K}k" if length % K == 0 else str(length)


def _needles() -> list[Cell]:
    one, eight = {"n_needles": 1}, {"n_needles": 8}
    cells = [
        *_score("needles", one, 4 * K, 300, label="one"), *_score("needles", one, 64 * K, 300, parts=2, label="one"),
        *_score("needles", one, 2 * K * K, 60, parts=6, label="one"),
        *_score("needles", eight, 16 * K, 60, label="eight"), *_score("needles", eight, 256 * K, 40, label="eight"),
        *_score("needles", eight, 2 * K * K, 10, label="eight"),
        *_score("needles", {"n_needles": 8, "haystack": "phrase"}, 64 * K, 40, label="eight_phrase"),
        *_score("needles_swa", one, 4 * K, 300, label="one"), *_score("needles_swa", eight, 16 * K, 60, label="eight"),
        *_score("needles_attention", one, 256, 200, label="one"), *_score("needles_attention", one, K, 60, label="one"),
        *_score("needles_attention", one, 4 * K, 60, label="one"),
        *_score("phrase", one, 64 * K, 40, label="one"),
        *_score("pairs", {"n_pairs": 8}, 16 * K, 60), *_score("pairs", {"n_pairs": 8}, 256 * K, 10),
    ]  # fmt: skip
    for seed in (1, 2):
        cells += _score("needles", one, 64 * K, 40, seed=seed, label="one")
        cells += _score("needles", eight, 16 * K, 40, seed=seed, label="eight")
    return cells


def _others() -> list[Cell]:
    overwrite = {"n_needles": 4, "n_writes": 3, "n_decoys": 4}
    cells: list[Cell] = []
    for seed in range(3):
        cells += _score("overwrite", overwrite, 4 * K, 100, seed=seed)
        cells += _score("shapes", {"n_shapes": 1}, 2500, 100, seed=seed, label="one")
    return [
        *cells,
        *_score("overwrite_swa", overwrite, 4 * K, 100),
        *_score("shapes", {"n_shapes": 4}, 2500, 100, label="four"),
        *_score("shapes", {"n_shapes": 1}, 256 * K, 8, label="one"),
        *_score("shapes_swa", {"n_shapes": 1}, 2500, 100, label="one"),
        *_score("shapes_swa", {"n_shapes": 4}, 2500, 100, label="four"),
        *_score("dna", MOTIF, 16 * K, 60), *_score("dna", MOTIF, K * K, 60, parts=6),
        *_score("dna_four", OF_FOUR, 16 * K, 60), *_score("dna_four", OF_FOUR, K * K, 20, parts=2),
        *_score("dna_swa", MOTIF, 16 * K, 60),
        *_score("hops", {"n_hops": 2, "n_chains": 4}, K, 200),
        *_score("hops", {"n_hops": 2, "n_chains": 4}, 16 * K, 40),
        *_score("copy", {"n_symbols": 4}, K, 200), *_score("copy", {"n_symbols": 4}, 16 * K, 40),
        *_score("parity", {"group": "parity"}, K, 200), *_score("parity", {"group": "parity"}, 16 * K, 60),
        *_score("permutation", {"group": "permutation"}, K, 200),
        *_score("phrase_swa", {"n_needles": 1}, 16 * K, 60, label="one"),
        *_score("pairs_swa", {"n_pairs": 8}, 16 * K, 60),
        *_score("hops_swa", {"n_hops": 2, "n_chains": 4}, K, 100), *_score("copy_swa", {"n_symbols": 4}, K, 200),
        *_score("parity_swa", {"group": "parity"}, K, 200),
        *_score("permutation_swa", {"group": "permutation"}, K, 200),
    ]  # fmt: skip


def _scale() -> list[Cell]:
    lengths = [K, 4 * K, 16 * K, 64 * K, 256 * K, K * K, 4 * K * K]
    reading = [Cell(f"scale_mag_{_short(n)}", "scale", "needles", 0, {"length": n}) for n in lengths]
    reach = [K, 4 * K, 16 * K, 64 * K]
    attention = [Cell(f"scale_attention_{_short(n)}", "scale", "needles_attention", 0, {"length": n}) for n in reach]
    return reading + attention


def _ablations() -> list[Cell]:
    return [
        Cell(f"ablation_{slug(name)}_s{seed}", "ablation", name, seed) for seed in range(3) for name in ABLATIONS
    ]  # fmt: skip


def _ettm1() -> list[Cell]:
    return [Cell(f"ettm1_{slug(name)}_s{seed}", "ettm1", name, seed) for seed in range(3) for name in COLUMN]


CELLS: tuple[Cell, ...] = (*_train(), *_needles(), *_others(), *_scale(), *_ablations(), *_ettm1())
