"""scikit-learn's own checks of estimators on numeric arrays."""

from __future__ import annotations

from typing import Any

from sklearn.utils.estimator_checks import parametrize_with_checks

from titans_seq import TitansClassifier, TitansRegressor

SMALL = {
    "channels": 8, "d_model": 4, "n_heads": 1, "n_persistent": 1, "memory_expansion": 1, "chunk_size": 8,
    "window_size": 8, "dropout": 0.0, "max_epochs": 12, "learning_rate": 0.02, "random_state": 0, "verbose": 0,
}  # fmt: skip

NOT_REPEATED = "a row that counts twice stands in one batch, a row given twice in two: another order of steps"


def expected_failures(estimator: Any) -> dict[str, str]:
    return {
        "check_sample_weight_equivalence_on_dense_data": NOT_REPEATED,
    }


@parametrize_with_checks(
    [TitansClassifier(**SMALL), TitansRegressor(**SMALL)], expected_failed_checks=expected_failures
)
def test_scikit_learn_finds_nothing_wrong(estimator: Any, check: Any) -> None:
    check(estimator)
