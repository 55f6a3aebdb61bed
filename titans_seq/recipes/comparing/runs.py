"""Runs read back from their folders, and grouped by what they were measured on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_seq.recipes._yaml import RecipeError, read_document, read_text

Scores = dict[str, float]

_COSTS = {"n_parameters": "parameters", "fit": "fit, s"}


@dataclass(frozen=True)
class Finished:
    """A finished run.

    Attributes
    ----------
    name : str
        Of the folder, or its path where two have one name.
    kind : str
        "forecast", "classify", "regress" or "recall".
    recipe : dict
        As it was run, flat: "model.n_layers" to value.
    measured_on : tuple of str
        What must be the same for scores to be comparable, in words.
    model : dict
        Metric to value.
    baselines : dict of dict
    costs : dict
        Parameters, and seconds of fit.
    """

    name: str
    kind: str
    recipe: Mapping[str, Any]
    measured_on: tuple[str, ...]
    model: Scores
    baselines: Mapping[str, Scores]
    costs: Scores


@dataclass(frozen=True)
class Group:
    """Runs that were measured on the same.

    Attributes
    ----------
    title : str
    metrics : list of str
        Columns.
    rows : dict of str to dict
        Scores and costs by run, then those of baselines.
    n_runs : int
        Rows that are runs.
    """

    title: str
    metrics: list[str]
    rows: dict[str, Scores]
    n_runs: int


@dataclass(frozen=True)
class Comparison:
    """Runs side by side.

    Attributes
    ----------
    kind : str
    groups : list of Group
    differences : dict of str to list
        Key of the recipes to its value in each run, None where it is not stated.
    names : list of str
        Of the runs, in the order of ``differences``.
    """

    kind: str
    groups: list[Group]
    differences: dict[str, list[Any]]
    names: list[str]


def compare_runs(folders: Sequence[Path]) -> Comparison:
    """Read runs and group them; raises what `compare` raises."""
    if len(folders) < 2:
        raise ValueError("compare needs the folders of two runs or more")
    twice = next((folder for i, folder in enumerate(folders) if folder in folders[:i]), None)
    if twice is not None:
        raise ValueError(f"{twice} is named twice")
    runs = [_read(folder, name) for folder, name in zip(folders, _names(folders), strict=True)]
    kinds = {run.kind: run.name for run in reversed(runs)}
    if len(kinds) > 1:
        listed = ", ".join(f"{name} is of kind {kind}" for kind, name in reversed(kinds.items()))
        raise ValueError(f"runs of different kinds have no scores in common: {listed}; compare those of one kind")
    measured = dict.fromkeys(run.measured_on for run in runs)
    groups = [_group([run for run in runs if run.measured_on == on], on) for on in measured]
    return Comparison(runs[0].kind, groups, _differences(runs), [run.name for run in runs])


def _names(folders: Sequence[Path]) -> list[str]:
    short = [folder.resolve().name for folder in folders]
    return [name if short.count(name) == 1 else str(folder) for name, folder in zip(short, folders, strict=True)]


def _read(folder: Path, name: str) -> Finished:
    for needed in ("metrics.json", "recipe.yaml"):
        if not (folder / needed).is_file():
            what = f"has no {needed}" if folder.is_dir() else "is no folder"
            raise FileNotFoundError(f"{folder} {what}; name folders that `titans-seq run` wrote")
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        recipe = read_document(read_text(folder / "recipe.yaml"), str(folder / "recipe.yaml")).values
        kind = str(metrics.get("kind", "forecast"))
        return _finished(name, kind, metrics, recipe)
    except RecipeError:
        raise
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ValueError(f"{folder / 'metrics.json'} is damaged, or of another version; run the recipe again") from None


def _finished(name: str, kind: str, metrics: dict[str, Any], recipe: dict[str, Any]) -> Finished:
    flat = _flat(recipe)
    if kind == "recall":
        model = _by_length(metrics["model"]["scores"])
        baselines = {variant: _by_length(found["scores"]) for variant, found in metrics["controls"].items()}
        seconds = metrics["costs"][metrics["model"]["variant"]]["training"]["cpu_seconds"]
        costs = {"parameters": metrics["model"]["n_parameters"], "fit, s": seconds}
        return Finished(name, kind, flat, (metrics["task"],), model, baselines, costs)
    costs = {"parameters": metrics["n_parameters"], "fit, s": metrics["seconds"]["fit"]}
    on = _forecast_on(metrics, flat) if kind == "forecast" else _dna_on(metrics, flat)
    return Finished(name, kind, flat, on, metrics["model"], metrics["baselines"], costs)


def _forecast_on(metrics: dict[str, Any], recipe: dict[str, Any]) -> tuple[str, ...]:
    split = " + ".join(map(str, recipe["data.split"]))
    columns = recipe.get("data.columns")
    return (
        str(recipe.get("data.name") or recipe["data.path"]) + (f" ({', '.join(map(str, columns))})" if columns else ""),
        f"split {split}",
        f"horizon {recipe['task.horizon']}",
        f"{metrics['n_windows']:,} windows x {metrics['n_series']} series, stride {recipe['evaluate.stride']}",
        str(recipe["evaluate.mode"]),
        f"unit: {metrics['unit']}",
    )


def _dna_on(metrics: dict[str, Any], recipe: dict[str, Any]) -> tuple[str, ...]:
    split = {key.rpartition(".")[2]: value for key, value in recipe.items() if key.startswith("data.split.")}
    words = ", ".join(f"{key} {value}" for key, value in split.items() if value is not None)
    return str(metrics["data"]), f"split {words}", f"{metrics['n_test']:,} test sequences"


def _by_length(rows: Sequence[Mapping[str, Any]]) -> Scores:
    measure = "mse" if "mse" in rows[0] else "accuracy"
    return {f"{measure} at {row['length']:,}": float(row[measure]) for row in rows}


def _flat(section: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in section.items():
        found |= _flat(value, f"{before}{key}.") if isinstance(value, dict) and value else {f"{before}{key}": value}
    return found


def _group(runs: list[Finished], on: tuple[str, ...]) -> Group:
    metrics = list(dict.fromkeys(name for run in runs for name in run.model))
    rows: dict[str, Scores] = {run.name: dict(run.model) | dict(run.costs) for run in runs}
    for run in runs:
        for name, scores in run.baselines.items():
            others = [other.baselines.get(name) for other in runs if other is not run]
            same = all(other in (None, scores) for other in others)
            rows.setdefault(f"baseline {name}" if same else f"baseline {name} of {run.name}", dict(scores))
    costs = [cost for cost in runs[0].costs if any(cost in row for row in rows.values())]
    return Group("; ".join(on), [*metrics, *costs], rows, len(runs))


def _differences(runs: list[Finished]) -> dict[str, list[Any]]:
    keys = dict.fromkeys(key for run in runs for key in run.recipe if key != "output.dir")
    found = {key: [run.recipe.get(key) for run in runs] for key in keys}
    return {key: values for key, values in found.items() if any(value != values[0] for value in values[1:])}
