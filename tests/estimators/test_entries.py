"""GluonTS datasets where frames are taken: `fit`, `predict`, `update`, `score` and `backtest`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from gluonts.dataset.common import ListDataset
from gluonts.dataset.pandas import PandasDataset
from series_entries import as_entries
from series_frames import hourly

from titans_seq import TitansForecaster

pytestmark = pytest.mark.usefixtures("loud_network")
Make = Callable[..., TitansForecaster]


@pytest.fixture
def frame() -> pd.DataFrame:
    return hourly({"a": 150, "b": 97}, missing=0.1)


def halves(frame: pd.DataFrame, last: int = 9) -> tuple[pd.DataFrame, pd.DataFrame]:
    groups = [part for _, part in frame.groupby("unique_id")]
    return pd.concat([p.iloc[:-last] for p in groups]), pd.concat([p.iloc[-last:] for p in groups])


def test_a_forecaster_does_with_entries_what_it_does_with_their_long_frame(
    make: Make, frame: pd.DataFrame, tmp_path: Path
) -> None:
    history, later = halves(frame)
    ours = make().fit(entry for entry in as_entries(history))
    theirs = make().fit(history)
    pd.testing.assert_frame_equal(ours.predict(level=[80]), theirs.predict(level=[80]))
    pd.testing.assert_frame_equal(ours.predict(as_entries(frame)), theirs.predict(frame))
    assert ours.score(as_entries(later)) == theirs.score(later)
    results = [f.backtest(X, first_cutoff=80, stride=4) for f, X in ((ours, as_entries(frame)), (theirs, frame))]
    np.testing.assert_array_equal(results[0].point, results[1].point)
    pd.testing.assert_frame_equal(ours.update(as_entries(later)).predict(), theirs.update(later).predict())
    ours.save(tmp_path / "model")
    pd.testing.assert_frame_equal(TitansForecaster.load(tmp_path / "model").predict(), ours.predict())


def test_validation_may_be_entries(make: Make, frame: pd.DataFrame) -> None:
    history, later = halves(frame)
    ours = make(max_epochs=0).fit(as_entries(history), validation=as_entries(later))
    theirs = make(max_epochs=0).fit(history, validation=later)
    pd.testing.assert_frame_equal(ours.predict(), theirs.predict())


def test_frames_and_entries_may_take_turns(make: Make, frame: pd.DataFrame) -> None:
    history, later = halves(frame)
    expected = make(max_epochs=0).fit(history).update(later).predict(level=[80])
    for first, second in ((history, as_entries(later)), (as_entries(history), later)):
        found = make(max_epochs=0).fit(first).update(second).predict(level=[80])
        pd.testing.assert_frame_equal(found, expected)


def test_month_ends_of_a_frame_are_continued_by_entries_of_months(make: Make) -> None:
    ds = pd.date_range("2010-01-31", periods=120, freq="ME")
    frame = pd.DataFrame({"unique_id": "a", "ds": ds, "y": np.sin(np.arange(120))})
    entry = {"start": pd.Period("2019-05", "M"), "target": frame.y.to_numpy()[112:], "item_id": "a"}
    ours = make(max_epochs=0).fit(frame[:112]).update([entry])
    pd.testing.assert_frame_equal(ours.predict(), make(max_epochs=0).fit(frame[:112]).update(frame[112:]).predict())
    assert ours.predict().ds.iloc[0] == pd.Timestamp("2020-01-31")


def test_entries_that_leave_a_gap_are_refused_as_rows_are(make: Make, frame: pd.DataFrame) -> None:
    history, later = halves(frame)
    forecaster = make(max_epochs=0).fit(history)
    made = as_entries(later)
    made[1]["start"] += 2
    with pytest.raises(ValueError, match="series 'b': 2 rows are missing between .* and the new rows"):
        forecaster.update(made)
    with pytest.raises(ValueError, match=r"entry 0 \('a'\) steps by D .*the rows of fit by h"):
        forecaster.predict([{"start": pd.Period("2024-01-01", "D"), "target": [1.0], "item_id": "a"}])


def test_the_datasets_of_gluonts_are_forecast_as_long_frames(make: Make, frame: pd.DataFrame) -> None:
    columns = {"item_id": "unique_id", "timestamp": "ds", "target": "y", "freq": "h"}
    frame["y"] = frame.y.astype("float32")
    expected = make(max_epochs=0).fit(frame).predict(level=[90])
    assert expected.columns.tolist() == [
        *("unique_id", "ds", "TitansForecaster", "TitansForecaster-lo-90", "TitansForecaster-hi-90")
    ]
    made = (PandasDataset.from_long_dataframe(frame.copy(), **columns), ListDataset(as_entries(frame), freq="h"))
    for dataset in made:
        pd.testing.assert_frame_equal(make(max_epochs=0).fit(dataset).predict(level=[90]), expected)


def test_series_without_a_name_are_numbered(make: Make, frame: pd.DataFrame) -> None:
    nameless = [{k: v for k, v in entry.items() if k != "item_id"} for entry in as_entries(frame)]
    forecaster = make(max_epochs=0, id_col="shop", time_col="day").fit(nameless)
    out = forecaster.predict()
    assert out.columns.tolist() == ["shop", "day", "TitansForecaster"]
    assert out["shop"].unique().tolist() == [0, 1]
    later = [entry | {"start": entry["start"] + len(entry["target"]), "target": [20.0] * 3} for entry in nameless]
    expected = make(max_epochs=0).fit(frame).update(as_entries(frame_of(later, ["a", "b"]))).predict()
    np.testing.assert_array_equal(forecaster.update(later).predict().TitansForecaster, expected.TitansForecaster)


def frame_of(made: list[dict], names: list[str]) -> pd.DataFrame:
    parts = [
        pd.DataFrame({"unique_id": name, "ds": pd.date_range(e["start"].start_time, periods=3, freq="h"), "y": 20.0})
        for e, name in zip(made, names, strict=True)
    ]
    return pd.concat(parts)


def test_a_series_of_one_row_rides_along(make: Make, frame: pd.DataFrame) -> None:
    made = [*as_entries(frame), {"start": pd.Period("2024-01-05", "h"), "target": [20.0], "item_id": "one"}]
    out = make(max_epochs=0).fit(made).predict(level=[80])
    assert np.isfinite(out.iloc[:, 2:].to_numpy()).all()
