"""A `DNALanguageModel` as tensors and a description, and back."""

from __future__ import annotations

import os
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

from titans_seq._version import __version__
from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.adapters.language_features import BaseLanguage
from titans_seq.estimators import _storage
from titans_seq.estimators._next_base import Fitted, make_model
from titans_seq.training.next_base import NextBaseResult

if TYPE_CHECKING:
    from titans_seq.estimators.dna_language_model import DNALanguageModel

    Model = TypeVar("Model", bound=DNALanguageModel)

NAME = "DNALanguageModel"


def save(estimator: DNALanguageModel, path: str | os.PathLike[str]) -> None:
    """Write a fitted model; see `DNALanguageModel.save`."""
    tensors = {f"model.{name}": x for name, x in estimator._model.state_dict().items()}
    for counts in estimator._counts:
        tensors |= _storage.as_tensors(f"counts.{counts.order}.", _cells(counts))
    _storage.write_model(path, tensors, _describe(estimator))


def load(kind: type[Model], path: str | os.PathLike[str]) -> Model:
    """Read what `save` wrote; see `DNALanguageModel.load`."""
    tensors, description = _storage.read_model(path)
    if description.get("estimator") != NAME:
        raise ValueError(f"{path} holds a saved {description.get('estimator')}, not a {NAME}")
    try:
        return _restore(kind, tensors, description)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the model saved at {path} is damaged: {reason}") from None


def _describe(estimator: DNALanguageModel) -> dict[str, Any]:
    parameters = estimator.get_params()
    if not isinstance(estimator.random_state, Integral):
        parameters["random_state"] = None
    parameters["orders"] = [int(order) for order in estimator.orders]
    return {
        "estimator": NAME,
        "version": __version__,
        "parameters": parameters,
        "history": estimator.history_,
        "validation_bits": estimator.validation_bits_,
        "best_epoch": estimator.best_epoch_,
        "stopped_by": estimator.stopped_by_,
        "n_bases": estimator.n_bases_,
        "fit_seconds": estimator.fit_seconds_,
    }


def _restore(kind: type[Model], tensors: dict[str, Tensor], description: dict[str, Any]) -> Model:
    parameters = description["parameters"]
    estimator = kind(**parameters | {"orders": tuple(parameters["orders"])})
    model = make_model(estimator.get_params())
    model.load_state_dict(_storage.part(tensors, "model."))
    counts = [_filled(order, _storage.part(tensors, f"counts.{order}.")) for order in estimator.orders]
    training = NextBaseResult(
        description["history"], description["validation_bits"], description["best_epoch"], description["stopped_by"]
    )
    estimator._set_fitted(Fitted(model.eval(), counts, training))
    estimator.n_bases_, estimator.fit_seconds_ = description["n_bases"], description["fit_seconds"]
    return estimator


def language_tensors(language: BaseLanguage) -> dict[str, Tensor]:
    """Return what a language model is made of that a classifier reads with, for the classifier's own file."""
    tensors = {f"language.model.{name}": x for name, x in language.model.state_dict().items()}
    for counts in language.counts:
        tensors |= _storage.as_tensors(f"language.counts.{counts.order}.", _cells(counts))
    return tensors


def read_language(parameters: dict[str, Any], tensors: dict[str, Tensor]) -> BaseLanguage:
    """Return the language model of `language_tensors`."""
    model = make_model(parameters).double()
    model.load_state_dict(_storage.part(tensors, "language.model."))
    counts = [_filled(k, _storage.part(tensors, f"language.counts.{k}.")) for k in parameters["orders"]]
    return BaseLanguage(model, counts, parameters)


def _cells(counts: BaseCounts) -> dict[str, Any]:
    """Counts above zero and where they stand; few, next to the table."""
    flat = counts.table.reshape(-1)
    cells = np.flatnonzero(flat)
    return {"cells": cells.astype(np.int32), "times": flat[cells].astype(np.int64)}


def _filled(order: int, found: dict[str, Tensor]) -> BaseCounts:
    counts = BaseCounts(order)
    flat, cells = counts.table.reshape(-1), found["cells"].numpy()
    flat[cells] = found["times"].numpy().astype(flat.dtype)
    return counts
