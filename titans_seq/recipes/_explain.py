"""Faults of a recipe in words: place, key, what was found, what is allowed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from titans_seq.recipes._yaml import Document

_EXPECTED = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be a section of key: value lines",
    "model_type": "must be a section of key: value lines",
    "model_attributes_type": "must be a section of key: value lines",
}
_BOUNDS = {
    "greater_than": ("gt", "greater than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def explain(error: ErrorDetails, document: Document, root: type[BaseModel]) -> str:
    """Return one line for one of pydantic's errors."""
    path = tuple(key for key in error["loc"] if key != "[key]")  # pydantic's mark for a fault of a key itself
    return located(path, _message(error, path, root), document)


def located(path: Sequence[str | int], message: str, document: Document) -> str:
    """Return one line: where a value stands, its key, and what is wrong with it."""
    place, key = document.place_of(path), ".".join(map(str, path))
    where = place if not key or place == f"--set {key}" else f"{place}: {key}"
    return f"{where}: {message}"


def _message(error: ErrorDetails, path: Sequence[str | int], root: type[BaseModel]) -> str:
    kind, context, found = error["type"], error.get("ctx", {}), error["input"]
    if kind == "extra_forbidden":
        return f"unknown key{_nearest_key(path, root)}"
    if kind == "missing":
        return "this key is missing"
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _message_of_choice(path, root, found, context)
    if kind in ("too_short", "too_long"):
        return f"must have {_lengths(context)} entries, found {context['actual_length']}"
    if kind in _BOUNDS:
        name, words = _BOUNDS[kind]
        return f"must be {words} {context[name]}, found {found!r}"
    return f"{_EXPECTED.get(kind, error['msg'])}, found {_shown(found)}{_spaced(kind, found)}"


def _spaced(kind: str, found: Any) -> str:
    """Return a hint where a section is text because the colons of its keys have no space behind them."""
    squeezed = kind.startswith(("model", "dict")) and isinstance(found, str) and re.match(r"\w+:\S", found)
    return "; write a space after the colon" if squeezed else ""


def _message_of_choice(path: Sequence[str | int], root: type[BaseModel], found: Any, context: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(str(found), _choices(path, root), 1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"must be {context['expected']}, found {_shown(found)}{hint}"


def _shown(found: Any) -> str:
    if found is None or isinstance(found, bool):
        return "nothing" if found is None else str(found).lower()
    if isinstance(found, dict):
        return "a section"
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _lengths(context: Mapping[str, Any]) -> str:
    if "max_length" in context:
        return f"at most {context['max_length']}"
    return f"at least {context['min_length']}"


def _nearest_key(path: Sequence[str | int], root: type[BaseModel]) -> str:
    key, names = str(path[-1]), _keys(_model_at(path[:-1], root))
    near = difflib.get_close_matches(key, names, 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    for section in _keys(root):
        if key in _keys(_model_at([section], root)):
            return f"; did you mean '{section}.{key}'?"
    return f"; known are {', '.join(names)}" if names else ""


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _annotation_at(path: Sequence[str | int], root: type[BaseModel]) -> Any:
    """Return the type a value must have; list entries have that of their list."""
    annotation: Any = root
    for key in path:
        model = _model_in(annotation)
        if model is not None and isinstance(key, str):
            fields = {field.alias or name: field for name, field in model.model_fields.items()}
            annotation = fields[key].annotation if key in fields else None
    return annotation


def _model_at(path: Sequence[str | int], root: type[BaseModel]) -> type[BaseModel] | None:
    return _model_in(_annotation_at(path, root))


def _model_in(annotation: Any) -> type[BaseModel] | None:
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, BaseModel):
            return option
    return None


def _choices(path: Sequence[str | int], root: type[BaseModel]) -> list[str]:
    """Return the texts that stand anywhere in the type of a value."""
    pending, found = [_annotation_at(path, root)], []
    while pending:
        option = pending.pop()
        found += [option] if isinstance(option, str) else []
        pending += get_args(option)
    return found
