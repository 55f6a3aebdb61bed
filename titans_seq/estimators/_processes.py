"""The processes an estimator trains and predicts in, and forecasts that they share out between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from titans_seq.adapters.forecasts import Forecasts
from titans_seq.adapters.scaled import IntArray, ScaledPanel
from titans_seq.training.ranks import ALONE, Ranks, present_ranks, start_ranks


def default_device() -> torch.device:
    """Return the GPU if torch sees one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def started(estimator: Any, device: torch.device) -> Ranks:
    """Return the processes that fit together; they are started if need be."""
    return start_ranks(*_wanted(estimator, device))


def present(estimator: Any, device: torch.device) -> Ranks:
    """Return the processes that predict together: those that are there; none are started."""
    if estimator.devices * estimator.num_nodes == 1:
        return ALONE
    return present_ranks(*_wanted(estimator, device))


def _wanted(estimator: Any, device: torch.device) -> tuple[int, int, str, str]:
    accelerator = "gpu" if device.type == "cuda" else "cpu"
    return int(estimator.devices), int(estimator.num_nodes), str(estimator.strategy), accelerator


def share_series(
    ranks: Ranks, data: ScaledPanel, steps: int, make: Callable[[ScaledPanel, IntArray], Forecasts]
) -> Forecasts:
    """Forecast series, each rank its part of them; every rank returns all forecasts, in the order of the series.

    Parameters
    ----------
    ranks : Ranks
    data : ScaledPanel
    steps : int
        Of each forecast.
    make : callable
        ``make(part, which)`` forecasts the series of ``part``, which are the series ``which`` of ``data``; what it
        returns is sorted by series.
    """

    def of_some(which: IntArray) -> Forecasts:
        if ranks.alone:
            return make(data, which)
        own = make(data.select(which), which)
        return replace(own, series=which[own.series])

    return share_out(ranks, data.panel.n_series, steps, of_some)


def share_out(ranks: Ranks, n: int, steps: int, make: Callable[[IntArray], Forecasts]) -> Forecasts:
    """Let ``make(which)`` forecast for n places, each rank its part of them; return all in order."""
    which = np.arange(n)[ranks.part(n)]
    if ranks.alone:
        return make(which)
    own = make(which) if len(which) else Forecasts.none(steps)
    return Forecasts(*(ranks.gather(getattr(own, f.name)) for f in fields(Forecasts)))
