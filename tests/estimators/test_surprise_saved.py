"""`surprise` of models that were saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from series_frames import hourly, rows

from titans_seq import TitansForecaster

PATCH = 4


def test_a_loaded_forecaster_is_surprised_alike(make: Callable[..., TitansForecaster], tmp_path: Path) -> None:
    frame = hourly({"a": 450, "b": 443}, missing=0.05)
    forecaster = make(max_epochs=1).fit(rows(frame, 0, 420))
    assert forecaster._combination.usual.shape == (3,) and forecaster._combination.usual[0] != 1
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded.anomaly_threshold_ == forecaster.anomaly_threshold_ > 3
    pd.testing.assert_frame_equal(loaded.surprise(frame), forecaster.surprise(frame))


def test_a_model_saved_before_there_was_surprise_can_be_loaded(
    make: Callable[..., TitansForecaster], tmp_path: Path
) -> None:
    from titans_seq.estimators._storage import read_model, write_model

    frame = hourly({"a": 150})
    forecaster = make(max_epochs=0).fit(frame)
    forecaster.save(tmp_path / "model")
    tensors, description = read_model(tmp_path / "model")
    del tensors["own.usual"], description["alarm_level"], description["format"], description["sha256"]
    write_model(tmp_path / "old", tensors, description)
    loaded = TitansForecaster.load(tmp_path / "old")
    assert 3 < loaded.anomaly_threshold_ < 4
    pd.testing.assert_frame_equal(loaded.predict(level=[80]), forecaster.predict(level=[80]))
    assert np.isfinite(loaded.surprise(frame)["surprise"][PATCH:]).all()


@pytest.mark.parametrize("entry", ["usual", "alarm_level"])
def test_a_damaged_record_of_usual_errors_is_refused(
    make: Callable[..., TitansForecaster], tmp_path: Path, entry: str
) -> None:
    from titans_seq.estimators._storage import read_model, write_model

    make(max_epochs=0).fit(hourly({"a": 150})).save(tmp_path / "model")
    tensors, description = read_model(tmp_path / "model")
    del description["format"], description["sha256"]
    if entry == "usual":
        tensors["own.usual"] = -tensors["own.usual"]
    else:
        description["alarm_level"] = -1.0
    write_model(tmp_path / "bad", tensors, json.loads(json.dumps(description)))
    with pytest.raises(ValueError, match="usual errors are not positive numbers for 1 series"):
        TitansForecaster.load(tmp_path / "bad")
