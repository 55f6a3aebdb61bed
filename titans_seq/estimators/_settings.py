"""Constructor arguments checked, and those left to the data filled in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.adapters.calendar import calendar_periods
from titans_seq.adapters.tokens import Patching
from titans_seq.data import Panel
from titans_seq.data.covariates import check_roles
from titans_seq.estimators._conformal import INTERVALS

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster

NAME = "TitansForecaster"
TRAINING_MODES = ("sampled", "contiguous")
STRATEGIES = ("auto", "ddp", "fsdp")
VARIANTS = ("mag", "mal", "mac", "lmm", "swa", "attention")
_AT_LEAST_ONE = (
    "horizon", "d_model", "n_layers", "n_heads", "memory_depth", "memory_expansion", "chunk_size", "window_size",
    "batch_size", "early_stopping_patience",
)  # fmt: skip


OF_BACKBONE = (
    "d_model", "n_layers", "n_heads", "variant", "memory_depth", "memory_expansion", "chunk_size", "window_size",
    "n_persistent", "dropout", "rule", "surprise_threshold", "initial_theta", "initial_eta", "initial_alpha",
    "hold_eta",
)  # fmt: skip
"""Arguments of estimators that are those of `Backbone`."""


@dataclass(frozen=True)
class Settings:
    """What a fitted forecaster is made of, apart from numbers that were learned; JSON-able.

    Attributes
    ----------
    horizon, context_length, patch_length, sequence_length : int
        Rows; the latter three multiples of ``patch_length``.
    carry_state : bool
    periods : tuple of str
        Calendar periods that are features.
    backbone : dict
        Arguments of the backbone.
    training_mode : {"sampled", "contiguous"}
    online_linear : bool
        Whether the linear map goes on learning.
    n_covariates : int
        Features of each row beside its value.
    intervals : {"conformal", "adaptive", "empirical"}
        Models saved before there was a choice have "empirical".
    """

    horizon: int
    context_length: int
    patch_length: int
    sequence_length: int
    carry_state: bool
    periods: tuple[str, ...]
    backbone: dict[str, Any]
    training_mode: str = "sampled"
    online_linear: bool = False
    n_covariates: int = 0
    intervals: str = "empirical"

    @property
    def patching(self) -> Patching:
        """How rows become tokens."""
        return Patching(self.patch_length, self.context_length, tuple(self.periods), self.n_covariates)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def check_arguments(forecaster: TitansForecaster) -> None:
    """Raise a TypeError or ValueError that names the first bad argument."""
    for name in _AT_LEAST_ONE:
        check_integer(name, getattr(forecaster, name), 1)
    for name in ("context_length", "patch_length", "sequence_length"):
        if getattr(forecaster, name) is not None:
            check_integer(name, getattr(forecaster, name), 1)
    check_integer("max_epochs", forecaster.max_epochs, 0)
    check_integer("n_persistent", forecaster.n_persistent, 0)
    check_choice("variant", forecaster.variant, VARIANTS)
    check_choice("intervals", forecaster.intervals, INTERVALS)
    check_choice("rule", forecaster.rule, ("bounded", "titans"))
    check_memory(forecaster)
    check_choice("on_gap", forecaster.on_gap, ("raise", "mask"))
    check_choice("precision", forecaster.precision, ("32", "bf16"))
    check_device(forecaster.device)
    check_seed(forecaster.random_state)
    check_processes(forecaster, STRATEGIES)
    if forecaster.strategy == "fsdp" and forecaster.training_mode == "contiguous":
        raise ValueError("strategy='fsdp' trains in 'sampled' mode only: a state that is carried needs whole weights")
    if not isinstance(forecaster.carry_state, (bool, np.bool_)):
        raise TypeError(f"carry_state must be True or False, found {forecaster.carry_state!r}")
    check_choice("training_mode", forecaster.training_mode, TRAINING_MODES)
    if forecaster.training_mode == "contiguous" and not forecaster.carry_state:
        raise ValueError("training_mode='contiguous' trains a state that is carried; it needs carry_state=True")
    check_choice("online_linear", forecaster.online_linear, ("auto", True, False))
    if forecaster.online_linear is True and not forecaster.carry_state:
        raise ValueError("online_linear=True goes on learning from what is read; it needs carry_state=True")
    check_choice("error_memory", forecaster.error_memory, ("auto", True, False))
    if forecaster.error_memory is True and not forecaster.carry_state:
        raise ValueError("error_memory=True learns from the errors in what is read; it needs carry_state=True")
    check_choice("lower_bound", forecaster.lower_bound, ("auto", True, False))
    if forecaster.intervals == "adaptive" and not forecaster.carry_state:
        raise ValueError("intervals='adaptive' follows the errors in what is read; it needs carry_state=True")
    check_real("dropout", forecaster.dropout, -1e-9, 1.0)
    check_real("learning_rate", forecaster.learning_rate, 0.0, np.inf)
    check_real("validation_fraction", forecaster.validation_fraction, 0.0, 1.0)
    if forecaster.max_minutes is not None:
        check_real("max_minutes", forecaster.max_minutes, 0.0, np.inf)
    check_levels("quantile_levels", forecaster.quantile_levels)
    if forecaster.roles is not None:
        check_roles(forecaster.roles)
        own = (forecaster.id_col, forecaster.time_col, forecaster.target_col)
        taken = next((name for name in forecaster.roles if name in own), None)
        if taken is not None:
            raise ValueError(f"roles: {taken!r} is the column of ids, times or targets; it is no covariate")


def check_processes(estimator: Any, strategies: tuple[str, ...]) -> None:
    """Raise a TypeError or ValueError for processes that make no sense."""
    check_integer("devices", estimator.devices, 1)
    check_integer("num_nodes", estimator.num_nodes, 1)
    check_choice("strategy", estimator.strategy, strategies)


def check_memory(estimator: Any) -> None:
    """Raise a TypeError or ValueError that names the first bad argument of the memories."""
    check_real("surprise_threshold", estimator.surprise_threshold, -1e-9, np.inf)
    for name in ("initial_theta", "initial_eta", "initial_alpha"):
        if name != "initial_theta" or estimator.initial_theta is not None:
            check_real(name, getattr(estimator, name), 0.0, 1.0)
    if estimator.hold_eta is not None:
        check_real("hold_eta", estimator.hold_eta, -1e-9, 1.0 + 1e-9)


def check_levels(name: str, levels: Any) -> tuple[float, ...]:
    """Return quantile levels as floats in (0, 1), increasing."""
    try:
        found = tuple(float(level) for level in levels)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be numbers between 0 and 1, found {levels!r}") from None
    if not found or not all(0 < level < 1 for level in found):
        raise ValueError(f"{name} must lie between 0 and 1, found {found}")
    if list(found) != sorted(set(found)):
        raise ValueError(f"{name} must increase, found {found}")
    return found


def check_horizon(horizon: int | None, trained: int) -> int:
    """Return the rows to forecast: those asked for, or those trained."""
    if horizon is None:
        return trained
    check_integer("horizon", horizon, 1)
    return int(horizon)


def output_columns(level: Iterable[float] | None, quantiles: Iterable[float] | None) -> dict[str, float | None]:
    """Names of the output columns, and the quantile each holds (None: the point forecast)."""
    columns: dict[str, float | None] = {NAME: None}
    for percent in np.atleast_1d([] if level is None else np.asarray(list(level) if np.iterable(level) else level)):
        if not 0 < percent <= 99:
            raise ValueError(f"level must lie between 0 and 99, found {percent:g}")
        columns[f"{NAME}-lo-{percent:g}"] = round(0.5 - percent / 200, 10)
        columns[f"{NAME}-hi-{percent:g}"] = round(0.5 + percent / 200, 10)
    for q in [] if quantiles is None else check_levels("quantiles", sorted(quantiles)):
        if not 0.005 <= q <= 0.995:
            raise ValueError(f"quantiles must lie between 0.005 and 0.995, found {q:g}")
        columns[f"{NAME}-q-{q:g}"] = q
    return columns


def resolve(forecaster: TitansForecaster, panel: Panel, train_end: np.ndarray) -> Settings:
    """Fill in the lengths that were left to the data."""
    rows, longest = int(np.median(train_end)), int(train_end.max())
    if forecaster.context_length is not None and forecaster.context_length > longest:
        raise ValueError(f"context_length is {forecaster.context_length}; the longest series has {longest} rows to fit")
    context = forecaster.context_length or _default_context(forecaster.horizon, rows, panel.frequency.season_length)
    patch = forecaster.patch_length or _default_patch(context)
    context = -(-context // patch) * patch
    sequence = forecaster.sequence_length or min(4 * context, max(rows, context))
    sequence = -(-sequence // patch) * patch if forecaster.carry_state else context
    backbone = {name: getattr(forecaster, name) for name in OF_BACKBONE}
    return Settings(
        forecaster.horizon,
        context,
        patch,
        sequence,
        bool(forecaster.carry_state),
        calendar_periods(panel.frequency, int(train_end.max())),
        backbone,
        forecaster.training_mode,
        n_covariates=panel.covariates.shape[1],
        intervals=forecaster.intervals,
    )


def _default_context(horizon: int, rows: int, season_length: int) -> int:
    wanted = max(2 * season_length, 4 * horizon, 32)
    return max(1, min(wanted, (rows - horizon) // 2))


def _default_patch(context: int) -> int:
    for patch, enough in ((16, 128), (8, 48), (4, 12), (2, 4)):
        if context >= enough:
            return patch
    return 1


def check_integer(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be an integer, found {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, found {value}")


def check_real(name: str, value: Any, above: float, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, found {value!r}")
    if not above < float(value) < below:
        raise ValueError(f"{name} must lie between {above} and {below}, found {value}")


def check_device(device: Any) -> None:
    import torch

    try:
        kind = torch.device("cpu" if device == "auto" else device).type
    except (RuntimeError, TypeError):
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', found {device!r}") from None
    if kind not in ("cpu", "cuda"):  # torch knows of more, and would find out late that they are not there
        raise ValueError(f"device must be 'auto', 'cpu' or 'cuda', found {device!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device is {device!r}, but torch sees no GPU here; use 'auto' or 'cpu'")


def check_seed(seed: Any) -> None:
    if seed is None or isinstance(seed, np.random.RandomState):
        return
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < 2**32:
        raise ValueError(f"random_state must be an integer from 0 to 2**32 - 1, a RandomState or None, found {seed!r}")


def check_choice(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, found {value!r}")
