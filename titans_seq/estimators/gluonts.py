"""A fitted forecaster as a GluonTS predictor; see `TitansForecaster.to_gluonts`, which imports this on first use."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
from gluonts.model.forecast import Forecast, Quantile, QuantileForecast, SampleForecast
from gluonts.model.predictor import Predictor
from numpy.typing import NDArray

from titans_seq.data import Panel, read_entries, read_entries_ahead
from titans_seq.estimators._conformal import LEVELS
from titans_seq.estimators._paths import common_seed, draw_scores, in_order_of, own_stream, stratified_levels
from titans_seq.estimators._settings import check_integer

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster

_KEYS = ["mean", *(str(float(level)) for level in LEVELS)]
_FOLDER, _OPTIONS = "forecaster", "options.json"


class TitansPredictor(Predictor):
    """Forecasts GluonTS entries with a fitted `TitansForecaster`; made by `TitansForecaster.to_gluonts`.

    Parameters
    ----------
    forecaster : TitansForecaster
        Fitted on data with dates. What it is fitted on or reads later does not change the predictor.
    num_samples : int, optional
        Sample paths of each forecast. Default: quantiles in place of samples.
    batch_size : int, default 128
        Entries forecast at once.
    random_state : int or None, default 0
        Of the sample paths: the same paths for the same dataset, whatever the batch size, and for an entry with an
        ``item_id`` whatever the other entries. None: others each time.

    Attributes
    ----------
    prediction_length : int
        The forecaster's horizon.

    Raises
    ------
    NotFittedError
        If the forecaster is not fitted.
    TypeError, ValueError
        For counts below 1, or a forecaster whose data had no dates.
    """

    def __init__(
        self,
        forecaster: TitansForecaster,
        *,
        num_samples: int | None = None,
        batch_size: int = 128,
        random_state: int | None = 0,
    ) -> None:
        forecaster._check_fitted()
        check_integer("batch_size", batch_size, 1)
        if num_samples is not None:
            check_integer("num_samples", num_samples, 1)
        if forecaster.frequency_.kind == "integer":
            raise ValueError(
                "fit read integer times, but GluonTS entries have dates; fit on a frame with dates or GluonTS entries"
            )
        super().__init__(prediction_length=forecaster._settings.horizon)
        # `fit` and `update` put new parts in place of old ones, so a shallow copy stays as it is.
        self.forecaster = copy.copy(forecaster)
        self.num_samples = num_samples
        self.batch_size = batch_size
        self.random_state = random_state

    def predict(self, dataset: Iterable[dict[str, Any]], num_samples: int | None = None) -> Iterator[Forecast]:
        """Forecast the rows that follow each entry, in the order of the dataset.

        An entry whose ``item_id`` is that of a series of `fit` is scaled like that series, as in
        `TitansForecaster.predict`; any other is scaled by its own history. Entries without ``item_id`` are never
        taken for a series of `fit`: one series may give several entries, so their numbers say nothing.

        Parameters
        ----------
        dataset : iterable of dict
            ``start``: pandas Period of the frequency of `fit`, ``target``: (time,), NaN where a value is missing.
            Read once, `batch_size` entries at a time. Where the forecaster has covariates, also ``feat_dynamic_real``
            (k, time + prediction_length), ``past_feat_dynamic_real`` (k, time), ``feat_static_real`` (k,), and
            ``feat_dynamic_cat`` and ``feat_static_cat`` of categories: the columns of ``roles`` in its order, see
            `titans_seq.data.read_entries`.
        num_samples : int, optional
            Sample paths in place of the constructor's number. Without effect on quantile forecasts.

        Yields
        ------
        QuantileForecast or SampleForecast
            Quantile forecasts: ``mean`` is the point forecast, and ``quantile`` gives what
            `TitansForecaster.predict` gives from 0.005 to 0.995; further out GluonTS extrapolates. Sample
            forecasts: paths as `TitansForecaster.sample` draws them; at each step they stand at evenly spaced
            quantiles, and along a path they go together as validation errors did.

        Raises
        ------
        TypeError, ValueError
            One line that names the entry: as for `titans_seq.data.read_entries`, a step other than that of `fit`,
            a start that is no Period, or covariates that do not reach as far as the forecast.
        """
        if num_samples is not None:
            check_integer("num_samples", num_samples, 1)
        paths = None if self.num_samples is None else num_samples or self.num_samples
        seed = common_seed(np.random.default_rng(self.random_state))
        entries = iter(dataset)
        first = 0
        while batch := list(islice(entries, self.batch_size)):
            yield from self._predict_batch(batch, first, paths, seed)
            first += len(batch)

    def _predict_batch(
        self, batch: list[dict[str, Any]], first: int, paths: int | None, seed: list[int]
    ) -> Iterator[Forecast]:
        panel = self._read(batch, first)
        levels = LEVELS if paths is None else stratified_levels(paths)
        data = self.forecaster._scaled(panel, panel.lengths)
        forecasts, lowest = self.forecaster._forecast_from(data), self.forecaster._lowest_at_ends(data)
        point, quantiles = self.forecaster._in_units(data, forecasts, lowest, tuple(levels))
        if self.forecaster._covariates.has("future"):
            covariates = self.forecaster._covariates
            ahead = read_entries_ahead(batch, covariates, self.prediction_length, first=first)
            effect = self.forecaster._effect_of(ahead, data)
            point, quantiles = point + effect, quantiles + effect[..., None]
        factor = self.forecaster._combination.dependence
        for i, entry in enumerate(batch):
            begin = entry["start"] + int(panel.lengths[i])
            if paths is None:
                rows = np.concatenate([point[i][None], quantiles[i].T])
                yield _ExactQuantiles(rows, begin, _KEYS, entry.get("item_id"))
            else:
                # One series may give several entries, which differ in where their forecasts begin.
                stream = own_stream(seed, f"{panel.ids[i]} {begin}")
                scores = draw_scores(factor, paths, self.prediction_length, stream)
                samples = in_order_of(scores[None], quantiles[i][None])[0]
                yield SampleForecast(samples, begin, entry.get("item_id"))

    def _read(self, batch: list[dict[str, Any]], first: int) -> Panel:
        """Read entries numbered from ``first`` on; those without a name get one that no series of `fit` has."""
        origins = dict(zip(self.forecaster.ids_, self.forecaster._origins, strict=True))
        covariates = self.forecaster._covariates
        panel = read_entries(
            batch, frequency=self.forecaster.frequency_, origins=origins, first=first, covariates=covariates
        )
        ids = list(panel.ids)
        for i, entry in enumerate(batch):
            if not isinstance(entry["start"], pd.Period):
                found = type(entry["start"]).__name__
                raise TypeError(f"entry {first + i}: start is a {found}; GluonTS forecasts need a pandas Period")
            if entry.get("item_id") is None:
                ids[i] = f"entry {first + i}"
                while ids[i] in origins:
                    ids[i] = f"unnamed {ids[i]}"
        return replace(panel, ids=tuple(ids))

    def serialize(self, path: Path) -> None:
        """Write the predictor into an existing folder, for `gluonts.model.Predictor.deserialize`."""
        super().serialize(path)
        self.forecaster.save(path / _FOLDER)
        options = {name: getattr(self, name) for name in ("num_samples", "batch_size", "random_state")}
        (path / _OPTIONS).write_text(json.dumps(options) + "\n")

    @classmethod
    def deserialize(cls, path: Path) -> Self:
        """Read what `serialize` wrote; no code in the files is run."""
        from titans_seq.estimators.forecaster import TitansForecaster

        return cls(TitansForecaster.load(path / _FOLDER), **json.loads((path / _OPTIONS).read_text()))


class _ExactQuantiles(QuantileForecast):
    """Quantiles as the forecaster interpolates them; GluonTS would bend those next to the outermost."""

    def quantile(self, inference_quantile: float | str) -> NDArray[np.float64]:
        level = Quantile.parse(inference_quantile).value
        if not LEVELS[0] <= level <= LEVELS[-1]:
            return super().quantile(inference_quantile)
        above = max(1, int(np.searchsorted(LEVELS, level)))
        share = (level - LEVELS[above - 1]) / (LEVELS[above] - LEVELS[above - 1])
        low, high = self.forecast_array[above], self.forecast_array[above + 1]  # the first row is the mean
        # Weights need not add up to what two equal ends have in common, such as a bound.
        return np.where(low == high, low, (1 - share) * low + share * high)
