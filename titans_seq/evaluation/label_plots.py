"""Figures of classes and numbers told, as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.evaluation._style import GREY, INK, add_title, check_picture, save_picture
from titans_seq.evaluation.recall.score import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FloatArray = NDArray[np.float64]

# Okabe and Ito's colours, told apart by all kinds of colour vision; the line styles tell them apart without any.
_MODEL, _OTHERS = "#0072B2", ("#D55E00", "#009E73", "#CC79A7")
_STYLES = ((0, (5, 2)), (0, (2, 1.5)), (0, (5, 1.5, 1, 1.5)))
_BINS, _DPI = 10, 150
_MOST_CLASSES_WITH_NUMBERS = 12
_NAMED = ("Probability of the class named", "Share of them right")


def plot_two_classes(
    path: str | Path,
    positive: ArrayLike,
    probability: ArrayLike,
    *,
    others: Mapping[str, ArrayLike] | None = None,
    label: str = "model",
    positive_name: str = "positive",
    title: str | None = None,
) -> Path:
    """Draw ROC curve, precision against recall, and calibration of one class against another.

    Parameters
    ----------
    path : str or Path
        Picture to write: PNG, or what the ending says (.pdf, .svg and others); its folder must exist.
    positive : bool array (n,)
        Whether each row is of the positive class; some are and some are not.
    probability : float array (n,)
        Of the positive class.
    others : mapping of name to float array (n,), optional
        Probabilities of baselines, up to three.
    label, positive_name, title : str
        Of the model, of the positive class, and of the figure.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        An ending that no picture has.
    """
    check_picture(path)
    curves = {label: probability, **(others or {})}
    return save_picture(draw_two_classes(positive, curves, positive_name, title), path, _DPI)


def draw_two_classes(
    positive: ArrayLike, curves: Mapping[str, ArrayLike], positive_name: str, title: str | None
) -> Figure:
    """Return the figure that `plot_two_classes` saves; the first of the curves is the model's."""
    y = np.asarray(positive, dtype=np.bool_)
    known = {name: np.asarray(p, dtype=np.float64) for name, p in curves.items()}
    figure, (roc, precision, calibration) = _panels(3)
    _draw_roc(roc, y, known)
    _draw_precision(precision, y, known, positive_name)
    own = next(iter(known.values()))
    _draw_calibration(calibration, y, own, f"Predicted probability of {positive_name}", "Share observed")
    return _finish(figure, roc, title)


def plot_several_classes(
    path: str | Path,
    labels: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[Any],
    *,
    title: str | None = None,
) -> Path:
    """Draw the confusion matrix, and how often the likeliest class is right at each probability.

    Parameters
    ----------
    path, title
        As in `plot_two_classes`.
    labels : array (n,)
    probabilities : float array (n, n_classes)
    classes : sequence
        In the order of the columns.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        An ending that no picture has.
    """
    check_picture(path)
    y, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    names = np.asarray(classes)
    said = p.argmax(1)
    counts = np.array([[np.sum((y == a) & (said == j)) for j in range(len(names))] for a in names])
    figure, (confusion, calibration) = _panels(2)
    _draw_confusion(confusion, counts, [str(name) for name in names])
    right = names[said] == y
    _draw_calibration(calibration, right, p.max(1), *_NAMED)
    return save_picture(_finish(figure, None, title), path, _DPI)


def draw_reliability(right: ArrayLike, probability: ArrayLike) -> Figure:
    """Return a figure of how often the class named is right (n,), at each probability that it was given (n,)."""
    y, p = np.asarray(right, dtype=np.bool_), np.asarray(probability, dtype=np.float64)
    figure, (ax,) = _panels(1)
    _draw_calibration(ax, y, p, *_NAMED)
    # Models that are sure would have all points in a corner.
    bars = np.concatenate([bar for drawn in ax.collections for bar in drawn.get_segments()])  # type: ignore[attr-defined]
    low = float(np.clip(np.floor(10 * min(p.min(), bars[:, 1].min())) / 10, 0.0, 0.9))
    ax.set_xlim(low, 1.0)
    ax.set_ylim(low, 1.0 + 0.02 * (1.0 - low))
    return figure


def plot_values(
    path: str | Path, actual: ArrayLike, predicted: ArrayLike, *, name: str = "target", title: str | None = None
) -> Path:
    """Draw predicted against measured numbers.

    Parameters
    ----------
    path, title
        As in `plot_two_classes`.
    actual, predicted : float arrays (n,)
    name : str
        Of what was measured, with its unit.

    Returns
    -------
    Path
        The file written.

    Raises
    ------
    ValueError
        An ending that no picture has.
    """
    check_picture(path)
    return save_picture(draw_values(actual, predicted, name, title), path, _DPI)


