"""Models of recall runs as files: safetensors for numbers, JSON for the rest."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from titans_seq._version import __version__

if TYPE_CHECKING:
    from torch import Tensor

    from titans_seq.adapters.symbols import SymbolModel, VectorModel

KINDS = ("SymbolModel", "VectorModel")


def save_recall_model(model: SymbolModel | VectorModel, path: str | os.PathLike[str]) -> None:
    """Write a model folder, which must not exist or be an earlier one."""
    from titans_seq.estimators._storage import write_model

    backbone = model.backbone
    settings = {"variant": backbone.variant, "n_layers": len(backbone.blocks), **asdict(backbone.config)}
    head = {"recall_model": type(model).__name__, "version": __version__}
    write_model(path, model.state_dict(), head | {"arguments": _arguments(model), "backbone": settings})


def load_recall_model(path: str | os.PathLike[str]) -> SymbolModel | VectorModel:
    """Read the model of a recall run, the folder model/ within the run's; no code of the file is run.

    Returns
    -------
    SymbolModel or VectorModel
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        If the folder or one of its two files is missing.
    ValueError
        If a file is damaged, or holds another kind of model.

    Examples
    --------
    >>> model = load_recall_model("runs/recall_needle/model")  # doctest: +SKIP
    """
    from titans_seq.estimators._storage import read_model

    tensors, description = read_model(path)
    if description.get("recall_model") not in KINDS:
        found = description.get("recall_model") or description.get("estimator")
        raise ValueError(f"{path} holds a saved {found}, not one of {', '.join(KINDS)}")
    try:
        return _restore(tensors, description)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the model saved at {path} is damaged: {reason}") from None


def _arguments(model: SymbolModel | VectorModel) -> dict[str, int]:
    from titans_seq.adapters.symbols import SymbolModel

    n_outputs = model.head.out_features
    if isinstance(model, SymbolModel):
        return {"n_symbols": model.n_symbols, "n_classes": n_outputs, "stem_width": model.stem_width}
    return {"n_inputs": model.embedding.in_features, "n_outputs": n_outputs}


def _restore(tensors: dict[str, Tensor], description: dict[str, Any]) -> SymbolModel | VectorModel:
    import torch

    from titans_seq.adapters.symbols import SymbolModel, VectorModel
    from titans_seq.nn import Backbone

    kind = SymbolModel if description["recall_model"] == "SymbolModel" else VectorModel
    with torch.random.fork_rng(devices=[]):  # initial weights are drawn, and then replaced
        model = kind(**description["arguments"], backbone=Backbone(**description["backbone"]))
    model.load_state_dict(tensors)
    return model.eval()
