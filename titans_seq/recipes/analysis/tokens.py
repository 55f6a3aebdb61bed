"""The memories of a recall model, on a stream of its task or on tokens of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.recipes.analysis.asked import MOST_FIGURES, Answer, Question
from titans_seq.recipes.analysis.found import ModelFolder

if TYPE_CHECKING:
    from torch import Tensor

    from titans_seq.adapters.symbols import SymbolModel, VectorModel
    from titans_seq.evaluation.memory_plots import Track

MOST_SYMBOLS = 4000
"""Tokens of which each is drawn; more would be a grey bar."""


def analyze_recall_model(model: ModelFolder, question: Question) -> Answer:
    """Let a recall model read a stream.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        The model is damaged or has no memory; tokens that it cannot read; a folder that names no task.
    """
    from titans_seq.evaluation.analysis import analyze_stream
    from titans_seq.recipes.recall import load_recall_model

    reader = load_recall_model(model.folder)
    facts: dict[str, Any] = {"variant": reader.backbone.variant}
    if question.tokens is not None:
        given, marks = _load(question.tokens, reader), {}
        facts["data"] = str(question.tokens)
    else:
        given, about = _draw(model, question)
        facts, marks = facts | about, event_marks(given)
    analysis = analyze_stream(reader, given, last=question.last, max_points=question.max_points)
    first = int(analysis.table["position"][0])
    streams = analysis.table["stream"].unique(maintain_order=True).to_list()[:MOST_FIGURES]
    tracks = {stream: track_of(given, stream, first) for stream in streams}
    marks = {label: [at for at in places if at >= first] for label, places in marks.items()}
    return Answer(analysis, facts, tracks, marks)


def _draw(model: ModelFolder, question: Question) -> tuple[Any, dict[str, Any]]:
    """Draw a stream of the task that the model was trained for."""
    from titans_seq.recipes.load import load_recipe
    from titans_seq.recipes.recall import RecallRecipe
    from titans_seq.recipes.recall.build import make_tasks

    if model.recipe is None:
        raise ValueError(f"{model.folder} names no task: it is no run's; add --tokens with a .npy file")
    recipe = load_recipe(model.recipe)
    if not isinstance(recipe, RecallRecipe):
        raise ValueError(f"{model.recipe} is no recall recipe, but a recall model was saved with it; add --tokens")
    length, seed = question.length or recipe.evaluate.lengths[0].length, question.seed or 0
    least = recipe.task.least_length(recipe.test_count)
    if length < least:
        raise ValueError(f"--length must be at least {least} for this task, found {length}")
    task = make_tasks(recipe).test
    return task.draw(1, length, np.random.default_rng(seed)), {"task": task.name, "length": length, "seed": seed}


def event_marks(trials: Any) -> dict[str, list[int]]:
    """Return where something is planted in the first stream of some trials, and where it is asked for.

    Tokens put into the stream next to each other are one event; one that holds a question is a question's.
    """
    put, asked = np.unique(trials.places[0]), set(trials.questions[0].tolist())
    events = np.split(put, np.flatnonzero(np.diff(put) > 1) + 1)
    questions = [event for event in events if asked & set(event.tolist())]
    planted = [event for event in events if not asked & set(event.tolist())]
    return {"Planted": [int(event[0]) for event in planted], "Asked for": [int(event[0]) for event in questions]}


def _load(path: Path, reader: SymbolModel | VectorModel) -> Tensor:
    """Return tokens of a file: (streams, time), or (streams, time, width) of a model of vectors."""
    import torch

    array = _array(path)
    known = getattr(reader, "n_symbols", None)
    if known is not None:
        array = array[None] if array.ndim == 1 else array
        if array.ndim != 2 or array.dtype.kind not in "iu" or not array.size:
            raise ValueError(f"{path} must hold integers of shape (streams, time), found {_shape(array)}")
        if array.min() < 0 or array.max() >= known:
            raise ValueError(f"{path}: the model knows symbols 0 to {known - 1}, found {array.min()} to {array.max()}")
        return torch.from_numpy(array.astype(np.int64))
    width = reader.get_submodule("embedding").in_features
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or array.shape[2] != width or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise ValueError(f"{path} must hold finite numbers of shape (streams, time, {width}), found {_shape(array)}")
    return torch.from_numpy(array.astype(np.float32))


def _array(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"--tokens: {path}: there is no such file")
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except (ValueError, EOFError, OSError):
        raise ValueError(f"--tokens: {path} is not a .npy file of numbers (see numpy.save)") from None


def _shape(array: NDArray[Any]) -> str:
    return f"{array.dtype} of shape {array.shape}"


def track_of(given: Any, stream: int, first: int) -> Track | None:
    """Return the tokens that are shown, if they are few enough to be told apart."""
    from torch import Tensor

    from titans_seq.evaluation.memory_plots import Track

    length = given.shape[1] if isinstance(given, Tensor) else given.length
    if length - first > MOST_SYMBOLS:
        return None
    tokens = (given[:, first:] if isinstance(given, Tensor) else given.read(first, length))[stream].numpy()
    x = np.arange(first, length)
    if tokens.ndim == 1:
        return Track("Symbols", x, tokens, points=True)
    return Track("Series", (x[:, None] + np.arange(tokens.shape[1]) / tokens.shape[1]).ravel(), tokens.ravel())
