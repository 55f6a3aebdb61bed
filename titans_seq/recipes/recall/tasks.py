"""The task section of a recall recipe: one for each task, with the arguments that this task has and no others.

The arguments are those of the tasks in `titans_seq.evaluation.recall`, which cannot be imported here: checking a
recipe does not load torch.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from titans_seq.recipes.schema import Count, CountOrZero, Section

CONTENT = 64
"""Symbols for keys, values and filler."""
MOTIFS_SEED = 12
"""What the known motifs of task `motifs` are drawn with."""

Keys = Annotated[int, Field(ge=1, le=CONTENT)]
PairKeys = Annotated[int, Field(ge=1, le=CONTENT // 2)]
FactCount = Annotated[int, Field(ge=1, le=3)]
PatchLength = Annotated[int, Field(ge=2)]
Haystack = Literal["random", "phrase"]


class RecallTask(Section):
    """What is to be remembered; `counted` names the argument that says how much of it.

    Training streams hold 1 to as many as the same argument of `train` says, test streams as many as said here.
    """

    counted: ClassVar[str]
    kind: Literal["recall"]
    name: str

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of the task."""
        return self.model_dump(exclude={"kind", "name"})

    def least_length(self, count: int) -> int:
        """Return the fewest tokens of a stream that can hold `count` of what is counted."""
        raise NotImplementedError

    def count_fault(self, count: int) -> str | None:
        """Describe why there cannot be `count` of what is counted."""
        return None


class NeedlesTask(RecallTask):
    """Marked pairs of key and value in a haystack."""

    counted = "n_needles"
    name: Literal["needles"]
    n_needles: Keys = 1
    haystack: Haystack = "random"
    n_writes: Count = 1
    n_decoys: CountOrZero = 0

    def least_length(self, count: int) -> int:
        """Three tokens for each pair written or decoy, two for each question."""
        return 3 * (count * self.n_writes + self.n_decoys) + 2 * count


class PairsTask(RecallTask):
    """Unmarked pairs among blanks."""

    counted = "n_pairs"
    name: Literal["pairs"]
    n_pairs: PairKeys = 8

    def least_length(self, count: int) -> int:
        """Two tokens for each pair and two for its question."""
        return 4 * count


class CopyTask(RecallTask):
    """Marked symbols, to be given back in their order."""

    counted = "n_symbols"
    name: Literal["copy"]
    n_symbols: Count = 4
    haystack: Haystack = "random"

    def least_length(self, count: int) -> int:
        """Two tokens for each symbol and one for its question."""
        return 3 * count


class HopsTask(RecallTask):
    """Chains of facts."""

    counted = "n_hops"
    name: Literal["hops"]
    n_hops: FactCount = 2
    n_chains: Count = 1
    haystack: Haystack = "random"

    def least_length(self, count: int) -> int:
        """Three tokens for each fact, two for each question."""
        return self.n_chains * (3 * count + 2)

    def count_fault(self, count: int) -> str | None:
        """Facts are about different symbols."""
        symbols = self.n_chains * (count + 1)
        if symbols <= CONTENT:
            return None
        return f"{self.n_chains} chains of {count} facts need {symbols} different symbols, there are {CONTENT}"


class StateTask(RecallTask):
    """Steps of a group; streams hold 1 to `n_steps` of them in tests, too."""

    counted = "n_steps"
    name: Literal["state"]
    group: Literal["parity", "permutation"] = "parity"
    n_steps: Count = 8
    haystack: Haystack = "random"

    def least_length(self, count: int) -> int:
        """One token for each step and one for the question."""
        return count + 1


class MotifsTask(RecallTask):
    """Motifs in real DNA and the bases that followed them; needs `data`."""

    counted = "n_motifs"
    name: Literal["motifs"]
    n_motifs: Count = 1
    motif_length: Count = 12
    partner_length: Count = 6
    n_known: Count = 4
    n_decoys: CountOrZero = 0

    def least_length(self, count: int) -> int:
        """Motif and partner, twice; but the last base asked for is not told."""
        return count * (2 * (self.motif_length + self.partner_length) - 1)

    def count_fault(self, count: int) -> str | None:
        """Motifs of a stream are different ones."""
        return f"{count} motifs cannot be planted, n_known is {self.n_known}" if count > self.n_known else None

    def motifs_fault(self) -> str | None:
        """Describe why the known motifs, which are drawn, are not all different."""
        import numpy as np

        enough = 4 ** min(self.motif_length, 32) >= self.n_known
        if enough:
            drawn = np.random.default_rng(MOTIFS_SEED).integers(0, 4, (self.n_known, self.motif_length))
            enough = len(np.unique(drawn, axis=0)) == self.n_known
        what = f"{self.n_known} motifs (n_known) of {self.motif_length} bases"
        return None if enough else f"{what} are not all different: use longer ones"


class ShapesTask(RecallTask):
    """Shapes in a noisy series, to be reproduced when their cues return; tokens are patches of the series."""

    counted = "n_shapes"
    name: Literal["shapes"]
    n_shapes: Count = 2
    patch_length: PatchLength = 8

    def least_length(self, count: int) -> int:
        """Cue and shape, then the cue again and its answer."""
        return 4 * count
