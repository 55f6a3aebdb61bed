"""What the memories of a fitted forecaster did while it read series."""

from __future__ import annotations

from typing import Any

from titans_seq.data import Panel
from titans_seq.estimators.forecaster import TitansForecaster
from titans_seq.evaluation.analysis import MemoryAnalysis, analyze_series


def analyze_forecaster(
    forecaster: TitansForecaster,
    X: Any,
    *,
    last: int | None = None,
    max_points: int | None = None,
    piece_length: int = 512,
    drift_every: int | None = None,
) -> MemoryAnalysis:
    """Let the forecaster's network read series from their first row on, and tell what its memories did.

    The forecaster is not changed, and what it read before plays no part.

    Parameters
    ----------
    forecaster : TitansForecaster
        Fitted, with a memory (not `swa` or `attention`).
    X : frame, array or Panel
        Series as `TitansForecaster.predict` takes them, known or new.
    last : int, optional
        Report the last rows of each series only; all are read either way.
    max_points, piece_length, drift_every : int, optional
        As in `titans_seq.evaluation.analysis.analyze_stream`; in patches.

    Returns
    -------
    MemoryAnalysis
        Streams are the series by their ids, and tokens their complete patches: ``row`` and ``ds`` in the table are
        those of the first row of each.

    Raises
    ------
    NotFittedError
        Before `fit`.
    ValueError
        If the variant has no memory, or the data can't be used.

    Examples
    --------
    >>> import numpy as np
    >>> y = np.sin(np.arange(400) / 5)
    >>> forecaster = TitansForecaster(horizon=12, max_epochs=1, verbose=0).fit(y)
    >>> analyze_forecaster(forecaster, y).summary["layer"].to_list()
    [0, 0, 1, 1]
    """
    forecaster._check_fitted()
    panel = X if isinstance(X, Panel) else read_like(forecaster, X)
    data = forecaster._scaled(panel, panel.lengths)
    return analyze_series(
        forecaster._reader, data, last=last, max_points=max_points, piece_length=piece_length, drift_every=drift_every
    )


def read_like(forecaster: TitansForecaster, X: Any) -> Panel:
    """Return data as the panel that a fitted forecaster makes of them."""
    return forecaster._read_later(X)[0]
