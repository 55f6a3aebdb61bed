"""The benchmark of forecasts: its cells."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmark_runs import needs_data, needs_peers, run


def forecasting_cell(cell: str, tmp_path: Path) -> dict[str, Any]:
    done = run("forecasting.py", "--quick", "--only", cell, "--output", str(tmp_path / "forecasting"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "forecasting.png").stat().st_size > 5_000
    assert "not run" in (tmp_path / "forecasting.md").read_text()
    return json.loads((tmp_path / "forecasting" / f"{cell}.json").read_text())["results"]


@needs_data
@pytest.mark.parametrize(
    "cell", ["windowed_ETTh1_96_ridge_s0", "windowed_ETTh1_96_mag_96_s0", "streaming_ETTh1_96_online_ridge_s0"]
)
def test_a_forecasting_cell_scores_every_test_window(cell: str, tmp_path: Path) -> None:
    results = forecasting_cell(cell, tmp_path)
    assert results["windows"] == 7 * (200 - 24 + 1)
    assert 0 < results["mse"] < 10


@needs_data
@needs_peers
@pytest.mark.slow
@pytest.mark.parametrize("model", ["PatchTST", "iTransformer", "NHITS", "DLinear"])
def test_a_peer_scores_the_same_windows(model: str, tmp_path: Path) -> None:
    results = forecasting_cell(f"windowed_ETTh1_96_{model}_s0", tmp_path)
    assert results["windows"] == 7 * (200 - 24 + 1)
    assert 0 < results["mse"] < 2
    assert results["validation_loss"] < 2


@needs_data
@needs_peers
@pytest.mark.slow
def test_a_backtest_reads_every_row_once_and_looks_ahead_once_per_cut_off(tmp_path: Path) -> None:
    results = forecasting_cell("speed_ETTm1_96_backtest_s0", tmp_path)
    read = results["read"]
    assert read["rows_read"] == read["rows_to_the_last_cutoff"] - read["rows_before_the_first_patch"]
    assert read["peeks"] == results["cutoffs"] - read["cutoffs_at_the_end_of_a_patch"]
    assert set(results["times_as_fast"]) == {"PatchTST", "PatchTST, small", "NHITS"}


@needs_data
@pytest.mark.parametrize(
    "cell",
    [
        "official_m4_hourly_48_mag_s0", "ablation_ETTm1_96_mal_frozen_s0", "trial_ETTh1_96_shared_s0",
        "trial_ETTh2_96_carried_online_all_errors_s0", "trial_ETTh1_96_online_forgetting_s0",
        "trial_ETTh1_96_online_steady_penalty_s0",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_other_forecasting_cells_run_small(cell: str, tmp_path: Path) -> None:
    results = forecasting_cell(cell, tmp_path)
    if cell.startswith("official"):
        assert results["series"] == 12
        assert 0 < results["owa"] < 2
        assert 0.5 < results["coverage_90"] <= 1
    elif "carried" in cell:
        assert results["error_weight"] >= 0.25 and 0 < results["mse"] < 10
    elif "online" in cell:
        assert results["error_weight"] == 0 and 0 < results["mse"] < 10
    else:
        assert results["windows"] == 7 * (480 - 96 + 1)


@needs_data
def test_naive2_scores_what_the_competition_published(forecasting: Any) -> None:
    official, naive2 = forecasting("official"), forecasting("naive2").naive2
    data = official.competition()
    found = official.score(data, np.stack([naive2(x, 48, 24) for x in data.histories]), None)
    assert found["smape"] == pytest.approx(18.383, abs=5e-4)
    assert found["mase"] == pytest.approx(2.395, abs=5e-4)
    assert found["owa"] == 1


def test_seasonal_factors_are_found_under_a_trend(forecasting: Any) -> None:
    module = forecasting("naive2")
    factors = np.array([0.5, 1.5, 1.2, 0.8])
    history = (100 + np.arange(40.0)) * np.tile(factors, 10)
    assert module.seasonal_factors(history, 4) == pytest.approx(factors, abs=0.01)
    assert module.naive2(history, 6, 4) == pytest.approx(139 * np.tile(factors, 2)[:6], rel=0.02)
    noise = np.random.default_rng(0).normal(100, 1, 200)
    assert (module.naive2(noise, 6, 4) == noise[-1]).all()


def test_a_forecasting_score_refuses_to_leave_a_window_out(forecasting: Any) -> None:
    measure, sets = forecasting("measure"), forecasting("sets")
    split = sets.Split(pd.DataFrame({"ds": np.arange(30), "a": 0.0, "b": 0.0}), "ds", (10, 10, 10), 1)
    errors = measure.Errors()
    errors.add(np.ones((7, 4)), np.zeros((7, 4)))
    with pytest.raises(AssertionError, match="7 test windows of 14"):
        errors.result(split, 4)
    errors.add(np.full((7, 4), 2.0), np.zeros((7, 4)))
    assert errors.result(split, 4) == {"mse": 2.5, "mae": 1.5, "windows": 14}
