"""`titans-seq predict`: read on with a saved forecaster and forecast, its state carried from call to call."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq._version import __version__
from titans_seq.data.time_texts import write_times
from titans_seq.recipes._more_rows import future_rows, later_rows, reading_of
from titans_seq.recipes._output import run_folder, write_json
from titans_seq.recipes.analysis.found import ModelFolder, find_model

if TYPE_CHECKING:
    import polars as pl

    from titans_seq.estimators import TitansForecaster

NAME = "TitansForecaster"
STATE = "state.json"
FAR = 1000
"""Trained horizons from which on a forecast takes so long, and says so little, that it is worth a word before."""


@dataclass(frozen=True)
class Request:
    """What to read and to forecast; None where the user said nothing.

    Attributes
    ----------
    data : Path or None
        File of rows that follow those read; earlier ones are skipped.
    future : Path or None
        File with the covariates of the rows to forecast.
    level : sequence of float
        Prediction intervals in percent.
    horizon : int or None
        Rows to forecast; default: those of `fit`.
    state_in, state_out : Path or None
        Folders of states: where to go on from, and what to write after reading.
    """

    data: Path | None = None
    future: Path | None = None
    level: Sequence[float] = ()
    horizon: int | None = None
    state_in: Path | None = None
    state_out: Path | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """Forecasts as a table, and what the user should know."""

    table: pl.DataFrame
    notes: Sequence[str]


def predict_series(
    model: Path, asked: Request, *, overwrite: bool = False, as_text: bool = True,
    warn: Callable[[str], None] | None = None,
) -> Prediction:  # fmt: skip
    """Let a saved forecaster read on and forecast.

    Nothing is trained, and nothing that was read before is read again: new rows cost what they cost.

    Parameters
    ----------
    model : Path
        Folder of a run, of a state, or of a saved forecaster; it is not changed.
    asked : Request
        A state folder appears complete, or not at all. It holds model/ (the forecaster after reading), the recipe of
        the run where there is one, and state.json: it is a model like that of a run.
    overwrite : bool, default False
        Replace the folder of an earlier state.
    as_text : bool, default True
        Times as the data file writes them; else as datetimes.
    warn : callable, optional
        Is told what should be known before the forecasts begin, and a bar then shows in a terminal how far they are;
        default: nothing is said.

    Raises
    ------
    FileNotFoundError, FileExistsError
        No model or file; a folder that may not be replaced.
    ValueError, TypeError
        A model of another kind or another model's state; rows that can't be used.
    """
    found = _find(model)
    state = found if asked.state_in is None else _find(asked.state_in)
    if asked.state_out is not None:
        check_state(asked.state_out, overwrite)
    forecaster = _load(state.folder)
    if state is not found:
        _check_same(_load(found.folder), forecaster, found, state)
    recipe = state.recipe or found.recipe
    reading = reading_of(recipe, forecaster)
    notes = [] if asked.data is None else [_read(forecaster, asked.data, reading)]
    future = None if asked.future is None else future_rows(forecaster, asked.future, reading)
    if warn is not None and (asked.horizon or 0) > FAR * forecaster.horizon:
        warn(_far(forecaster, asked))
    with _shown(forecaster, warn is not None):
        answer = forecaster.predict(future=future, level=asked.level or None, horizon=asked.horizon)
    form = reading.time_format if as_text else None
    table = _table(answer, forecaster, form, as_text)
    if asked.state_out is not None:
        _write_state(asked.state_out, forecaster, recipe, state, overwrite)
    return Prediction(table, [*notes, *_where(forecaster, asked)])


def check_state(folder: Path, overwrite: bool) -> None:
    """Refuse to write a state where something else stands, or an earlier state that may not be replaced."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    names = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
    if not {STATE, "model"} <= names or not names <= {STATE, "model", "recipe.yaml"}:
        raise FileExistsError(f"{folder} exists and is not the folder of an earlier state; choose another one")
    if not overwrite:
        raise FileExistsError(f"{folder} holds an earlier state; add --overwrite or choose another folder")


