"""A search shares out its trials, and each of them trains in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titans_seq import TitansForecaster
from titans_seq.estimators.search import TitansSearch
from titans_seq.recipes import load_recipe
from titans_seq.recipes.tune.run import tune_recipe

TEXT = """
schema: 1
task: {horizon: 3}
data: {name: co2}
tune: {space: {model.d_model: [8, 16]}}
train: {devices: 2}
"""


def test_a_search_of_an_estimator_for_several_processes_is_refused() -> None:
    search = TitansSearch(TitansForecaster(3, devices=2), {"d_model": [8, 16]})
    with pytest.raises(ValueError, match="a trial trains in one process; set devices and num_nodes of the estimator"):
        search.fit(np.zeros((1, 50)))


def test_a_search_of_a_recipe_for_several_processes_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(TEXT)
    with pytest.raises(ValueError, match=r"mine\.yaml: a trial trains in one process; set train\.devices"):
        tune_recipe(load_recipe(path), path, folder=tmp_path / "study")
    assert not (tmp_path / "study").exists()
