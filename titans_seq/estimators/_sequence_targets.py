"""Labels and numbers to targets of a network, and back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import DataConversionWarning
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from titans_seq.data._missing import is_missing
from titans_seq.training.objectives import Objective


@dataclass(frozen=True)
class ClassTargets:
    """One class of several, or several labels that are there or not.

    Attributes
    ----------
    classes : array
        Classes in their order; 0, 1, ... of several labels.
    many : bool
        Whether there are several labels.
    """

    classes: NDArray[Any]
    many: bool

    @classmethod
    def of(cls, y: NDArray[Any]) -> ClassTargets:
        """Find the classes of labels; ValueError unless there are at least two."""
        check_classification_targets(y)
        if type_of_target(y) == "multilabel-indicator":
            return cls(np.arange(y.shape[1]), True)
        if y.ndim == 2:
            raise ValueError(f"y has shape {y.shape}: several labels for each sequence must be 0 or 1")
        classes = np.unique(y)
        if len(classes) < 2:
            raise ValueError(f"y has one class only, {classes.tolist()[0]!r}; a classifier needs at least two classes")
        return cls(classes, False)

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return Objective("labels" if self.many else "classes", len(self.classes))

    def encode(self, y: NDArray[Any]) -> NDArray[Any]:
        """Return targets: (n,) int64, or (n, n_labels) float32."""
        return y.astype(np.float32) if self.many else np.searchsorted(self.classes, y).astype(np.int64)

    def probabilities(self, logits: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities of each class or label, shape (n, n_classes)."""
        if self.many:
            return 1 / (1 + np.exp(-logits))
        shifted = np.exp(logits - logits.max(1, keepdims=True))
        return shifted / shifted.sum(1, keepdims=True)

    def decode(self, logits: NDArray[np.float64]) -> NDArray[Any]:
        """Return the likeliest class of each row, or every label whose probability is above a half."""
        return (logits > 0).astype(np.int64) if self.many else self.classes[logits.argmax(1)]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"classes": self.classes.tolist(), "dtype": self.classes.dtype.str, "many": self.many}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> ClassTargets:
        """Return what `to_dict` was called on."""
        return cls(np.array(plain["classes"], dtype=np.dtype(plain["dtype"])), bool(plain["many"]))


@dataclass(frozen=True)
class ValueTargets:
    """Numbers, standardised.

    Attributes
    ----------
    center, scale : float array (n_targets,)
    flat : bool
        Whether they come and go as one dimension.
    """

    center: NDArray[np.float64]
    scale: NDArray[np.float64]
    flat: bool

    @classmethod
    def of(cls, y: NDArray[np.float64], weight: NDArray[np.float64]) -> ValueTargets:
        """Measure mean and spread, weighted; ValueError for numbers too large to be squared."""
        values = y.reshape(len(y), -1)
        with np.errstate(over="ignore", invalid="ignore"):
            center = np.average(values, axis=0, weights=weight)
            spread = np.sqrt(np.average((values - center) ** 2, axis=0, weights=weight))
        if not np.isfinite(center + spread).all():
            raise ValueError(f"y has numbers up to {np.abs(values).max():.3g}, too large to be squared; rescale them")
        return cls(center, np.where(spread > 0, spread, 1.0), y.ndim == 1)

    @property
    def objective(self) -> Objective:
        """What is minimised."""
        return Objective("values", len(self.center))

    def encode(self, y: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return targets (n, n_targets) of mean 0 and spread 1."""
        return ((y.reshape(len(y), -1) - self.center) / self.scale).astype(np.float32)

    def decode(self, outputs: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return numbers in their own units."""
        values = outputs * self.scale + self.center
        return values[:, 0] if self.flat else values

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {"center": self.center.tolist(), "scale": self.scale.tolist(), "flat": self.flat}

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> ValueTargets:
        """Return what `to_dict` was called on."""
        return cls(np.array(plain["center"]), np.array(plain["scale"]), bool(plain["flat"]))


def read_labels(y: Any, n: int) -> NDArray[Any]:
    """Return labels as an array (n,) or (n, n_labels); ValueError that names the row of one that is missing."""
    labels = _array(y, n)
    if labels.dtype.kind not in "biuSU":
        _refuse(_missing(labels), "the label is missing; drop the row or label it")
    if labels.dtype.kind == "f":
        _refuse(np.isinf(labels), "the label is infinite; correct it")
    if labels.dtype.kind == "O" and len({type(label) for label in labels.ravel()} - _TEXTS) > 1:
        raise TypeError("y mixes labels of several types; make them all text or all numbers")
    return labels


_TEXTS = {np.str_}


def read_numbers(y: Any, n: int) -> NDArray[np.float64]:
    """Return numbers (n,) or (n, n_targets); TypeError, or a ValueError that names the row."""
    found = _array(y, n)
    if found.dtype.kind == "c":
        raise ValueError("Complex data not supported: y must be real numbers")
    if found.dtype.kind == "O":  # None becomes NaN by itself, but not the NA of pandas
        found = np.where(_missing(found), np.nan, found)
    try:
        numbers = found.astype(np.float64)
    except (TypeError, ValueError):
        raise TypeError("y must be numbers; DNAClassifier and TitansClassifier take labels") from None
    _refuse(~np.isfinite(numbers), "the target is missing or infinite (NaN or inf); drop the row or complete it")
    return numbers


def _array(y: Any, n: int) -> NDArray[Any]:
    if y is None:
        raise ValueError("requires y to be passed, but the target y is None")
    found = np.asarray(y)
    if found.ndim == 2 and found.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; it is read as one.",
            DataConversionWarning,
            stacklevel=5,
        )
        found = found[:, 0]
    if found.ndim not in (1, 2):
        raise ValueError(f"y must have one or two dimensions, found shape {found.shape}")
    if len(found) != n:
        raise ValueError(f"X has {n} sequences, y has {len(found)} rows; they must be as many")
    return found


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.array([is_missing(value) for value in values.ravel()], dtype=bool).reshape(values.shape)


