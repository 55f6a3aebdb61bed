"""Metrics as a table: the model, the baselines, and the spread over seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from titans_seq.recipes.html.markup import Html, number, percent, table, tag

ScoreTable = Mapping[str, float]

_NAMES = {
    "mse": "Mean squared error", "mae": "Mean absolute error", "rmse": "Root mean squared error", "smape": "sMAPE",
    "mase": "MASE", "weighted_quantile_loss": "Weighted quantile loss", "accuracy": "Accuracy", "mcc": "MCC",
    "auroc": "AUROC", "auprc": "AUPRC", "log_loss": "Log loss", "pearson": "Pearson", "spearman": "Spearman",
}  # fmt: skip
_SHORT = {"mse": "MSE", "mae": "MAE", "rmse": "RMSE", "weighted_quantile_loss": "WQL"}
_MEANINGS = {
    "mse": "mean of the squared differences; large misses count most",
    "mae": "mean distance between forecast and truth",
    "rmse": "square root of the mean squared error",
    "smape": "distance relative to the size of both, in percent",
    "mase": "error over that of a seasonal naive forecast within the training rows; below 1 is better than that",
    "weighted_quantile_loss": "error of all quantiles, relative to the size of the truths",
    "accuracy": "share of sequences whose class was told",
    "mcc": "Matthews' correlation: 1 is perfect, 0 is chance, whatever the class sizes",
    "auroc": "chance that one of the class is ranked above one that is not; 0.5 is guessing",
    "auprc": "mean precision over all recalls; guessing has the share of the class",
    "log_loss": "how surprising the truth was, in nats; punishes certainty that is wrong",
    "pearson": "linear correlation with what was measured",
    "spearman": "correlation of the ranks",
}
_HIGHER_IS_BETTER = frozenset({"accuracy", "mcc", "auroc", "auprc", "pearson", "spearman"})


def metric_name(key: str) -> str:
    """Return a metric's name for people."""
    if key.startswith("coverage_"):
        return f"Truths within the {key.removeprefix('coverage_')}\N{NO-BREAK SPACE}% interval"
    if key.startswith("msis_"):
        return f"MSIS at {key.removeprefix('msis_')}\N{NO-BREAK SPACE}%"
    return _NAMES.get(key, key)


def short_name(key: str) -> str:
    """Return a metric's name for the head of a column."""
    if key.startswith("coverage_"):
        return f"In {key.removeprefix('coverage_')}\N{NO-BREAK SPACE}% interval"
    return _SHORT.get(key, metric_name(key))


def metric_value(key: str, value: float) -> str:
    """Return a score, rounded."""
    return percent(value) if _in_percent(key) else number(value)


def _in_percent(key: str) -> bool:
    return key.startswith("coverage_") or key == "accuracy"


def meanings(keys: Iterable[str]) -> Html:
    """Say what metrics mean."""
    kept = [key for key in keys if key in _MEANINGS]
    rows = [(tag("dt", _both_names(key)), tag("dd", _MEANINGS[key], _direction(key))) for key in kept]
    return tag("dl", *(piece for row in rows for piece in row), class_="facts")


def _both_names(key: str) -> str:
    return f"{metric_name(key)} ({_SHORT[key]})" if key in _SHORT else metric_name(key)


def _direction(key: str) -> str:
    return " (higher is better)" if key in _HIGHER_IS_BETTER else " (lower is better)"


@dataclass(frozen=True)
class Comparison:
    """The model's score beside the best baseline's.

    Attributes
    ----------
    metric, baseline : str
    own, other : float
    """

    metric: str
    baseline: str
    own: float
    other: float

    @property
    def words(self) -> str:
        """How the two compare, e.g. "20 % lower than ridge (0.423)"."""
        name, value = self.baseline.replace("_", " "), metric_value(self.metric, self.other)
        if self.equal:
            return f"the same as {name} ({value})"
        if self.metric in _HIGHER_IS_BETTER or not self.other > 0:
            return f"{'above' if self.own > self.other else 'below'} {name} ({value})"
        change = self.own / self.other - 1
        return f"{percent(abs(change))} {'lower' if change < 0 else 'higher'} than {name} ({value})"

    @property
    def equal(self) -> bool:
        """Whether the two do not differ by more than a twentieth of a percent."""
        return math.isclose(self.own, self.other, rel_tol=5e-4)

    @property
    def better(self) -> bool:
        """Whether the model is."""
        return self.own > self.other if self.metric in _HIGHER_IS_BETTER else self.own < self.other


def compare(metric: str, model: ScoreTable, baselines: Mapping[str, ScoreTable]) -> Comparison | None:
    """Return the model beside the baseline that does best; None where none has the score."""
    known = {name: scores[metric] for name, scores in baselines.items() if metric in scores}
    if metric not in model or not known:
        return None
    best = (max if metric in _HIGHER_IS_BETTER else min)(known, key=lambda name: known[name])
    return Comparison(metric, best, model[metric], known[best])


def score_rows(
    metrics: Sequence[str], rows: Mapping[str, ScoreTable], seeds: Mapping[str, Any] | None
) -> tuple[list[Any], list[list[Any]]]:
    """Return head and rows of a table; the first row is the model's, with the spread of the seeds."""
    head = ["", *map(short_name, metrics)]
    body = []
    for i, (name, scores) in enumerate(rows.items()):
        spread = (seeds or {}).get("model", {}) if i == 0 else {}
        body.append([name, *(_cell(key, scores.get(key), spread.get(key)) for key in metrics)])
    return head, body


def score_table(metrics: Sequence[str], rows: Mapping[str, ScoreTable], seeds: Mapping[str, Any] | None) -> Html:
    """Return the scores, one row each, the model's first."""
    head, body = score_rows(metrics, rows, seeds)
    return table(head, body, strong=0)


def seed_table(metrics: Sequence[str], seeds: Mapping[str, Any]) -> Html:
    """Return the scores of every seed."""
    rows = [
        [f"Seed {state}", *(metric_value(key, seeds["model"][key]["values"][i]) for key in metrics)]
        for i, state in enumerate(seeds["random_states"])
    ]
    for word in ("mean", "std"):
        title = "Mean" if word == "mean" else "Standard deviation"
        rows.append([title, *(metric_value(key, seeds["model"][key][word]) for key in metrics)])
    return table(["", *map(short_name, metrics)], rows, strong=len(rows) - 2)


def _cell(key: str, value: float | None, spread: Mapping[str, Any] | None) -> Any:
    if value is None:
        return ""
    if spread is None:
        return metric_value(key, value)
    return with_spread(key, spread["mean"], spread["std"])


def with_spread(key: str, mean: float, std: float) -> str:
    """Return a mean and its standard deviation, rounded to two digits of the latter."""
    if not std > 0:
        return f"{metric_value(key, mean)} ± 0"
    share = _in_percent(key)
    mean, std = (100 * mean, 100 * std) if share else (mean, std)
    decimals = min(max(1 - math.floor(math.log10(std)), 0), 6)
    return f"{mean:,.{decimals}f} ± {std:,.{decimals}f}" + ("\N{NO-BREAK SPACE}%" if share else "")
