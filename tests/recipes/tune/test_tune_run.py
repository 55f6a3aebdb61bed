"""`titans-seq tune`: what it writes, where it goes on, and what it does not look at."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tuned_recipes import RECIPE, check_complete, study_in, write_recipe
from typer.testing import CliRunner, Result

from titans_seq import cli
from titans_seq.recipes import load_recipe

FOLDER = Path("runs/tune-r")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_recipe(tmp_path)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def tuned(*arguments: str) -> str:
    result = call("tune", "r.yaml", *arguments)
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def error_of(*arguments: str) -> str:
    result = call("tune", *arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    return result.stderr.removeprefix("error: ").rstrip("\n")


def rows(folder: Path = FOLDER) -> list[dict[str, str]]:
    with (folder / "study.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder of one search that several tests look at, and what it said."""
    folder = tmp_path_factory.mktemp("searched")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_recipe(folder)
        return folder / FOLDER, tuned()


@pytest.mark.slow
def test_a_search_leaves_table_plots_page_and_a_recipe_that_runs(searched: tuple[Path, str]) -> None:
    found, said = searched
    table = rows(found)
    assert [row["state"] for row in table] == ["complete"] * 4
    best = min(table, key=lambda row: float(row["validation_error"]))
    assert f"trial {best['trial']}, validation_error {float(best['validation_error']):.5g}" in said
    for name in ("history.png", "importances.png", "slices.png"):
        assert (found / name).read_bytes().startswith(b"\x89PNG")
    facts = json.loads((found / "study.json").read_text())
    assert (facts["best"]["trial"], facts["trials"]) == (int(best["trial"]), {"complete": 4, "pruned": 0, "fail": 0})
    winner = load_recipe(found / "best.yaml")
    assert winner.model.context_length == int(best["context_length"])
    assert winner.model.initial_alpha == float(best["initial_alpha"])
    assert winner.tune is None
    assert (winner.model.d_model, winner.data.split) == (8, [120, 40, 30])
    result = call("run", str(found / "best.yaml"), "--quiet")
    assert result.exit_code == 0, result.output
    saved = json.loads(Path("runs/r-best/model/model.json").read_text())
    assert saved["validation_score"] == float(best["validation_error"])


@pytest.mark.slow
def test_the_page_is_complete_in_itself(searched: tuple[Path, str]) -> None:
    page = (searched[0] / "tune.html").read_text()

    class Sources(HTMLParser):
        found: list[str] = []
        tags: set[str] = set()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.tags.add(tag)
            self.found += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]

    sources = Sources()
    sources.feed(page)
    assert len(sources.found) >= 2
    assert all(source.startswith("data:image/png;base64,") for source in sources.found)
    assert not sources.tags & {"script", "link", "iframe", "object"}
    assert not re.search(r"url\(|@import", page)
    assert (searched[0] / "best.yaml").read_text().splitlines()[-1] in page


@pytest.mark.slow
def test_the_same_command_goes_on_and_more_trials_are_added() -> None:
    tuned("--trials", "2", "--quiet")
    first = rows()
    assert tuned("--trials", "2", "--quiet") == ""
    assert rows() == first
    tuned("--trials", "3", "--quiet")
    assert rows()[:2] == first
    check_complete(study_in(FOLDER / "study.journal"), 3)


@pytest.mark.slow
def test_test_rows_are_not_looked_at(searched: tuple[Path, str]) -> None:
    lines = Path("data.csv").read_text().splitlines()
    spoilt = [line if i <= 160 else line.rpartition(",")[0] + ",1e6" for i, line in enumerate(lines)]
    Path("data.csv").write_text("\n".join(spoilt) + "\n")
    tuned("--quiet", "--output-dir", "two")
    places = (searched[0], Path("two"))
    one, two = ([(row["validation_error"], row["context_length"]) for row in rows(place)] for place in places)
    assert one == two


@pytest.mark.slow
def test_two_objectives_leave_a_front() -> None:
    objectives = "tune.objectives=[validation_error, predict_seconds]"
    said = tuned("--set", objectives, "--trials", "3")
    facts = json.loads((FOLDER / "study.json").read_text())
    points = {int(row["trial"]): (float(row["validation_error"]), float(row["predict_seconds"])) for row in rows()}
    beaten = {
        number
        for number, (error, seconds) in points.items()
        if any(e <= error and s <= seconds and (e, s) != (error, seconds) for e, s in points.values())
    }
    assert set(facts["front"]) == set(points) - beaten
    assert "no other trial beats these in every objective" in said
    assert (FOLDER / "front.png").exists()


