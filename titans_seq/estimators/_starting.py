"""Starting a fit from an earlier forecaster: what is taken over, and what has to agree."""

from __future__ import annotations

import inspect
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor

from titans_seq.adapters.effects import CovariateEffect
from titans_seq.adapters.lags import LaggedMap
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.online import with_mean_map
from titans_seq.data import Covariates, Panel
from titans_seq.estimators._combination import Combination
from titans_seq.estimators._settings import OF_BACKBONE, Settings

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster

_OWN = ("dropout",)
"""Arguments of the backbone that may differ from those it was trained with before."""


@dataclass(frozen=True)
class Start:
    """What a fit takes over from an earlier forecaster; nothing in it is changed.

    Attributes
    ----------
    settings : Settings
    weights : dict of Tensor
        Of the network.
    linear : LinearMap
        One map: the mean of the earlier ones where each series had its own.
    combination : Combination
        For series of which too few rows are known to choose one.
    covariates : Covariates
    effect : CovariateEffect
        On other series.
    lags : LaggedMap
    """

    settings: Settings
    weights: dict[str, Tensor]
    linear: LinearMap
    combination: Combination
    covariates: Covariates
    effect: CovariateEffect
    lags: LaggedMap

    def settings_for(self, forecaster: TitansForecaster, panel: Panel) -> Settings:
        """Settings of a fit that starts here: the earlier ones, but for what is no matter of shape.

        Raises
        ------
        ValueError
            Naming the first argument that was given and differs, or series without a calendar where one is needed.
        """
        earlier = self.settings
        patch = earlier.patch_length
        _check_same("horizon", forecaster.horizon, earlier.horizon)
        _check_same("patch_length", forecaster.patch_length, patch)
        length = forecaster.context_length
        _check_same("context_length", length and -(-length // patch) * patch, earlier.context_length)
        for name in OF_BACKBONE:
            if name not in _OWN and _was_given(
                forecaster, name
            ):  # models saved before an argument came had its default
                _check_same(name, getattr(forecaster, name), earlier.backbone.get(name, _default(forecaster, name)))
        if earlier.periods and panel.frequency.kind == "integer":
            periods = ", ".join(earlier.periods)
            raise ValueError(
                f"the forecaster of init reads the calendar ({periods}), but the times of X are integers; give X dates"
            )
        carry = forecaster.carry_state if _was_given(forecaster, "carry_state") else earlier.carry_state
        mode = forecaster.training_mode if _was_given(forecaster, "training_mode") else earlier.training_mode
        if mode == "contiguous" and not carry:
            raise ValueError("training_mode='contiguous' needs carry_state=True; the forecaster of init has False")
        sequence = forecaster.sequence_length or max(earlier.sequence_length, earlier.context_length)
        sequence = -(-sequence // patch) * patch if carry else earlier.context_length
        own = {name: getattr(forecaster, name) for name in _OWN}
        return replace(
            earlier,
            sequence_length=sequence,
            carry_state=bool(carry),
            training_mode=mode,
            backbone=earlier.backbone | own,
            online_linear=False,
            intervals=forecaster.intervals,
        )

    def combination_for(self) -> Combination:
        """Return the earlier combination for other series."""
        own = {name: getattr(self.combination, name)[-1:] for name in ("usual", "factor")}
        return replace(self.combination, score=float("nan"), error_weight=0.0, **own)


def starting_point(forecaster: TitansForecaster, init: Any) -> Start | None:
    """Read ``init`` of `TitansForecaster.fit`: a fitted forecaster or where one was saved.

    Raises
    ------
    TypeError, NotFittedError, FileNotFoundError, ValueError
        If it is neither, or not fitted, or can't be read.
    """
    from titans_seq.estimators.forecaster import TitansForecaster

    if init is None:
        return None
    if isinstance(init, (str, os.PathLike)):
        init = TitansForecaster.load(init)
    if not isinstance(init, TitansForecaster):
        raise TypeError(
            f"init must be a fitted TitansForecaster or the path of a saved one, found {type(init).__name__}"
        )
    init._check_fitted()
    weights = {name: x.detach().clone() for name, x in init._model.state_dict().items()}
    every = with_mean_map(init.linear_)
    linear = replace(every, weights=every.weights[-1:].copy(), bias=every.bias[-1:].copy())
    own = init._covariates, init._effect.for_others(), init._lags
    return Start(init._settings, weights, linear, init._combination, *own)


def covariates_of(forecaster: TitansForecaster, start: Start | None, X: Any) -> Covariates:
    """Covariates of a fit: those of ``init``, or learned from the data.

    Raises
    ------
    ValueError
        If ``roles`` was given and differs from that of ``init``.
    """
    if start is None:
        return Covariates.learn(X, forecaster.roles or {})
    earlier = {column.name: column.role for column in start.covariates.columns}
    if forecaster.roles is not None:
        _check_roles(dict(forecaster.roles), earlier)
    return start.covariates


def _check_roles(given: dict[str, str], earlier: dict[str, str]) -> None:
    """Raise a ValueError that names the columns whose roles differ; their order does not matter."""
    wrong = [f"{name!r} is {given[name]!r}, there it is {earlier[name]!r}" for name in given
             if name in earlier and given[name] != earlier[name]]  # fmt: skip
    new, lacking = ([repr(name) for name in a if name not in b] for a, b in ((given, earlier), (earlier, given)))
    parts = [*wrong, *(f"{name} is not among those of init" for name in new)]
    parts += [f"{name} is missing" for name in lacking]
    if parts:
        raise ValueError(
            f"roles differ from those of the forecaster of init: {'; '.join(parts)}; leave roles= out to take its "
            "over, or fit without init="
        )


def _was_given(forecaster: TitansForecaster, name: str) -> bool:
    """Whether an argument differs from its default: scikit-learn's estimators keep no record of what was passed."""
    return bool(getattr(forecaster, name) != _default(forecaster, name))


def _default(forecaster: TitansForecaster, name: str) -> Any:
    return inspect.signature(type(forecaster)).parameters[name].default


def _check_same(name: str, given: Any, earlier: Any) -> None:
    if given is not None and given != earlier:
        raise ValueError(f"{name} is {given!r}, but the forecaster of init has {earlier!r}; they must be the same")
