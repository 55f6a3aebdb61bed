"""Starting a fit on DNA from an earlier model: what is taken over, and what has to agree."""

from __future__ import annotations

import inspect
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import nn

from titans_seq.adapters.dna import BaseFeatures
from titans_seq.adapters.language_features import BaseLanguage, LanguageFeatures
from titans_seq.adapters.sequence_network import NetworkShape, SequenceModel
from titans_seq.data._calendar import Int64Array
from titans_seq.estimators import _storage
from titans_seq.estimators._sequence_predicting import Member
from titans_seq.estimators._sequence_settings import network_shape
from titans_seq.estimators._sequence_targets import ClassTargets, ValueTargets

if TYPE_CHECKING:
    from titans_seq.estimators._sequence_base import SequenceEstimator

_LAST = ("network.pooled.4.", "network.placed.4.")
"""Layers of the heads that say what classes or numbers are called."""

_OF_PLACES = ("network.places.", "network.placed.")
"""Layers that are there only for sequences of one length."""


@dataclass(frozen=True)
class Start:
    """What a fit takes over from an earlier model; nothing in it is changed.

    Attributes
    ----------
    shape : NetworkShape or None
        Of the earlier networks.
    members : tuple of Member
        They begin the members, in turn.
    targets : ClassTargets, ValueTargets or None
        What they told.
    language : BaseLanguage or None
        Language model whose states are read beside the bases.
    """

    shape: NetworkShape | None = None
    members: tuple[Member, ...] = ()
    targets: ClassTargets | ValueTargets | None = None
    language: BaseLanguage | None = None

    def encoder(self) -> nn.Module:
        """Return what turns bases into features."""
        return BaseFeatures() if self.language is None else LanguageFeatures(self.language)

    def shape_for(self, estimator: SequenceEstimator, lengths: Int64Array, n_features: int, n: int) -> NetworkShape:
        """Return the shape of networks with ``n`` outputs: the earlier one, where there is one.

        Raises
        ------
        ValueError
            Naming the first argument that was given and differs from the earlier one.
        """
        usual = network_shape(estimator, lengths, n_features, n)
        if self.shape is None:
            return replace(usual, n_context=0 if self.language is None else self.language.n_features)
        earlier = self.shape
        _check_same(estimator, "stride", earlier.pooling * earlier.stride)
        _check_same(estimator, "channels", earlier.channels)
        for name, value in earlier.backbone.items():
            if name != "dropout":
                _check_same(estimator, name, value)
        backbone = earlier.backbone | {"dropout": usual.backbone["dropout"]}
        return replace(earlier, n_outputs=n, length=usual.length, dropout=usual.dropout, backbone=backbone)

    def says_the_same(self, targets: ClassTargets | ValueTargets) -> bool:
        """Whether the earlier networks told these very classes, or as many numbers."""
        if isinstance(targets, ClassTargets) and isinstance(self.targets, ClassTargets):
            return self.targets.many == targets.many and np.array_equal(self.targets.classes, targets.classes)
        both_values = isinstance(targets, ValueTargets) and isinstance(self.targets, ValueTargets)
        return both_values and self.targets.objective == targets.objective  # type: ignore[union-attr]

    def earlier(self, member: int, targets: ClassTargets | ValueTargets) -> Member | None:
        """Return the earlier member that one begins with, if it told the same."""
        return self.members[member % len(self.members)] if self.members and self.says_the_same(targets) else None

    def warm(self, model: SequenceModel, member: int, targets: ClassTargets | ValueTargets) -> None:
        """Give a network the weights of an earlier one: all, but for what other classes or lengths leave no use for."""
        if not self.members or self.shape is None:
            return
        new: tuple[str, ...] = () if self.says_the_same(targets) else _LAST
        new += () if model.network.shape.length == self.shape.length else _OF_PLACES
        weights = self.members[member % len(self.members)].model.state_dict()
        own = model.state_dict()
        new += ("kmers.",)  # they are fitted to the new sequences
        model.load_state_dict(own | {name: x for name, x in weights.items() if not name.startswith(new)})


def starting_point(init: Any) -> Start:
    """Read ``init`` of `DNAClassifier.fit`: a fitted model of DNA or where one was saved; None: nothing.

    Raises
    ------
    TypeError, NotFittedError, FileNotFoundError, ValueError
        If it is neither, or not fitted, or can't be read.
    """
    from titans_seq.estimators._dna import DNAEstimator
    from titans_seq.estimators.dna_language_model import DNALanguageModel

    if init is None:
        return Start()
    if isinstance(init, str | os.PathLike):
        init = _load(Path(init))
    if isinstance(init, DNALanguageModel):
        check_is_fitted(init, "_model", msg="the %(name)s of init is not fitted yet; call its fit first")
        return Start(language=BaseLanguage(init._model, init._counts, init.network_arguments()))
    if not isinstance(init, DNAEstimator):
        raise TypeError(
            "init must be a fitted DNAClassifier, DNARegressor or DNALanguageModel, or the path of a saved one, "
            f"found {type(init).__name__}"
        )
    check_is_fitted(init, "_members", msg="the %(name)s of init is not fitted yet; call its fit first")
    return Start(init._shape, tuple(init._members), init._targets, init._language)


def _load(path: Path) -> Any:
    from titans_seq.estimators.dna_classifier import DNAClassifier
    from titans_seq.estimators.dna_language_model import DNALanguageModel
    from titans_seq.estimators.dna_regressor import DNARegressor

    try:
        name = json.loads((path / _storage.DESCRIPTION).read_text(encoding="utf-8"))["estimator"]
    except FileNotFoundError:
        raise FileNotFoundError(f"init: {path} holds no saved model") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"init: the model saved at {path} is damaged") from None
    kinds: tuple[Any, ...] = (DNAClassifier, DNARegressor, DNALanguageModel)
    for kind in kinds:
        if kind.__name__ == name:
            return kind.load(path)
    raise TypeError(f"init: {path} holds a saved {name}; it must be a model of DNA")


def _check_same(estimator: SequenceEstimator, name: str, earlier: Any) -> None:
    """Refuse an argument that differs from its default and from what the earlier model has."""
    given = getattr(estimator, name)
    default = inspect.signature(type(estimator)).parameters[name].default
    if given != default and given != earlier:
        raise ValueError(f"{name} is {given!r}, but the model of init has {earlier!r}; leave it out, or give the same")
