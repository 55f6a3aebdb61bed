"""What the memories of a model did while it read: surprise, gates, drift, and what they had to say.

Streams are read piece by piece with the state carried, so that neither their length nor the number of layers
bounds what can be looked at; with ``max_points`` the table stays small as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from titans_seq.adapters.scaled import ScaledPanel
from titans_seq.adapters.stream import StreamReader
from titans_seq.adapters.symbols import StreamModel
from titans_seq.data import Panel
from titans_seq.evaluation._feeds import Feed, IntArray, SeriesFeed, Streams, TokenFeed
from titans_seq.evaluation._ledger import Ledger
from titans_seq.evaluation._memory_table import memory_table, overall_table, summary_table, with_times
from titans_seq.evaluation._probe import probing
from titans_seq.evaluation._readings import DRIFT, readings
from titans_seq.nn import Backbone

if TYPE_CHECKING:
    import polars as pl

DRIFT_SAMPLES = 100
SERIES_AT_ONCE = 64


@dataclass(frozen=True)
class MemoryAnalysis:
    """What was seen.

    Attributes
    ----------
    table : polars.DataFrame
        One row per stream, token, layer and head, in this order: ``stream``, ``position`` (of the token in its
        stream, from 0; for series also ``row`` and ``ds``, the first row of its patch), ``layer``, ``head``, and

        - ``surprise``: ‖e_t‖ of the memory's rule; null for a masked token, which is not learned, as its gates are;
        - ``theta``, ``eta``, ``alpha``: step, momentum and forgetting;
        - ``recalled``: norm of what the memory's head adds to the residual stream: of what the stream would lack here
          without it. For `mac` through the gate on the result alone, not through the context it retrieves;
        - ``attended``: the same of the head of attention with that number; null for `lmm`;
        - ``mix``: mean of `mag`'s gate, 1 for the memory alone, the same for all heads; null for others;
        - ``drift``: distance of the memory's weights from the initial ones over the norm of those, after this token;
          null between samples.

        Thinned, a row is a bin of ``tokens`` tokens from ``position`` on: the columns are means over it, and
        ``surprise_max``, ``theta_max``, … its largest values.
    summary : polars.DataFrame
        One row per stream, layer and head, over all its tokens however much the table was thinned: ``tokens``,
        ``closed`` (share of tokens with step exactly 0, of those not masked; null where all are), means,
        ``surprise_q99`` (99 % of the tokens stay below, to 1 %), and the last ``drift``.
    overall : polars.DataFrame
        The same over all streams, one row per layer and head; ``drift`` is their mean.
    """

    table: pl.DataFrame
    summary: pl.DataFrame
    overall: pl.DataFrame


def analyze_stream(
    model: Backbone | StreamModel,
    tokens: Tensor | Streams,
    *,
    last: int | None = None,
    max_points: int | None = None,
    piece_length: int = 512,
    drift_every: int | None = None,
) -> MemoryAnalysis:
    """Let a model read streams from their first token on, and tell what its memories did.

    Parameters
    ----------
    model : Backbone, SymbolModel or VectorModel
        With a memory (not `swa` or `attention`). It is not changed.
    tokens : Tensor, shape (batch, time, d_model), (batch, time) or (batch, time, n_inputs), or Streams
        What the model reads: tokens, symbols or vectors. Streams too long to hold are given as an object with
        ``length`` and ``read(start, stop)``, as the trials of `titans_seq.evaluation.recall` are.
    last : int, optional
        Report the last tokens only; all are read either way.
    max_points : int, optional
        Most rows per stream, layer and head: equal bins with their mean and maximum. Default: every token.
    piece_length : int, default 512
        Tokens read at once: bounds the memory needed, changes nothing else.
    drift_every : int, optional
        Tokens between two samples of the drift. Default: about 100 samples of what is reported.

    Returns
    -------
    MemoryAnalysis
        Streams are numbered from 0.

    Raises
    ------
    ValueError
        If the variant has no memory, there is nothing to read, or an argument is below 1.

    Examples
    --------
    >>> backbone = Backbone(d_model=8, n_layers=2)
    >>> analyze_stream(backbone, torch.randn(1, 50, 8)).table.shape
    (200, 12)
    """
    feed = TokenFeed(model, tokens)
    kept = _last_tokens(feed.lengths, last)
    chunk_size = feed.backbone.config.chunk_size
    plan = _Plan.make(feed.lengths, kept, max_points, piece_length, drift_every, chunk_size)
    return _analyze([feed], np.arange(len(kept)), plan)


def analyze_series(
    reader: StreamReader,
    data: ScaledPanel,
    *,
    last: int | None = None,
    max_points: int | None = None,
    piece_length: int = 512,
    drift_every: int | None = None,
) -> MemoryAnalysis:
    """Do the same for a series model: every series is a stream of patches.

    Parameters
    ----------
    reader : StreamReader
    data : ScaledPanel
    last : int, optional
        Report the patches within the last rows of each series only.
    max_points, piece_length, drift_every
        As in `analyze_stream`; in patches.

    Returns
    -------
    MemoryAnalysis
        Streams are named by the ids of the series; ``row`` and ``ds`` are those of the first row of each patch.

    Raises
    ------
    ValueError
        As `analyze_stream`; no patch of a series is complete.
    """
    rows, panel = reader.patching.patch_length, data.panel
    kept = _last_patches(panel, rows, last)
    chunk_size = reader.model.backbone.config.chunk_size
    plan = _Plan.make(panel.lengths // rows, kept, max_points, piece_length, drift_every, chunk_size)
    every = np.arange(panel.n_series)
    feeds = (SeriesFeed(reader, data, some) for some in np.split(every, every[SERIES_AT_ONCE::SERIES_AT_ONCE]))
    found = _analyze(feeds, np.asarray(panel.ids), plan)
    return replace(found, table=with_times(found.table, panel, rows))


@dataclass(frozen=True)
class _Plan:
    """How streams are read, and what is kept of them; ``kept``: tokens at the end of each."""

    lengths: IntArray
    kept: IntArray
    max_points: int | None
    piece_length: int
    drift_every: int

    @classmethod
    def make(
        cls,
        lengths: IntArray,
        kept: IntArray,
        max_points: int | None,
        piece_length: int,
        drift_every: int | None,
        chunk_size: int,
    ) -> _Plan:
        given = {"max_points": max_points, "piece_length": piece_length, "drift_every": drift_every}
        for name, value in given.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, found {value}")
        longest = int(kept.max(initial=0))
        if longest < 1:
            raise ValueError("the streams have no token to analyse")
        return cls(lengths, kept, max_points, piece_length, drift_every or _usual_spacing(longest, chunk_size))

    def pieces(self, length: int) -> Iterator[tuple[int, int]]:
        """Cut a stream: a piece ends where drift is sampled, and after ``piece_length`` tokens at the latest."""
        start = 0
        while start < length:
            sample = (start // self.drift_every + 1) * self.drift_every
            stop = min(start + self.piece_length, sample, length)
            yield start, stop
            start = stop

    def samples(self, stop: int, stream: int) -> bool:
        """Whether drift is sampled after a piece that ends at ``stop``: on the grid, and where the stream ends."""
        return stop % self.drift_every == 0 or stop >= self.lengths[stream]


def _usual_spacing(length: int, chunk_size: int) -> int:
    """Tokens between samples of the drift; whole chunks if it can be, as an open one costs as much as a full one."""
    every = -(-length // DRIFT_SAMPLES)
    return every if every < chunk_size else -(-every // chunk_size) * chunk_size


def _last_tokens(lengths: IntArray, last: int | None) -> IntArray:
    if last is not None and last < 1:
        raise ValueError(f"last must be at least 1, found {last}")
    return lengths if last is None else np.minimum(lengths, last)


def _last_patches(panel: Panel, rows: int, last: int | None) -> IntArray:
    """Complete patches of each series that lie within its last rows."""
    lengths = panel.lengths
    within = _last_tokens(lengths, last) - lengths
    kept = np.maximum(lengths // rows + within // rows, 0)
    if not kept.any():
        where = "" if last is None else f" within the last {last} rows"
        raise ValueError(f"no series has a complete patch of {rows} rows{where}; the longest has {lengths.max()} rows")
    return kept


def _analyze(feeds: Iterable[Feed], ids: NDArray[Any], plan: _Plan) -> MemoryAnalysis:
    ledgers: list[Ledger] = []
    for feed in feeds:
        ledgers += _read(feed, plan, len(ledgers))
    return MemoryAnalysis(memory_table(ids, ledgers), summary_table(ids, ledgers), overall_table(ledgers))


def _read(feed: Feed, plan: _Plan, place: int) -> list[Ledger]:
    """Read the streams of one feed, the first of which is number ``place`` of the plan."""
    with probing(feed.backbone) as probe:
        shape = len(probe.blocks), feed.backbone.config.n_heads
        numbers = range(place, place + len(feed.lengths))
        ledgers = [
            Ledger(int(plan.lengths[i] - plan.kept[i]), int(plan.kept[i]), plan.max_points, *shape) for i in numbers
        ]
        for start, stop in plan.pieces(int(feed.lengths.max())):
            probe.clear()
            feed.read(start, stop)
            for i, ledger, values in zip(numbers, ledgers, readings(probe), strict=True):
                if not plan.samples(stop, i):
                    values[..., DRIFT] = np.nan
                ledger.enter(start, values)
    return ledgers
