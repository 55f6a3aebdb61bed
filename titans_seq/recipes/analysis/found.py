"""What stands in the folder that the user named."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_RECIPE, _METRICS, _DESCRIPTION = "recipe.yaml", "metrics.json", "model.json"


@dataclass(frozen=True)
class ModelFolder:
    """A saved model.

    Attributes
    ----------
    folder : Path
        Holds model.json and model.safetensors.
    recipe : Path or None
        recipe.yaml of the run that made it.
    kind : {"forecaster", "recall"}
    """

    folder: Path
    recipe: Path | None
    kind: Literal["forecaster", "recall"]

    @property
    def own(self) -> Path:
        """The folder that the user knows: the run's, else the model's."""
        own = self.folder if self.recipe is None else self.recipe.parent
        return own.resolve() if own.name in ("", "..") else own

    @property
    def default_output(self) -> Path:
        """Where an analysis goes: beside that folder, which holds what `run` or `save` wrote and no more."""
        return self.own.with_name(f"{self.own.name}-analysis")


def find_model(path: Path) -> ModelFolder:
    """Find the model in a run's folder, or in the folder of a saved model.

    Raises
    ------
    FileNotFoundError
        There is none; the message says what was looked for.
    """
    if not path.is_dir():
        what = "is a file" if path.exists() else "there is no such folder"
        raise FileNotFoundError(f"{path}: {what}; name the folder of a run (see `titans-seq run`) or of a saved model")
    inside = path / "model"
    if (inside / _DESCRIPTION).is_file():
        recipe = path / _RECIPE
        return ModelFolder(inside, recipe if recipe.is_file() else None, _kind(inside))
    if not (path / _DESCRIPTION).is_file():
        raise FileNotFoundError(f"{path} holds no model: neither model/{_DESCRIPTION} of a run nor {_DESCRIPTION}")
    run = path.parent
    of_run = path.name == "model" and all((run / name).is_file() for name in (_RECIPE, _METRICS))
    return ModelFolder(path, run / _RECIPE if of_run else None, _kind(path))


def _kind(folder: Path) -> Literal["forecaster", "recall"]:
    """Peek; what is damaged is reported when the model is loaded."""
    try:
        description = json.loads((folder / _DESCRIPTION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return "forecaster"
    return "recall" if isinstance(description, dict) and "recall_model" in description else "forecaster"
