"""`TitansSearch`: what it finds is what it says it found, trials end early, and a bad one does no harm."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fatal_estimators import FailingForecaster, FatalForecaster
from optuna.trial import TrialState
from sklearn.base import clone
from sklearn.linear_model import Ridge

from titans_seq import (
    DNAClassifier,
    DNALanguageModel,
    TitansClassifier,
    TitansForecaster,
    TitansRegressor,
    TitansSearch,
)

RANDOM = np.random.default_rng(0)
SERIES = np.sin(np.arange(240) / 5)[None] + 0.3 * RANDOM.normal(size=(2, 240))
ROWS = RANDOM.normal(size=(120, 12))
SMALL: dict[str, Any] = {
    "horizon": 6, "context_length": 16, "patch_length": 4, "sequence_length": 48, "d_model": 8, "n_layers": 1,
    "chunk_size": 4, "window_size": 4, "n_persistent": 2, "batch_size": 8, "max_epochs": 0, "random_state": 0,
    "error_memory": False, "verbose": 0,
}  # fmt: skip
SPACE = {"context_length": {"low": 8, "high": 64, "step": 4}, "initial_alpha": {"low": 1e-4, "high": 0.1, "log": True}}


def forecaster(kind: type = TitansForecaster, **changed: Any) -> TitansForecaster:
    return kind(**SMALL | changed)


def states(search: TitansSearch) -> list[str]:
    return [trial.state.name for trial in search.trials_]


def test_the_best_estimator_has_the_arguments_and_the_score_of_the_best_trial() -> None:
    search = TitansSearch(forecaster(), SPACE, n_trials=6, random_state=0, verbose=0).fit(SERIES)
    values = {trial.number: trial.value for trial in search.trials_}
    assert len(set(values.values())) > 2
    best = search.trials_[min(values, key=values.__getitem__)]
    assert search.best_params_ == best.params
    assert search.best_score_ == best.value == min(values.values())
    assert {name: search.best_estimator_.get_params()[name] for name in SPACE} == best.params
    assert search.best_estimator_.validation_score_ == search.best_score_
    apart = forecaster().set_params(**best.params).fit(SERIES)
    np.testing.assert_array_equal(search.predict(), apart.predict())
    assert search.study_.best_trial.number == best.number
    assert search.estimator.get_params() == forecaster().get_params()


def test_values_of_trials_are_validation_scores_of_their_arguments() -> None:
    search = TitansSearch(forecaster(), SPACE, n_trials=4, refit=False, random_state=0, verbose=0).fit(SERIES)
    for trial in search.trials_:
        assert trial.value == forecaster().set_params(**trial.params).fit(SERIES).validation_score_
    with pytest.raises(AttributeError, match="refit=False"):
        search.predict()


def test_the_estimators_own_arguments_are_the_first_trial_where_the_space_has_them() -> None:
    search = TitansSearch(forecaster(), SPACE, n_trials=3, random_state=0, verbose=0, refit=False).fit(SERIES)
    assert search.trials_[0].params == {"context_length": 16, "initial_alpha": 0.0025}
    assert search.best_score_ <= forecaster().fit(SERIES).validation_score_
    apart = TitansSearch(forecaster(), {"context_length": [24, 32]}, n_trials=2, verbose=0, refit=False).fit(SERIES)
    assert sorted(trial.params["context_length"] for trial in apart.trials_) == [24, 32]


def test_trials_that_learn_nothing_end_early_and_save_their_epochs() -> None:
    learning = TitansRegressor(
        d_model=8, channels=4, max_epochs=8, early_stopping_patience=8, random_state=0, verbose=0
    )  # fmt: skip
    target = ROWS @ np.arange(12)
    space = {"learning_rate": {"low": 1e-7, "high": 2e-2, "log": True}}
    search = TitansSearch(learning, space, n_trials=9, random_state=0, verbose=0).fit(ROWS, target)
    pruned = [trial for trial in search.trials_ if trial.state == TrialState.PRUNED]
    complete = [trial for trial in search.trials_ if trial.state == TrialState.COMPLETE]
    assert len(pruned) + len(complete) == 9
    assert pruned
    assert all(trial.user_attrs["epochs"] < 8 for trial in pruned)
    assert all(list(trial.intermediate_values) == list(range(9)) for trial in complete)
    assert search.best_trial_.state == TrialState.COMPLETE
    history = {row["epoch"]: row["validation_loss"] for row in search.best_estimator_.history_[0]}
    assert search.best_trial_.intermediate_values == history


def test_a_study_in_a_file_goes_on_and_repeats_nothing(tmp_path: Path) -> None:
    def searched(n_trials: int, where: Path | None) -> TitansSearch:
        given = {"n_trials": n_trials, "storage": where, "random_state": 3, "verbose": 0, "refit": False}
        return TitansSearch(forecaster(), SPACE, **given).fit(SERIES)

    first = searched(3, tmp_path / "journal")
    begun = [trial.datetime_start for trial in first.trials_]
    second = searched(6, tmp_path / "journal")
    assert [trial.datetime_start for trial in second.trials_[:3]] == begun
    assert len(second.study_.trials) == len(second.trials_) == 6
    whole = searched(6, None)
    assert [trial.params for trial in second.trials_] == [trial.params for trial in whole.trials_]
    assert [trial.value for trial in second.trials_] == [trial.value for trial in whole.trials_]
    again = searched(6, tmp_path / "journal")
    assert [trial.datetime_start for trial in again.trials_] == [trial.datetime_start for trial in second.trials_]


def test_other_data_are_another_study(tmp_path: Path) -> None:
    given = {"n_trials": 2, "storage": tmp_path / "journal", "random_state": 0, "verbose": 0, "refit": False}
    one = TitansSearch(forecaster(), SPACE, **given).fit(SERIES)
    other = TitansSearch(forecaster(), SPACE, **given).fit(SERIES + 1)
    assert one.study_.study_name != other.study_.study_name
    assert len(other.study_.trials) == 2


def test_processes_evaluate_each_combination_once_and_find_the_same_values(tmp_path: Path) -> None:
    given = {"n_trials": 6, "random_state": 0, "verbose": 0, "refit": False}
    apart = TitansSearch(forecaster(), SPACE, n_jobs=2, storage=tmp_path / "journal", **given).fit(SERIES)
    assert states(apart) == ["COMPLETE"] * 6
    combinations = [tuple(trial.params.values()) for trial in apart.trials_]
    assert len(set(combinations)) == 6
    for trial in apart.trials_:
        assert trial.value == forecaster().set_params(**trial.params).fit(SERIES).validation_score_


def test_a_failing_trial_is_noted_and_replaced() -> None:
    space = {"d_model": [8, 16, 24], "chunk_size": [4, 8]}
    search = TitansSearch(forecaster(FailingForecaster), space, n_trials=4, random_state=0, verbose=0).fit(SERIES)
    failed = [trial for trial in search.trials_ if trial.state == TrialState.FAIL]
    assert states(search).count("COMPLETE") == 4
    assert failed
    assert all(trial.params["d_model"] == 24 for trial in failed)
    assert {trial.user_attrs["fault"] for trial in failed} == {"RuntimeError: no luck at all"}
    assert search.best_params_["d_model"] != 24


def test_a_trial_that_is_killed_does_not_kill_the_study(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(inspect.getfile(FatalForecaster)).parent))
    space = {"d_model": [8, 16, 24], "chunk_size": [4, 8]}
    search = TitansSearch(forecaster(FatalForecaster), space, n_trials=6, n_jobs=1, random_state=0, verbose=0)
    search.fit(SERIES)
    killed = [trial for trial in search.trials_ if trial.state == TrialState.FAIL]
    assert states(search).count("COMPLETE") == 4
    assert [trial.params["d_model"] for trial in killed] == [24, 24]
    assert {trial.user_attrs["fault"] for trial in killed} == {"killed by SIGKILL: out of memory?"}


def test_where_every_trial_fails_the_first_fault_is_told() -> None:
    search = TitansSearch(forecaster(FailingForecaster, d_model=24), {"chunk_size": [4, 8]}, n_trials=2, verbose=0)
    with pytest.raises(ValueError, match="no trial was completed; 2 failed, the first with: RuntimeError: no luck"):
        search.fit(SERIES)


def test_rows_without_validation_are_no_basis_for_a_search() -> None:
    search = TitansSearch(TitansClassifier(max_epochs=0, verbose=0), {"d_model": [8, 16]}, n_trials=2, verbose=0)
    with pytest.raises(ValueError, match="there are no validation rows to judge by"):
        search.fit(ROWS[:20], ROWS[:20, 0] > 0)


def test_with_two_objectives_the_front_is_what_nothing_beats() -> None:
    space = {"d_model": [4, 8, 16], "context_length": [8, 32]}
    search = TitansSearch(
        forecaster(), space, n_trials=6, objectives=["validation_error", "n_parameters"], random_state=0, verbose=0
    ).fit(SERIES)
    assert states(search) == ["COMPLETE"] * 6
    points = [trial.values for trial in search.trials_]
    assert all(
        trial.values == [fitted.validation_score_, fitted.n_parameters_]
        for trial in search.trials_
        for fitted in [forecaster().set_params(**trial.params).fit(SERIES)]
    )
    beaten = [any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points) for p in points]
    assert [trial.number for trial in search.front_] == [i for i, is_beaten in enumerate(beaten) if not is_beaten]
    assert {trial.number for trial in search.front_} == {trial.number for trial in search.study_.best_trials}
    assert search.best_score_ == min(p[0] for p in points)


def test_predict_time_is_an_objective() -> None:
    search = TitansSearch(
        TitansRegressor(d_model=8, channels=4, max_epochs=1, random_state=0, verbose=0), {"n_layers": [1, 2]},
        objectives=("validation_error", "predict_seconds"), n_trials=2, random_state=0, verbose=0,
    ).fit(ROWS, ROWS[:, 0])  # fmt: skip
    assert all(trial.values[1] > 0 for trial in search.trials_)
    assert search.predict(ROWS).shape == (120,)


DNA = (["ACGTTATAAAGC", "GCGCGGCCATGC"] * 60, ["a", "b"] * 60)


@pytest.mark.parametrize(
    ("estimator", "X", "y"),
    [
        (TitansClassifier(d_model=8, channels=4, max_epochs=2, verbose=0), ROWS, ROWS[:, 0] > 0),
        (DNAClassifier(d_model=8, channels=4, max_epochs=2, n_members=1, verbose=0), *DNA),
    ],
    ids=["values", "DNA"],
)
def test_classifiers_are_searched_by_their_own_score(estimator: Any, X: Any, y: Any) -> None:
    search = TitansSearch(estimator, {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}, n_trials=3, verbose=0)
    search.set_params(random_state=5).fit(X, y)
    assert search.best_estimator_.validation_score_ == search.best_score_
    assert search.predict(X[:3]).shape == (3,)
    assert search.predict_proba(X[:3]).shape == (3, 2)
    assert list(search.classes_) == list(np.unique(y))
    assert 0 <= search.score(X, y) <= 1
    assert not hasattr(search, "update")


def test_a_seed_of_the_search_seeds_estimators_that_have_none() -> None:
    found = [
        TitansSearch(forecaster(random_state=None, max_epochs=1), SPACE, n_trials=2, random_state=seed, verbose=0).fit(
            SERIES
        )
        for seed in (1, 1, 2)
    ]
    one, same, other = ([trial.params | {"value": trial.value} for trial in search.trials_] for search in found)
    assert one == same != other


def test_a_search_is_read_on_with_its_estimator() -> None:
    search = TitansSearch(forecaster(), SPACE, n_trials=2, random_state=0, verbose=0).fit(SERIES)
    before = search.predict()
    assert search.update(SERIES[:, :12]) is search
    assert not np.array_equal(search.predict(), before)


def test_a_search_is_an_estimator_of_scikit_learn() -> None:
    search = TitansSearch(forecaster(), SPACE, n_trials=2)
    assert clone(search).get_params()["estimator__horizon"] == 6
    assert search.set_params(estimator__horizon=7).estimator.horizon == 7


@pytest.mark.parametrize("other", [Ridge(), TitansForecaster, DNALanguageModel(), None], ids=str)
def test_what_has_no_validation_score_is_refused_before_anything_is_fitted(other: Any) -> None:
    search = TitansSearch(other, {"alpha": [1.0]}, verbose=0)
    with pytest.raises(TypeError, match="estimator must be a TitansForecaster, .* found"):
        search.fit(ROWS, ROWS[:, 0])


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"space": {"d_modle": [8]}}, r"space\['d_modle'\]: TitansForecaster has no such argument"),
        ({"space": {"d_model": []}}, r"space\['d_model'\]: must have at least one value"),
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"n_jobs": 0}, "n_jobs must be at least 1"),
        ({"max_minutes": 0}, "max_minutes must lie between"),
        ({"objectives": ["speed"]}, "objectives must be some of 'validation_error'"),
        ({"objectives": []}, "objectives must be some of"),
        ({"pruner": "some"}, "pruner must be one of"),
        ({"random_state": -1}, "random_state must be"),
    ],
)
def test_arguments_that_cannot_be_used_are_named(changed: dict[str, Any], fault: str) -> None:
    search = TitansSearch(forecaster(), SPACE).set_params(**changed)
    with pytest.raises(ValueError, match=fault):
        search.fit(SERIES)


def test_after_the_time_is_up_no_trial_begins() -> None:
    search = TitansSearch(forecaster(), SPACE, n_trials=500, max_minutes=0.03, random_state=0, verbose=0).fit(SERIES)
    assert 1 <= len(search.trials_) < 500
