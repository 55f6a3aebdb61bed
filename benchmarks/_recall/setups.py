"""What is trained: a task, a backbone, a curriculum. One name each, used by every cell."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

NEEDLE_BACKBONE: dict[str, Any] = {
    "d_model": 64, "n_layers": 2, "n_heads": 1, "variant": "mag", "memory_expansion": 2, "chunk_size": 32,
    "window_size": 16, "gate": "hard",
}  # fmt: skip
ATTENTION = {"learning_rate": 2e-3}, ((40, 600), (64, 200), (128, 150), (256, 150))
"""Attention finds out how to recall in two layers only after hundreds of steps; in those of the others, not at all."""
SHORT = ((64, 250), (128, 100), (256, 100))


@dataclass(frozen=True)
class Setup:
    """How a model is made and trained.

    Attributes
    ----------
    task : str
        Class of `titans_seq.evaluation.recall` to train on, with ``task_arguments`` (``vary=True`` is added where
        the class takes it).
    backbone, settings : dict
        Arguments of `Backbone` and `RecallSettings`, over the common ones.
    curriculum : tuple of (length, steps)
    stem_width : int
    """

    task: str = "Needles"
    task_arguments: dict[str, Any] = field(default_factory=lambda: {"n_needles": 8})
    backbone: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    curriculum: tuple[tuple[int, int], ...] = SHORT
    stem_width: int = 1

    def with_backbone(self, **arguments: Any) -> Setup:
        """Return the same with other arguments of the backbone."""
        return replace(self, backbone=self.backbone | arguments)


NEEDLES = Setup()
PAIRS = Setup("Pairs", {"n_pairs": 8})
OVERWRITE = Setup(task_arguments={"n_needles": 4, "n_writes": 3, "n_decoys": 4})
PHRASE = Setup(task_arguments={"n_needles": 8, "haystack": "phrase"})
DNA = Setup(  # writing is free until motifs are known: priced from the start, it stops before they are
    "MotifPartners", {"n_motifs": 2, "n_known": 2, "motif_length": 14, "n_decoys": 24},
    settings={"write_price": 2.0, "write_margin": 0.3, "free_steps": 100, "price_steps": 300},
    curriculum=((80, 200), (192, 150), (512, 200), (1024, 250)), stem_width=18,
)  # fmt: skip
DNA_FOUR = replace(  # four motifs to look out for have twice as many near copies in a million bases
    DNA, task_arguments={"n_motifs": 2, "n_known": 4, "motif_length": 14, "n_decoys": 8},
    curriculum=((80, 200), (192, 150), (512, 150), (1024, 150)),
)  # fmt: skip
SHAPES = Setup(
    "Shapes", {"n_shapes": 4}, backbone={"chunk_size": 16}, settings={"tokens_per_step": 2048},
    curriculum=((32, 300), (64, 100)),
)  # fmt: skip
HOPS = Setup(
    "Hops", {"n_hops": 2, "n_chains": 4}, backbone={"n_layers": 3},
    settings={"learning_rate": 3e-3, "free_steps": 500, "price_steps": 200},
    curriculum=((48, 500), (64, 300), (128, 100)),
)  # fmt: skip
COPY = Setup("SelectiveCopy", {"n_symbols": 4})
PARITY = Setup("StateTracking", {"group": "parity"})
PERMUTATION = Setup("StateTracking", {"group": "permutation"})

SETUPS: dict[str, Setup] = {
    "needles": NEEDLES,
    "needles_swa": NEEDLES.with_backbone(variant="swa"),
    "needles_attention": Setup(backbone={"variant": "attention"}, settings=ATTENTION[0], curriculum=ATTENTION[1]),
    "phrase": PHRASE,
    "pairs": PAIRS,
    "overwrite": OVERWRITE,
    "overwrite_swa": OVERWRITE.with_backbone(variant="swa"),
    "dna": DNA,
    "dna_four": DNA_FOUR,
    "dna_swa": DNA.with_backbone(variant="swa"),
    "shapes": SHAPES,
    "shapes_swa": SHAPES.with_backbone(variant="swa"),
    "hops": HOPS,
    "copy": COPY,
    "parity": PARITY,
    "permutation": PERMUTATION,
    "phrase_swa": PHRASE.with_backbone(variant="swa"),
    "pairs_swa": PAIRS.with_backbone(variant="swa"),
    "hops_swa": HOPS.with_backbone(variant="swa"),
    "copy_swa": COPY.with_backbone(variant="swa"),
    "parity_swa": PARITY.with_backbone(variant="swa"),
    "permutation_swa": PERMUTATION.with_backbone(variant="swa"),
}
