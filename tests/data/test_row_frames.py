"""What is known of every row, in the library it came from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from titans_seq.data import read_panel, row_frame


def answered(data: Any, **options: Any) -> Any:
    """Return a frame that numbers the rows, and doubles the values."""
    panel, form = read_panel(data, **options)
    doubled = np.where(panel.observed, 2 * panel.values, np.nan)
    return row_frame(form, panel, {"number": np.arange(len(panel.values)), "doubled": doubled})


@pytest.mark.parametrize("backend", ["pandas", "polars"])
@pytest.mark.parametrize("ids", [["b", "b", "b", "a", "a"], [7, 7, 7, 2, 2]])
def test_a_long_frame_has_a_row_for_every_step_of_series_of_different_lengths(backend: str, ids: list[Any]) -> None:
    columns = {"unique_id": ids, "ds": [3, 4, 5, 0, 1], "y": [1.0, None, 3.0, 4.0, 5.0]}
    found = answered(pl.DataFrame(columns) if backend == "polars" else pd.DataFrame(columns))
    assert list(found.columns) == ["unique_id", "ds", "number", "doubled"]
    assert found["unique_id"].to_list() == ids
    assert found["ds"].to_list() == [3, 4, 5, 0, 1]
    assert found["number"].to_list() == [0, 1, 2, 3, 4]
    doubled = found["doubled"].to_list()
    assert doubled[1] is None if backend == "polars" else np.isnan(doubled[1])
    assert [doubled[i] for i in (0, 2, 3, 4)] == [2.0, 6.0, 8.0, 10.0]


def test_rows_that_were_masked_in_a_gap_are_there() -> None:
    frame = pd.DataFrame({"unique_id": "a", "ds": pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-05"]), "y": 1.0})
    found = answered(frame, on_gap="mask")
    assert found["ds"].tolist() == pd.date_range("2024-01-01", "2024-01-05").tolist()
    assert found["doubled"].isna().tolist() == [False, False, True, True, False]


@pytest.mark.parametrize(("backend", "names"), [("pandas", ["u", "v"]), ("polars", ["u", "v"]), ("pandas", [10, 20])])
def test_a_wide_frame_becomes_a_long_one_with_its_columns_as_ids(backend: str, names: list[Any]) -> None:
    columns = {"ds": [0, 1], names[0]: [1.0, 2.0], names[1]: [3.0, 4.0]}
    found = answered(pl.DataFrame(columns) if backend == "polars" else pd.DataFrame(columns))
    assert found["unique_id"].to_list() == [names[0], names[0], names[1], names[1]]
    assert found["ds"].to_list() == [0, 1, 0, 1]
    assert found["doubled"].to_list() == [2.0, 4.0, 6.0, 8.0]


def test_ids_and_times_keep_their_types() -> None:
    ids = pd.Categorical(["a", "a"], categories=["z", "a"], ordered=True)
    ds = pd.date_range("2024-03-30 12:00", periods=2, freq="D", tz="Europe/Berlin")  # the clocks change in between
    found = answered(pd.DataFrame({"unique_id": ids, "ds": ds, "y": [1.0, 2.0]}))
    assert found["unique_id"].dtype == ids.dtype
    assert found["ds"].tolist() == ds.tolist()


def test_an_array_becomes_one_with_a_field_for_each_column() -> None:
    found = answered(np.array([[1.0, np.nan, 3.0], [4.0, 5.0, 6.0]]))
    assert found.shape == (2, 3)
    assert found["number"].tolist() == [[0, 1, 2], [3, 4, 5]]
    np.testing.assert_array_equal(found["doubled"], [[2.0, np.nan, 6.0], [8.0, 10.0, 12.0]])
    assert found["number"].dtype == np.int64


def test_columns_that_do_not_fit_are_refused() -> None:
    panel, form = read_panel(pd.DataFrame({"unique_id": "a", "ds": [0, 1], "y": [1.0, 2.0]}))
    with pytest.raises(ValueError, match=r"short has shape \(1,\), the panel 2 rows"):
        row_frame(form, panel, {"short": np.zeros(1)})
    with pytest.raises(ValueError, match="two columns would be called 'ds'; rename the one of the data"):
        row_frame(form, panel, {"ds": np.zeros(2)})
