"""The examples of docs/ are what the commands take."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from titans_seq.recipes import load_recipe
from titans_seq.recipes.schema import Train

DOCS = sorted((Path(__file__).parents[1] / "docs").glob("*.md"))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_every_yaml_block_can_be_read(page: Path) -> None:
    for text in blocks(page, "yaml"):
        assert all(isinstance(part, dict) for part in yaml.safe_load_all(text))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)
def test_keys_that_are_set_are_keys_of_recipes(page: Path) -> None:
    settings = re.findall(r"--set (\S+)", page.read_text(encoding="utf-8"))
    load_recipe("quickstart", settings)


def test_the_training_example_is_a_part_of_a_recipe() -> None:
    page = next(page for page in DOCS if page.name == "distributed.md")
    Train.model_validate(yaml.safe_load(blocks(page, "yaml")[0])["train"])
