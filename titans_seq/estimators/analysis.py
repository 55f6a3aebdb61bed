"""What the memories of a fitted estimator did while it read series, or a sequence."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from titans_seq.adapters.dna import DNAExamples
from titans_seq.data import Panel
from titans_seq.estimators._mutagenesis import read_one
from titans_seq.estimators.forecaster import TitansForecaster
from titans_seq.evaluation.analysis import MemoryAnalysis, analyze_series, analyze_stream

if TYPE_CHECKING:
    from titans_seq.estimators import DNAClassifier, DNARegressor


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


def analyze_sequence(
    model: DNAClassifier | DNARegressor, sequence: Any, *, max_points: int | None = None
) -> MemoryAnalysis:
    """Let the first network of a fitted model of DNA read a sequence, and tell what its memories did.

    The network reads a sequence in both directions; this is the one from its first base to its last. The model is not
    changed.

    Parameters
    ----------
    model : DNAClassifier or DNARegressor
        Fitted, with a memory (not `swa` or `attention`).
    sequence : str, SeqRecord or whatever holds one sequence
    max_points : int, optional
        As in `titans_seq.evaluation.analysis.analyze_stream`; in tokens, which are a few bases each.

    Returns
    -------
    MemoryAnalysis
        Of one stream, 0.

    Raises
    ------
    NotFittedError
        Before `fit`.
    ValueError, TypeError
        If the variant has no memory, or there are several sequences.
    """
    estimator = model._fitted()
    one = read_one(estimator, sequence)
    network = copy.deepcopy(estimator._members[0].model).to(estimator._device()).eval()
    tokens: list[torch.Tensor] = []
    network.network.project.register_forward_hook(lambda _, __, made: tokens.append(made))
    with torch.no_grad():
        network(DNAExamples(one).batch(np.zeros(1, dtype=np.int64)).to(estimator._device()))
    return analyze_stream(network.network.backbone, tokens[0], max_points=max_points)


def read_like(forecaster: TitansForecaster, X: Any) -> Panel:
    """Return data as the panel that a fitted forecaster makes of them."""
    return forecaster._read_later(X)[0]
