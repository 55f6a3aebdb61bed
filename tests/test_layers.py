"""An import may only point down the layers."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_imports_only_point_down() -> None:
    pytest.importorskip("importlinter", reason="needs import-linter, of the extra dev")
    code = "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_part_of_the_package_has_its_layer() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    parts = {path.name for path in (ROOT / "titans_seq").iterdir() if (path / "__init__.py").is_file()} | {"cli"}
    assert parts == set(contract["layers"])
