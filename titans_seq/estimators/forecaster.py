"""`TitansForecaster`: fit, predict, update, score, surprise, backtest, save and load."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from titans_seq.adapters.clock import Clock
from titans_seq.adapters.scaled import fit_scaling
from titans_seq.data import FrameFormat, hold_entries
from titans_seq.estimators import _fitting, _persistence
from titans_seq.estimators._effects import named_effect
from titans_seq.estimators._judging import Judging
from titans_seq.estimators._ordering import order_of, restore_order, rows_in_order
from titans_seq.estimators._panels import check_lengths, continuing
from titans_seq.estimators._processes import started
from titans_seq.estimators._settings import check_arguments
from titans_seq.estimators._starting import covariates_of, starting_point
from titans_seq.estimators._weighting import row_weights
from titans_seq.training.checkpoint import Checkpoint

if TYPE_CHECKING:
    from titans_seq.estimators.gluonts import TitansPredictor


class TitansForecaster(Judging):
    """Forecasts series with a closed-form linear map and, where validation says it helps, a Titans network.

    The network reads each series patch by patch and goes on learning in its memory while it reads. After
    `fit` it has read the whole history; `update` feeds it new rows at a cost that does not depend on how many
    came before, and no history is kept beyond the last ``context_length`` rows.

    Parameters
    ----------
    horizon : int
        Rows to forecast.
    context_length : int, optional
        Rows that the linear map and the scaling look back on; rounded up to a multiple of ``patch_length``.
        Default: two seasons or four horizons, as far as the series allow.
    patch_length : int, optional
        Rows per token. Default: 16, fewer for a short context.
    sequence_length : int, optional
        Rows the network reads per training sequence when it carries its state; gradients reach no further back.
        Default: 4 contexts.
    carry_state : bool, default True
        True: forecasts come from a state that has read everything. False: every forecast comes from a fresh
        state that reads the last ``context_length`` rows (the windowed protocol of published benchmarks).
    training_mode : {"sampled", "contiguous"}, default "sampled"
        "sampled": training sequences stand at random places, and each is read from a fresh state. "contiguous":
        training reads every series from near its first row to its last, one sequence after the other, and carries
        the state from one to the next, so that the network learns to use memories older than
        ``sequence_length`` rows (truncated backpropagation through time). Needs ``carry_state=True``.
    online_linear : {"auto", True, False}, default "auto"
        Whether the linear map goes on learning with the state that is carried: it is the ridge of all windows known
        so far, solved again whenever a patch is complete. "auto": if that forecasts the validation rows better.
        True needs ``carry_state=True``.
    error_memory : {"auto", True, False}, default "auto"
        Whether forecasts are corrected by a second memory, of their errors, in a state that is carried: once the rows
        of a forecast have arrived, it is written with how the series looked at the cut-off, and how far the forecast
        was off; it is read with how the series looks now. "auto": if that lowers the validation error by more
        than one standard error, for as much as is sure. True: at least a quarter of what it recalls is added, if there
        were rows to train it on; needs ``carry_state=True``.
    lower_bound : {"auto", True, False}, default "auto"
        Whether forecasts, their quantiles and sample paths stay above the lowest value within ``context_length`` rows:
        loads, sales and counts have a floor that a linear map does not know. "auto": if no value that `fit` reads is
        negative, no covariate has the role "future", and both the error and the intervals are better for it on
        validation rows. True can't be combined with covariates of that role.
    variant : {"mag", "mal", "mac", "lmm", "swa", "attention"}, default "mag"
        How memory and attention work together; the last two have no memory.
    d_model, n_layers, n_heads, memory_depth, memory_expansion, chunk_size, window_size, n_persistent, dropout, rule
        Of the backbone; see `titans_seq.nn.Backbone`. Sizes in tokens.
    surprise_threshold : float, default 0.0
        Tokens that surprise a memory by no more than this are not written; 0: all are.
    initial_theta, initial_eta, initial_alpha : float, default None, 0.5, 0.0025
        Step, momentum and forgetting of an untrained memory, in (0, 1); None: by rule, see
        `titans_seq.nn.NeuralMemory`.
    hold_eta : float, optional
        Holds the momentum at this value in [0, 1]; 0.0: a memory without momentum. Default: it is learned.
    quantile_levels : sequence of float, default 0.1, 0.2, …, 0.9
        Levels at which interval widths are trained, and that `backtest` returns.
    intervals : {"conformal", "adaptive", "empirical"}, default "conformal"
        What quantiles are made of; see Notes. "empirical": quantiles of the errors in validation. "conformal": the
        same for as few windows as there were, and for each series by the size of its own errors. "adaptive": also by
        the errors of forecasts whose rows have been read since. Needs ``carry_state=True``.
    max_epochs : int, default 20
        0 leaves the linear map alone.
    max_minutes : float, optional
        Time that `fit` may take, on this machine and as busy as it is, reading ``X`` included: about so much, where
        reading alone does not take longer. Where it would not be enough, this gives way, in this order: epochs of the
        network; the memory of errors and a linear map that goes on learning, as far as they are "auto"; all of the
        network, where reading every row with it would take half of what is left; maps for each series, and the
        averages of several; windows, of which a sample is read; validation rows, of which the first are judged; and
        that the linear map is fitted again on validation rows. Which of these depends on the time measured: results
        differ from run to run then. Default: no limit, and none of this.
    learning_rate : float, default 1e-3
    batch_size : int, default 64
        Sequences per training step.
    validation_fraction : float, default 0.2
        Last part of each series, at least one horizon, on which choices are made.
    early_stopping_patience : int, default 5
        Epochs without a better validation error after which training stops.
    on_gap : {"raise", "mask"}, default "raise"
        What to do about missing rows: refuse, or read them as missing values; "mask" also takes series of which only
        some rows are there, such as quarters among months.
    id_col, time_col, target_col : str, default "unique_id", "ds", "y"
        Column names of long frames.
    roles : dict of str to {"past", "future", "static"}, optional
        Covariates: columns of the frame beside the target, and when they are known. "past": up to the last row read
        (a measurement). "future": also for the rows to forecast (prices, promotions, weather forecasts, holidays);
        `predict` then needs ``future=``. "static": one value per series (a region, a kind of shop). Text, booleans and
        categorical columns are categories, everything else numbers; missing values count as the mean, or as no
        category. In a frame without ``id_col`` they belong to every series. Of GluonTS datasets the fields are named:
        "feat_dynamic_real" and "feat_dynamic_cat" are "future", "past_feat_dynamic_real" is "past",
        "feat_static_real" and "feat_static_cat" are "static". Default: no other column is read.
    device : str, default "auto"
        "auto" takes a GPU if there is one.
    precision : {"32", "bf16"}, default "32"
        Of training on a GPU; a CPU always trains in 32 bits.
    devices, num_nodes : int, default 1
        Processes on each machine (one for each GPU, or for some cores), and machines. With more than one process `fit`
        starts the others, which run the same program up to there and on from there, unless torchrun or srun has
        started them. Each takes its part of every batch; all have the same model in the end, and `predict` of all of
        them, each of which forecasts its part of the series, returns all rows.
    strategy : {"auto", "ddp", "fsdp"}, default "auto"
        What they share out: "ddp" the rows, "fsdp" also the network's weights and what the optimizer keeps. "auto" is
        "ddp".
    random_state : int, RandomState or None
        Owns every random number; global generators are left alone.
    verbose : int, default 1
        0 silences the progress bar, which otherwise shows in a terminal.

    Attributes
    ----------
    linear_ : LinearMap
        The closed-form map in use; its penalty is infinite where validation does not tell it from the last value, as on
        random walks: then that is forecast, and the network counts only where it surely helps.
    online_linear_ : bool
        Whether it goes on learning.
    network_weight_ : float
        Share of the network's correction in the forecast; 0 where validation saw no gain.
    error_weight_ : float
        Share of what the memory of errors recalls; 0 where validation saw no gain, or had too few rows to see one.
    lower_bound_ : bool
        Whether forecasts stay above the lowest value of the look-back.
    anomaly_threshold_ : float
        Surprise above which `surprise` flags a row, in robust standard deviations.
    history_ : list of dict
        Per epoch: training loss, validation loss, seconds. Empty if the network was not trained.
    context_length_, patch_length_ : int
    frequency_ : Frequency
    effect_ : dict of str to array
        Effect of each covariate of role "future", in standard deviations of the target per standard deviation of the
        covariate or per category: (n_series + 1, n_features), last for series that were not there, or (1, n_features).
        Squares, where they help, are under the name with "²" behind. Empty if they do not help at all.
    ids_ : list
        Ids of the series, in the order of the output.
    validation_score_ : float
        Mean squared error of the validation rows, each series in units of its standard deviation on the rows that
        are fitted to: compares settings, such as context lengths. NaN if there were no such rows.
    n_parameters_ : int
        Learned numbers of the network and of the linear map.
    fit_seconds_ : float

    Notes
    -----
    Intervals come from the errors of validation forecasts, in units of the trailing standard deviation (and of the
    network's own widths, where they help). "empirical" takes their quantiles. "conformal" is locally weighted split
    conformal prediction (Lei et al. 2018, section 5.2) with both ends on their own (Romano et al. 2019): the interval
    of level 1 - a ends at the errors of rank ⌈(n + 1) (1 - a/2)⌉ from either side, n the number of windows that do not
    overlap, and each series has a width of its own, drawn towards that of all by Bühlmann's credibility. Where errors
    are exchangeable it covers what it says, however few windows there were; series whose errors grow after validation
    are covered less. Errors of all series are pooled.

    "adaptive" is the same until `update` reads. Each series has a window of its last 512 rows (or ten horizons, if that
    is more), which begins full of validation errors; those of forecasts whose rows have been read take their place
    (Barber et al. 2023). It regains its coverage when the noise of a series changes; while nothing changes, a window
    of few horizons makes it somewhat worse. Streaming backtests do the same on the way, from ``first_cutoff`` on.
    Forecasts of other histories, `predict` of ``X``, use the windows of the series of `fit` as they stand.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(400) / 5)
    >>> TitansForecaster(horizon=12, max_epochs=0).fit(y).predict().shape
    (1, 12)
    """

    def __init__(
        self,
        horizon: int,
        *,
        context_length: int | None = None,
        patch_length: int | None = None,
        sequence_length: int | None = None,
        carry_state: bool = True,
        training_mode: Literal["sampled", "contiguous"] = "sampled",
        online_linear: bool | Literal["auto"] = "auto",
        error_memory: bool | Literal["auto"] = "auto",
        lower_bound: bool | Literal["auto"] = "auto",
        variant: str = "mag",
        d_model: int = 32,
        n_layers: int = 2,
        n_heads: int = 2,
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 16,
        window_size: int = 16,
        n_persistent: int = 4,
        dropout: float = 0.0,
        rule: str = "bounded",
        surprise_threshold: float = 0.0,
        initial_theta: float | None = None,
        initial_eta: float = 0.5,
        initial_alpha: float = 0.0025,
        hold_eta: float | None = None,
        quantile_levels: Sequence[float] = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
        intervals: Literal["conformal", "adaptive", "empirical"] = "conformal",
        max_epochs: int = 20,
        max_minutes: float | None = None,
        learning_rate: float = 1e-3,
        batch_size: int = 64,
        validation_fraction: float = 0.2,
        early_stopping_patience: int = 5,
        on_gap: str = "raise",
        id_col: str = "unique_id",
        time_col: str = "ds",
        target_col: str = "y",
        roles: Mapping[str, str] | None = None,
        device: str = "auto",
        precision: str = "32",
        devices: int = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ) -> None:
        self.horizon = horizon
        self.context_length = context_length
        self.patch_length = patch_length
        self.sequence_length = sequence_length
        self.carry_state = carry_state
        self.training_mode = training_mode
        self.online_linear = online_linear
        self.error_memory = error_memory
        self.lower_bound = lower_bound
        self.variant = variant
        self.d_model = d_model
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.memory_depth = memory_depth
        self.memory_expansion = memory_expansion
        self.chunk_size = chunk_size
        self.window_size = window_size
        self.n_persistent = n_persistent
        self.dropout = dropout
        self.rule = rule
        self.surprise_threshold = surprise_threshold
        self.initial_theta = initial_theta
        self.initial_eta = initial_eta
        self.initial_alpha = initial_alpha
        self.hold_eta = hold_eta
        self.quantile_levels = quantile_levels
        self.intervals = intervals
        self.max_epochs = max_epochs
        self.max_minutes = max_minutes
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.early_stopping_patience = early_stopping_patience
        self.on_gap = on_gap
        self.id_col = id_col
        self.time_col = time_col
        self.target_col = target_col
        self.roles = roles
        self.device = device
        self.precision = precision
        self.devices = devices
        self.num_nodes = num_nodes
        self.strategy = strategy
        self.random_state = random_state
        self.verbose = verbose

    # --- fitting -------------------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: None = None,
        *,
        validation: Any = None,
        sample_weight: Any = None,
        init: TitansForecaster | str | os.PathLike[str] | None = None,
        _checkpoint: Checkpoint | None = None,
    ) -> Self:
        """Fit on a frame (pandas or polars), an array (n_series, time) or a GluonTS dataset, then read all of it.

        Parameters
        ----------
        X : frame, array or GluonTS dataset
            Long frame: columns ``id_col, time_col, target_col``. Wide: ``time_col`` and one column per series. The
            order of rows changes nothing. GluonTS dataset: any iterable of dicts with ``start`` (a pandas Period),
            ``target`` (time,), perhaps ``item_id`` (default 0, 1, …), and fields that ``roles`` names. Missing values
            are masked; the linear map reads the last value or its own forecasts there, as validation chooses.
        y : None
            Ignored.
        validation : frame, array or GluonTS dataset, optional
            Rows that continue ``X``. They choose, and are read, but no weight is fitted to them. Default: the
            last ``validation_fraction`` of ``X`` chooses, and the linear map is then fitted on everything.
        sample_weight : str, dict or array, optional
            What rows count as targets: in the linear map, in the training of the network, and in everything that is
            chosen on validation rows. Numbers of at least 0, of which only the ratios matter. A column name of a long
            frame (also of ``validation``): one for each row. A dict or pandas Series of id to weight: one for each
            series, 1 for those not named. An array (n_series,): one for each series, in their order; an array of
            the shape of an array ``X``: one for each row. A row of weight 0 is never a target, but is read like any
            other. Rows that `update` reads count like the last of their series that counts. Default: all count alike.
        init : TitansForecaster or path, optional
            A fitted forecaster, or where one was saved, to start from; it is not changed. Training goes on from its
            network, on these series, old or new; ``max_epochs=0`` leaves the network as it is. The linear map is the
            best on validation of: one fitted on ``X`` alone, the earlier one, and all between them (a ridge towards
            the earlier weights). ``horizon`` must be the same; other arguments that shape the network are taken over
            where they are left at their defaults, and must agree where not. Where too few rows are known to validate
            on, the network's weight and the intervals are the earlier ones.

        Raises
        ------
        TypeError, ValueError
            For arguments or data that can't be used; the message names the argument or series and row.
        """
        check_arguments(self)
        ranks = started(self, self._device())
        if _checkpoint is not None:
            _checkpoint.join(ranks)
        began = time.monotonic()
        start = starting_point(self, init)
        X = hold_entries(X)
        covariates = covariates_of(self, start, X)
        panel, fmt = self._read(X, covariates)
        _, spread = fit_scaling(panel, panel.lengths)
        if validation is None:
            train_end = _fitting.split_off_validation(panel, self.horizon, self.validation_fraction)
        else:
            train_end = panel.lengths
            origins = dict(zip(panel.ids, panel.origins, strict=True))
            later, _ = self._read(validation, covariates, panel.frequency, origins)
            panel = panel.concat(continuing(panel, later, fmt), on_gap=self.on_gap)
        if start is None:
            check_lengths(panel, train_end, self.horizon)
        ranks.check_same("X", panel.values, panel.observed, train_end)
        weight = row_weights(self, sample_weight, X, validation, panel, train_end)
        seed = ranks.same(int(check_random_state(self.random_state).randint(2**31 - 1)))
        order = order_of(panel.ids)
        weight = rows_in_order(panel, weight, order)
        fitted = _fitting.fit(
            self, panel.select(order), train_end[order],
            covariates=covariates, refit=validation is None, seed=seed, weight=weight, start=start,
            clock=Clock.after(began, self.max_minutes, ranks.same), ranks=ranks, checkpoint=_checkpoint,
        )  # fmt: skip
        self._set_fitted(fitted, fmt, spread[order])
        self._covariates, self._effect, self._lags = covariates, fitted.effect, fitted.lags
        self._online, self._errors = self._start_online(fitted.data), fitted.errors
        self._error_stream = None if self._errors is None else self._error_reader.begin(fitted.data)
        self._read_into_stream(fitted.data, self._reader.start(panel.n_series))
        self._last_rows = self._start_last_rows(fitted.data.panel)
        restore_order(self, order)
        self._recent = self._start_recent()
        self._set_derived()
        self.fit_seconds_ = time.monotonic() - began + (0.0 if _checkpoint is None else _checkpoint.earlier)
        return self

    def _set_fitted(self, fitted: _fitting.Fitted, fmt: FrameFormat, spread: NDArray[np.float64]) -> None:
        self.frequency_, self.ids_ = fitted.data.panel.frequency, list(fitted.data.panel.ids)
        self.linear_, self.network_weight_ = fitted.linear, fitted.combination.weight
        self.context_length_, self.patch_length_ = (
            fitted.settings.context_length,
            fitted.settings.patch_length,
        )
        self.history_ = [] if fitted.training is None else fitted.training.history
        self._settings, self._format, self._combination = fitted.settings, fmt, fitted.combination
        self._model = fitted.model
        self._center, self._scale, self._group = fitted.data.center, fitted.data.scale, fitted.data.group
        self._origins, self._spread = fitted.data.panel.origins, spread

    def _set_derived(self) -> None:
        """Set what follows from the rest."""
        self.network_weight_, self.validation_score_ = self._combination.weight, self._combination.score
        self.online_linear_, self.error_weight_ = self._settings.online_linear, self._combination.error_weight
        self.lower_bound_ = self._combination.lower_bound
        self.anomaly_threshold_ = self._combination.alarm_level
        self.context_length_, self.patch_length_ = self._settings.context_length, self._settings.patch_length
        self.effect_ = named_effect(self._covariates, self._effect)
        self.n_parameters_ = self._model.n_parameters() + self.linear_.weights.size + self.linear_.bias.size
        self._last_ds = self.frequency_.advance(self._origins, self._stream.steps.numpy() - 1)

    # --- forecasting ---------------------------------------------------------------------------------------

    def to_gluonts(
        self, *, num_samples: int | None = None, batch_size: int = 128, random_state: int | None = 0
    ) -> TitansPredictor:
        """Return a GluonTS predictor that forecasts from the histories in a GluonTS dataset.

        For `gluonts.model.evaluate_model`, `gluonts.evaluation.make_evaluation_predictions` and whatever else
        takes a GluonTS ``Predictor``. Later calls of `fit` and `update` do not change it. Covariates are read from the
        fields of the entries, whatever `fit` was given: see `titans_seq.data.read_entries`.

        Parameters
        ----------
        num_samples : int, optional
            Answer with ``SampleForecast`` of this many sample paths. Default: with ``QuantileForecast``, which is
            exact and cheaper.
        batch_size : int, default 128
            Entries forecast at once.
        random_state : int or None, default 0
            Of the sample paths.

        Returns
        -------
        TitansPredictor
            Its ``predict`` says what is read, and how.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError
            If the data of `fit` had no dates, which every GluonTS entry has.

        Examples
        --------
        >>> import numpy as np, pandas as pd
        >>> entry = {"start": pd.Period("2024-01-01", "h"), "target": np.sin(np.arange(400) / 5), "item_id": "a"}
        >>> predictor = TitansForecaster(horizon=12, max_epochs=0).fit([entry]).to_gluonts()
        >>> [forecast.quantile(0.9).shape for forecast in predictor.predict([entry])]
        [(12,)]
        """
        from titans_seq.estimators.gluonts import TitansPredictor

        return TitansPredictor(self, num_samples=num_samples, batch_size=batch_size, random_state=random_state)

    def update(self, X: Any) -> Self:
        """Read new rows of known series; nothing is trained again.

        The memory learns from them, the linear map if `online_linear_`, and the memory of errors if `error_weight_`.
        Rows read at once give the forecasts of the same rows read one by one, up to rounding. Only where values are
        missing and `online_linear_` is True do they differ by more (1e-6 to 1e-4 of the forecast where it was
        measured): a map that learns puts forecasts of its own in the place of missing targets, and those depend on
        when it was solved last.

        Parameters
        ----------
        X : frame, array or GluonTS dataset
            Rows that continue each series; series without news may be left out, and a frame without rows changes
            nothing.

        Raises
        ------
        ValueError
            For unknown series, rows that overlap what was read, or gaps (unless ``on_gap="mask"``).
        """
        if not self._has_no_rows(X):
            self._read_on(self._known(self._following(X)))
        return self

    # --- saving --------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a folder with ``model.safetensors`` and ``model.json``, whole or not at all.

        Raises
        ------
        NotFittedError
            Before `fit`.
        FileExistsError
            If ``path`` exists and is not a saved model.
        """
        self._check_fitted()
        _persistence.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; no code in the files is run.

        Raises
        ------
        FileNotFoundError
            If there is no saved model.
        ValueError
            If a file is damaged.
        """
        return _persistence.load(cls, path)

    # --- helpers -------------------------------------------------------------------------------------------

    def _accelerator(self) -> str:
        return "gpu" if self._device().type == "cuda" else "cpu"
