"""Where the dataset cards and recipes stand."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def share_folder(name: str) -> Path:
    """Return the folder "datasets" or "recipes": inside an installed package, else beside its source."""
    packaged = _PACKAGE / "_share" / name
    return packaged if packaged.is_dir() else _PACKAGE.parent / name


def shipped(name: str) -> dict[str, Path]:
    """Return the YAML files of a share folder by their names without ending, sorted."""
    return {path.stem: path for path in sorted(share_folder(name).glob("*.yaml"))}
