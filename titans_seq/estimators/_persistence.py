"""A forecaster as tensors and a description, and back."""

from __future__ import annotations

import os
from dataclasses import replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from torch import Tensor

from titans_seq._version import __version__
from titans_seq.adapters.effects import CovariateEffect
from titans_seq.adapters.error_memory import ErrorMemory, ErrorStream, Leads
from titans_seq.adapters.lags import LaggedMap
from titans_seq.adapters.linear import LinearMap
from titans_seq.adapters.online_stream import OnlineStream
from titans_seq.adapters.series import SeriesModel
from titans_seq.adapters.stream import SeriesStream
from titans_seq.data import Covariates, FrameFormat, Frequency
from titans_seq.estimators import _storage
from titans_seq.estimators._bounds import LastRows
from titans_seq.estimators._combination import Combination
from titans_seq.estimators._recent import RecentErrors, Window
from titans_seq.estimators._settings import NAME, Settings

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster

    Forecaster = TypeVar("Forecaster", bound=TitansForecaster)


def save(forecaster: TitansForecaster, path: str | os.PathLike[str]) -> None:
    """Write a fitted forecaster; see `TitansForecaster.save`."""
    tensors = {f"model.{name}": x for name, x in forecaster._model.state_dict().items()}
    tensors |= forecaster._stream.tensors()
    tensors |= _storage.as_tensors("linear.", forecaster.linear_.tensors())
    own = {
        "center": forecaster._center,
        "scale": forecaster._scale,
        "spread": forecaster._spread,
        "group": forecaster._group,
        "offsets": forecaster._combination.offsets,
        "usual": forecaster._combination.usual,
        "factor": forecaster._combination.factor,
        "origins": forecaster._origins.astype(np.int64),
        "effect": forecaster._effect.weights,
        "lags": forecaster._lags.weights,
    }
    if len(forecaster._combination.gap_factors):
        own["gap_factors"] = forecaster._combination.gap_factors
    if forecaster._combination.dependence is not None:
        own["dependence"] = forecaster._combination.dependence
    if forecaster._last_rows is not None:
        own["last_rows"] = forecaster._last_rows.values
    tensors |= _storage.as_tensors("own.", own)
    if forecaster._recent is not None:
        tensors |= _storage.as_tensors("recent.", forecaster._recent.tensors())
    if forecaster._errors is not None and forecaster._error_stream is not None:
        tensors |= {f"errors.{name}": x for name, x in forecaster._errors.state_dict().items()}
        tensors |= {f"error_stream.{name}": x for name, x in forecaster._error_stream.tensors().items()}
    if forecaster._online is not None:
        tensors |= _storage.as_tensors("online.", forecaster._online.tensors())
    _storage.write_model(path, tensors, _describe(forecaster))


def load(kind: type[Forecaster], path: str | os.PathLike[str]) -> Forecaster:
    """Read what `save` wrote; see `TitansForecaster.load`."""
    tensors, description = _storage.read_model(path)
    if description.get("estimator") != NAME:
        raise ValueError(f"{path} holds a saved {description.get('estimator')}, not a {NAME}")
    try:
        return _restore(kind, tensors, description)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(f"the model saved at {path} is damaged: {reason}") from None


def _describe(forecaster: TitansForecaster) -> dict[str, Any]:
    parameters = forecaster.get_params()
    if not isinstance(forecaster.random_state, Integral):
        parameters["random_state"] = None
    parameters["quantile_levels"] = list(forecaster.quantile_levels)
    return {
        "estimator": NAME,
        "version": __version__,
        "parameters": parameters,
        "settings": forecaster._settings.to_dict(),
        "frequency": forecaster.frequency_.to_dict(),
        "frame": forecaster._format.to_dict(),
        "ids": forecaster.ids_,
        "covariates": forecaster._covariates.to_dict(),
        "lags_centred": forecaster._lags.centred,
        "network_weight": forecaster._combination.weight,
        "error_weight": forecaster._combination.error_weight,
        "least_scale": forecaster._combination.least_scale,
        "lower_bound": forecaster._combination.lower_bound,
        "use_spread": forecaster._combination.use_spread,
        "validation_score": None if np.isnan(forecaster._combination.score) else forecaster._combination.score,
        "alarm_level": forecaster._combination.alarm_level,
        "fit_seconds": forecaster.fit_seconds_,
        "history": forecaster.history_,
    }