def draw_values(actual: ArrayLike, predicted: ArrayLike, name: str, title: str | None) -> Figure:
    """Return the figure that `plot_values` saves."""
    y, f = np.asarray(actual, dtype=np.float64), np.asarray(predicted, dtype=np.float64)
    figure, (ax,) = _panels(1)
    low, high = min(y.min(), f.min()), max(y.max(), f.max())
    ax.plot([low, high], [low, high], color=GREY, lw=1.0, ls=(0, (4, 3)), label="equal", zorder=1)
    size = float(np.clip(2000 / max(len(y), 1), 4, 24))
    ax.scatter(y, f, s=size, color=_MODEL, alpha=0.45, lw=0, label="tested", zorder=2)
    _dress(ax, f"Measured {name}", f"Predicted {name}")
    return _finish(figure, ax, title)


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.1 * n + (0.9 if n == 1 else 0), 4.7), facecolor="white", layout="constrained")
    figure.get_layout_engine().set(wspace=0.05)  # type: ignore[union-attr,call-arg]
    return figure, [figure.add_subplot(1, n, i + 1) for i in range(n)]


def _draw_roc(ax: Axes, y: NDArray[np.bool_], curves: Mapping[str, FloatArray]) -> None:
    from sklearn.metrics import roc_curve

    ax.plot([0, 1], [0, 1], color=GREY, lw=1.0, ls=":", zorder=0)
    for i, (name, p) in enumerate(curves.items()):
        false, true, _ = roc_curve(y, p)
        ax.plot(false, true, label=name, **_line(i))
    _dress(ax, "False positive rate", "True positive rate")


def _draw_precision(ax: Axes, y: NDArray[np.bool_], curves: Mapping[str, FloatArray], positive: str) -> None:
    from sklearn.metrics import precision_recall_curve

    ax.axhline(y.mean(), color=GREY, lw=1.0, ls=":", zorder=0)
    for i, (_, p) in enumerate(curves.items()):
        precision, recall, _ = precision_recall_curve(y, p)
        ax.step(recall[:-1], precision[:-1], where="post", **_line(i))  # the last point is made up: precision 1
    ax.set_ylim(-0.02, 1.02)
    _dress(ax, f"Recall of {positive}", "Precision")


def _draw_calibration(ax: Axes, right: NDArray[np.bool_], p: FloatArray, x_label: str, y_label: str) -> None:
    """Draw shares with 95 % intervals in bins of as many rows each."""
    ax.plot([0, 1], [0, 1], color=GREY, lw=1.0, ls=":", zorder=0)
    bins = np.array_split(np.argsort(p, kind="stable"), min(_BINS, max(1, len(p) // 10)))
    mean = [float(p[rows].mean()) for rows in bins]
    share = [float(right[rows].mean()) for rows in bins]
    bounds = [wilson_interval(int(right[rows].sum()), len(rows)) for rows in bins]
    errors = np.abs(np.array(bounds).T - share)
    ax.errorbar(mean, share, yerr=errors, color=_MODEL, marker="o", ms=5, mec="white", mew=0.7, lw=1.4,
                elinewidth=1.1, capsize=2.5, clip_on=False, zorder=3)  # fmt: skip
    ax.set_ylim(-0.02, 1.02)
    _dress(ax, x_label, y_label)


def _draw_confusion(ax: Axes, counts: NDArray[np.int64], names: list[str]) -> None:
    """Draw a matrix whose shades are the shares of each row."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= _MOST_CLASSES_WITH_NUMBERS:
        for (i, j), count in np.ndenumerate(counts):
            text = f"{count:,}\n{100 * shares[i, j]:.1f} %"
            ax.text(j, i, text, ha="center", va="center", fontsize=8.5, color="white" if shares[i, j] > 0.5 else INK)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    _dress(ax, "Class named", "True class")
    ax.grid(False)


def _line(i: int) -> dict[str, Any]:
    if i == 0:
        return {"color": _MODEL, "lw": 1.9, "zorder": 3}
    at = (i - 1) % len(_OTHERS)
    return {"color": _OTHERS[at], "lw": 1.2, "ls": _STYLES[at], "zorder": 2}


def _dress(ax: Axes, x_label: str, y_label: str) -> None:
    ax.set_xlabel(x_label, fontsize=9.5, color=INK)
    ax.set_ylabel(y_label, fontsize=9.5, color=INK)
    ax.grid(color="#d8dee4", lw=0.6)
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        ax.spines[side].set_color(GREY)
    ax.tick_params(labelsize=8.5, colors=INK, length=3, color=GREY)


def _finish(figure: Figure, legend_of: Axes | None, title: str | None) -> Figure:
    if legend_of is not None:
        handles, labels = legend_of.get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9, handlelength=2.4
        )
    if title:
        most = int(9 * figure.get_figwidth())  # characters that fit
        add_title(figure, title if len(title) <= most else f"{title[: most - 1]}…")
    return figure
