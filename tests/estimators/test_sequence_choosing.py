"""What validation rows choose by."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from titans_seq.estimators._sequence_choosing import Said, _area, choose
from titans_seq.training.objectives import Objective


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


def linked(n: int, broken: int) -> Said:
    """Return rows of two classes: k-mers are right of all, a network is surer, and wrong of those that are broken."""
    targets = np.arange(n) % 2
    sign = np.stack((1 - 2 * targets, 2 * targets - 1), 1).astype(float)
    network = 6 * sign
    network[:broken] *= -1
    return Said(network[:, None], 3 * sign, targets, np.ones(n))


def test_where_validation_cannot_tell_the_rows_learned_from_show_what_is_mistaken_for_a_class() -> None:
    held, two = linked(40, 0), Objective("classes", 2)
    plain = choose(held.outputs, held.targets, held.weight, two, held.kmers)
    found = choose(held.outputs, held.targets, held.weight, two, held.kmers, lambda: linked(300, 2))
    assert plain.kmer_share == 0 and linked(300, 2).mistakes(plain) == 2
    assert found.kmer_share > 2 / 3 and linked(300, 2).mistakes(found) == 0
    same = choose(held.outputs, held.targets, held.weight, two, held.kmers, lambda: linked(300, 0))
    assert same == plain


def test_where_validation_can_tell_no_other_rows_are_asked() -> None:
    def never() -> Said:
        raise AssertionError("asked")

    held = linked(40, 1)
    wrong = held._replace(kmers=held.outputs[:, 0])
    choice = choose(wrong.outputs, wrong.targets, wrong.weight, Objective("classes", 2), wrong.kmers, never)
    assert wrong.mistakes(choice) == 1
