"""The memories of a forecaster, on series."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes._more_rows import all_rows, reading_of
from titans_seq.recipes.analysis.asked import MOST_FIGURES, Answer, Question
from titans_seq.recipes.analysis.found import ModelFolder

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from titans_seq.data import Panel
    from titans_seq.estimators import TitansForecaster
    from titans_seq.evaluation.memory_plots import Track


def analyze_series_model(model: ModelFolder, question: Question) -> Answer:
    """Let a forecaster read the series that are asked for.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        The model is damaged or has no memory; there are no such data or series, or they can't be used.
    """
    from titans_seq.estimators import TitansForecaster
    from titans_seq.estimators.analysis import analyze_forecaster

    forecaster = TitansForecaster.load(model.folder)
    data, panel = _read(model, forecaster, question.data)
    panel = panel if not question.series else _select(panel, question.series)
    analysis = analyze_forecaster(forecaster, panel, last=question.last, max_points=question.max_points)
    shown = analysis.table["stream"].unique(maintain_order=True).to_list()[:MOST_FIGURES]
    tracks = {name: _track(panel, forecaster.patch_length_, analysis.table, name) for name in shown}
    facts = {
        "variant": forecaster.variant,
        "data": data,
        "patch_length": forecaster.patch_length_,
        "network_weight": float(forecaster.network_weight_),
    }
    return Answer(analysis, facts, tracks, notes=_notes(forecaster))


def _notes(forecaster: TitansForecaster) -> list[str]:
    notes = []
    if not forecaster.network_weight_:
        notes.append("the network has no weight in the forecasts (validation saw no gain): they do not depend on it")
    if not forecaster.carry_state:
        rows = forecaster.context_length_
        notes.append(f"forecasts come from fresh memories that read {rows} rows; here they read on from the first row")
    return notes


def _read(model: ModelFolder, forecaster: TitansForecaster, data: str | None) -> tuple[str, Panel]:
    from titans_seq.estimators.analysis import read_like

    if data is not None:
        return data, read_like(forecaster, _renamed(data, forecaster, model))
    if model.recipe is None:
        raise ValueError(f"{model.folder} names no data: it is no run's; add --data with a dataset's name or a file")
    return _read_recipe(model.recipe)


def _read_recipe(path: Any) -> tuple[str, Panel]:
    from titans_seq.recipes._data import read_series
    from titans_seq.recipes.load import load_recipe
    from titans_seq.recipes.schema import Recipe

    recipe = load_recipe(path)
    if not isinstance(recipe, Recipe):
        raise ValueError(f"{path} is no forecast recipe, but a forecaster was saved with it; add --data")
    return recipe.data.name or str(recipe.data.path), read_series(recipe.data).panel


def _renamed(name: str, forecaster: TitansForecaster, model: ModelFolder) -> pd.DataFrame:
    """Load a dataset and call its columns what the forecaster calls them."""
    from titans_seq.data import list_datasets
    from titans_seq.data.catalog import dataset_card, load_dataset

    if name not in list_datasets():
        return all_rows(forecaster, Path(name), reading_of(model.recipe, forecaster))
    frame = load_dataset(name)
    card = dataset_card(name)
    own = {card.time: forecaster.time_col, card.id: forecaster.id_col, card.target: forecaster.target_col}
    return frame.rename(columns={old: new for old, new in own.items() if old is not None})


def _select(panel: Panel, wanted: Sequence[str]) -> Panel:
    names = [str(name) for name in panel.ids]
    for name in wanted:
        if name not in names:
            near = difflib.get_close_matches(name, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(names[:8])}"
            raise ValueError(f"--series: the data have no {name!r}; {hint}")
    return panel.select([names.index(name) for name in dict.fromkeys(wanted)])


def _track(panel: Panel, patch_length: int, table: pl.DataFrame, name: Any) -> Track:
    """Return the rows of a series that its part of the table is about."""
    from titans_seq.evaluation.memory_plots import Track

    i = np.asarray(panel.ids).tolist().index(name)
    values, observed = panel.series(i)
    rows = table.filter(table["stream"] == name)["row"]
    shown = slice(int(rows[0]), len(values) // patch_length * patch_length)
    return Track("Series, as given", panel.ds_of(i)[shown], np.where(observed, values, np.nan)[shown])
