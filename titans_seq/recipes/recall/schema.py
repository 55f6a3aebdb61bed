"""What a recall recipe may say: a recipe whose task has `kind: recall`.

Every key is checked; keys left out of `model` and `train` keep the defaults of `titans_seq.nn.Backbone` and
`titans_seq.training.recall.RecallSettings`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from titans_seq.data.catalog import dataset_card, list_datasets
from titans_seq.recipes.recall.tasks import (
    CopyTask,
    FactCount,
    HopsTask,
    Keys,
    MotifsTask,
    NeedlesTask,
    PairKeys,
    PairsTask,
    RecallTask,
    ShapesTask,
    StateTask,
)
from titans_seq.recipes.schema import (
    BackboneArguments,
    BatchSize,
    Count,
    CountOrZero,
    LearningRate,
    NotNegative,
    Output,
    Probability,
    Section,
    Seed,
    Share,
    Some,
    Variant,
    Version,
    Width,
)

Stage = Annotated[list[Count], Field(min_length=2, max_length=2)]

ATTENTION_LIMIT = 4096
"""Tokens that the control `attention` reads at most, unless told otherwise: its cost grows with their square."""


class Genome(Section):
    """The DNA of task `motifs`: streams of training come from its first part, those of the test from the rest."""

    name: str
    train_fraction: Probability = 0.5

    @field_validator("name")
    @classmethod
    def _one_sequence(cls, name: str) -> str:
        card = dataset_card(name)  # of an unknown name it raises, naming the nearest one
        if not card.is_genome:
            known = ", ".join(name for name in list_datasets() if dataset_card(name).is_genome)
            raise ValueError(f"dataset {name!r} is {card.kind}; this task needs a genome: {known}")
        if card.records != 1:
            raise ValueError(f"dataset {name!r} has {card.records} records; this task needs a genome of one")
        return name

    def parts(self) -> tuple[int, int]:
        """Return how many bases training and test have."""
        bases = dataset_card(self.name).bases or 0
        train = int(bases * self.train_fraction)
        return train, bases - train


class BackboneModel(BackboneArguments):
    """Arguments of `Backbone`, and the `stem_width` of `SymbolModel`; null is the same as leaving a key out."""

    segment_length: Width | None = None
    loss: Literal["l2", "dot"] | None = None
    decay_before_error: bool | None = None
    gate: Literal["sigmoid", "hard"] | None = None
    association: bool | None = None
    hold_theta: Share | None = None
    hold_alpha: Share | None = None
    conv_width: Width | None = None
    stem_width: Width | None = None
    backend: Literal["auto", "torch", "triton", "reference"] | None = None

    def backbone(self) -> dict[str, Any]:
        """Return the arguments for `Backbone` that the recipe states."""
        return self.model_dump(exclude={"stem_width"}, exclude_none=True)


class RecallTrain(Section):
    """Fields of `RecallSettings`; null is the same as leaving a key out.

    `curriculum` is a list of [length of the streams, optimiser steps]. `random_state` is the seed of the initial
    weights and of all streams; those of the test are never those of the training.
    """

    curriculum: Annotated[list[Stage], Some] | None = None
    tokens_per_step: Count | None = None
    learning_rate: LearningRate | None = None
    write_price: NotNegative | None = None
    write_margin: NotNegative | None = None
    free_steps: CountOrZero | None = None
    price_steps: CountOrZero | None = None
    reconstruction: NotNegative | None = None
    core_steps: CountOrZero | None = None
    piece_length: Count | None = None
    random_state: Seed | None = None

    @property
    def seed(self) -> int:
        """The random state; default 0."""
        return self.random_state or 0

    def settings(self) -> dict[str, Any]:
        """Return the fields of `RecallSettings` that the recipe states, but for curriculum and seed."""
        names = set(RecallTrain.model_fields) - {"curriculum", "random_state"}
        return self.model_dump(include=names, exclude_none=True)


class NeedlesTrain(RecallTrain):
    """Training with 1 to `n_needles` needles; default: as many as in the test."""

    n_needles: Keys | None = None


class PairsTrain(RecallTrain):
    """Training with 1 to `n_pairs` pairs; default: as many as in the test."""

    n_pairs: PairKeys | None = None


class CopyTrain(RecallTrain):
    """Training with 1 to `n_symbols` symbols; default: as many as in the test."""

    n_symbols: Count | None = None


class HopsTrain(RecallTrain):
    """Training with chains of 1 to `n_hops` facts; default: as many as in the test."""

    n_hops: FactCount | None = None


class StateTrain(RecallTrain):
    """Training with 1 to `n_steps` steps; default: as many as in the test."""

    n_steps: Count | None = None


class MotifsTrain(RecallTrain):
    """Training with 1 to `n_motifs` motifs; default: as many as in the test."""

    n_motifs: Count | None = None


class ShapesTrain(RecallTrain):
    """Training with 1 to `n_shapes` shapes; default: as many as in the test."""

    n_shapes: Count | None = None


class Length(Section):
    """Streams of one length: tokens of each, and how many of them."""

    length: Count
    trials: Count


class RecallEvaluate(Section):
    """At which lengths the model is asked what it remembers.

    `controls` are variants trained in the same way and scored on the same streams, up to `control_max_length` tokens;
    its default is no limit, but for the control `attention` 4,096. `batch_size` streams are read side by side,
    `piece_length` tokens at a time: both change the memory used and the time only.
    """

    lengths: Annotated[list[Length], Some] = [
        Length(length=1024, trials=64),
        Length(length=4096, trials=64),
        Length(length=16384, trials=32),
        Length(length=65536, trials=8),
    ]
    controls: list[Variant] = ["swa"]
    control_max_length: Count | None = None
    batch_size: BatchSize = 8
    piece_length: Count = 4096

    def lengths_for(self, variant: str, *, control: bool) -> list[Length]:
        """Return the lengths at which a variant is scored."""
        limit = self.control_max_length or (ATTENTION_LIMIT if variant == "attention" else None)
        return [at for at in self.lengths if not control or limit is None or at.length <= limit]


class RecallRecipe(Section):
    """A whole recall recipe; one class for each task."""

    reads_genome: ClassVar[bool] = False
    version: Version = Field(alias="schema")
    task: RecallTask
    data: Genome | None = None
    model: BackboneModel = BackboneModel()
    train: RecallTrain = RecallTrain()
    evaluate: RecallEvaluate = RecallEvaluate()
    output: Output = Output()

    @field_validator("data", mode="before")
    @classmethod
    def _only_where_it_is_read(cls, given: Any) -> Any:
        if given is not None and not cls.reads_genome:
            raise ValueError("this task makes its own streams; only task 'motifs' reads data")
        return given

    @property
    def train_count(self) -> int:
        """How much training streams hold at most of what the task counts."""
        stated: int | None = getattr(self.train, self.task.counted)
        return self.test_count if stated is None else stated

    @property
    def test_count(self) -> int:
        """How much test streams hold of what the task counts."""
        count: int = getattr(self.task, self.task.counted)
        return count


class NeedlesRecipe(RecallRecipe):
    """Recall of needles."""

    task: NeedlesTask
    train: NeedlesTrain = NeedlesTrain()


class PairsRecipe(RecallRecipe):
    """Recall of pairs."""

    task: PairsTask
    train: PairsTrain = PairsTrain()


class CopyRecipe(RecallRecipe):
    """Selective copying."""

    task: CopyTask
    train: CopyTrain = CopyTrain()


class HopsRecipe(RecallRecipe):
    """Chains of facts."""

    task: HopsTask
    train: HopsTrain = HopsTrain()


class StateRecipe(RecallRecipe):
    """State tracking."""

    task: StateTask
    train: StateTrain = StateTrain()


class MotifsRecipe(RecallRecipe):
    """Recall in DNA."""

    reads_genome = True
    task: MotifsTask
    data: Genome
    train: MotifsTrain = MotifsTrain()


class ShapesRecipe(RecallRecipe):
    """Recall of shapes of a series."""

    task: ShapesTask
    train: ShapesTrain = ShapesTrain()


RECALL_RECIPES: dict[str, type[RecallRecipe]] = {
    "needles": NeedlesRecipe,
    "pairs": PairsRecipe,
    "copy": CopyRecipe,
    "hops": HopsRecipe,
    "state": StateRecipe,
    "motifs": MotifsRecipe,
    "shapes": ShapesRecipe,
}
"""Schema by `task.name`."""
