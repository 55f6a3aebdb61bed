"""What a result file says of its origin."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from titans_seq.recipes import environment
from titans_seq.recipes.environment import describe_environment, package_commit, peak_memory_mb, source_commit


def test_the_environment_is_json_and_names_the_versions() -> None:
    import torch

    facts = json.loads(json.dumps(describe_environment()))
    assert facts["packages"]["torch"] == torch.__version__
    assert facts["titans_seq"]
    assert facts["cores"] >= 1


def test_peak_memory_does_not_shrink() -> None:
    pytest.importorskip("resource", reason="only Unix tells peak memory")
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


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def start_repository(folder: Path) -> None:
    try:
        git(folder, "init")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git")


def test_changed_files_mark_the_commit(tmp_path: Path) -> None:
    start_repository(tmp_path)
    (tmp_path / "a").write_text("1")
    assert source_commit(tmp_path) is None  # no commit yet
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-m", "a")
    clean = source_commit(tmp_path)
    assert clean is not None
    assert len(clean) == 40
    (tmp_path / "a").write_text("2")
    assert source_commit(tmp_path) == f"{clean}-dirty"


def install(source: Path, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the module believe that it was installed into `site` from `source`."""
    (site / "titans_seq" / "recipes").mkdir(parents=True)
    (site / "titans_seq" / "a.py").write_text("1")
    (source / "titans_seq").mkdir(parents=True)
    (source / "titans_seq" / "a.py").write_text("1")
    monkeypatch.setattr(environment, "__file__", str(site / "titans_seq" / "recipes" / "environment.py"))
    monkeypatch.setattr(environment, "_installation", lambda: {"url": source.as_uri(), "dir_info": {}})


def test_an_installed_package_has_the_commit_of_its_source_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "with space"
    install(source, tmp_path / "site", monkeypatch)
    assert package_commit() is None  # no repository
    start_repository(source)
    git(source, "add", ".")
    git(source, "commit", "-m", "a")
    commit = package_commit()
    assert commit == source_commit(source)
    assert commit is not None
    (source / "titans_seq" / "a.py").write_text("2")
    git(source, "commit", "-am", "b")
    assert package_commit() == f"{source_commit(source)}-dirty"  # the source went on after the installation


def test_a_package_installed_from_a_repository_address_has_its_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "_installation", lambda: {"url": "x", "vcs_info": {"commit_id": "abc"}})
    assert package_commit() == "abc"
