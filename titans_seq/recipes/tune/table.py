"""The trials of a study as rows."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.tune.folder import whole_file

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

_FACTS = ("epochs", "seconds", "validation_error", "n_parameters", "process", "attempt", "fault")


def trial_rows(trials: Sequence[FrozenTrial], objectives: Sequence[str], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return one row for each trial: number, state, objectives, arguments, and what else is known."""
    return [_row(trial, objectives, names) for trial in trials]


def _row(trial: FrozenTrial, objectives: Sequence[str], names: Sequence[str]) -> dict[str, Any]:
    complete = trial.state.name == "COMPLETE"
    values = dict(zip(objectives, trial.values, strict=True)) if complete else {}
    row = {"trial": trial.number, "state": trial.state.name.lower()}
    row |= {name: values.get(name) for name in objectives}
    row |= {name: trial.params.get(name) for name in names}
    row |= {name: trial.user_attrs.get(name) for name in _FACTS if name not in objectives}
    return row | {"begun": trial.datetime_start and trial.datetime_start.isoformat(timespec="seconds")}


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as CSV; what is not known stays empty."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)
