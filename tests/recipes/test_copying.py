"""Copies of recipes: they name their schema, their own folder, and never replace anything."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from titans_seq.recipes import find_recipe, list_recipes, load_recipe
from titans_seq.recipes.copying import copy_recipe
from titans_seq.recipes.json_schema import HEADER, SCHEMA_FILE, schema_text


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_copy_is_the_recipe_with_its_schema_beside_it() -> None:
    assert copy_recipe("quickstart") == Path("quickstart.yaml")
    assert load_recipe("quickstart.yaml") == load_recipe(find_recipe("quickstart"))
    assert HEADER in Path("quickstart.yaml").read_text().splitlines()
    assert Path(SCHEMA_FILE).read_text(encoding="utf-8") == schema_text()
    assert {path.name for path in Path().iterdir()} == {"quickstart.yaml", SCHEMA_FILE}


@pytest.mark.parametrize("name", list_recipes())
def test_a_copy_of_another_name_runs_into_its_own_folder(name: str) -> None:
    copy_recipe(name, Path("mine.yaml"))
    recipe, own = load_recipe("mine.yaml"), load_recipe(name)
    assert recipe.output.dir in (None, "runs/mine")
    assert recipe.model_copy(update={"output": own.output}) == own
    assert "titans-seq run mine.yaml" in Path("mine.yaml").read_text(encoding="utf-8")


def test_a_folder_takes_the_copy_under_its_name() -> None:
    Path("sub").mkdir()
    assert copy_recipe("quickstart", Path("sub")) == Path("sub/quickstart.yaml")
    assert Path("sub", SCHEMA_FILE).is_file()


def test_what_is_there_stays_as_it_is() -> None:
    Path("quickstart.yaml").write_text("mine")
    with pytest.raises(FileExistsError, match=r"quickstart\.yaml exists"):
        copy_recipe("quickstart")
    assert [(path.name, path.read_text()) for path in Path().iterdir()] == [("quickstart.yaml", "mine")]


def test_a_file_that_has_the_name_of_the_schema_is_left_alone_unless_it_is_one() -> None:
    Path(SCHEMA_FILE).write_text("mine")
    copy_recipe("quickstart")
    assert Path(SCHEMA_FILE).read_text() == "mine"
    Path(SCHEMA_FILE).write_text(json.dumps({"title": "Recipe of titans-seq", "old": True}))
    copy_recipe("quickstart", Path("other.yaml"))
    assert Path(SCHEMA_FILE).read_text(encoding="utf-8") == schema_text()


@pytest.mark.parametrize(
    ("destination", "message"),
    [("no/where.yaml", "there is no folder no"), ("mine.txt", r"recipes end in \.yaml")],
)
def test_where_nothing_can_be_written_nothing_is(destination: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        copy_recipe("quickstart", Path(destination))
    assert list(Path().iterdir()) == []


def test_where_there_is_no_room_for_the_schema_there_is_no_recipe_either() -> None:
    resource = pytest.importorskip("resource", reason="sizes of files cannot be limited here")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = 16 << 10
    assert find_recipe("quickstart").stat().st_size < room < len(schema_text())
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(ValueError, match=rf"{SCHEMA_FILE}: cannot be written: File too large"):
            copy_recipe("quickstart")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(Path().iterdir()) == []


def test_an_unknown_recipe_brings_the_nearest() -> None:
    with pytest.raises(FileNotFoundError, match="did you mean 'quickstart'"):
        copy_recipe("quickstrat")