def _find(path: Path) -> ModelFolder:
    found = find_model(path)
    try:
        description = json.loads((found.folder / "model.json").read_text(encoding="utf-8"))
        name = description.get("estimator", "model of another kind")
    except (ValueError, AttributeError):
        raise ValueError(f"{found.folder / 'model.json'} is damaged; save the model again") from None
    if name != NAME:
        raise ValueError(f"{found.own} holds a {name}; predict needs a {NAME}")
    return found


def _load(folder: Path) -> TitansForecaster:
    from titans_seq.estimators import TitansForecaster

    return TitansForecaster.load(folder)


def _check_same(model: TitansForecaster, carried: TitansForecaster, found: ModelFolder, state: ModelFolder) -> None:
    """Refuse a state that another model has carried: it was read with other weights."""
    import torch

    ours, theirs = model._model.state_dict(), carried._model.state_dict()
    same = model.ids_ == carried.ids_ and model._settings == carried._settings and ours.keys() == theirs.keys()
    if not same or not all(torch.equal(ours[name], theirs[name]) for name in ours):
        raise ValueError(f"--state-in: {state.own} is the state of another model than {found.own}")


def _read(forecaster: TitansForecaster, path: Path, reading: Any) -> str:
    """Read what is new in a file; return how much that was."""
    frame, known = later_rows(forecaster, path, reading)
    if len(frame):
        forecaster.update(frame)
    skipped = f"; {known:,} had been read before" if known else ""
    return f"{len(frame):,} new rows of {path} were read{skipped}"


def _far(forecaster: TitansForecaster, asked: Request) -> str:
    rows, trained = asked.horizon or 0, forecaster.horizon
    return (
        f"{rows:,} rows are {rows / trained:,.0f} times the horizon that the model was trained for ({trained:,}): they "
        f"are forecast {trained:,} after {trained:,}, each from the ones before, which takes long"
    )


@contextmanager
def _shown(forecaster: TitansForecaster, shown: bool) -> Iterator[None]:
    """Let a forecaster show its progress, or not, whatever it does by itself."""
    before, forecaster.verbose = forecaster.verbose, int(shown)
    try:
        yield
    finally:
        forecaster.verbose = before


def _where(forecaster: TitansForecaster, asked: Request) -> list[str]:
    last = forecaster._last_ds
    first, final = (forecaster.frequency_.show(end) for end in (last.min(), last.max()))
    notes = [f"forecasts begin after {final}" if first == final else f"forecasts begin after {first} to {final}"]
    if asked.data is None and asked.state_in is None:
        notes.append("that is where the saved model stands; --data FILE reads the rows that came since")
    return notes


def _table(answer: Any, forecaster: TitansForecaster, form: str | None, as_text: bool) -> pl.DataFrame:
    """Return forecasts as a polars table."""
    import polars as pl

    if isinstance(answer, pl.DataFrame):
        return answer
    if isinstance(answer, np.ndarray):
        points = answer.reshape(*answer.shape[:2], -1)
        n, rows, _ = points.shape
        columns = {"series": np.repeat(np.asarray(forecaster.ids_), rows), "step": np.tile(np.arange(1, rows + 1), n)}
        values = {f"forecast_{i}" if i else NAME: points[..., i].ravel() for i in range(points.shape[2])}
        return pl.DataFrame(columns | values)
    found = {}
    for name in answer.columns:
        values = answer[name].to_numpy()
        found[str(name)] = write_times(values, form) if as_text and values.dtype.kind == "M" else values
    return pl.DataFrame({name: v.tolist() if v.dtype.kind in "OU" else v for name, v in found.items()})


def _write_state(
    folder: Path, forecaster: TitansForecaster, recipe: Path | None, state: ModelFolder, overwrite: bool
) -> None:
    facts = {
        "titans_seq": __version__,
        "from": str(state.own),
        "rows": {str(n): int(steps) for n, steps in zip(forecaster.ids_, forecaster._stream.steps, strict=True)},
        "last": {
            str(n): forecaster.frequency_.show(t) for n, t in zip(forecaster.ids_, forecaster._last_ds, strict=True)
        },
    }
    with run_folder(folder, overwrite, check_state) as partial:
        forecaster.save(partial / "model")
        if recipe is not None:
            shutil.copyfile(recipe, partial / "recipe.yaml")
        write_json(partial / STATE, facts)
