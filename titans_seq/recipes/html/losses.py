"""How the training went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from titans_seq.recipes.html.markup import Html, count, duration, note, number, paragraph
from titans_seq.recipes.html.pictures import picture, titled

History = Sequence[Mapping[str, Any]]


def training(histories: Sequence[History], names: Sequence[str]) -> Iterable[Html]:
    """Yield the losses of each network, epoch by epoch.

    Parameters
    ----------
    histories : sequence of lists of dict
        What estimators keep as ``history_``.
    names : sequence of str
        Of the networks, for the panels.
    """
    from titans_seq.evaluation.training_plots import LossCurve, draw_losses

    known = [(LossCurve.of(one), name, one) for one, name in zip(histories, names, strict=True) if one]
    if not known:
        yield note("The network was not trained (no epochs): the forecasts are those of the closed-form linear map.")
        return
    for curve, name, history in known:
        yield paragraph(f"{name}: " if len(known) > 1 else "", _words(curve, history))
    drawn = picture(
        lambda: draw_losses([one[0] for one in known], [one[1] for one in known]), "losses", "Loss by epoch"
    )
    yield titled(
        drawn,
        "Loss on training and validation data after each epoch; epoch 0 is before training. The ring marks the epoch "
        "whose weights are kept: the lowest validation loss. Training that goes on falling while validation rises is "
        "overfitting, which the choice of the epoch guards against.",
    )


def _words(curve: Any, history: History) -> str:
    last, seconds = int(curve.epoch[-1]), float(history[-1]["seconds"])
    time = f"{count(last, 'epoch')} in {duration(seconds)}"
    at = curve.selected
    if at is None:
        return f"{time}; there was no validation data to choose an epoch by."
    lowest = number(float(curve.validation[at]), 4)
    return f"{time}. The weights kept are those after epoch {curve.epoch[at]}, with a validation loss of {lowest}."
