"""`TitansSearch`: arguments of an estimator, chosen on its validation rows."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from titans_seq.estimators._settings import check_integer, check_real, check_seed
from titans_seq.estimators.searching.space import Space, read_space

if TYPE_CHECKING:
    import optuna


def _best_has(name: str) -> Any:
    return available_if(lambda search: hasattr(getattr(search, "best_estimator_", search.estimator), name))


class TitansSearch(MetaEstimatorMixin, BaseEstimator):
    """Searches arguments of an estimator by the error of the rows that it validates on.

    Combinations are chosen by a tree-structured Parzen estimator (Bergstra et al. 2011, as in Optuna) and judged as the
    estimator judges itself: by ``validation_score_``. No combination is tried twice. A trial whose validation error is
    behind those of others after the same epoch is ended early. A trial that fails is noted, and another one takes its
    place. The estimator's own arguments are the first trial where the space has them, so that what is found is at
    least as good on validation.

    Parameters
    ----------
    estimator : TitansForecaster, TitansClassifier, TitansRegressor, DNAClassifier or DNARegressor
        Is cloned, never changed. Where its ``random_state`` is None, that of the search decides.
    space : dict of str to list or dict
        By argument, the values to choose from, ``[1, 2]``, or a range, ``{"low": 1e-4, "high": 1e-2, "log": True}``:
        of integers if both ends are, also with ``step``.
    n_trials : int, default 20
        Trials that are completed or pruned, earlier ones of the same study counted; fewer if there are not so many
        combinations. It ends early once as many have failed.
    objectives : str or sequence of str, default "validation_error"
        What is to be small. With "predict_seconds" (one `predict`, the fastest of three; of classifiers and regressors,
        256 rows) or "n_parameters" beside it, all combinations are sought that no other one beats in both.
    pruner : {"median", "halving", "none"}, optional
        Which trials end early: those worse than the median of completed ones after the same epoch, or all but
        a quarter at epochs 2, 8, 32, …. Default: "median", and "none" with several objectives.
    storage : str or path, optional
        File of a journal, or URL of a database (``postgresql://…``, ``sqlite:///…``): the study is kept there, goes on
        where an earlier `fit` left it, and other processes can work on it at the same time. Default: in memory.
    study_name : str, optional
        Default: made of the estimator, the space, the objectives, the seed and the data.
    n_jobs : int, optional
        Trials at the same time, each in a process of its own, so that one that is killed for its memory does no harm
        to the others. Default: one after the other, in this process.
    max_minutes : float, optional
        Time after which no trial begins; those that run are finished.
    refit : bool, default True
        Fit an estimator with the best arguments on everything that was given to `fit`.
    random_state : int, RandomState or None
        Owns every random number. With an int, and one trial at a time, a search finds the same again.
    verbose : int, default 1
        0 silences the progress bar, which otherwise shows in a terminal.

    Attributes
    ----------
    study_ : optuna.Study
    best_params_ : dict
        Arguments of the best trial. With several objectives: of the one with the smallest first objective.
    best_score_ : float
        Its first objective.
    best_trial_ : optuna.trial.FrozenTrial
    best_estimator_ : estimator
        Fitted with ``best_params_``; only if ``refit``.
    trials_ : list of optuna.trial.FrozenTrial
        All trials, pruned and failed ones among them; why a trial failed is in ``user_attrs["fault"]``.
    front_ : list of optuna.trial.FrozenTrial
        Those that no other one is better than in one objective and as good in all others.

    Examples
    --------
    >>> import numpy as np
    >>> from titans_seq import TitansForecaster
    >>> y = np.sin(np.arange(200) / 5)
    >>> search = TitansSearch(TitansForecaster(12, max_epochs=0), {"patch_length": [4, 8]}, n_trials=2)
    >>> search.fit(y).predict().shape
    (1, 12)
    """

    def __init__(
        self,
        estimator: Any,
        space: Mapping[str, Any] | Space,
        *,
        n_trials: int = 20,
        objectives: str | Sequence[str] = "validation_error",
        pruner: str | None = None,
        storage: str | os.PathLike[str] | None = None,
        study_name: str | None = None,
        n_jobs: int | None = None,
        max_minutes: float | None = None,
        refit: bool = True,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ) -> None:
        self.estimator = estimator
        self.space = space
        self.n_trials = n_trials
        self.objectives = objectives
        self.pruner = pruner
        self.storage = storage
        self.study_name = study_name
        self.n_jobs = n_jobs
        self.max_minutes = max_minutes
        self.refit = refit
        self.random_state = random_state
        self.verbose = verbose

    study_: optuna.Study

    def fit(self, X: Any, y: Any = None, **fit_params: Any) -> Self:
        """Search, and fit the best.

        Parameters
        ----------
        X, y : what the estimator's `fit` takes
            No ``y`` for a forecaster.
        **fit_params
            For the estimator's `fit`, such as ``validation`` of a forecaster.

        Raises
        ------
        TypeError, ValueError
            For arguments that can't be used, and if no trial was completed.
        """
        from titans_seq.estimators.searching.best import best_trial, front
        from titans_seq.estimators.searching.evaluation import Fitting, check_objectives
        from titans_seq.estimators.searching.search import Settings, search
        from titans_seq.estimators.searching.storage import check_pruner

        space = self._check_arguments()
        objectives = check_objectives(
            tuple(self.objectives) if not isinstance(self.objectives, str) else self.objectives
        )
        pruner = check_pruner(self.pruner, objectives)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fitting = Fitting(self._with_seed(seed), X, y, objectives, fit_params)
        settings = Settings(
            int(self.n_trials), pruner, None if self.storage is None else os.fspath(self.storage),
            self.study_name or _study_name(fitting, space, seed), self.n_jobs, self.max_minutes, seed,
            shown=bool(self.verbose),
        )  # fmt: skip
        self.study_, self.trials_ = search(fitting, space, settings)
        best = best_trial(self.trials_)
        if best is None:
            raise ValueError(_why_none(self.trials_))
        self.best_trial_, self.front_ = best, front(self.trials_)
        self.best_params_, self.best_score_ = dict(best.params), float(best.values[0])
        if self.refit:
            self.best_estimator_ = fitting.fit(self.best_params_)
        return self

    def _check_arguments(self) -> Space:
        space = read_space(self.space)
        _check_estimator(self.estimator)
        known = self.estimator.get_params(deep=False)
        if getattr(self.estimator, "devices", 1) * getattr(self.estimator, "num_nodes", 1) > 1:
            raise ValueError("a trial trains in one process; set devices and num_nodes of the estimator to 1")
        unknown = next((name for name in space.axes if name not in known), None)
        if unknown is not None:
            kind = type(self.estimator).__name__
            raise ValueError(f"space[{unknown!r}]: {kind} has no such argument; it has {', '.join(known)}")
        check_integer("n_trials", self.n_trials, 1)
        if self.n_jobs is not None:
            check_integer("n_jobs", self.n_jobs, 1)
        if self.max_minutes is not None:
            check_real("max_minutes", self.max_minutes, 0.0, np.inf)
        check_seed(self.random_state)
        return space

    def _with_seed(self, seed: int) -> Any:
        """Return the estimator to clone: trials differ by their arguments, not by chance."""
        estimator = clone(self.estimator)
        return estimator.set_params(random_state=seed) if estimator.random_state is None else estimator

    def _best(self) -> Any:
        check_is_fitted(self, "best_params_", msg="this %(name)s is not fitted yet; call fit first")
        if not hasattr(self, "best_estimator_"):
            raise AttributeError("with refit=False there is no best_estimator_; fit one with best_params_")
        return self.best_estimator_

    @_best_has("predict")
    def predict(self, *args: Any, **kwargs: Any) -> Any:
        """Answer as ``best_estimator_`` does."""
        return self._best().predict(*args, **kwargs)

    @_best_has("predict_proba")
    def predict_proba(self, X: Any) -> Any:
        """Answer as ``best_estimator_`` does."""
        return self._best().predict_proba(X)

    @_best_has("update")
    def update(self, X: Any) -> Self:
        """Let ``best_estimator_`` read on."""
        self._best().update(X)
        return self

    @_best_has("score")
    def score(self, *args: Any, **kwargs: Any) -> float:
        """Return the score of ``best_estimator_``."""
        return float(self._best().score(*args, **kwargs))

    @property
    def classes_(self) -> Any:
        """Classes of ``best_estimator_``."""
        return self._best().classes_

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import get_tags

        tags, own = get_tags(self.estimator), super().__sklearn_tags__()
        own.estimator_type, own.classifier_tags, own.regressor_tags = (
            tags.estimator_type, tags.classifier_tags, tags.regressor_tags,
        )  # fmt: skip
        own.input_tags, own.target_tags = tags.input_tags, tags.target_tags
        return own


def _check_estimator(estimator: Any) -> None:
    from titans_seq.estimators._sequence_base import SequenceEstimator
    from titans_seq.estimators.forecaster import TitansForecaster

    if not isinstance(estimator, TitansForecaster | SequenceEstimator):
        raise TypeError(
            "estimator must be a TitansForecaster, TitansClassifier, TitansRegressor, DNAClassifier or DNARegressor, "
            f"found {estimator!r:.60}"
        )


def _study_name(fitting: Any, space: Space, seed: int) -> str:
    """Return a name that is the same for the same question: estimator, space, objectives, seed, data."""
    import joblib

    asked = {
        "estimator": type(fitting.estimator).__name__,
        "arguments": {name: repr(value) for name, value in fitting.estimator.get_params(deep=False).items()},
        "space": space.describe(),
        "objectives": fitting.objectives,
        "seed": seed,
        "data": joblib.hash((fitting.X, fitting.y, dict(fitting.arguments))),
    }
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    return f"{type(fitting.estimator).__name__}-{digest[:12]}"


def _why_none(trials: Sequence[Any]) -> str:
    faults = [trial.user_attrs["fault"] for trial in trials if "fault" in trial.user_attrs]
    if not faults:
        return "no trial was completed in time; give more max_minutes"
    return f"no trial was completed; {len(faults)} failed, the first with: {faults[0]}"
