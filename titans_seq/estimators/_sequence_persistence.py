"""A sequence estimator as tensors and a description, and back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

from titans_seq._version import __version__
from titans_seq.adapters.kmer_scores import KmerScores
from titans_seq.adapters.sequence_network import NetworkShape, SequenceModel, SequenceNetwork
from titans_seq.estimators import _storage
from titans_seq.estimators._sequence_choosing import Choice
from titans_seq.estimators._sequence_predicting import Member
from titans_seq.estimators._sequence_settings import plain
from titans_seq.estimators._sequence_targets import ClassTargets, ValueTargets

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_base import SequenceEstimator

    Estimator = TypeVar("Estimator", bound=SequenceEstimator)


def save(estimator: SequenceEstimator, path: str | os.PathLike[str]) -> None:
    """Write a fitted estimator; see `SequenceEstimator.save`."""
    tensors = {
        f"member{i}.{name}": x
        for i, member in enumerate(estimator._members)
        for name, x in member.model.state_dict().items()
    }
    _storage.write_model(path, tensors | estimator._own_tensors(), _describe(estimator))


def load(kind: type[Estimator], path: str | os.PathLike[str]) -> Estimator:
    """Read what `save` wrote; see `SequenceEstimator.load`."""
    tensors, description = _storage.read_model(path)
    if description.get("estimator") != kind.__name__:
        raise ValueError(f"{path} holds a saved {description.get('estimator')}, not a {kind.__name__}")
    try:
        return _restore(kind, tensors, description)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the model saved at {path} is damaged: {reason}") from None


def _describe(estimator: SequenceEstimator) -> dict[str, Any]:
    choices = [member.choice for member in estimator._members]
    return {
        "estimator": type(estimator).__name__,
        "version": __version__,
        "parameters": {name: _parameter(name, value) for name, value in estimator.get_params().items()},
        "shape": estimator._shape.to_dict(),
        "targets": estimator._targets.to_dict(),
        "both_strands": estimator.both_strands_,
        "choices": [
            {
                "placed_share": c.placed_share,
                "temperature": c.temperature,
                "kmer_share": c.kmer_share,
                "score": None if np.isnan(c.score) else c.score,
            }
            for c in choices
        ],
        "median_length": estimator.median_length_,
        "fit_seconds": estimator.fit_seconds_,
        "history": estimator.history_,
        **estimator._own_description(),
    }


def _parameter(name: str, value: Any) -> Any:
    """Return a parameter for JSON; the weights of classes as pairs, as its keys need not be text."""
    if name == "class_weight" and isinstance(value, dict):
        return [[plain(label), plain(weight)] for label, weight in value.items()]
    return plain(value)


def _restore(kind: type[Estimator], tensors: dict[str, Tensor], description: dict[str, Any]) -> Estimator:
    parameters = dict(description["parameters"])
    if isinstance(parameters.get("class_weight"), list):
        parameters["class_weight"] = dict(parameters["class_weight"])
    estimator = kind(**parameters)
    estimator._restore_own(description, tensors)
    estimator._shape = NetworkShape(**description["shape"])
    task = ClassTargets if "classes" in description["targets"] else ValueTargets
    estimator._targets = task.from_dict(description["targets"])
    estimator._members = [
        Member(_model(estimator, _storage.part(tensors, f"member{i}.")), _choice(plain_choice))
        for i, plain_choice in enumerate(description["choices"])
    ]
    estimator.both_strands_, estimator.history_ = description["both_strands"], description["history"]
    estimator.fit_seconds_ = description["fit_seconds"]
    # Files of earlier versions have it only where all sequences were of one length.
    estimator.median_length_ = description.get("median_length", estimator._shape.length)
    estimator._set_derived()
    return estimator


def _choice(found: dict[str, Any]) -> Choice:
    score = float("nan") if found["score"] is None else found["score"]
    # Files of earlier versions have no k-mers.
    shares = (found["placed_share"], found.get("kmer_share", 0.0))
    if not all(0 <= share <= 1 for share in shares) or not found["temperature"] > 0:
        raise ValueError(f"shares and temperature are {shares} and {found['temperature']}")
    return Choice(shares[0], found["temperature"], score, shares[1])


def _model(estimator: SequenceEstimator, tensors: dict[str, Tensor]) -> SequenceModel:
    kmers = KmerScores.from_tensors(_storage.part(tensors, "kmers."))
    model = SequenceModel(estimator._empty_encoder(tensors), SequenceNetwork(estimator._shape), kmers)
    model.load_state_dict(tensors)
    if not all(x.isfinite().all() for x in tensors.values()):
        raise ValueError("there are entries that are not finite")
    return model.eval().requires_grad_(
        False
    )  # as after fit: torch multiplies in another order where gradients may come
