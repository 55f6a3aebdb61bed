"""What a run on DNA writes beside its metrics: predictions and a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from titans_seq.recipes.dna.data import Examples
from titans_seq.recipes.dna.schema import ClassifyRecipe, DNARecipe
from titans_seq.recipes.dna.score import Answers

if TYPE_CHECKING:
    import polars as pl


def prediction_table(recipe: DNARecipe, examples: Examples, answers: Answers) -> pl.DataFrame:
    """Return what was said of every test sequence beside the truth.

    Returns
    -------
    polars.DataFrame
        row (place among all sequences read, from 0); id; label or target, the truth; DNAClassifier or DNARegressor (the
        likeliest class, or the number); of classes p_<class>, ...; and a column for each baseline.
    """
    import polars as pl

    test = examples.test
    columns: dict[str, Any] = {
        "row": test.rows,
        "id": list(test.sequences.ids),
        "target" if answers.classes is None else "label": test.answers,
        recipe.estimator: answers.predicted(),
    }
    if answers.classes is not None:
        columns |= {f"p_{name}": answers.model[:, i] for i, name in enumerate(answers.classes)}
    return pl.DataFrame(columns | {name: answers.predicted(name) for name in answers.baselines})


def draw(path: Path, recipe: DNARecipe, examples: Examples, answers: Answers, title: str) -> None:
    """Draw the scores: ROC, precision and calibration of two classes, a confusion matrix of more, else a scatter."""
    from titans_seq.evaluation import label_plots

    truth, classes = examples.test.answers, answers.classes
    if classes is None:
        label_plots.plot_values(path, truth, answers.model, name=examples.answer, title=title)
    elif len(classes) > 2:
        label_plots.plot_several_classes(path, truth, answers.model, classes.tolist(), title=title)
    else:
        at = positive_place(recipe, classes.tolist())
        others = {name.replace("_", " "): said[:, at] for name, said in answers.baselines.items() if name != "majority"}
        label_plots.plot_two_classes(
            path, truth == classes[at], answers.model[:, at], others=others, label=recipe.estimator,
            positive_name=str(classes[at]), title=title,
        )  # fmt: skip


def positive_place(recipe: DNARecipe, classes: list[Any]) -> int:
    """Return the column of the class that precision and recall are about, of two."""
    stated = recipe.evaluate.positive if isinstance(recipe, ClassifyRecipe) else None
    return 1 if stated is None else classes.index(stated)


def class_counts(examples: Examples) -> dict[str, dict[str, int]]:
    """Return the sequences of each class in both parts."""
    names = np.unique(examples.train.answers)
    parts = {"train": examples.train, "test": examples.test}
    return {key: {str(name): int((part.answers == name).sum()) for name in names} for key, part in parts.items()}
