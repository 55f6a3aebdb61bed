"""Optuna's plots of a study, as PNG files."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.tune.folder import whole_file

if TYPE_CHECKING:
    import optuna

FILES = ("history.png", "importances.png", "slices.png", "epochs.png", "front.png")
_FEWEST = 2
_SEED = 0


def draw_plots(folder: Path, study: optuna.Study, objectives: Sequence[str], names: Sequence[str]) -> list[str]:
    """Draw what there is enough for; return the names of the files.

    The history of the first objective, how much each argument matters for it (fANOVA, Hutter et al. 2014), the
    objective along each argument, the validation errors by epoch; with several objectives those of all trials.
    """
    import matplotlib
    from optuna.exceptions import ExperimentalWarning
    from optuna.trial import TrialState

    complete = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    several = len(objectives) > 1
    varied = [name for name in names if len({repr(trial.params[name]) for trial in complete}) > 1]
    first: dict[str, Any] = {"target": lambda trial: trial.values[0]} if several else {}
    named: dict[str, Any] = {**first, "target_name": objectives[0]}
    wanted: dict[str, Callable[[Any], Any]] = {
        "history.png": lambda plot: plot.plot_optimization_history(study, **named)
    }
    if len(complete) >= _FEWEST and varied:
        evaluator = _importances()
        wanted["importances.png"] = lambda plot: plot.plot_param_importances(
            study, evaluator=evaluator, params=varied, **named
        )
        wanted["slices.png"] = lambda plot: plot.plot_slice(study, params=varied, **named)
    if any(trial.intermediate_values for trial in study.trials):
        wanted["epochs.png"] = lambda plot: plot.plot_intermediate_values(study)
    if len(objectives) in (2, 3):
        wanted["front.png"] = lambda plot: plot.plot_pareto_front(study, target_names=list(objectives))
    with matplotlib.rc_context({"figure.autolayout": False}), warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        warnings.filterwarnings("ignore", module=r"optuna\..*")
        for file, draw in wanted.items():
            _draw(folder / file, draw)
    return list(wanted)


def _importances() -> Any:
    from optuna.importance import FanovaImportanceEvaluator

    return FanovaImportanceEvaluator(seed=_SEED)


def _draw(path: Path, draw: Callable[[Any], Any]) -> None:
    from matplotlib import pyplot
    from optuna.visualization import matplotlib as optuna_plots

    known = set(pyplot.get_fignums())
    with pyplot.style.context("default"):
        draw(optuna_plots)
        figure = pyplot.gcf()
        thin_labels(figure)
        space_labels(figure)
        try:
            with whole_file(path) as partial:
                figure.savefig(partial, dpi=110, bbox_inches="tight")
        finally:
            for number in set(pyplot.get_fignums()) - known:
                pyplot.close(number)


def thin_labels(figure: Any) -> None:
    """Label only the powers of ten of logarithmic axes that reach over more than one: others would overlap."""
    from matplotlib.ticker import NullFormatter

    for axes in figure.axes:
        low, high = axes.get_xlim()
        if axes.get_xscale() == "log" and high > 10 * low:
            axes.xaxis.set_minor_formatter(NullFormatter())


def space_labels(figure: Any) -> None:
    """Leave room between the numbers along the axes of a picture in three dimensions and what the axes are called."""
    from matplotlib.ticker import MaxNLocator

    for axes in figure.axes:
        if axes.name != "3d":
            continue
        figure.set_size_inches(7.5, 6.5)
        axes.tick_params(labelsize=8)
        for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
            axis.set_major_locator(MaxNLocator(4))
            axis.labelpad = 14
        axes.tick_params(axis="z", pad=8)
        axes.zaxis.labelpad = 24
        axes.set_box_aspect(None, zoom=0.85)
