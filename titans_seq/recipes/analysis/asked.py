"""What the user asks for, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.analysis.found import ModelFolder

if TYPE_CHECKING:
    from titans_seq.evaluation.analysis import MemoryAnalysis
    from titans_seq.evaluation.memory_plots import Track

MOST_FIGURES = 6
_ONLY_FOR = {
    "data": ("forecaster", "reads tokens: leave --data out, or give --tokens"),
    "series": ("forecaster", "reads tokens: leave --series out"),
    "tokens": ("recall", "reads series: use --data"),
    "length": ("recall", "reads series: use --last for their last rows"),
    "seed": ("recall", "draws no streams: leave --seed out"),
}


@dataclass(frozen=True)
class Question:
    """What to let the model read, and how much of it to show; None where the user said nothing.

    Attributes
    ----------
    data : str or None
        Forecasters: name of a dataset, or a file; default: the run's data.
    series : sequence of str or None
        Forecasters: ids of the series; default: all.
    tokens : Path or None
        Recall models: a .npy file.
    length, seed : int or None
        Recall models: tokens of the stream that is drawn from the run's task, and its seed.
    last : int or None
        Rows, or tokens, at the end to show.
    max_points : int
        Most bins per stream.
    """

    data: str | None = None
    series: Sequence[str] | None = None
    tokens: Path | None = None
    length: int | None = None
    seed: int | None = None
    last: int | None = None
    max_points: int = 2000

    def check(self, model: ModelFolder) -> None:
        """Refuse what does not fit the kind of model.

        Raises
        ------
        ValueError
            The message names the option.
        """
        for field_ in fields(self):
            kind, why = _ONLY_FOR.get(field_.name, (model.kind, ""))
            if kind != model.kind and getattr(self, field_.name) not in (None, [], ()):
                raise ValueError(f"--{field_.name}: {model.own} holds a {model.kind} model, which {why}")
        for name in ("last", "length", "max_points"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} must be at least 1, found {value}")
        if self.tokens is not None and (self.length is not None or self.seed is not None):
            raise ValueError("--tokens gives the stream; --length and --seed are for streams that are drawn")


@dataclass(frozen=True, eq=False)
class Answer:
    """What was seen.

    Attributes
    ----------
    analysis : MemoryAnalysis
    facts : mapping
        About model and data, for summary.json.
    tracks : mapping of stream to Track
        What the first few streams were: those that are drawn.
    marks : mapping of label to positions
        Vertical lines of their figures.
    notes : list of str
        What the user should know.
    """

    analysis: MemoryAnalysis
    facts: Mapping[str, Any]
    tracks: Mapping[Any, Track | None]
    marks: Mapping[str, Sequence[int]] = field(default_factory=dict)
    notes: Sequence[str] = ()
