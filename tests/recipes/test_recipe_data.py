"""From the data section of a recipe to frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from titans_seq.recipes._data import read_series
from titans_seq.recipes.schema import Data


def test_the_card_fills_in_what_the_recipe_leaves_out() -> None:
    series = read_series(Data(name="co2"))
    assert series.split == (1660, 312, 312)
    assert series.season_length == 52
    assert series.first_test_row == 1972
    frame = series.frame(0, 1660)
    assert list(frame.columns) == ["ds", "co2"]
    assert len(frame) == 1660


def test_the_recipe_beats_the_card() -> None:
    series = read_series(Data(name="macrodata", columns=["m1", "cpi"], split=[100, 10, 20]), season_length=1)
    assert series.panel.ids == ("m1", "cpi")
    assert series.panel.lengths.tolist() == [130, 130]
    assert series.season_length == 1


def test_missing_values_stay_missing_in_the_frames() -> None:
    frame = read_series(Data(name="co2")).frame(0, 20)
    assert np.flatnonzero(frame["co2"].isna()).tolist() == [6, 9, 10, 11, 12, 13]


def long_file(folder: Path) -> Path:
    days = pd.date_range("2020-01-01", periods=10)
    parts = [pd.DataFrame({"who": name, "day": days, "value": np.arange(10.0) + start})
             for name, start in (("a", 0), ("b", 100))]  # fmt: skip
    table = pd.concat(parts).drop(index=3)  # both miss one day
    table.to_csv(folder / "mine.csv", index=False)
    return folder / "mine.csv"


def test_a_long_file_is_cut_by_time_not_by_file_rows(tmp_path: Path) -> None:
    path = str(long_file(tmp_path))
    series = read_series(
        Data(path=path, id="who", time="day", target="value", split=[5, 2, 3], on_gap="mask", columns=["b"])
    )
    later = series.frame(5, 10)
    assert later["value"].tolist() == [105.0, 106.0, 107.0, 108.0, 109.0]
    assert later["who"].unique().tolist() == ["b"]
    assert later["day"].iloc[0] == pd.Timestamp("2020-01-06")


def test_rows_of_a_file_may_stand_in_any_order(tmp_path: Path) -> None:
    path = long_file(tmp_path)
    table = pd.read_csv(path).assign(x=range(18))
    named = {"id": "who", "time": "day", "target": "value", "on_gap": "mask", "roles": {"x": "past"}}
    found = []
    for name, some in (("sorted.csv", table), ("shuffled.csv", table.sample(frac=1, random_state=4))):
        some.to_csv(tmp_path / name, index=False)
        whole = read_series(Data.model_validate({"path": str(tmp_path / name), "split": [5, 2, 3]} | named)).frame(
            0, 10
        )
        found.append(whole.sort_values(["who", "day"], ignore_index=True))
    pd.testing.assert_frame_equal(*found)


def test_a_gap_is_refused_unless_masked(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="on_gap"):
        read_series(Data(path=str(long_file(tmp_path)), id="who", time="day", target="value", split=[5, 2, 3]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"columns": ["cpy"]}, "data.columns: the data have no 'cpy'; did you mean 'cpi'"),
        ({"time": "date"}, "data.time: the data have no 'date'"),
        ({"format": "long"}, "data.format: long: the data have no 'unique_id'; there are ds, realgdp"),
        ({"split": [150, 50, 50]}, r"series 'realgdp' has 203 rows; the split 150 \+ 50 \+ 50 needs 250"),
    ],
)
def test_a_wrong_data_section_is_one_line(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_series(Data.model_validate({"name": "macrodata"} | changes))
    assert "\n" not in str(caught.value)


def test_a_dataset_without_usual_split_asks_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"unique_id": "H1", "ds": range(20), "y": np.arange(20.0)})
    monkeypatch.setattr("titans_seq.recipes._load_series.load_dataset", lambda name: frame)
    with pytest.raises(ValueError, match="data.split: dataset 'm4_hourly_train' has no usual split"):
        read_series(Data(name="m4_hourly_train"))
    assert read_series(Data(name="m4_hourly_train", split=[10, 5, 5])).panel.ids == ("H1",)


def test_a_long_file_is_not_read_as_a_wide_one(tmp_path: Path) -> None:
    data = Data(path=str(long_file(tmp_path)), format="wide", id="who", time="day", target="value", split=[5, 2, 3])
    with pytest.raises(ValueError, match="data.format: wide, but the data have the id column 'who' of a long frame"):
        read_series(data)


def test_a_file_without_the_id_column_that_is_named_is_refused(tmp_path: Path) -> None:
    data = Data(path=str(long_file(tmp_path)), id="whom", time="day", target="value", split=[5, 2, 3])
    with pytest.raises(ValueError, match="data.id: the data have no 'whom'; did you mean 'who'"):
        read_series(data)
