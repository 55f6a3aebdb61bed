"""A small recipe with a search, and `titans-seq tune` in processes of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna

from titans_seq.estimators.searching.storage import open_storage

RECIPE = """schema: 1
task: {kind: forecast, horizon: 6}
data: {path: data.csv, split: [120, 40, 30]}
model: {context_length: 16, patch_length: 4, d_model: 8, n_layers: 1, chunk_size: 4, window_size: 4,
  error_memory: false}
train: {max_epochs: 0, random_state: 0}
evaluate: {season_length: 12}
tune:
  trials: 4
  space:
    model.context_length: {low: 8, high: 64, step: 4}
    model.initial_alpha: {low: 1e-4, high: 0.1, log: true}
"""


def write_recipe(folder: Path, recipe: str = RECIPE) -> Path:
    """Write the recipe and its data into a folder; return its path."""
    y = np.sin(np.arange(190) / 3) + 0.3 * np.random.default_rng(0).normal(size=190)
    rows = [f"a,{i},{value:.6f}" for i, value in enumerate(y)]
    (folder / "data.csv").write_text("unique_id,ds,y\n" + "\n".join(rows) + "\n")
    (folder / "r.yaml").write_text(recipe)
    return folder / "r.yaml"


def start_tune(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start `titans-seq tune r.yaml` in a folder."""
    command = [sys.executable, "-m", "titans_seq.cli", "tune", "r.yaml", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def study_in(storage: str | Path) -> optuna.Study:
    """Return the only study of a storage."""
    opened = open_storage(storage)
    (name,) = optuna.get_all_study_names(opened)
    return optuna.load_study(study_name=name, storage=opened)


def close(study: optuna.Study) -> None:
    """Let go of the database of a study."""
    study._storage._backend.engine.dispose()


def wait_until(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this took too long"
        time.sleep(0.05)


def check_complete(study: optuna.Study, n_trials: int) -> None:
    """Check that so many trials were completed, each combination once, and that nothing is left open."""
    trials = study.trials
    complete = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert len(complete) == n_trials
    assert len({tuple(sorted(trial.params.items())) for trial in complete}) == n_trials
    others = [trial for trial in trials if trial.state.name != "COMPLETE"]
    assert all(trial.state.name == "FAIL" for trial in others), others
    assert all("given_up" in trial.user_attrs or "surplus" in trial.user_attrs for trial in others)
    copied = {trial.user_attrs.get("copy_of") for trial in complete}
    # One that was killed before its values were drawn has none to try again.
    given_up = {trial.number for trial in others if "given_up" in trial.user_attrs and trial.params}
    assert given_up <= copied, (given_up, copied)
