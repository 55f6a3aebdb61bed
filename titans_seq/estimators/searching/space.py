"""Search spaces as they are written in YAML: lists, and ranges of numbers. Loads nothing of Optuna's before it must."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

_KEYS = ("low", "high", "log", "step")
_MANY = 1000
Number = int | float


@dataclass(frozen=True)
class Choices:
    """Values to choose from."""

    values: tuple[Any, ...]

    @property
    def size(self) -> int | None:
        """How many there are."""
        return len(self.values)

    def holds(self, value: Any) -> bool:
        """Whether a value is among them; 1, 1.0 and True are three."""
        return any(type(value) is type(own) and value == own for own in self.values)

    def examples(self) -> Iterator[Any]:
        """Yield all of them."""
        yield from self.values

    def describe(self) -> Any:
        """Return them as in YAML."""
        return list(self.values)

    def distribution(self) -> BaseDistribution:
        """Return what Optuna takes."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; integers if ``integer``, in equal ratios if ``log``."""

    low: Number
    high: Number
    log: bool = False
    step: Number | None = None
    integer: bool = False

    @property
    def size(self) -> int | None:
        """How many numbers there are; None if there is no end to them."""
        if self.integer or self.step is not None:
            return round((self.high - self.low) / (self.step or 1)) + 1
        return None

    def holds(self, value: Any) -> bool:
        """Whether a number is one of the range."""
        if isinstance(value, bool) or not isinstance(value, int if self.integer else int | float):
            return False
        steps = (value - self.low) / (self.step or 1) if self.size is not None else 0.0
        return self.low <= value <= self.high and abs(steps - round(steps)) < 1e-6

    def examples(self) -> Iterator[Number]:
        """Yield all numbers if they are few, else both ends."""
        if self.size is None or self.size > _MANY:
            yield from (self.low, self.high)
        else:
            yield from (self.low + i * (self.step or 1) for i in range(self.size))

    def describe(self) -> Any:
        """Return it as in YAML."""
        optional = ({"log": True} if self.log else {}) | ({} if self.step is None else {"step": self.step})
        return {"low": self.low, "high": self.high, **optional}

    def distribution(self) -> BaseDistribution:
        """Return what Optuna takes."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if self.integer:
            return IntDistribution(int(self.low), int(self.high), log=self.log, step=int(self.step or 1))
        return FloatDistribution(float(self.low), float(self.high), log=self.log, step=self.step)


@dataclass(frozen=True)
class Space:
    """Values that arguments may take.

    Attributes
    ----------
    axes : dict of str to Choices or Range
        By argument, in the order they were given.
    """

    axes: dict[str, Choices | Range]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The axes as Optuna takes them."""
        return {name: axis.distribution() for name, axis in self.axes.items()}

    @property
    def size(self) -> int | None:
        """How many combinations there are; None if there is no end to them."""
        sizes = [axis.size for axis in self.axes.values()]
        known = [size for size in sizes if size is not None]
        return math.prod(known) if len(known) == len(sizes) else None

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether there is such a combination."""
        return all(name in values and axis.holds(values[name]) for name, axis in self.axes.items())

    def describe(self) -> dict[str, Any]:
        """Return it as in YAML; ready for JSON."""
        return {name: axis.describe() for name, axis in self.axes.items()}


def read_space(given: Mapping[str, Any] | Space) -> Space:
    """Check a search space.

    Parameters
    ----------
    given : Space or mapping of str to list or mapping
        A list has the values to choose from: numbers, text, booleans or None. A mapping has ``low`` and ``high``, both
        included, of a range: of integers if both are (and ``step``), else of numbers; with ``log: true`` in equal
        ratios, with ``step`` in steps.

    Raises
    ------
    TypeError, ValueError
        Naming the argument and what is wrong with it.
    """
    if isinstance(given, Space):
        return given
    if not isinstance(given, Mapping):
        raise TypeError(f"space must be a mapping of argument to values, found {type(given).__name__}")
    if not given:
        raise ValueError("space is empty; give at least one argument and its values")
    axes = {}
    for name, values in given.items():
        try:
            axes[str(name)] = read_axis(values)
        except (TypeError, ValueError) as error:
            raise type(error)(f"space[{str(name)!r}]: {error}") from None
    return Space(axes)


def read_axis(given: Any, *, integer: bool | None = None) -> Choices | Range:
    """Check the values of one argument; ``integer`` says what a range is of, where the numbers do not.

    Raises
    ------
    TypeError, ValueError
        Saying what is wrong.
    """
    if isinstance(given, Mapping):
        return _range(given, integer)
    if not isinstance(given, list | tuple):
        raise TypeError(f"must be a list of values, or low and high of a range, found {given!r}")
    if not given:
        raise ValueError("must have at least one value, found none")
    for value in given:
        if value is not None and not isinstance(value, bool | int | float | str):
            raise TypeError(f"values must be numbers, text, true, false or nothing, found {value!r}")
    if len({(type(value), value) for value in given}) < len(given):
        raise ValueError(f"each value must stand once, found {list(given)}")
    return Choices(tuple(given))


def _range(given: Mapping[str, Any], integer: bool | None) -> Range:
    unknown = next((key for key in given if key not in _KEYS), None)
    if unknown is not None:
        raise ValueError(f"a range has low, high, log and step, found {unknown!r}")
    missing = next((key for key in ("low", "high") if given.get(key) is None), None)
    if missing is not None:
        raise ValueError(f"a range needs low and high; {missing} is missing")
    low, high = _number("low", given["low"]), _number("high", given["high"])
    step = None if given.get("step") is None else _number("step", given["step"])
    log = given.get("log", False)
    if not isinstance(log, bool):
        raise TypeError(f"log must be true or false, found {log!r}")
    _check_range(low, high, step, log)
    whole = all(isinstance(number, int) for number in (low, high, step or 0))
    if integer and not whole:
        raise TypeError(f"low, high and step must be whole numbers, found {dict(given)}")
    return Range(low, high, log, step, whole if integer is None else integer)


def _number(key: str, value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{key} must be a number, found {value!r}")
    return value


def _check_range(low: Number, high: Number, step: Number | None, log: bool) -> None:
    if not low < high:
        raise ValueError(f"low must be less than high, found {low} and {high}")
    if log and low <= 0:
        raise ValueError(f"with log, low must be greater than 0, found {low}")
    if log and step is not None:
        raise ValueError("log and step do not go together; leave one out")
    if step is not None:
        steps = (high - low) / step if step > 0 else 0.0
        if steps < 1 or abs(steps - round(steps)) > 1e-6:
            raise ValueError(f"whole steps must lead from low {low} to high {high}, found step {step}")
