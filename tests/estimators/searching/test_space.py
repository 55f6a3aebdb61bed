"""Search spaces as they are written in YAML."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from titans_seq.estimators.searching.space import read_axis, read_space


def test_lists_and_ranges_become_distributions() -> None:
    space = read_space(
        {
            "variant": ["mag", "mac", None],
            "d_model": {"low": 8, "high": 32, "step": 8},
            "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
            "dropout": {"low": 0.0, "high": 0.5, "step": 0.25},
        }
    )
    assert space.distributions == {
        "variant": CategoricalDistribution(("mag", "mac", None)),
        "d_model": IntDistribution(8, 32, step=8),
        "learning_rate": FloatDistribution(1e-4, 1e-2, log=True),
        "dropout": FloatDistribution(0.0, 0.5, step=0.25),
    }
    assert space.size is None
    assert read_space(space.describe()) == space


def test_the_size_of_a_finite_space_is_the_number_of_its_combinations() -> None:
    space = read_space({"a": [1, 2, 3], "b": {"low": 8, "high": 32, "step": 8}, "c": {"low": 0, "high": 1}})
    assert space.size == 3 * 4 * 2


def test_a_range_of_floats_may_be_written_in_whole_numbers() -> None:
    assert read_axis({"low": 0, "high": 1}, integer=False).distribution() == FloatDistribution(0.0, 1.0)


@given(st.integers(-50, 50), st.integers(1, 20), st.integers(1, 9), st.integers(-200, 300))
def test_a_stepped_range_holds_exactly_its_examples(low: int, steps: int, step: int, value: int) -> None:
    axis = read_axis({"low": low, "high": low + steps * step, "step": step})
    numbers = list(axis.examples())
    assert numbers == list(range(low, low + steps * step + 1, step))
    assert axis.holds(value) == (value in numbers)
    assert not axis.holds(value + 0.5)


def test_one_and_true_are_different_values() -> None:
    axis = read_axis([1, True])
    assert axis.holds(True) and axis.holds(1) and not axis.holds(1.0) and not axis.holds(False)


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        ([], "at least one value"),
        (3, "must be a list of values, or low and high of a range, found 3"),
        ("mag", "must be a list"),
        ([[1]], r"must be numbers, text, true, false or nothing, found \[1\]"),
        ([1, 1], "each value must stand once"),
        ({}, "low is missing"),
        ({"low": 1}, "high is missing"),
        ({"low": 1, "high": 1}, "low must be less than high, found 1 and 1"),
        ({"low": "1", "high": 2}, "low must be a number, found '1'"),
        ({"low": True, "high": 2}, "low must be a number"),
        ({"low": 1, "high": float("inf")}, "high must be a number"),
        ({"low": 0.0, "high": 1.0, "log": True}, "with log, low must be greater than 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "do not go together"),
        ({"low": 1, "high": 9, "log": "yes"}, "log must be true or false"),
        ({"low": 1, "high": 9, "step": 3}, "whole steps must lead"),
        ({"low": 1, "high": 9, "step": 0}, "whole steps must lead"),
        ({"low": 1, "high": 9, "steps": 2}, "a range has low, high, log and step, found 'steps'"),
    ],
)
def test_what_is_wrong_is_said_with_the_argument(values: Any, fault: str) -> None:
    with pytest.raises((TypeError, ValueError), match=r"space\['d_model'\]: .*" + fault):
        read_space({"d_model": values})


def test_a_range_of_whole_numbers_refuses_others() -> None:
    with pytest.raises(TypeError, match="must be whole numbers"):
        read_axis({"low": 1, "high": 2.5}, integer=True)


@pytest.mark.parametrize("given_", [{}, [1, 2]])
def test_a_space_is_a_mapping_with_something_in_it(given_: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="space"):
        read_space(given_)
