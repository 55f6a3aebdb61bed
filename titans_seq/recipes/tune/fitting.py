"""What every trial of a recipe does: its estimator, and its train and validation rows. Test rows stay here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from titans_seq.recipes._data import read_series
from titans_seq.recipes.dna.schema import DNARecipe
from titans_seq.recipes.run import check_test_rows
from titans_seq.recipes.schema import Recipe, Tune

if TYPE_CHECKING:
    from titans_seq.estimators.searching.evaluation import Fitting


def recipe_fitting(recipe: Recipe | DNARecipe, tune: Tune) -> Fitting:
    """Read the data of a recipe, once for all trials.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        For data that cannot be used.
    """
    fitting = _dna(recipe, tune) if isinstance(recipe, DNARecipe) else _forecast(recipe, tune)
    # Trials are to differ by what is searched and not by chance.
    if fitting.estimator.random_state is None:
        fitting.estimator.set_params(random_state=0)
    return fitting


def _forecast(recipe: Recipe, tune: Tune) -> Fitting:
    from titans_seq.estimators import TitansForecaster
    from titans_seq.estimators.searching.evaluation import Fitting

    series = read_series(recipe.data, recipe.evaluate.season_length)
    check_test_rows(recipe, series)
    given = recipe.forecaster_arguments() | asdict(series.columns) | {"roles": recipe.data.roles}
    train, end = series.split[0], series.first_test_row
    validation = series.frame(train, end) if end > train else None
    objectives = tuple(str(name) for name in tune.objectives)
    return Fitting(
        TitansForecaster(**given, verbose=0), series.frame(0, train), None, objectives, {"validation": validation}
    )


def _dna(recipe: DNARecipe, tune: Tune) -> Fitting:
    from titans_seq import estimators
    from titans_seq.estimators.searching.evaluation import Fitting
    from titans_seq.recipes.dna.data import read_examples

    train = read_examples(recipe).train
    columns = {"sequence_col": recipe.data.sequence, "id_col": recipe.data.id}
    model = getattr(estimators, recipe.estimator)(**recipe.estimator_arguments(), **columns, verbose=0)
    return Fitting(model, train.sequences, train.answers, tuple(str(name) for name in tune.objectives))
