"""The effect of covariates as users look at it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.effects import CovariateEffect
from titans_seq.data import Covariates


def named_effect(covariates: Covariates, effect: CovariateEffect) -> dict[str, NDArray[np.float64]]:
    """Return the weights by column; see `TitansForecaster.effect_`. Terms that are 0 are left out."""
    counts = [column.n_features for column in covariates.columns]
    owner = np.repeat(np.arange(len(counts)), counts)
    named: dict[str, NDArray[np.float64]] = {}
    of_terms = np.concatenate([owner[effect.features], owner[effect.curved]])
    squares = np.arange(len(of_terms)) >= effect.features.sum()
    for number, column in enumerate(covariates.columns):
        for suffix, square in (("", False), ("\u00b2", True)):
            weights = effect.weights[:, (of_terms == number) & (squares == square)]
            if weights.any():
                named[f"{column.name}{suffix}"] = weights
    return named
