"""What `TitansForecaster.fit` does, step by step."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from titans_seq.adapters._linear_windows import WindowReader
from titans_seq.adapters.clock import NO_LIMIT, Clock
from titans_seq.adapters.effects import CovariateEffect, fit_effect
from titans_seq.adapters.error_memory import ErrorMemory
from titans_seq.adapters.forecasts import Forecasts, streaming_forecasts, windowed_forecasts
from titans_seq.adapters.lags import MOST_WINDOWS as MOST_LAG_WINDOWS
from titans_seq.adapters.lags import LaggedMap, fit_lags
from titans_seq.adapters.linear import PRIORS, LinearMap, fit_linear, fit_linear_toward, refit_linear
from titans_seq.adapters.scaled import FloatArray, IntArray, ScaledPanel, fit_scaling
from titans_seq.adapters.series import SeriesModel
from titans_seq.adapters.stream import StreamReader
from titans_seq.adapters.tokens import LinearForecast
from titans_seq.data import Covariates, Panel
from titans_seq.estimators._budget import FEW_SERIES, Budget, seconds_of
from titans_seq.estimators._choosing import (
    goes_on_learning,
    no_better_than_the_last_value,
    outcomes,
    wanted_lower_bound,
    with_online_map,
)
from titans_seq.estimators._combination import LEAST_SHARE, Combination, best_weight, calibrate, cautious_weight
from titans_seq.estimators._conformal import disjoint_windows
from titans_seq.estimators._error_memory import fit_error_memory
from titans_seq.estimators._gaps import gap_factors, with_better_filling
from titans_seq.estimators._processes import share_out, share_series
from titans_seq.estimators._settings import Settings, resolve
from titans_seq.estimators._starting import Start
from titans_seq.training.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster
    from titans_seq.training.checkpoint import Checkpoint, Place
    from titans_seq.training.fit import TrainingResult
    from titans_seq.training.module import SeriesTraining
    from titans_seq.training.pieces import PieceSampler
    from titans_seq.training.sampling import StretchSampler

MAX_EFFECT_WINDOWS = 20_000
MAX_VALIDATION_WINDOWS = 4096
MAX_EPOCH_WINDOWS = 1024
MAX_EPOCH_BATCHES = 50
"""Batches of an epoch: beyond some 50,000 windows an epoch is a sample of them, 20 epochs are 1,000 steps."""
_FEWEST_WINDOWS = 64
_REFIT = 0.3
"""What fitting the linear map again takes, in units of what its choice took."""
_FOR_LAGS = 0.1
"""Share of the time that is left that the map of the last rows of covariates may take."""


@dataclass
class Fitted:
    """What fitting hands to the estimator."""

    settings: Settings
    data: ScaledPanel
    linear: LinearMap
    model: SeriesModel
    combination: Combination
    training: TrainingResult | None
    effect: CovariateEffect
    lags: LaggedMap
    errors: ErrorMemory | None = None


def fit(
    forecaster: TitansForecaster,
    panel: Panel,
    train_end: IntArray,
    *,
    covariates: Covariates,
    refit: bool,
    seed: int,
    weight: FloatArray | None = None,
    start: Start | None = None,
    checkpoint: Checkpoint | None = None,
    clock: Clock = NO_LIMIT,
    ranks: Ranks = ALONE,
) -> Fitted:
    """Fit linear map, network and combination.

    Parameters
    ----------
    forecaster : TitansForecaster
        Read only.
    panel : Panel
        Training rows, followed by the rows that choose.
    train_end : int array (n_series,)
    covariates : Covariates
        Of the panel.
    refit : bool
        Whether the linear map is fitted again on all rows once everything was chosen.
    seed : int
    weight : float array (total,), optional
        What each row of the panel counts as a target; see `titans_seq.estimators._weighting`.
    start : Start, optional
        Earlier forecaster to start from.
    checkpoint : Checkpoint, optional
        The training of the network is kept there, and goes on from there; all else is done again.
    clock : Clock, default no limit
        What gives way where it runs short is said in `TitansForecaster`.
    ranks : Ranks, optional
        Processes that fit together, which the checkpoint has joined. What is not training is done by each of them.
    """
    from titans_seq.training.fit import seeded

    lower_bound = wanted_lower_bound(forecaster, panel, covariates, weight)
    settings = resolve(forecaster, panel, train_end) if start is None else start.settings_for(forecaster, panel)
    center, scale = fit_scaling(panel, train_end)
    effect = _effect(settings, panel, train_end, center, scale, covariates, start, clock)
    panel = effect.take_out(panel, scale, np.arange(panel.n_series))
    given = (panel, scale, center, train_end)
    began = time.monotonic()
    linear = fit_linear(*given, settings.context_length, settings.horizon, weight=weight, priors=PRIORS, clock=clock)
    seconds = time.monotonic() - began
    # A map that is drawn towards another one can't go on learning: its sums know nothing of the other.
    toward = None
    if start is not None and forecaster.online_linear is not True:
        toward = fit_linear_toward(start.linear, *given, weight=weight)
        toward = toward if toward.validation_score <= linear.validation_score else None
    linear = linear if toward is None else toward
    data = _scaled(panel, center, scale, linear, weight)
    choosing = start is None and forecaster.online_linear is not True
    if choosing and no_better_than_the_last_value(settings, data, train_end, linear):
        linear = linear.last_value()
        data = _scaled(panel, center, scale, linear, weight)
    linear = with_better_filling(
        linear, data, *validation_cutoffs(panel, train_end, settings.horizon, MAX_EPOCH_WINDOWS)
    )
    with seeded(seed):
        model = SeriesModel(settings.patching, settings.horizon, **settings.backbone)
        if start is not None:
            model.load_state_dict(start.weights)
        online = toward is None and goes_on_learning(forecaster, settings, data, train_end, linear, clock)
        settings = replace(settings, online_linear=online)
        lags = _lags(settings, data, train_end, linear, covariates, start, clock)
        reader = StreamReader(model, LinearForecast(linear, lags), data.panel.frequency)
        budget = Budget.plan(reader, settings, data, train_end, clock, refit=_REFIT * seconds if refit else 0.0)
        place, budget = _place(checkpoint, budget)
        training = _train(forecaster, settings, data, train_end, linear, lags, reader, seed, budget, ranks, place)
    model.to("cpu").eval()
    judged, errors = len(validation_cutoffs(panel, train_end, settings.horizon, 1)[0]), None
    if start is None or judged:
        wanted = forecaster.error_memory if budget.allows_error_memory else False
        combination, errors = _combine(
            settings, data, train_end, linear, lags, model, wanted, lower_bound, seed, budget, ranks
        )
    else:
        combination = start.combination_for()
    if refit and budget.allows_refit:
        given, fill_steps = (panel, scale, center, panel.lengths), linear.fill_steps
        if start is not None and toward is not None:
            linear = fit_linear_toward(start.linear, *given, penalties=(toward.penalty,), weight=weight)
        else:
            linear = refit_linear(linear, panel, scale, center, weight=weight, clock=clock)
        linear = replace(linear, fill_steps=fill_steps)
        shared = np.zeros(panel.n_series, dtype=np.int64)
        data = data.with_groups(shared if linear.shared else np.arange(panel.n_series))
    return Fitted(settings, data, linear, model, combination, training, effect, lags, errors)


def _scaled(
    panel: Panel, center: FloatArray, scale: FloatArray, linear: LinearMap, weight: FloatArray | None
) -> ScaledPanel:
    """The panel with the groups that a map tells apart."""
    n = panel.n_series
    return ScaledPanel(panel, center, scale, np.zeros(n, dtype=np.int64) if linear.shared else np.arange(n), weight)


def _lags(
    settings: Settings,
    data: ScaledPanel,
    train_end: IntArray,
    linear: LinearMap,
    covariates: Covariates,
    start: Start | None,
    clock: Clock,
) -> LaggedMap:
    """What the last rows of covariates add to the linear map."""
    features = covariates.features_of("past", "future")
    reader = WindowReader(data.panel, data.center, data.scale, settings.context_length, settings.horizon)
    rows = max(settings.horizon, settings.patch_length)
    work = 4.0 * (rows * features.sum()) ** 2 + 4.0 * settings.context_length * settings.horizon
    seconds = seconds_of(work) if clock.limited else 0.0
    most = clock.most(MOST_LAG_WINDOWS, seconds, _FOR_LAGS, least=_FEWEST_WINDOWS)
    found = fit_lags(reader, linear, train_end, features, rows, most_windows=most)
    return found if found.rows or start is None else start.lags


def _effect(
    settings: Settings,
    panel: Panel,
    train_end: IntArray,
    center: FloatArray,
    scale: FloatArray,
    covariates: Covariates,
    start: Start | None,
    clock: Clock,
) -> CovariateEffect:
    """Effect of the covariates that are known ahead."""
    features = covariates.features_of("future")
    none = CovariateEffect.none(features, covariates.numeric)
    if not features.any():
        return none

    def fit_map(left: Panel) -> LinearMap:
        lengths = (settings.context_length, settings.horizon)
        most = clock.sooner(0.3)
        return fit_linear(left, scale, center, train_end, *lengths, max_windows=MAX_EFFECT_WINDOWS, clock=most)

    return fit_effect(panel, scale, center, train_end, none if start is None else start.effect, fit_map, clock)


def split_off_validation(panel: Panel, horizon: int, fraction: float) -> IntArray:
    """First validation row of each series: the last ``fraction``, at least one horizon; none if it is too short."""
    lengths = panel.lengths
    held = np.maximum(horizon, (lengths * fraction).astype(np.int64))
    return np.where(lengths - held >= max(2 * horizon, 8), lengths - held, lengths)


def _train(
    forecaster: TitansForecaster,
    settings: Settings,
    data: ScaledPanel,
    train_end: IntArray,
    linear: LinearMap,
    lags: LaggedMap,
    reader: StreamReader,
    seed: int,
    budget: Budget,
    ranks: Ranks,
    place: Place | None,
) -> TrainingResult | None:
    """Train the network where there is enough to train and to choose on, and time; None where there is not."""
    counted = data.mean_weight(train_end) > 0
    windows = int(np.maximum(train_end - settings.horizon - settings.patch_length, 0)[counted].sum())
    series, _ = validation_cutoffs(data.panel, train_end, settings.horizon, MAX_EPOCH_WINDOWS)
    if forecaster.max_epochs == 0 or windows < _FEWEST_WINDOWS or not len(series) or not budget.allows_network:
        return None
    from titans_seq.training.fit import train

    rows = budget.rows_to_validate
    tokens = settings.sequence_length // settings.patch_length
    n_batches = int(np.clip(windows / (forecaster.batch_size * tokens), 10, MAX_EPOCH_BATCHES))
    batches = {"tokens": tokens, "batch_size": forecaster.batch_size, "n_batches": n_batches, "seed": seed}
    sampler, kind = _how_to_train(settings, data, train_end, batches)

    @cache
    def online() -> np.ndarray:
        """Linear forecasts of a map that goes on learning: the same in every epoch."""
        forecasts = validation_forecasts(reader, settings, data, train_end, MAX_EPOCH_WINDOWS, rows, ranks)
        return with_online_map(forecasts, settings, data, linear, lags).linear

    def validate() -> float:
        forecasts = validation_forecasts(reader, settings, data, train_end, MAX_EPOCH_WINDOWS, rows, ranks)
        if settings.online_linear:
            forecasts = replace(forecasts, linear=online())
        actual, observed, counts = outcomes(data, forecasts.series, forecasts.cutoff, settings.horizon)
        return best_weight(actual - forecasts.linear, forecasts.shift, observed, counts)[1]

    module = kind(
        reader.model,
        reader.linear,
        quantile_levels=tuple(forecaster.quantile_levels),
        learning_rate=forecaster.learning_rate,
        total_steps=n_batches * forecaster.max_epochs,
        validate=validate,
    )
    module.ranks = ranks
    accelerator = forecaster._accelerator()
    return train(
        module,
        sampler,
        max_epochs=forecaster.max_epochs,
        max_seconds=budget.seconds_to_train,
        patience=forecaster.early_stopping_patience,
        accelerator=accelerator,
        precision="bf16-mixed" if forecaster.precision == "bf16" and accelerator == "gpu" else "32-true",
        progress=forecaster._show_progress(),
        place=place,
    )


def _place(checkpoint: Checkpoint | None, budget: Budget) -> tuple[Place | None, Budget]:
    """Return where the training is kept; and the plan of the process that began it, with the time that it has left."""
    if checkpoint is None:
        return None, budget
    saved = checkpoint.at("network").load()
    if saved is not None:
        clock = budget.clock.less(checkpoint.earlier)
        rows = saved.facts["rows_to_validate"]
        series = saved.facts.get("series_to_judge", FEW_SERIES)  # no entry in checkpoints of before there was a choice
        budget = replace(budget, clock=clock, rows_to_validate=rows, series_to_judge=series, allows_network=True)
    kept = {"rows_to_validate": budget.rows_to_validate, "series_to_judge": budget.series_to_judge}
    return checkpoint.at("network", **kept), budget


def _how_to_train(
    settings: Settings, data: ScaledPanel, train_end: IntArray, batches: dict[str, Any]
) -> tuple[StretchSampler | PieceSampler, type[SeriesTraining]]:
    """Batches, and the module that is trained on them."""
    from titans_seq.training.contiguous import ContiguousTraining
    from titans_seq.training.module import SeriesTraining
    from titans_seq.training.pieces import PieceSampler
    from titans_seq.training.sampling import StretchSampler

    series = (data, train_end, settings.patching, settings.horizon)
    if settings.training_mode == "contiguous":
        return PieceSampler(*series, **batches), ContiguousTraining
    carried = settings.carry_state
    return StretchSampler(*series, **batches, history=carried, partial=carried), SeriesTraining


def _combine(
    settings: Settings,
    data: ScaledPanel,
    train_end: IntArray,
    linear: LinearMap,
    lags: LaggedMap,
    model: SeriesModel,
    error_memory: bool | Literal["auto"],
    lower_bound: bool | Literal["auto"],
    seed: int,
    budget: Budget,
    ranks: Ranks,
) -> tuple[Combination, ErrorMemory | None]:
    """Choose on validation what counts how much; without a memory of errors where it adds nothing."""
    linear_forecast = LinearForecast(linear, lags, lower_bound=bool(lower_bound))
    reader = StreamReader(model, linear_forecast, data.panel.frequency)
    rows, n_judged = budget.rows_to_validate, budget.series_to_judge
    forecasts = validation_forecasts(
        reader, settings, data, train_end, MAX_VALIDATION_WINDOWS, rows, ranks, n_series=n_judged
    )
    later = bool(len(forecasts.series))
    if not later:  # nothing later to judge on: errors on the training rows are the best there is
        ends = np.maximum(data.panel.lengths - settings.horizon, 1)
        series, cutoff = validation_cutoffs(data.panel, np.maximum(ends // 2, 1), settings.horizon, MAX_EPOCH_WINDOWS)
        forecasts = windowed_forecasts(reader, data, series, cutoff, rows=settings.context_length)
    elif settings.online_linear:
        forecasts = with_online_map(forecasts, settings, data, linear, lags)
    actual, observed, counts = outcomes(data, forecasts.series, forecasts.cutoff, settings.horizon)
    steps = min(settings.patch_length, settings.horizon)
    n_series = data.panel.n_series
    residual, cutoff = actual - forecasts.linear, forecasts.cutoff
    # What a random walk leaves over is noise: there nothing counts that is not sure.
    least = 0.0 if linear.is_last_value else LEAST_SHARE
    apart = int(disjoint_windows(forecasts.series, cutoff, observed, n_series).max())
    weight = cautious_weight(
        residual, forecasts.shift, cutoff, observed, counts, disjoint=apart, n_series=n_series, least_share=least
    )
    errors, error_weight = None, 0.0
    if error_memory and later and settings.carry_state:
        given = (reader, settings, weight, data, train_end, forecasts)
        errors, forecasts = fit_error_memory(*given, seed=seed)
        left = residual - weight * forecasts.shift
        # No least share: on ETTh2 and on CO2 a little of a gain that was not sure did harm.
        error_weight = cautious_weight(
            left, forecasts.recalled, cutoff, observed, counts, disjoint=apart, n_series=n_series, least_share=0.0
        )
        if error_memory is True and errors is not None:
            error_weight = max(error_weight, LEAST_SHARE)
    chosen = calibrate(
        forecasts, actual, observed, counts, n_series=n_series, intervals=settings.intervals,
        weights=(weight, error_weight), lower_bound=lower_bound,
        gap_factors=gap_factors(settings, data, linear, lags, forecasts, actual, observed),
    )  # fmt: skip
    chosen = chosen.judge_errors(forecasts, actual, observed, n_series=n_series, steps=steps)
    return chosen, errors if error_weight else None


def validation_forecasts(
    reader: StreamReader,
    settings: Settings,
    data: ScaledPanel,
    train_end: IntArray,
    most: int,
    rows: int | None = None,
    ranks: Ranks = ALONE,
    *,
    n_series: int = FEW_SERIES,
) -> Forecasts:
    """Forecasts of rows from ``train_end`` on, made the way the forecaster will make them.

    At most ``most`` windows, or with a state that is carried, of at most ``n_series`` series the first ``rows`` rows;
    default all.
    """
    if not settings.carry_state:
        series, cutoff = validation_cutoffs(data.panel, train_end, settings.horizon, most)

        def of_some(which: IntArray) -> Forecasts:
            return windowed_forecasts(reader, data, series[which], cutoff[which], rows=settings.context_length)

        return share_out(ranks, len(series), settings.horizon, of_some)
    p = settings.patch_length
    judged = (data.panel.lengths - settings.horizon >= train_end) & _has_targets(data, train_end)
    some = _evenly(np.flatnonzero(judged), n_series)
    part = data.select(some)
    # As much is read before as a training sequence holds: with the state carried, everything.
    history = train_end[some]
    if settings.training_mode == "sampled":
        history = np.minimum(settings.sequence_length, history)
    start = train_end[some] - p * (history // p)
    until = None if rows is None else np.minimum(part.panel.lengths, train_end[some] + rows)

    def make(own: ScaledPanel, which: IntArray) -> Forecasts:
        end = None if until is None else until[which]
        return streaming_forecasts(reader, own, start=start[which], first=train_end[some[which]], until=end)

    forecasts = share_series(ranks, part, settings.horizon, make)
    inside = np.flatnonzero(forecasts.cutoff + settings.horizon <= part.panel.lengths[forecasts.series])
    kept = forecasts.take(inside)
    return replace(kept, series=some[kept.series])


def _has_targets(data: ScaledPanel, train_end: IntArray) -> np.ndarray:
    """Whether a row that chooses counts, (n_series,); all True where none of any series does."""
    if data.weight is None:
        return np.ones(data.panel.n_series, dtype=bool)
    later = np.arange(len(data.weight)) >= np.repeat(data.panel.offsets[:-1] + train_end, data.panel.lengths)
    which = np.repeat(np.arange(data.panel.n_series), data.panel.lengths)
    found = np.bincount(which[later], data.weight[later], minlength=data.panel.n_series) > 0
    return found if found.any() else ~found


def validation_cutoffs(panel: Panel, train_end: IntArray, horizon: int, most: int) -> tuple[IntArray, IntArray]:
    """At most ``most`` (series, cut-off) pairs, spread evenly over all from ``train_end`` on."""
    counts = np.maximum(panel.lengths - horizon - train_end + 1, 0)
    chosen = _evenly(np.arange(int(counts.sum())), most)
    ends = np.cumsum(counts)
    series = np.searchsorted(ends, chosen, side="right")
    cutoff = train_end[series] + chosen - (ends - counts)[series]
    return series.astype(np.int64), cutoff.astype(np.int64)


def _evenly(items: IntArray, most: int) -> IntArray:
    if len(items) <= most:
        return items
    return items[np.linspace(0, len(items) - 1, most).round().astype(np.int64)]
