"""What a result file says of its origin."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from titans_seq.recipes.environment import describe_environment, peak_memory_mb, source_commit


def test_the_environment_is_json_and_names_the_versions() -> None:
    import torch

    facts = json.loads(json.dumps(describe_environment()))
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["titans_seq"]
    assert facts["cores"] >= 1


def test_peak_memory_does_not_shrink() -> None:
    pytest.importorskip("resource")
    before = peak_memory_mb()
    held = bytearray(64_000_000)
    held[::4096] = b"x" * len(held[::4096])
    after = peak_memory_mb()
    assert before is not None
    assert after is not None
    assert 20 < before <= after
    assert after >= 64


def test_a_folder_without_repository_has_no_commit(tmp_path: Path) -> None:
    assert source_commit(tmp_path) is None


def test_changed_files_mark_the_commit(tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

    try:
        git("init")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git")
    (tmp_path / "a").write_text("1")
    assert source_commit(tmp_path) is None  # no commit yet
    git("add", "a")
    git("commit", "-m", "a")
    clean = source_commit(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert source_commit(tmp_path) == f"{clean}-dirty"
