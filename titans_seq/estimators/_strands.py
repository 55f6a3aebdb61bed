"""Whether the two strands of DNA say the same: asked of a network that has seen one of them only."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from titans_seq.estimators._sequence_choosing import choose, prior_losses, row_losses
from titans_seq.training.objectives import Objective

FloatArray = NDArray[np.float64]

_CLEAR = 3.0
"""Standard errors from which a difference counts."""

_LEAST = 0.05
"""Share of what has been learned from which a loss matters, however clear it is."""

_SHARES = (0.25, 0.5)
"""Shares of what has been learned that the opposite strand may lose, one standard error added: where there is time to
look again, and at the last look. What is more than one standard error is never taken for nothing."""


class Evidence(NamedTuple):
    """Mean differences of the losses of validation rows, and their standard errors.

    Attributes
    ----------
    gain, gain_error : float
        How much less a row loses than to the shares of the classes, or to the mean of the numbers.
    drop, drop_error : float
        How much more it loses if the opposite strand is read in place of its own.
    """

    gain: float
    gain_error: float
    drop: float
    drop_error: float

    @property
    def learned(self) -> bool:
        """Whether the network is clearly better than a guess: else there is nothing that a strand could lose."""
        return self.gain > _CLEAR * self.gain_error

    @property
    def unlike(self) -> bool:
        """Whether the opposite strand clearly loses something that matters."""
        clear = self.gain > 0.5 * _CLEAR * self.gain_error and self.drop > _CLEAR * self.drop_error
        return clear and self.drop > _LEAST * self.gain

    def alike(self, *, last: bool = False) -> bool:
        """Whether the opposite strand loses nothing that matters, as far as can be told."""
        small = self.drop + self.drop_error < _SHARES[last] * self.gain
        return self.learned and self.drop < self.drop_error and small


def compare_strands(
    own: FloatArray, opposite: FloatArray, targets: NDArray[Any], weight: FloatArray, objective: Objective
) -> Evidence:
    """Compare what a network says of validation rows, and of their reverse complements.

    Parameters
    ----------
    own, opposite : float arrays (n, heads, n_outputs)
        Outputs of every head.
    targets : array (n,) or (n, n_outputs)
    weight : float array (n,)
    objective : Objective
    """
    choice = choose(own, targets, weight, objective)
    losses = [row_losses(choice.combine(said), targets, objective) for said in (own, opposite)]
    gain = _mean(prior_losses(targets, weight, objective) - losses[0], weight)
    return Evidence(*gain, *_mean(losses[1] - losses[0], weight))


def _mean(values: FloatArray, weight: FloatArray) -> tuple[float, float]:
    """Weighted mean and its standard error."""
    mean = float(np.average(values, weights=weight))
    return mean, float(np.sqrt((weight**2 * (values - mean) ** 2).sum()) / weight.sum())