@pytest.mark.slow
def test_a_recipe_of_dna_is_searched_on_its_training_sequences() -> None:
    Path("r.yaml").write_text(
        "schema: 1\ntask: {kind: classify}\n"
        "data: {simulated: {n: 160, length: 60}, split: {by: random, test: 0.25}}\n"
        "model: {channels: 4, d_model: 8, n_members: 1, reverse_complement: false}\n"
        "train: {max_epochs: 1, random_state: 0}\n"
        "tune: {trials: 2, space: {model.stride: [2, 4]}}\n"
    )
    tuned("--quiet")
    assert {row["stride"] for row in rows()} == {"2", "4"}
    assert load_recipe(FOLDER / "best.yaml").task.kind == "classify"


def test_another_recipe_does_not_take_the_folder_of_a_study() -> None:
    FOLDER.mkdir(parents=True)
    (FOLDER / "study.json").write_text('{"study": "r-000000000000"}')
    assert "runs/tune-r holds a study of another recipe" in error_of("r.yaml")
    assert sorted(path.name for path in FOLDER.iterdir()) == ["study.json"]


def test_a_folder_of_something_else_is_left_alone() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.txt").write_text("years of work")
    assert "mine exists and is not the folder of a study" in error_of("r.yaml", "--output-dir", "mine")
    assert [path.name for path in Path("mine").iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["quickstart", "--set", "tune=null"], "quickstart: the recipe has no tune section; add one"),
        (["recall_needle"], "recall_needle: a recipe of task.kind recall has no search"),
        (["r.yaml", "--trials", "0"], "trials must be at least 1, found 0"),
        (["r.yaml", "--workers", "-1"], "workers must be at least 1, found -1"),
        (
            ["r.yaml", "--storage", "nonsense://me:secret@x/y"],
            "storage nonsense://me:***@x/y: not the URL of a database",
        ),
        (["r.yaml", "--storage", "data.csv"], "data.csv: this is no journal of a study"),
        (["r.yaml", "--set", "data.split=[120, 40, 300]"], "series 'a' has 190 rows"),
        (["r.yaml", "--set", "tune.space={model.d_modl: [8]}"], "unknown key; did you mean 'model.d_model'?"),
        (["r.yaml", "--set", "tune.space={train.random_state: [1, 2]}"], "a seed is nothing to choose"),
        (["r.yaml", "--set", "tune.space={model.d_model: [8, 9]}"], "n_heads must divide d_model, but 2 does not"),
        (["r.yaml", "--set", "tune.space={model.dropout: {low: 0.1, high: 1.5}}"], "1.5 is no value for model.dropout"),
        (["r.yaml", "--set", "tune.space={model.chunk_size: {low: 4, high: 8.5}}"], "must be whole numbers"),
        (["r.yaml", "--set", "tune.space={}"], "must have at least 1 entries, found 0"),
        (["r.yaml", "--set", "tune.objectives=[speed]"], "tune.objectives"),
        (["r.yaml", "--set", "tune.objectives=[n_parameters, n_parameters]"], "each must stand once"),
    ],
)
def test_what_cannot_be_searched_is_said_before_any_trial(arguments: list[str], fault: str) -> None:
    said = error_of(*arguments)
    assert fault in said
    assert len(said.splitlines()) == 1
    assert not (FOLDER / "study.csv").exists()


def test_ranges_of_a_recipe_have_the_types_of_their_keys() -> None:
    alpha = "model.initial_alpha: {low: 1e-4, high: 0.1, log: true}"
    Path("r.yaml").write_text(RECIPE.replace(alpha, "model.dropout: {low: 0, high: 0.5}"))
    recipe = load_recipe("r.yaml")
    axes = recipe.tune.searched().axes
    assert (axes["context_length"].integer, axes["dropout"].integer) == (True, False)


def test_shipped_searches_begin_with_the_values_of_their_recipe() -> None:
    from titans_seq import TitansForecaster
    from titans_seq.estimators.searching.search import plain_arguments

    recipe = load_recipe("etth1_tune")
    space = recipe.tune.searched()
    assert space.holds(plain_arguments(TitansForecaster(**recipe.forecaster_arguments()), space))
    memory = {"memory_depth", "chunk_size", "initial_theta", "initial_alpha", "hold_eta", "surprise_threshold"}
    assert memory <= set(space.axes)
