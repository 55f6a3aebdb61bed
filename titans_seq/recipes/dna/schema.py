"""What a recipe for labelled DNA may say: a recipe whose task has `kind: classify` or `kind: regress`.

Every key is checked; keys left out of `model` and `train` keep the defaults of `DNAClassifier` and `DNARegressor`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, WithJsonSchema, field_validator, model_validator

from titans_seq.data.catalog import dataset_card
from titans_seq.recipes.schema import (
    BackboneArguments,
    BatchSize,
    Count,
    Depth,
    Epochs,
    LearningRate,
    Output,
    Positive,
    Section,
    Seed,
    Seeds,
    Some,
    Tune,
    Version,
    Width,
)

Names = Annotated[list[str], Some]
Share = Annotated[float, Field(gt=0, le=1)]
FractionOrZero = Annotated[float, Field(ge=0, lt=1)]
NotNegative = Annotated[float, Field(ge=0)]
KmerLength = Annotated[int, Field(ge=1, le=8)]

# Checked by validators, whose messages say more than those of a union; the schemas are for editors.
_SHARE = {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}
_NAMES = {"type": "array", "items": {"type": "string"}, "minItems": 1}
_WEIGHTS = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
ShareOrNames = Annotated[Any, WithJsonSchema({"anyOf": [_SHARE, _NAMES, {"type": "null"}]})]
Strands = Annotated[Any, WithJsonSchema({"enum": ["auto", True, False, None]})]
Weights = Annotated[Any, WithJsonSchema({"anyOf": [{"enum": ["balanced", None]}, _WEIGHTS]})]

ClassMetric = Literal["accuracy", "mcc", "auroc", "auprc", "log_loss"]
ValueMetric = Literal["pearson", "spearman", "mse"]
ClassBaseline = Literal["majority", "kmer_logistic", "position_logistic"]
ValueBaseline = Literal["mean", "kmer_ridge", "position_ridge"]


class ClassifyTask(Section):
    """What is asked: the class of each sequence."""

    kind: Literal["classify"]


class RegressTask(Section):
    """What is asked: a number for each sequence."""

    kind: Literal["regress"]


class Split(Section):
    """Which sequences are trained on and which are tested.

    By `column`: rows whose column is among the names `train` and those among `test` (each a list; by default the names
    "train" and "test"); other rows are not used. By `homology`: `test` is a share, and no test sequence shares
    `threshold` or more of its k-mers with a training sequence. By `random`: a share of each class; near copies may
    stand on both sides, and the report on leaks will say so. By `chromosome`: `test` is a list of names in `column`,
    or of what stands before the colon of each id. By default by column where one is named, else by homology.
    """

    by: Literal["column", "homology", "random", "chromosome"] | None = None
    column: str | None = None
    train: Names | None = None
    test: ShareOrNames = None
    seed: Seed = 0
    k: Annotated[int, Field(ge=4, le=31)] | None = None
    threshold: Share | None = None

    @property
    def kind(self) -> str:
        """How it is split, the default filled in."""
        return self.by or ("column" if self.column is not None else "homology")

    @field_validator("test")
    @classmethod
    def _share_or_names(cls, test: Any) -> Any:
        share = isinstance(test, int | float) and not isinstance(test, bool) and 0 < test < 1
        names = isinstance(test, list) and bool(test) and all(isinstance(name, str) for name in test)
        if test is not None and not share and not names:
            raise ValueError(f"must be a share between 0 and 1 or a list of names, found {test!r}")
        return test


class Simulated(Section):
    """SIMULATED sequences, see `titans_seq.data.simulated`."""

    name: Literal["motif_grammar"] = "motif_grammar"
    n: Annotated[int, Field(ge=20)] = 1500
    length: Annotated[int, Field(ge=56)] = 100
    seed: Seed = 0


class Data(Section):
    """Where the sequences come from: a dataset's `name`, a file's `path`, or what is `simulated`.

    What a dataset's card says (column names, split) is taken from it unless given here. `sha256` is that of the
    uncompressed content of a dataset whose card has none.
    """

    name: str | None = None
    path: str | None = None
    simulated: Simulated | None = None
    sha256: str | None = None
    sequence: str | None = None
    id: str | None = None
    delimiter: Literal[",", ";", "tab", "|"] | None = None
    split: Split = Split()

    sources: ClassVar[tuple[str, ...]] = ("name", "path", "simulated")

    @field_validator("name")
    @classmethod
    def _known_name(cls, name: str | None) -> str | None:
        if name is None:
            return None
        card = dataset_card(name)  # of an unknown name it raises, naming the nearest one
        if card.format != "labelled":
            raise ValueError(f"dataset {name!r} is {card.kind}; this task needs labelled sequences")
        return name

    @field_validator("sha256")
    @classmethod
    def _checksum(cls, sha256: str | None) -> str | None:
        if sha256 is not None and not re.fullmatch("[0-9a-f]{64}", sha256):
            raise ValueError(f"must be 64 characters of 0 to 9 and a to f, found {len(sha256)} of {sha256[:12]!r}")
        return sha256

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        given = [source for source in self.sources if getattr(self, source) is not None]
        if len(given) != 1:
            words = ", ".join(self.sources[:-1]) + f" or {self.sources[-1]}"
            raise ValueError(f"give one of {words}, found {' and '.join(given) or 'none'}")
        return self


class ClassifyData(Data):
    """Sequences and their classes: `label` is a column, or `classes` a file for each class (FASTA and others)."""

    classes: Annotated[dict[str, str], Field(min_length=2)] | None = None
    label: str | None = None

    sources: ClassVar[tuple[str, ...]] = ("name", "path", "classes", "simulated")


class RegressData(Data):
    """Sequences and their numbers, in the column `target`."""

    target: str | None = None

    sources: ClassVar[tuple[str, ...]] = ("name", "path")

    @field_validator("simulated", mode="before")
    @classmethod
    def _has_numbers(cls, given: Any) -> Any:
        if given is not None:
            raise ValueError("the simulated sequences have classes and no numbers")
        return given


class RegressModel(BackboneArguments):
    """Arguments of `DNARegressor` that shape the network; null is the same as leaving a key out."""

    reverse_complement: Strands = None
    kmers: bool | None = None
    stride: Width | None = None
    channels: Width | None = None
    n_members: Depth | None = None
    soft_mask: Literal["keep", "fold", "mask"] | None = None

    @field_validator("reverse_complement")
    @classmethod
    def _strands(cls, given: Any) -> Any:
        if given is not None and not isinstance(given, bool) and given != "auto":
            raise ValueError(f"must be 'auto', true or false, found {given!r}")
        return given


class ClassifyModel(RegressModel):
    """Arguments of `DNAClassifier` that shape the network."""

    class_weight: Weights = None

    @field_validator("class_weight")
    @classmethod
    def _weights(cls, given: Any) -> Any:
        if given is None or given == "balanced":
            return given
        numbers = isinstance(given, dict) and all(isinstance(w, int | float) and w >= 0 for w in given.values())
        if not numbers:
            raise ValueError(f"must be 'balanced' or a section of class: weight lines, found {given!r}")
        return given


class Train(Section):
    """Arguments of the estimator that rule its training; null is the same as leaving a key out."""

    max_epochs: Epochs | None = None
    max_minutes: Positive | None = None
    learning_rate: LearningRate | None = None
    weight_decay: NotNegative | None = None
    batch_size: BatchSize | None = None
    validation_fraction: FractionOrZero | None = None
    early_stopping_patience: Count | None = None
    device: str | None = None
    precision: Literal["32", "bf16"] | None = None
    devices: Count | None = None
    num_nodes: Count | None = None
    strategy: Literal["auto", "ddp"] | None = None
    random_state: Seed | None = None


class Evaluate(Section):
    """How the test sequences are scored.

    `kmer_length` and `kmer_strands` are those of the baselines on k-mer counts: of the strand that is given, or of
    "both". Baselines on positions are for sequences of one length, and left out where lengths differ unless they were
    asked for. `seeds` trains a model with each, and reports mean and spread of their scores; the first is the one that
    is saved, and takes the place of `train.random_state`.
    """

    metrics: list[Any]
    baselines: list[Any]
    kmer_length: KmerLength = 5
    kmer_strands: Literal["given", "both"] = "given"
    seeds: Seeds | None = None


class ClassifyEvaluate(Evaluate):
    """Scores of classes; `positive` is the class that precision and recall are about, of two."""

    metrics: Annotated[list[ClassMetric], Some] = ["accuracy", "mcc", "auroc", "auprc", "log_loss"]
    baselines: list[ClassBaseline] = ["majority", "kmer_logistic", "position_logistic"]
    positive: str | None = None


class RegressEvaluate(Evaluate):
    """Scores of numbers."""

    metrics: Annotated[list[ValueMetric], Some] = ["pearson", "spearman", "mse"]
    baselines: list[ValueBaseline] = ["mean", "kmer_ridge", "position_ridge"]


class ClassifyTune(Tune):
    """A search over values of `model` and `train` keys of classes."""

    sections = {"model": ClassifyModel, "train": Train}


class RegressTune(Tune):
    """A search over values of `model` and `train` keys of numbers."""

    sections = {"model": RegressModel, "train": Train}


class DNARecipe(Section):
    """A whole recipe for labelled DNA; one class for each kind of task."""

    estimator: ClassVar[str]
    version: Version = Field(alias="schema")
    task: ClassifyTask | RegressTask
    data: Data
    model: RegressModel
    train: Train = Train()
    evaluate: Evaluate
    tune: Tune | None = None
    output: Output = Output()

    def estimator_arguments(self) -> dict[str, Any]:
        """Return the arguments for the estimator that the recipe states."""
        given = self.model.model_dump(exclude_none=True) | self.train.model_dump(exclude_none=True)
        return given if self.evaluate.seeds is None else given | {"random_state": self.evaluate.seeds[0]}


class ClassifyRecipe(DNARecipe):
    """Classes of DNA sequences."""

    estimator = "DNAClassifier"
    task: ClassifyTask
    data: ClassifyData
    model: ClassifyModel = ClassifyModel()
    evaluate: ClassifyEvaluate = ClassifyEvaluate()
    tune: ClassifyTune | None = None


class RegressRecipe(DNARecipe):
    """Numbers of DNA sequences."""

    estimator = "DNARegressor"
    task: RegressTask
    data: RegressData
    model: RegressModel = RegressModel()
    evaluate: RegressEvaluate = RegressEvaluate()
    tune: RegressTune | None = None


DNA_RECIPES: dict[str, type[DNARecipe]] = {"classify": ClassifyRecipe, "regress": RegressRecipe}
"""Schema by `task.kind`."""
