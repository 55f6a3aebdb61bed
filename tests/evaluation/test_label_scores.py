"""Scores of classes and numbers, against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from titans_seq.evaluation import class_scores, value_scores

LABELS = np.array(["a", "b", "b", "a", "b"])
P = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.7, 0.3], [0.5, 0.5]])


def test_two_classes_by_hand() -> None:
    found = class_scores(LABELS, P, ["a", "b"])
    # Said: a b a a a. Positive is b: 0.1 (a), 0.8 (b), 0.4 (b), 0.3 (a), 0.5 (b): every b above every a.
    assert found["accuracy"] == pytest.approx(3 / 5)
    tp, fp, tn, fn = 1, 0, 2, 2
    mcc = (tp * tn - fp * fn) / np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert found["mcc"] == pytest.approx(mcc)
    assert found["auroc"] == found["auprc"] == pytest.approx(1.0)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7, 0.5]).mean())


def test_the_positive_class_changes_precision_and_not_the_roc() -> None:
    p = P.copy()
    p[0] = [0.1, 0.9]
    b, a = (class_scores(LABELS, p, ["a", "b"], positive=name) for name in "ba")
    assert b["auroc"] == a["auroc"]
    assert b["auprc"] != a["auprc"]
    assert class_scores(LABELS, p, ["a", "b"]) == b


def test_areas_of_several_classes_are_means_over_those_that_occur() -> None:
    random = np.random.default_rng(0)
    labels = random.choice(["x", "y", "z"], 60)
    p = random.dirichlet(np.ones(4), 60)
    found = class_scores(labels, p, ["w", "x", "y", "z"])
    each = []
    for i, name in ((1, "x"), (2, "y"), (3, "z")):
        yes, no = p[labels == name, i], p[labels != name, i]
        each.append((yes[:, None] > no).mean())
    assert found["auroc"] == pytest.approx(np.mean(each))


def test_a_certain_error_costs_much_but_not_all() -> None:
    assert 30 < class_scores(["a", "b"], [[0.0, 1.0], [1.0, 0.0]], ["a", "b"])["log_loss"] < 40


@pytest.mark.parametrize(
    ("labels", "classes", "positive", "message"),
    [
        (["a", "c"], ["a", "b"], None, "row 1: the label 'c' is none of 'a', 'b'"),
        (["a", "a"], ["a", "b"], None, "all 2 labels are 'a'"),
        (["a", "b"], ["a", "b"], "c", "positive 'c' is none of 'a', 'b'"),
        (["a", "b"], ["a", "b", "c"], None, r"need as many rows and columns, got \(2, 2\)"),
    ],
)
def test_what_does_not_belong_together_is_refused(
    labels: list[str], classes: list[str], positive: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        class_scores(labels, P[:2], classes, positive=positive)


def test_numbers_by_hand() -> None:
    y, f = [1.0, 2.0, 3.0, 10.0], [2.0, 3.0, 4.0, 5.0]
    found = value_scores(y, f)
    assert found["mse"] == pytest.approx((1 + 1 + 1 + 25) / 4)
    assert found["spearman"] == pytest.approx(1.0)
    assert found["pearson"] == pytest.approx(np.corrcoef(y, f)[0, 1])


def test_correlations_of_what_does_not_vary_are_left_out() -> None:
    assert set(value_scores([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])) == {"mse"}
    with pytest.raises(ValueError, match="at least two numbers"):
        value_scores([1.0], [1.0])
