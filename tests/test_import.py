"""Importing the package, and asking the command line for help, loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import titans_seq
from titans_seq._cli import COMMANDS

HEAVY = {
    "torch",
    "lightning",
    "pandas",
    "polars",
    "sklearn",
    "gluonts",
    "numpy",
    "matplotlib",
    "optuna",
    "scipy",
}


RECIPES = ("quickstart", "recall_dna", "dna_splice")


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert not loaded_after("import titans_seq") & HEAVY


def test_the_forecaster_loads_no_gluonts() -> None:
    assert "gluonts" not in loaded_after("from titans_seq import RollingOrigin, TitansForecaster")
    read = "TitansForecaster(2, max_epochs=0).fit([{'start': pd.Period('2024', 'Y'), 'target': range(30)}]).predict()"
    assert "gluonts" not in loaded_after(f"import pandas as pd\nfrom titans_seq import TitansForecaster\n{read}")


def test_the_splitter_loads_no_torch() -> None:
    assert not loaded_after("from titans_seq import RollingOrigin") & (HEAVY - {"numpy"})


def loaded_by_command(*arguments: str) -> set[str]:
    run = f"app({list(arguments)})"
    stop = "except SystemExit as stop:\n    assert not stop.code"
    return loaded_after(f"from titans_seq.cli import app\ntry:\n    {run}\n{stop}")


@pytest.mark.parametrize("arguments", [["--help"], *([name, "--help"] for name in ("analyze", "classify", *COMMANDS))])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    assert not loaded_by_command(*arguments) & HEAVY


@pytest.mark.parametrize(
    "arguments",
    [["ls"], ["schema"], ["validate", "quickstart"], ["validate", "recall_dna"], ["validate", "dna_splice"]],
)
def test_listing_and_validating_load_no_torch(arguments: list[str]) -> None:
    assert not loaded_by_command(*arguments) & (HEAVY - {"numpy"})


def test_a_table_is_looked_at_without_torch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.csv").write_text("\n".join(["day,y", *(f"2024-01-{day:02d},{day % 7}" for day in range(1, 31))]))
    assert not loaded_by_command("new", "--data", "my.csv") & {"torch", "lightning", "gluonts", "matplotlib", "optuna"}
    assert Path("my.yaml").is_file()


def test_an_unknown_attribute_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'titans_seq' has no attribute 'Forecaster'"):
        _ = titans_seq.Forecaster


def test_every_public_name_is_listed_and_can_be_had() -> None:
    assert set(titans_seq.__all__) <= set(dir(titans_seq))
    for name in titans_seq.__all__:
        assert getattr(titans_seq, name) is not None
