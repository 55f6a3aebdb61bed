"""What validation rows choose by."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from titans_seq.estimators._sequence_choosing import _area


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_areas_under_roc_curves_are_those_of_scikit_learn_to_the_bit(decimals: int) -> None:
    random = np.random.default_rng(decimals)
    for n in range(5, 300, 3):
        answers, member = np.round(random.normal(size=n), decimals), random.random(n) < 0.4
        member[:2] = True, False
        weight = random.choice([1.0, 0.7, 2.5, 0.0], n) if n % 2 else np.ones(n)
        weight[:2] = 1.0
        assert _area(answers, member, weight) == roc_auc_score(member, answers, sample_weight=weight)


def test_of_one_class_there_is_no_area() -> None:
    answers, member = np.arange(4.0), np.array([True, True, False, True])
    assert _area(answers, member, np.array([1.0, 1.0, 0.0, 1.0])) is None
    assert _area(answers, member, np.ones(4)) == pytest.approx(1 / 3)
