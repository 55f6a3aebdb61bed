"""Curves of several classes, each against the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from titans_seq.evaluation._style import GREY, INK, dress

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CURVES = 8
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8a4fb5", "#57606a")


def draw_class_curves(
    labels: ArrayLike, probabilities: ArrayLike, classes: Sequence[Any], shown: Sequence[int]
) -> Figure:
    """Return a figure of ROC curves and precision against recall of up to eight classes.

    Parameters
    ----------
    labels : array (n,)
    probabilities : float array (n, n_classes)
    classes : sequence
        In the order of the columns.
    shown : sequence of int
        Columns of the classes to draw; of each there are labels, and of others as well.
    """
    from matplotlib.figure import Figure
    from sklearn.metrics import precision_recall_curve, roc_curve

    y, p = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    figure = Figure(figsize=(10.0, 5.0), facecolor="white", layout="constrained")
    roc, precision = figure.subplots(1, 2)
    roc.plot([0, 1], [0, 1], color=GREY, lw=1.0, ls=":", zorder=0)
    # Names begin with a space: matplotlib leaves out of a legend what begins with an underscore.
    for i, colour in zip(shown[:MOST_CURVES], _COLOURS, strict=False):
        of_class: NDArray[np.bool_] = y == classes[i]
        false, true, _ = roc_curve(of_class, p[:, i])
        roc.plot(false, true, color=colour, lw=1.5, label=f" {classes[i]}")
        right, recall, _ = precision_recall_curve(of_class, p[:, i])
        precision.step(recall[:-1], right[:-1], where="post", color=colour, lw=1.5)
    _dress(roc, "ROC", "False positive rate", "True positive rate")
    _dress(precision, "Precision and recall", "Recall", "Precision")
    handles, labels_ = roc.get_legend_handles_labels()
    columns = min(len(labels_), 4)
    figure.legend(handles, labels_, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    return figure


def _dress(ax: Axes, name: str, x_label: str, y_label: str) -> None:
    dress(ax, name, np.arange(1))
    ax.set_xlim(-0.01, 1.01)
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel(x_label, fontsize=9, color=INK)
    ax.set_ylabel(y_label, fontsize=9, color=INK)
