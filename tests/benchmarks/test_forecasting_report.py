"""The benchmark of forecasts: what it chooses and reports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np


def test_the_forecasting_report_shows_means_spreads_and_gaps(forecasting: Any) -> None:
    parts: dict[str, Any] = {}
    for seed, mse in enumerate((0.3, 0.5)):
        parts[f"windowed_ETTh1_96_mag_s{seed}"] = {"results": {"mse": mse}, "environment": {"commit": None}}
    text = forecasting("report").report(parts)
    assert "0.400 ± 0.141 (2 of 3 seeds)" in text
    assert "| ETTh1 | mean |" in text
    assert "not run" in text


def test_errors_at_look_back_96_stand_beside_what_was_published(forecasting: Any) -> None:
    report = forecasting("report")
    cells = {f"windowed_ETTh1_{horizon}_ridge_96_s0": 0.4 + horizon / 1000 for horizon in (96, 192, 336, 720)}
    text = "\n".join(report.short_look_back({name: {"results": {"mse": mse}} for name, mse in cells.items()}))
    assert "| ETTh1 | 96 | 0.496 | not run | |" in text
    assert "| ETTh1 | mean | **0.736** |  | 0.420 |" in text and "| ETTm2 | mean |  |  | 0.261 |" in text


def test_the_look_back_is_the_longest_that_is_as_good_over_all_horizons(forecasting: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=10)
    levels = {24: {"24": 1.0, "52": 2.0}, 36: {"24": 5.0, "52": 2.0}, 48: {"24": 1.0, "52": 1.5}}
    for horizon in (24, 36, 48, 60):
        for closed_form, length in (("ridge", 1.0), ("ours", 0.0)):
            found = {"24": 1.0, "52": 1.5} if horizon == 60 else levels[horizon]
            # A look-back of 104 is worse than that of 52 by 0.02, and by noise or for sure.
            found = {name: [x] * 10 for name, x in found.items()}
            found["104"] = (np.array(found["52"]) + 0.005 + (1 - length) * noise).tolist()
            file = tmp_path / f"choose_national_illness_{horizon}_{closed_form}_s0.json"
            file.write_text(json.dumps({"validation": found}))
    assert forecasting("look_back").look_back("national_illness", tmp_path, "ours") == 104
    assert forecasting("look_back").look_back("national_illness", tmp_path, "ridge") == 52
