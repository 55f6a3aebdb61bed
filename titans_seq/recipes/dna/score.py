"""Scores of a model of DNA and of the baselines, on the same test sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.recipes.dna.data import Examples
from titans_seq.recipes.dna.schema import ClassifyRecipe, DNARecipe

if TYPE_CHECKING:
    from titans_seq.estimators import DNAClassifier, DNARegressor

FloatArray = NDArray[np.float64]
POSITIONS = ("position_logistic", "position_ridge")


@dataclass(frozen=True, eq=False)
class Answers:
    """What model and baselines say of the test sequences.

    Attributes
    ----------
    model : float array (n, n_classes) or (n,)
        Probabilities or numbers.
    baselines : dict of name to array of the same shape
    classes : array (n_classes,) or None
        In the order of the columns; None of numbers.
    """

    model: FloatArray
    baselines: dict[str, FloatArray]
    classes: NDArray[Any] | None

    def predicted(self, name: str | None = None) -> NDArray[Any]:
        """Return the likeliest classes, or the numbers, of the model or of a baseline."""
        said = self.model if name is None else self.baselines[name]
        return said if self.classes is None else self.classes[said.argmax(1)]


def left_out(recipe: DNARecipe, examples: Examples) -> dict[str, str]:
    """Return the baselines that do not fit the sequences, and why; refuse one that was asked for.

    Raises
    ------
    ValueError
        The recipe names a baseline on positions, and lengths differ.
    """
    lengths = np.concatenate((examples.train.sequences.lengths, examples.test.sequences.lengths))
    if (lengths == lengths[0]).all():
        return {}
    why = f"lengths differ, {lengths.min()} to {lengths.max()} bases"
    found = {name: why for name in recipe.evaluate.baselines if name in POSITIONS}
    if found and "baselines" in recipe.evaluate.model_fields_set:
        raise ValueError(f"evaluate.baselines: {next(iter(found))} needs sequences of one length; {why}")
    return found


def ask(recipe: DNARecipe, model: DNAClassifier | DNARegressor, examples: Examples, skipped: dict[str, str]) -> Answers:
    """Return what the fitted model and the baselines say of the test sequences."""
    names = [name for name in recipe.evaluate.baselines if name not in skipped]
    make = _baselines(recipe, examples)
    said, classes = _said(model, examples)
    return Answers(said, {name: make[name]() for name in names}, classes)


def _said(model: DNAClassifier | DNARegressor, examples: Examples) -> tuple[FloatArray, NDArray[Any] | None]:
    from titans_seq.estimators import DNAClassifier

    sequences = examples.test.sequences
    if isinstance(model, DNAClassifier):
        return model.predict_proba(sequences), model.classes_
    return model.predict(sequences), None


def score_model(recipe: DNARecipe, model: DNAClassifier | DNARegressor, examples: Examples) -> dict[str, float]:
    """Return the recipe's metrics of the model alone."""
    said, classes = _said(model, examples)
    return _score(recipe, examples, Answers(said, {}, classes), said)


def _baselines(recipe: DNARecipe, examples: Examples) -> dict[str, Callable[[], FloatArray]]:
    from titans_seq.evaluation import sequence_baselines as baselines

    train, test = examples.train, examples.test
    where = (train.sequences, train.answers, test.sequences)
    kmers: dict[str, Any] = {
        "k": recipe.evaluate.kmer_length,
        "both_strands": recipe.evaluate.kmer_strands == "both",
    }
    return {
        "majority": lambda: baselines.majority(train.answers, len(test)),
        "mean": lambda: np.full(len(test), train.answers.mean()),
        "kmer_logistic": lambda: baselines.kmer_logistic(*where, **kmers),
        "kmer_ridge": lambda: baselines.kmer_ridge(*where, **kmers),
        "position_logistic": lambda: baselines.position_logistic(*where),
        "position_ridge": lambda: baselines.position_ridge(*where),
    }


def scores(recipe: DNARecipe, examples: Examples, answers: Answers) -> dict[str, Any]:
    """Return the recipe's metrics of the model and of each baseline."""
    return {
        "model": _score(recipe, examples, answers, answers.model),
        "baselines": {name: _score(recipe, examples, answers, said) for name, said in answers.baselines.items()},
    }


def _score(recipe: DNARecipe, examples: Examples, answers: Answers, said: FloatArray) -> dict[str, float]:
    from titans_seq.evaluation.label_scores import class_scores, value_scores

    truth = examples.test.answers
    if isinstance(recipe, ClassifyRecipe) and answers.classes is not None:
        found = class_scores(truth, said, answers.classes.tolist(), positive=recipe.evaluate.positive)
        return {name: found[name] for name in recipe.evaluate.metrics}
    found = value_scores(truth, said)
    return {name: found[name] for name in recipe.evaluate.metrics if name in found}
