"""What a recipe may say.

Every key is checked; keys left out of `model` and `train` keep the defaults of `TitansForecaster`.
"""

from __future__ import annotations

import difflib
from typing import Annotated, Any, ClassVar, Literal
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from titans_seq.data.catalog import dataset_card
from titans_seq.data.time_texts import check_time_format
from titans_seq.estimators.searching.space import Space
from titans_seq.recipes._tune_keys import axis_of, check_key, check_values

Count = Annotated[int, Field(ge=1)]
CountOrZero = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, lt=1)]
Level = Annotated[float, Field(gt=0, lt=100)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Probability = Annotated[float, Field(gt=0, lt=1)]
Some = Field(min_length=1)

# Beyond these bounds lie slips of the keyboard, not networks: what they would ask for could not even be tried.
Width = Annotated[int, Field(ge=1, le=65_536)]
WidthOrZero = Annotated[int, Field(ge=0, le=65_536)]
Depth = Annotated[int, Field(ge=1, le=1024)]
Length = Annotated[int, Field(ge=1, le=100_000_000)]
BatchSize = Annotated[int, Field(ge=1, le=1_000_000)]
Epochs = Annotated[int, Field(ge=0, le=1_000_000)]
LearningRate = Annotated[float, Field(gt=0, le=10)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]


def _not_true(version: Any) -> Any:
    if isinstance(version, bool):  # to Python, true is 1
        raise ValueError(f"must be 1, found {str(version).lower()}")
    return version


Version = Annotated[Literal[1], BeforeValidator(_not_true)]


def _all_different(seeds: list[int]) -> list[int]:
    if len(set(seeds)) < len(seeds):
        raise ValueError(f"must differ, found {seeds}")
    return seeds


Seeds = Annotated[list[Seed], Field(min_length=2), AfterValidator(_all_different)]
"""Seeds of a model that is trained with each; the first is the one that is saved."""

Metric = Literal["mse", "mae", "rmse", "smape", "mase", "weighted_quantile_loss", "msis", "coverage"]
Baseline = Literal["seasonal_naive", "naive", "drift", "ridge"]
Variant = Literal["mag", "mal", "mac", "lmm", "swa", "attention"]
Objective = Literal["validation_error", "predict_seconds", "n_parameters"]
Role = Literal["past", "future", "static"]


class Section(BaseModel):
    """A part of a recipe: unknown keys are errors, and values are not converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Task(Section):
    """What is asked: to forecast the next `horizon` steps."""

    kind: Literal["forecast"] = "forecast"
    horizon: Length


class Data(Section):
    """Where the series come from: a dataset's `name` or a file's `path` (relative to the working folder).

    What a dataset's card says (`format`, column names, `split`) is taken from it unless given here.
    `split` counts the rows of train, validation and test; rows after them are not used. `roles` names the columns that
    are covariates, and says of each whether it is known up to the present, also ahead, or constant. `delimiter` to
    `timezone` say how a text file is written, see `titans_seq.data.text_tables`.
    """

    name: str | None = None
    path: str | None = None
    format: Literal["wide", "long"] | None = None
    time: str | None = None
    id: str | None = None
    target: str | None = None
    columns: Annotated[list[str], Some] | None = None
    split: Annotated[list[CountOrZero], Field(min_length=3, max_length=3)] | None = None
    on_gap: Literal["raise", "mask"] = "raise"
    delimiter: Literal[",", ";", "tab", "|"] | None = None
    decimal: Literal[".", ","] | None = None
    thousands: Literal[",", ".", " ", "'"] | None = None
    encoding: Literal["utf-8", "utf-16", "windows-1252"] | None = None
    missing: Annotated[list[str], Some] | None = None
    time_format: str | None = None
    timezone: str | None = None
    sort: bool = False
    align: Literal["time", "end"] | None = None
    roles: Annotated[dict[str, Role], Some] | None = None

    @field_validator("name")
    @classmethod
    def _known_name(cls, name: str | None) -> str | None:
        card = dataset_card(name) if name is not None else None  # of an unknown name it raises, naming the nearest one
        if card is not None and card.format not in ("wide", "long"):
            raise ValueError(f"dataset {name!r} is {card.kind}; a forecast needs a table of series")
        return name

    @field_validator("time_format")
    @classmethod
    def _known_form(cls, form: str | None) -> str | None:
        if form is not None:
            check_time_format(form)
        return form

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, zone: str | None) -> str | None:
        if zone is not None and zone not in available_timezones():
            near = difflib.get_close_matches(zone, available_timezones(), 1)
            hint = f"did you mean {near[0]!r}?" if near else "write it like Europe/Berlin"
            raise ValueError(f"there is no time zone {zone!r}; {hint}")
        return zone

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if (self.name is None) == (self.path is None):
            raise ValueError("give either name (a dataset, see `titans-seq ls`) or path (a file)")
        if self.path is not None and self.split is None:
            raise ValueError("a file needs split: [train, validation, test] row counts")
        return self


class BackboneArguments(Section):
    """Arguments of `Backbone` that every recipe may state."""

    variant: Variant | None = None
    d_model: Width | None = None
    n_layers: Depth | None = None
    n_heads: Width | None = None
    memory_depth: Annotated[int, Field(ge=1, le=4)] | None = None
    memory_expansion: Depth | None = None
    chunk_size: Width | None = None
    window_size: Length | None = None
    n_persistent: WidthOrZero | None = None
    dropout: Fraction | None = None
    rule: Literal["bounded", "titans"] | None = None
    surprise_threshold: NotNegative | None = None
    initial_theta: Probability | None = None
    initial_eta: Probability | None = None
    initial_alpha: Probability | None = None
    hold_eta: Share | None = None


class Model(BackboneArguments):
    """Arguments of `TitansForecaster` that shape the network; null is the same as leaving a key out."""

    context_length: Length | None = None
    patch_length: Width | None = None
    sequence_length: Length | None = None
    carry_state: bool | None = None
    online_linear: Literal["auto"] | bool | None = None
    error_memory: Literal["auto"] | bool | None = None
    lower_bound: Literal["auto"] | bool | None = None
    quantile_levels: Annotated[list[Probability], Some] | None = None
    intervals: Literal["conformal", "adaptive", "empirical"] | None = None

    @field_validator("quantile_levels")
    @classmethod
    def _increasing(cls, levels: list[float] | None) -> list[float] | None:
        if levels is not None and levels != sorted(set(levels)):
            raise ValueError(f"must increase, found {levels}")
        return levels


class Train(Section):
    """Arguments of `TitansForecaster` that rule its training; null is the same as leaving a key out."""

    max_epochs: Epochs | None = None
    max_minutes: Positive | None = None
    learning_rate: LearningRate | None = None
    batch_size: BatchSize | None = None
    validation_fraction: Probability | None = None
    early_stopping_patience: Count | None = None
    device: str | None = None
    precision: Literal["32", "bf16"] | None = None
    training_mode: Literal["sampled", "contiguous"] | None = None
    devices: Count | None = None
    num_nodes: Count | None = None
    strategy: Literal["auto", "ddp", "fsdp"] | None = None
    random_state: Seed | None = None


class Evaluate(Section):
    """How the test rows are scored.

    `windowed` resets the state before every window; `streaming` carries it. A window begins every `stride`
    rows; default 1, in streaming mode the patch length. `scale: train_zscore` measures errors after
    subtracting each series' mean over the train rows and dividing by its standard deviation there (ddof 0);
    forecasts are made in the data's own units either way. `seeds` trains a forecaster with each, and reports mean and
    spread of their scores; the first is the one that is saved, and takes the place of `train.random_state`.
    """

    mode: Literal["windowed", "streaming"] = "windowed"
    stride: Count | None = None
    scale: Literal["none", "train_zscore"] = "none"
    metrics: Annotated[list[Metric], Some] = ["mse", "mae"]
    baselines: list[Baseline] = ["seasonal_naive", "ridge"]
    season_length: Count | None = None
    level: list[Level] = [80]
    seeds: Seeds | None = None


class Tune(Section):
    """A search over values of `model` and `train` keys: what `titans-seq tune` does; `titans-seq run` leaves it alone.

    `space` has for each key a list of values, `model.d_model: [16, 32]`, or a range, `train.learning_rate: {low: 1e-4,
    high: 1e-2, log: true}`, also with `step`; both ends are included. `objectives` are to be small; the first one
    decides. Trials end early by `pruner` (default median, but none with several objectives). `trials` counts completed
    and pruned ones. After `minutes` no trial begins. `storage` is a journal file, or the URL of a database that several
    machines can reach; default: a journal in the folder of the study.
    """

    trials: Count = 20
    space: Annotated[dict[str, Any], Some]
    objectives: Annotated[list[Objective], Some] = ["validation_error"]
    pruner: Literal["median", "halving", "none"] | None = None
    storage: str | None = None
    minutes: Positive | None = None

    sections: ClassVar[dict[str, type[Section]]] = {"model": Model, "train": Train}

    @field_validator("space", mode="wrap")
    @classmethod
    def _known_values(cls, given: Any, check: ValidatorFunctionWrapHandler) -> dict[str, Any]:
        space: dict[str, Any] = check(given)
        faults: list[InitErrorDetails] = []
        for key, values in space.items():
            try:
                check_key(key, cls.sections)
                check_values(key, values, cls.sections)
            except ValueError as error:
                fault = PydanticCustomError("value_error", "{error}", {"error": str(error)})
                faults.append(InitErrorDetails(type=fault, loc=(key,), input=values))
        if faults:
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return space

    @model_validator(mode="after")
    def _one_number(self) -> Tune:
        if len(set(self.objectives)) < len(self.objectives):
            raise ValueError(f"objectives: each must stand once, found {self.objectives}")
        if self.pruner not in (None, "none") and len(self.objectives) > 1:
            raise ValueError(f"pruner: {self.pruner} compares one number; leave it out, or give one of the objectives")
        return self

    def searched(self) -> Space:
        """Return the space, by argument of the estimator."""
        parts = {key: key.partition(".") for key in self.space}
        axes = {name: axis_of(self.space[key], self.sections[part], name) for key, (part, _, name) in parts.items()}
        return Space(axes)


class Output(Section):
    """Where a run's folder goes; default runs/<name of the recipe>, below the working folder."""

    dir: str | None = None


class Recipe(Section):
    """A whole recipe."""

    version: Version = Field(alias="schema")
    task: Task
    data: Data
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    tune: Tune | None = None
    output: Output = Output()

    def forecaster_arguments(self) -> dict[str, Any]:
        """Return the arguments for `TitansForecaster` that the recipe states."""
        given = self.model.model_dump(exclude_none=True) | self.train.model_dump(exclude_none=True)
        if "quantile_levels" in given:
            given["quantile_levels"] = tuple(given["quantile_levels"])
        if self.evaluate.seeds is not None:
            given["random_state"] = self.evaluate.seeds[0]
        return {"horizon": self.task.horizon, "on_gap": self.data.on_gap, **given}
