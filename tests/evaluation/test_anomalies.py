"""What is out of the ordinary: sizes of usual errors, alarm levels and events."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

from titans_seq.evaluation import anomaly_events
from titans_seq.evaluation.anomalies import alarm_level, deviation_by_series, robust_deviation, runs


def noise(kind: str, n: int = 4000) -> np.ndarray:
    random = np.random.default_rng(0)
    return {"normal": random.normal(size=n), "laplace": random.laplace(size=n), "t": random.standard_t(4, size=n)}[kind]


def test_the_robust_deviation_of_normal_errors_is_their_standard_deviation_whatever_a_third_of_them_is() -> None:
    errors = 3.0 * noise("normal")
    assert robust_deviation(errors) == pytest.approx(3.0, rel=0.03)
    errors[:400] = 1e6
    assert robust_deviation(errors) == pytest.approx(3.0, rel=0.25)
    assert robust_deviation(np.append(errors, np.nan)) == robust_deviation(errors)


def test_errors_that_are_mostly_nothing_are_measured_by_their_mean() -> None:
    errors = np.zeros(100)
    errors[:20] = 5.0
    assert robust_deviation(errors) == pytest.approx(1.2533, rel=1e-3)
    assert robust_deviation(np.zeros(9)) == 0.0
    assert np.isnan(robust_deviation([]))


def test_series_with_few_errors_are_given_the_deviation_of_all() -> None:
    random = np.random.default_rng(0)
    errors = np.concatenate([random.normal(size=(60, 2)), 9 * random.normal(size=(60, 2)), random.normal(size=(3, 2))])
    found = deviation_by_series(errors, np.repeat([2, 0, 1], [60, 60, 3]), 5)
    overall = robust_deviation(errors)
    assert found[[2, 0]] == pytest.approx([1.0, 9.0], rel=0.3)
    assert found[[1, 3, 4, 5]].tolist() == [overall] * 4
    assert deviation_by_series(np.zeros((70, 1)), np.zeros(70, dtype=int), 1).tolist() == [1.0, 1.0]
    assert deviation_by_series(np.zeros((0, 3)), np.zeros(0, dtype=int), 2).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("kind", "least", "most"), [("normal", 2e-4, 1e-3), ("laplace", 5e-4, 2e-3), ("t", 1e-3, 5e-3)]
)
def test_about_as_many_errors_pass_the_level_as_it_says(kind: str, least: float, most: float) -> None:
    errors = noise(kind, 400_000)
    level = alarm_level(errors[:4000] / robust_deviation(errors[:4000]))
    assert least < (np.abs(errors / robust_deviation(errors)) > level).mean() < most


def test_a_few_anomalies_among_the_errors_hardly_raise_the_level() -> None:
    errors = noise("normal")
    spoilt = errors.copy()
    spoilt[:20] = 1000.0  # one in 200
    assert alarm_level(errors) < alarm_level(spoilt) < 1.15 * alarm_level(errors)


def test_few_errors_do_not_decide_alone() -> None:
    assert alarm_level([]) == pytest.approx(3.6, abs=0.1)
    assert alarm_level([0.1, -0.2, 9.0]) < 4.5
    assert alarm_level(np.zeros(5000)) == pytest.approx(3.29, abs=0.01)  # what one normal error in 1,000 passes
    assert alarm_level(noise("normal"), rate=1e-4) > alarm_level(noise("normal"), rate=1e-2)
    with pytest.raises(ValueError, match="rate must lie between 0 and 0.1, found 0.5"):
        alarm_level([], rate=0.5)


@pytest.mark.parametrize(
    ("flags", "expected"),
    [([], []), ([0, 0], []), ([1], [[0, 1]]), ([1, 1, 0, 1, 0, 0, 1, 1], [[0, 2], [3, 4], [6, 8]])],
)
def test_runs_are_maximal(flags: list[int], expected: list[list[int]]) -> None:
    assert runs(flags).tolist() == expected


@pytest.fixture
def judged() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "unique_id": pd.Categorical(["b", "b", "b", "a", "a", "a"], categories=["a", "b"]),
            "ds": pd.date_range("2024-01-01", periods=6, freq="h", tz="Europe/Berlin"),
            "surprise": [9.0, np.nan, 6.0, 7.0, 0.5, 8.0],
            "anomaly": [True, False, True, True, False, True],
        },
        index=[5, 5, 1, 1, 0, 0],
    )


def test_events_are_runs_within_a_series(judged: pd.DataFrame) -> None:
    found = anomaly_events(judged)
    assert found["unique_id"].tolist() == ["b", "b", "a", "a"]
    assert found["start"].tolist() == found["end"].tolist() == judged["ds"].iloc[[0, 2, 3, 5]].tolist()
    assert found["rows"].tolist() == [1, 1, 1, 1]
    assert found["peak"].tolist() == [9.0, 6.0, 7.0, 8.0]
    assert found["start"].dtype == judged["ds"].dtype and found["unique_id"].dtype == judged["unique_id"].dtype
    assert found.index.tolist() == [0, 1, 2, 3]
    assert len(anomaly_events(judged[judged["surprise"] < 1])) == 0


def test_events_of_a_polars_frame_are_one() -> None:
    frame = pl.DataFrame(
        {
            "site": [1, 1, 1, 1],
            "at": [3, 4, 5, 6],
            "surprise": [None, 5.0, 7.0, 1.0],
            "anomaly": [False, True, True, False],
        }
    )
    found = anomaly_events(frame, id_col="site", time_col="at")
    assert found.rows() == [(1, 4, 5, 2, 7.0)]
    assert found.columns == ["site", "start", "end", "rows", "peak"]
    with pytest.raises(ValueError, match=r"there is no column 'unique_id' \(found site, at, surprise, anomaly\)"):
        anomaly_events(frame)
