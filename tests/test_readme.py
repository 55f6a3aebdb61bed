"""What README.md shows works as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from titans_seq.recipes import list_recipes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(mark: str) -> str:
    found = re.findall(rf"<!-- {mark} -->\n```\w+\n(.*?)```\n<!-- end -->", README, re.DOTALL)
    assert len(found) == 1, f"README.md must have one block marked {mark!r}"
    return found[0]


@pytest.mark.parametrize("mark", ["command: run", "command: test"])
def test_each_command_is_one_line(mark: str) -> None:
    assert len(block(mark).splitlines()) == 1


def test_the_first_command_runs_a_shipped_recipe() -> None:
    name = re.search(r"titans-seq run (\S+)", block("command: run"))
    assert name is not None
    assert name[1] in list_recipes()


@pytest.mark.slow
def test_the_example_runs_as_written(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", block("example")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "co2-lo-80" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_the_example_with_other_libraries_runs_as_written(tmp_path: Path) -> None:
    code = block("example: other libraries")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "context_length" in done.stdout
    assert "MASE" in done.stdout


@pytest.mark.slow
def test_the_example_with_dna_runs_as_written_and_finds_the_motif(tmp_path: Path) -> None:
    code = block("example: DNA")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[0]) >= 0.95
    assert done.stderr == ""
    written = {"attributions.png", "effects.vcf", "scan.bed", "substitutions.png"}
    assert {path.name for path in tmp_path.iterdir()} == written


def test_the_example_is_short() -> None:
    assert len([line for line in block("example").splitlines() if line.strip()]) <= 15


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []
