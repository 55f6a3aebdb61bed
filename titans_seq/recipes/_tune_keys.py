"""The `tune.space` of a recipe: its keys are those of `model` and `train`, and their values must be allowed there."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from titans_seq.estimators.searching.space import Range, read_axis

Sections = Mapping[str, type[BaseModel]]


def check_key(key: str, sections: Sections) -> None:
    """Refuse what is no key of the sections.

    Raises
    ------
    ValueError
        Naming the nearest one.
    """
    known = [f"{section}.{name}" for section, model in sections.items() for name in model.model_fields]
    if key not in known:
        near = difflib.get_close_matches(key, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else "write model.<key> or train.<key>"
        raise ValueError(f"unknown key; {hint}")
    if key == "train.random_state":
        raise ValueError("a seed is nothing to choose; trials share that of train.random_state")


def check_values(key: str, given: Any, sections: Sections) -> Any:
    """Refuse values that the key could not have.

    Raises
    ------
    ValueError
        Naming the value and what is allowed.
    """
    section, _, name = key.partition(".")
    model = sections[section]
    try:
        axis = axis_of(given, model, name)
    except TypeError as error:
        raise ValueError(str(error)) from None
    values = (axis.low, axis.high) if isinstance(axis, Range) else axis.values
    for value in values:
        try:
            model.model_validate({name: value})
        except ValidationError as error:
            raise ValueError(f"{value!r} is no value for {key}: {_reason(error)}") from None
    return given


def axis_of(given: Any, model: type[BaseModel], name: str) -> Any:
    """Return the values of a key of a section; a range is of integers where the key is."""
    integer = float not in _types(model.model_fields[name].annotation) if isinstance(given, Mapping) else None
    return read_axis(given, integer=integer)


def _types(annotation: Any) -> set[Any]:
    found, pending = set(), [annotation]
    while pending:
        option = pending.pop()
        found.add(option) if isinstance(option, type) else None
        pending += get_args(option)
    return found


def _reason(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    words = str(first.get("ctx", {}).get("error", first["msg"]))
    return words[0].lower() + words[1:]
