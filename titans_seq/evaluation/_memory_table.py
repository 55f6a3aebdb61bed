"""The books of streams as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data import Panel
from titans_seq.evaluation._ledger import Ledger, quantile
from titans_seq.evaluation._readings import QUANTITIES

if TYPE_CHECKING:
    import polars as pl


def memory_table(ids: NDArray[Any], ledgers: Sequence[Ledger]) -> pl.DataFrame:
    """Return one row per stream, bin, layer and head; see `MemoryAnalysis.table`."""
    import polars as pl

    parts = [_of_stream(name, ledger) for name, ledger in zip(ids.tolist(), ledgers, strict=True)]
    return pl.concat([part for part in parts if len(part)])


def _of_stream(name: str | int, ledger: Ledger) -> pl.DataFrame:
    import polars as pl

    bins, layers, heads, _ = ledger.count.shape
    starts = ledger.width * np.arange(bins)
    place = np.indices((bins, layers, heads)).reshape(3, -1)
    columns: dict[str, Any] = {"stream": [name] * place.shape[1], "position": ledger.first + starts[place[0]]}
    if ledger.thinned:
        columns["tokens"] = np.minimum(ledger.width, ledger.n_tokens - starts)[place[0]]
    columns |= {"layer": place[1], "head": place[2]} | _columns(ledger.means(), "")
    if ledger.thinned:
        columns |= _columns(ledger.peak, "_max")
    return pl.DataFrame(columns, schema_overrides={"layer": pl.Int16, "head": pl.Int16}, nan_to_null=True)


def _columns(values: NDArray[Any], suffix: str) -> dict[str, Any]:
    flat = values.astype(np.float32).reshape(-1, len(QUANTITIES))
    return {name + suffix: flat[:, i] for i, name in enumerate(QUANTITIES)}


def with_times(table: pl.DataFrame, panel: Panel, patch_length: int) -> pl.DataFrame:
    """Put the row and the timestamp with which each patch begins beside its position."""
    import polars as pl

    names = np.asarray(panel.ids).tolist()
    series = table["stream"].replace_strict(names, range(len(names)), return_dtype=pl.Int64).to_numpy()
    rows = table["position"].to_numpy() * patch_length
    times = pl.Series("ds", panel.frequency.advance(panel.origins[series], rows))
    return table.insert_column(2, pl.Series("row", rows)).insert_column(3, times)


def summary_table(ids: NDArray[Any], ledgers: Sequence[Ledger]) -> pl.DataFrame:
    """Return one row per stream, layer and head over all its tokens; see `MemoryAnalysis.summary`."""
    import polars as pl

    parts = [_summary([ledger], {"stream": name}) for name, ledger in zip(ids.tolist(), ledgers, strict=True)]
    return pl.concat(parts)


def overall_table(ledgers: Sequence[Ledger]) -> pl.DataFrame:
    """Return one row per layer and head over all streams; see `MemoryAnalysis.overall`."""
    return _summary([ledger for ledger in ledgers if ledger.n_tokens], {})


def _summary(ledgers: Sequence[Ledger], label: dict[str, Any]) -> pl.DataFrame:
    import polars as pl

    layers, heads = ledgers[0].closed.shape
    place = np.indices((layers, heads)).reshape(2, -1)
    columns: dict[str, Any] = {name: [value] * place.shape[1] for name, value in label.items()}
    columns |= {"layer": place[0], "head": place[1], "tokens": [sum(x.n_tokens for x in ledgers)] * place.shape[1]}
    columns |= {name: values.ravel() for name, values in _totals(ledgers).items()}
    return pl.DataFrame(columns, schema_overrides={"layer": pl.Int16, "head": pl.Int16}, nan_to_null=True)


def _totals(ledgers: Sequence[Ledger]) -> dict[str, NDArray[np.float64]]:
    """Every quantity's mean over all entries of all streams, (layers, heads) each."""
    count = np.sum([x.count.sum(0, dtype=np.int64) for x in ledgers], 0)
    total = np.sum([x.total.sum(0) for x in ledgers], 0)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    means = {name: mean[..., i] for i, name in enumerate(QUANTITIES)}
    learned = count[..., QUANTITIES.index("theta")]
    closed = np.where(learned > 0, np.sum([x.closed for x in ledgers], 0) / np.maximum(learned, 1), np.nan)
    top = quantile(np.sum([x.histogram for x in ledgers], 0), 0.99)
    means["drift"] = np.mean([x.last_drift for x in ledgers], 0)
    first = {"closed": closed, "surprise": means.pop("surprise"), "surprise_q99": top}
    return first | means
