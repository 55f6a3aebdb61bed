"""`titans-seq new`: a recipe for a table that was never seen before, and it runs as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from series_files import FILES
from typer.testing import CliRunner, Result

from titans_seq import cli
from titans_seq.data.text_tables import TableForm
from titans_seq.recipes import load_recipe
from titans_seq.recipes._data import read_series, read_whole
from titans_seq.recipes.draft import draft_recipe
from titans_seq.recipes.draft.form import sniff_numbers
from titans_seq.recipes.draft.text import recipe_text, scalar
from titans_seq.recipes.draft.times import find_times
from titans_seq.recipes.json_schema import HEADER

SHORT = ("--set", "train.max_epochs=1", "--set", "train.max_minutes=0.2", "--quiet")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def data_of(text: str) -> dict[str, object]:
    Path("r.yaml").write_text(text, encoding="utf-8")
    return load_recipe("r.yaml").data.model_dump(exclude_defaults=True)


def drafted(lines: list[str], name: str = "my.csv", horizon: int | None = None) -> tuple[dict[str, object], str]:
    Path(name).write_text("\n".join(lines), encoding="utf-8")
    text = draft_recipe("forecast", [Path(name)], Path("out.yaml"), horizon)[1]
    Path("out.yaml").unlink()
    return data_of(text), text


def refused(lines: list[str], name: str = "my.csv") -> str:
    Path(name).write_text("\n".join(lines), encoding="utf-8")
    result = call("new", "--data", name)
    assert result.exit_code == cli.USER_ERROR, result.output
    assert [path.name for path in Path().iterdir()] == [name]
    (line,) = result.stderr.splitlines()
    return line


@pytest.mark.parametrize("shape", FILES)
def test_what_is_in_a_file_is_seen_and_written_down(shape: str) -> None:
    write, expected, (n_series, horizon, season) = FILES[shape]
    path = write(Path())
    target, text = draft_recipe("forecast", [path])
    recipe = load_recipe(target)
    found = recipe.data.model_dump(exclude_defaults=True)
    split = found.pop("split")
    on_gap = {} if "on_gap" in expected or "on_gap" not in found else {"on_gap": "mask"}
    assert found == {"path": path.name} | expected | on_gap
    assert (recipe.task.horizon, recipe.evaluate.season_length) == (horizon, season)
    series = read_series(recipe.data)
    assert series.panel.n_series == n_series
    assert sum(split) == series.panel.lengths[0] == read_whole(recipe.data).panel.lengths.max()
    assert HEADER in text.splitlines()
    assert f"titans-seq run {target}" in text


def test_times_and_values_are_those_of_the_file() -> None:
    write, _, _ = FILES["newest first, UTF-16"]
    write(Path())
    recipe = load_recipe(draft_recipe("forecast", [Path("load.txt")])[0])
    panel = read_whole(recipe.data).panel
    lines = Path("load.txt").read_text("utf-16").splitlines()[:0:-1]
    assert str(panel.ds_of(0)[1]) == "2024-05-01T01:00:00.000000000"
    expected = [float(line.split("\t")[1].replace(",", ".")) for line in lines]
    assert panel.values.tolist() == expected


@pytest.mark.slow
@pytest.mark.parametrize("shape", FILES)
def test_two_commands_without_edits_end_in_a_sensible_forecast(shape: str) -> None:
    path = FILES[shape][0](Path())
    assert call("new", "--data", str(path), "--output", "my.yaml").exit_code == 0
    result = call("run", "my.yaml", *SHORT)
    assert result.exit_code == 0, result.stderr
    metrics = json.loads(Path("runs/my/metrics.json").read_text())
    naive = metrics["baselines"]["seasonal_naive"]
    assert metrics["model"]["mae"] < 0.9 * naive["mae"]
    assert metrics["model"]["mase"] < 1
    assert 0.6 < metrics["model"]["coverage_80"] <= 1
    assert Path("runs/my/forecast.png").stat().st_size > 10_000


DAYS = [f"2024-{m:02d}-{d:02d}" for m in range(1, 4) for d in range(1, 29)]
WAVE = [10 + 3 * np.sin(i) for i in range(len(DAYS))]


def days(pattern: str, n: int = 60, start: str = "2024-01-01", freq: str = "D") -> list[str]:
    stamps = pd.date_range(start, periods=n, freq=freq)
    return ["when,y", *(f"{t.strftime(pattern)},{10 + 3 * np.sin(i):.3f}" for i, t in enumerate(stamps))]


@pytest.mark.parametrize(
    ("pattern", "freq", "form"),
    [
        ("%d/%m/%Y", "D", "%d/%m/%Y"),
        ("%m/%d/%Y", "D", "%m/%d/%Y"),
        ("%-d/%-m/%Y", "W", "%d/%m/%Y"),
        ("%d.%m.%y", "D", "%d.%m.%y"),
        ("%d-%b-%Y", "D", "%d-%b-%Y"),
        ("%Y%m%d", "D", "%Y%m%d"),
        ("%Y/%m/%d", "D", "%Y/%m/%d"),
        ("%m/%d/%Y %I:%M %p", "h", "%m/%d/%Y %I:%M %p"),
        ("%d.%m.%Y %H:%M:%S", "15min", "%d.%m.%Y %H:%M:%S"),
        ("%m/%Y", "MS", "%m/%Y"),
        ("%b %Y", "MS", "%b %Y"),
        ("%Y%m", "MS", "%Y%m"),
        ("%G-W%V", "W-MON", "iso_week"),
        ("%Y-%m-%dT%H:%M:%SZ", "h", "iso"),
        ("%Y-%m-%d %H:%M:%S", "h", None),
        ("%Y-%m", "MS", None),
    ],
)
def test_forms_of_times(pattern: str, freq: str, form: str | None) -> None:
    data, _ = drafted(days(pattern, freq=freq))
    assert data.get("time_format") == form
    panel = read_whole(load_recipe("r.yaml").data).panel
    assert panel.lengths.tolist() == [60]
    assert panel.ds_of(0)[-1] == pd.date_range("2024-01-01", periods=60, freq=freq)[-1].to_datetime64()


def test_months_on_their_first_day_are_told_from_days_of_january_by_their_regularity() -> None:
    assert drafted(days("%d/%m/%Y", freq="MS"))[0]["time_format"] == "%d/%m/%Y"
    assert drafted(days("%m/%d/%Y", freq="MS"))[0]["time_format"] == "%m/%d/%Y"


def test_days_that_no_row_tells_from_months_are_said_to_be_so() -> None:
    lines = days("%-m/%-d/%Y", 12)
    data, text = drafted(lines)
    assert data["time_format"] == "%m/%d/%Y"
    assert "could also be %d/%m/%Y" in " ".join(line.strip("# ") for line in text.splitlines())


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["1.5", "2"], (".", None)),
        (["1,5", "2"], (",", None)),
        (["1,234.5", "12"], (".", ",")),
        (["1.234,5", "12"], (",", ".")),
        (["1 234,5", "12"], (",", " ")),
        (["1'234.5", "12"], (".", "'")),
        (["1e-3", "2E5"], (".", None)),
        (["1.234", "5.678"], (".", None)),
    ],
)
def test_forms_of_numbers(cells: list[str], form: tuple[str, str | None]) -> None:
    found = sniff_numbers(pd.DataFrame({"y": cells * 2}), ";")
    assert (found.decimal, found.thousands, found.columns) == (*form, ("y",))


@pytest.mark.parametrize(("delimiter", "form"), [(";", (",", None)), (",", (".", ","))])
def test_a_comma_that_could_be_either_is_said_to_be_so(delimiter: str, form: tuple[str, str | None]) -> None:
    found = sniff_numbers(pd.DataFrame({"y": ["1,234", "5,678"]}), delimiter)
    assert (found.decimal, found.thousands) == form
    assert found.note is not None


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=20, unique=True), st.sampled_from([(".", ","), (",", ".")]))
def test_numbers_written_with_any_marks_come_back(values: list[float], marks: tuple[str, str]) -> None:
    from titans_seq.data.text_tables import to_numbers

    swap = str.maketrans({".": marks[0], ",": marks[1]})
    column = pd.Series([f"{value:,.2f}".translate(swap) for value in values])
    found = sniff_numbers(pd.DataFrame({"y": column}), ";")
    numbers = to_numbers(column, TableForm(decimal=found.decimal, thousands=found.thousands))
    assert numbers.tolist() == [float(f"{value:.2f}") for value in values]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=30))
def test_any_text_comes_back_from_the_recipe(text: str) -> None:
    from titans_seq.recipes._yaml import read_document

    document = read_document(recipe_text("t", [], {"data": [("id", text, "a comment")]}), "r.yaml")
    assert document.values["data"]["id"] == text
    assert scalar("no") == '"no"'


def test_series_of_other_lengths_are_aligned_and_too_short_ones_left_out() -> None:
    rows = [f"{name},{day},{value:.2f}" for name in "abc" for day, value in zip(DAYS, WAVE, strict=True)]
    rows = [row for row in rows if not (row.startswith("b") and row[2:] < DAYS[20])]
    rows = [row for row in rows if not (row.startswith("c") and row[2:] > DAYS[9])]
    days_only = [row.replace("2024-02-28", "2024-02-28") for row in rows]
    data, text = drafted(["shop,date,sales", *days_only])
    assert data["align"] == "time"
    assert data["columns"] == ["a", "b"]
    assert "left out, too few values to train and test on: c" in text


def test_series_that_count_their_own_rows_are_aligned_at_their_ends() -> None:
    lengths = {"a": 150, "b": 100, "c": 100, "d": 30}
    rows = [f"{name},{t},{np.sin(t / 2):.3f}" for name, n in lengths.items() for t in range(1, n + 1)]
    data, _ = drafted(["unique_id,ds,y", *rows])
    assert (data["align"], data["columns"]) == ("end", ["a", "b", "c"])
    series = read_series(load_recipe("r.yaml").data)
    assert series.panel.lengths.tolist() == [100, 100, 100]
    assert series.panel.origins.tolist() == [51, 1, 1]


def test_other_columns_are_named_with_what_to_do() -> None:
    stamps = pd.date_range("2024-01-01", periods=60).strftime("%Y-%m-%d")
    lines = ["nr,date,promo,y,same,place", *(f"{i},{d},{i % 7},{np.sin(i):.3f},1,here" for i, d in enumerate(stamps))]
    data, text = drafted(lines)
    assert data["columns"] == ["y"]
    assert "not read: promo" in text
    assert "roles: {promo: past}" in " ".join(line.strip("# ") for line in text.splitlines())
    assert "'nr' (counts the rows)" in text
    assert "'same' (constant)" in text


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["date;y;", *(f"{d};{v:.2f};" for d, v in zip(DAYS, WAVE, strict=True))], {"columns": ["y"]}),
        (["date,y,why", *(f"{d},{v:.2f},so" for d, v in zip(DAYS, WAVE, strict=True))], {"columns": ["y"]}),
        (["date,x,z", *(f"{d},{v:.2f},{v}" for d, v in zip(DAYS, WAVE, strict=True))], {"columns": None}),
        (["date,x", *(f"{d},{v if i % 9 else -999:.1f}" for i, (d, v) in enumerate(zip(DAYS, WAVE, strict=True)))],
         {"missing": ["-999.0"]}),
        (["date,x", *(f"{d},{-999 + i}" for i, d in enumerate(DAYS))], {"missing": None}),
    ],
)  # fmt: skip
def test_what_is_no_value_is_not_read_as_one(lines: list[str], expected: dict[str, object]) -> None:
    data, _ = drafted(lines)
    assert {key: data.get(key) for key in expected} == expected
    assert read_series(load_recipe("r.yaml").data).panel.n_series >= 1


def test_the_horizon_can_be_chosen() -> None:
    Path("my.csv").write_text("\n".join(days("%Y-%m-%d", 200)))
    assert call("new", "--data", "my.csv", "--horizon", "21").exit_code == 0
    assert load_recipe("my.yaml").task.horizon == 21


def test_a_parquet_file_is_a_table_too() -> None:
    import polars as pl

    times = pd.date_range("2024-01-01", periods=90).to_numpy()
    pl.DataFrame({"at": times, "x": np.sin(np.arange(90.0))}).write_parquet("my.parquet")
    recipe = load_recipe(draft_recipe("forecast", [Path("my.parquet")])[0])
    assert read_series(recipe.data).panel.lengths.tolist() == [90]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([""], "empty"),
        (["date,y"], "no rows"),
        (["only", "1", "2"], "the first line must hold the names"),
        (["2024-01-01,1", "2024-01-02,2", "2024-01-03,3"], "first line holds values"),
        (["a,b", *(f"{i * i},{i % 3}" for i in range(40))], "no column of times"),
        (["date,y", *(f"{d},1" for d in DAYS[:40]), ",1", *(f"{d},1" for d in DAYS[40:])], "row 40: date is missing"),
        (["date,y", *(f"{d},1" for d in DAYS[:40]), "2024-13-01,1"], "row 40: date is '2024-13-01', others are like"),
        (["d,t,y", *(f"{d},{h}:00,{h}" for d in DAYS[:20] for h in range(24))], "times of day; join them"),
        (["d,Hour,y", *(f"{d},{h},{h / 7}" for d in DAYS[:20] for h in range(24))], "'Hour' times of day; join them"),
        (["date,y", *(f"{d} 0{i * i % 10}:00,{i}" for i, d in enumerate(DAYS))], "my.csv: "),
        (["date,y", *(f"{d},{i}%" for i, d in enumerate(DAYS))], "texts such as '0%'"),
        (["# made by hand", "date,y", *(f"{d},{i}" for i, d in enumerate(DAYS))], "found '# made by hand'"),
        (["date,word", *(f"{d},w" for d in DAYS)], "no column of numbers"),
        (["date,y", *(f"{d},{i}" for i, d in enumerate([*DAYS[:20], *DAYS[19:]]))], "row 20: date '2024-01-20'"),
        (["date,y", *(f"{d},{i % 5}" for i, d in enumerate(DAYS[:11]))], "needs 12 or more"),
        (["date,y", *(f"{d},{i % 5}" for i, d in enumerate(DAYS[:20])), "2024-01-21,12a"], "'12a'"),
        (["date,shop,item,y", *(f"{d},{s},{i},1" for d in DAYS for s in "ab" for i in "xy")], "join them into"),
        (["date,y", *(f"{d},{i}" for i, d in enumerate(DAYS)), "2024-03-29 12:30,7"], "grid"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_forecast_is_one_line_and_nothing_is_written(lines: list[str], words: str) -> None:
    assert words in refused(lines)


def test_the_last_time_is_the_latest_also_where_rows_are_in_no_order() -> None:
    rows = [f"{d},{i % 5}" for i, d in enumerate(DAYS[:40])]
    _, text = drafted(["date,y", *rows[::-1]])
    assert f"the last is {DAYS[39]}" in text


def test_a_file_that_is_no_table_is_refused() -> None:
    Path("x.png").write_bytes(b"\x89PNG\0\0")
    assert "tables end in .csv" in call("new", "--data", "x.png").stderr
    Path("x.csv").write_bytes(b"\x89PNG\0\0")
    assert "not a text file" in call("new", "--data", "x.csv").stderr
    Path("x.csv").write_bytes(b"ds,y\n1,2\n2,\x81\n")
    assert "x.csv: line 3: byte 0x81 is no UTF-8; save the file as UTF-8" in call("new", "--data", "x.csv").stderr
    assert "there is no such file" in call("new", "--data", "gone.csv").stderr


def test_a_recipe_that_is_there_stays() -> None:
    Path("my.csv").write_text("\n".join(days("%Y-%m-%d")))
    Path("my.yaml").write_text("mine")
    result = call("new", "--data", "my.csv")
    assert (result.exit_code, Path("my.yaml").read_text()) == (cli.USER_ERROR, "mine")
    assert "my.yaml exists; choose another file" in result.stderr


def test_the_likeliest_column_of_times_comes_first() -> None:
    cells = pd.DataFrame(
        {"n": ["1", "2", "3"], "updated": ["2024-01-01"] * 3, "date": ["1.1.2024", "2.1.2024", "3.1.2024"]}
    )
    assert [column.name for column in find_times(cells, month_first=False)] == ["updated", "date", "n"]