def _refuse(wrong: NDArray[np.bool_], why: str) -> None:
    if wrong.any():
        raise ValueError(f"y, row {int(np.argwhere(wrong)[0][0])}: {why}")


def row_weights(sample_weight: Any, n: int) -> NDArray[np.float64]:
    """Return what each row counts (n,), 1 on average over those that count."""
    if sample_weight is None:
        return np.ones(n)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.ndim == 0:
        weight = np.full(n, float(weight))
    if weight.shape != (n,):
        raise ValueError(f"sample_weight has shape {weight.shape}; it must have one entry for each of {n} sequences")
    wrong = ~np.isfinite(weight) | (weight < 0)
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(f"sample_weight, row {row}: weights must be finite and at least 0, found {weight[row]}")
    if not weight.any():
        raise ValueError("sample_weight is zero for every row; something has to count")
    return normalised(weight)


def read_groups(groups: Any, n: int) -> NDArray[np.int64] | None:
    """Return the number of each row's group (n,); None where none are given."""
    if groups is None:
        return None
    given = np.asarray(groups)
    if given.shape != (n,):
        raise ValueError(f"groups has shape {given.shape}; it must have one entry for each of {n} sequences")
    if given.dtype.kind == "O":
        given = given.astype(str)
    return np.unique(given, return_inverse=True)[1].astype(np.int64)


def normalised(weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return weights that are 1 on average over rows that count: others might as well not be there."""
    return weight * (np.count_nonzero(weight) / weight.sum())


def class_weights(class_weight: Any, y: NDArray[Any], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weights of rows times those of their classes, 1 on average over those that count.

    Parameters
    ----------
    class_weight : {"balanced"}, dict or None
        Of class to weight; "balanced" for the inverse of how often a class occurs.
    y : array (n,) or (n, n_labels)
    weight : float array (n,)

    Raises
    ------
    ValueError
        For anything else, and for classes that do not occur.
    """
    from sklearn.utils.class_weight import compute_sample_weight

    if class_weight is None:
        return weight
    if class_weight != "balanced" and not isinstance(class_weight, dict | list):
        raise ValueError(f"class_weight must be 'balanced', a dict of class to weight or None, found {class_weight!r}")
    if isinstance(class_weight, dict):
        unknown = [label for label in class_weight if label not in set(np.unique(y).tolist())]
        if unknown:
            raise ValueError(f"class_weight names {unknown[0]!r}, which is not among the labels")
    counted = weight > 0
    both = weight.copy()
    both[counted] *= compute_sample_weight(class_weight, y[counted])
    if not both.any():
        raise ValueError("class_weight is zero for every row that counts; something has to count")
    return normalised(both)
