"""One order of series within a fit, so that the order in which they came changes no bit of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from titans_seq.adapters.scaled import FloatArray, IntArray
from titans_seq.data import Panel

if TYPE_CHECKING:
    from titans_seq.estimators.forecaster import TitansForecaster


def order_of(ids: tuple[str | int, ...]) -> IntArray:
    """Return the places of ids in increasing order: integers by size, then text."""
    keys = sorted(range(len(ids)), key=lambda i: (isinstance(ids[i], str), ids[i]))
    return np.array(keys, dtype=np.int64)


def rows_in_order(panel: Panel, values: FloatArray | None, order: IntArray) -> FloatArray | None:
    """Return an array (total,) of the rows of a panel for ``panel.select(order)``."""
    if values is None:
        return None
    return np.concatenate([values[panel.offsets[i] : panel.offsets[i + 1]] for i in order])


def restore_order(forecaster: TitansForecaster, order: IntArray) -> None:
    """Put what was fitted in ``order`` back into the order in which the series came."""
    back = np.argsort(order)
    if (back == np.arange(len(back))).all():
        return
    forecaster.ids_ = [forecaster.ids_[i] for i in back]
    for name in ("_center", "_scale", "_spread", "_group", "_origins"):
        setattr(forecaster, name, getattr(forecaster, name)[back])
    usual = forecaster._combination.usual
    if len(usual) > 1:
        forecaster._combination = replace(forecaster._combination, usual=np.append(usual[:-1][back], usual[-1]))
    factor = forecaster._combination.factor
    if len(factor) > 1:
        forecaster._combination = replace(forecaster._combination, factor=np.append(factor[:-1][back], factor[-1]))
    forecaster._effect = forecaster._effect.select(back)
    forecaster._stream = forecaster._stream.select(torch.from_numpy(back))
    if forecaster._last_rows is not None:
        forecaster._last_rows = forecaster._last_rows.select(back)
    if forecaster._error_stream is not None:
        forecaster._error_stream = forecaster._error_stream.select(torch.from_numpy(back))
    if forecaster._online is not None:
        forecaster._online = forecaster._online.select(back)