def _restore(kind: type[Forecaster], tensors: dict[str, Tensor], description: dict[str, Any]) -> Forecaster:
    parameters = {"intervals": "empirical"} | description["parameters"]  # of models saved before there was a choice
    forecaster = kind(**parameters | {"quantile_levels": tuple(parameters["quantile_levels"])})
    own = {name: x.numpy() for name, x in _storage.part(tensors, "own.").items()}
    settings = Settings(**description["settings"])
    model = SeriesModel(settings.patching, settings.horizon, **settings.backbone)
    model.load_state_dict(_storage.part(tensors, "model."))
    model.eval()
    frequency = Frequency.from_dict(description["frequency"])
    forecaster._settings, forecaster._format = settings, FrameFormat.from_dict(description["frame"])
    forecaster._model, forecaster._stream = model, SeriesStream.from_tensors(tensors)
    forecaster._center, forecaster._scale, forecaster._group = own["center"], own["scale"], own["group"]
    forecaster._spread = own.get("spread", own["scale"])  # models saved before `score` came have none
    integer = frequency.kind == "integer"
    forecaster._origins = own["origins"] if integer else own["origins"].view("datetime64[ns]")
    score = description.get("validation_score")
    chosen = Combination(description["network_weight"], description["use_spread"], own["offsets"])
    if score is not None:
        chosen = replace(chosen, score=score)
    if "usual" in own:  # models saved before there was `surprise` have none
        chosen = replace(chosen, usual=own["usual"], alarm_level=float(description["alarm_level"]))
    if "factor" in own:  # models saved before series had intervals of their own width have none
        chosen = replace(chosen, factor=own["factor"], dependence=own.get("dependence"))
    if "gap_factors" in own:
        chosen = replace(chosen, gap_factors=own["gap_factors"])
    # Models saved before there was a memory of errors have no weight for it; nor was there a least scale.
    error_weight, least_scale = (float(description.get(name, 0.0)) for name in ("error_weight", "least_scale"))
    chosen = replace(chosen, error_weight=error_weight, least_scale=least_scale)
    # Models saved before there were bounds have none.
    forecaster._combination = replace(chosen, lower_bound=bool(description.get("lower_bound", False)))
    forecaster._last_rows = _restore_last_rows(forecaster, own)
    forecaster._errors, forecaster._error_stream = _restore_errors(settings, tensors, forecaster._combination)
    forecaster.linear_ = LinearMap.from_tensors({n: x.numpy() for n, x in _storage.part(tensors, "linear.").items()})
    forecaster._covariates = Covariates.from_dict(description.get("covariates", []))
    future = forecaster._covariates.features_of("future")
    forecaster._effect = CovariateEffect.none(future, forecaster._covariates.numeric)
    if "effect" in own:  # models saved before there were covariates have none
        forecaster._effect = forecaster._effect.plus(own["effect"])
    forecaster._lags = LaggedMap(own["lags"], description["lags_centred"]) if "lags" in own else LaggedMap()
    forecaster._online = None
    if settings.online_linear:
        sums = {name: x.numpy() for name, x in _storage.part(tensors, "online.").items()}
        forecaster._online = OnlineStream.from_tensors(sums, forecaster.linear_, own["group"], settings.patch_length)
    forecaster._recent = None
    if settings.intervals == "adaptive":
        recent = {name: x.numpy() for name, x in _storage.part(tensors, "recent.").items()}
        window = Window(settings.horizon, settings.patch_length)
        forecaster._recent = RecentErrors.from_tensors(recent, window, len(description["ids"]))
    forecaster.frequency_, forecaster.ids_ = frequency, description["ids"]
    forecaster.history_, forecaster.fit_seconds_ = description["history"], description["fit_seconds"]
    _check(forecaster)
    forecaster._set_derived()
    return forecaster


def _restore_last_rows(forecaster: TitansForecaster, own: dict[str, Any]) -> LastRows | None:
    if not forecaster._combination.lower_bound:
        return None
    if "last_rows" in own:
        return LastRows(own["last_rows"])
    # Models saved before bounds were exact kept rows only scaled.
    values, observed = forecaster._stream.values.numpy(), forecaster._stream.observed.numpy()
    return LastRows(np.where(observed, values * own["scale"][:, None] + own["center"][:, None], np.nan))


def _restore_errors(
    settings: Settings, tensors: dict[str, Tensor], chosen: Combination
) -> tuple[ErrorMemory | None, ErrorStream | None]:
    if not chosen.error_weight:
        return None, None
    memory = ErrorMemory(settings.patching.n_features, Leads(settings.horizon, settings.patch_length))
    memory.load_state_dict(_storage.part(tensors, "errors."))
    return memory.eval(), ErrorStream.from_tensors(_storage.part(tensors, "error_stream."))


def _check(forecaster: TitansForecaster) -> None:
    """Raise a ValueError where parts do not fit together or hold no numbers."""
    n = len(forecaster.ids_)
    for name in ("_center", "_scale", "_spread", "_group", "_origins"):
        if getattr(forecaster, name).shape != (n,):
            raise ValueError(f"{name[1:]} does not hold one entry for each of {n} series")
    stream, patching = forecaster._stream, forecaster._settings.patching
    if stream.values.shape != (n, patching.context_length + patching.patch_length) or stream.steps.shape != (n,):
        raise ValueError("the state does not fit the settings")
    if forecaster._last_rows is not None and forecaster._last_rows.values.shape != stream.values.shape:
        raise ValueError("the last rows do not fit the state")
    if forecaster._error_stream is not None and len(forecaster._error_stream.known) != n:
        raise ValueError(f"the memory of errors does not hold one entry for each of {n} series")
    if not 0 <= forecaster._combination.error_weight <= 1:
        raise ValueError(f"error_weight is {forecaster._combination.error_weight}")
    if not 0 <= forecaster._combination.weight <= 1:
        raise ValueError(f"network_weight is {forecaster._combination.weight}")
    chosen = forecaster._combination
    if chosen.usual.shape not in ((1,), (n + 1,)) or not (chosen.usual > 0).all() or not chosen.alarm_level > 0:
        raise ValueError(f"usual errors are not positive numbers for {n} series and for others")
    if chosen.factor.shape not in ((1,), (n + 1,)) or not (chosen.factor > 0).all():
        raise ValueError(f"widths of intervals are not positive numbers for {n} series and for others")
    if chosen.dependence is not None and chosen.dependence.shape[1:] != (forecaster._settings.horizon,):
        raise ValueError(f"the dependence of errors has shape {chosen.dependence.shape}")
    numbers = (
        forecaster._center,
        forecaster._scale,
        chosen.offsets,
        chosen.usual,
        chosen.factor,
        chosen.alarm_level,
        0.0 if chosen.dependence is None else chosen.dependence,
    )
    if not all(np.isfinite(x).all() for x in numbers):
        raise ValueError("there are entries that are not finite")
