"""`surprise`: the frames it takes and gives back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from series_frames import hourly, only, rows

from titans_seq import TitansForecaster

JUDGED = ["TitansForecaster", "surprise", "memory_surprise"]


@pytest.mark.parametrize("backend", ["pandas", "polars"])
@pytest.mark.parametrize("form", ["long", "wide"])
def test_frames_come_back_long_in_their_library(make: Callable[..., TitansForecaster], backend: str, form: str) -> None:
    import polars as pl

    frame = hourly({"b": 120, "a": 120}, missing=0.05)
    wide = frame.pivot(index="ds", columns="unique_id", values="y")[["b", "a"]].reset_index().rename_axis(columns=None)
    given = frame if form == "long" else wide
    found = (
        make(max_epochs=0).fit(given).surprise(pl.DataFrame(given.to_dict("list")) if backend == "polars" else given)
    )
    assert isinstance(found, pl.DataFrame if backend == "polars" else pd.DataFrame)
    assert list(found.columns) == ["unique_id", "ds", "y", *JUDGED, "threshold", "anomaly"]
    as_pandas = pd.DataFrame(found.to_dict(as_series=False)) if backend == "polars" else found
    pd.testing.assert_frame_equal(
        as_pandas[["unique_id", "ds", "y"]], frame[["unique_id", "ds", "y"]], check_dtype=False
    )
    if backend == "polars":  # where NaN is greater than every number
        assert found["surprise"].is_nan().sum() == 0
        assert found.filter(pl.col("surprise") > 1e6).is_empty()
        assert found["memory_surprise"].is_null().all()
        assert found["anomaly"].dtype == pl.Boolean


def test_a_gluonts_dataset_goes_on_where_another_ended(make: Callable[..., TitansForecaster]) -> None:
    frame = hourly({"a": 140, "b": 140}, missing=0.05)

    def entries(start: int, stop: int | None) -> list[dict[str, Any]]:
        parts = ((name, only(frame, name).iloc[start:stop]) for name in ("a", "b"))
        return [{"item_id": n, "start": part["ds"].iloc[0].to_period("h"), "target": part["y"]} for n, part in parts]

    forecaster = make(max_epochs=0).fit(entries(0, 101))
    found = forecaster.surprise(entries(101, None))
    pd.testing.assert_frame_equal(found, forecaster.surprise(rows(frame, 101, None)))
    assert found["surprise"].notna().equals(rows(frame, 101, None)["y"].notna().reset_index(drop=True))


def test_names_of_columns_are_those_of_the_estimator(make: Callable[..., TitansForecaster]) -> None:
    names = {"id_col": "sensor", "time_col": "hour", "target_col": "load"}
    frame = hourly({"a": 120}).set_axis(["sensor", "hour", "load"], axis=1)
    found = make(max_epochs=0, **names).fit(frame).surprise(frame)
    assert list(found.columns[:3]) == ["sensor", "hour", "load"]
    clash = frame.rename(columns={"load": "surprise"})
    with pytest.raises(ValueError, match="two columns would be called 'surprise'; rename the one of the data"):
        make(max_epochs=0, **names | {"target_col": "surprise"}).fit(clash).surprise(clash)
