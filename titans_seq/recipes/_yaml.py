"""YAML with places: every value knows its line and column, so that errors can name them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Path_ = tuple[str | int, ...]
_DEEPEST = 50
_FILES = {("output", "dir"), ("data", "path")}
_PLAIN = {f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "set", "omap", "pairs")}


class RecipeError(ValueError):
    """A recipe that cannot be used; one line per fault, each with its place."""


class _Loader(yaml.SafeLoader):
    """Scalars as in YAML 1.2: `1e-3` is a number; `no`, `on` and `2020-01-01` are text."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        mark = self.peek_event().start_mark
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="aliases are not allowed in recipes", problem_mark=mark)
        if self.depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"more than {_DEEPEST} levels within each other", problem_mark=mark)
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9]*)$", list("-+0123456789")),
    (
        "float",
        r"^[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$",
        list("-+.0123456789"),
    ),
    ("float", r"^(?:[-+]?\.inf|\.nan)$", list("-+.")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


@dataclass
class Document:
    """A YAML mapping with the place of every key and value, and the faults met while reading it.

    Attributes
    ----------
    values : dict
        Plain Python values.
    places : dict
        From the path of a value, e.g. ("model", "n_layers"), to "recipe.yaml:3:3" or "--set model.n_layers";
        always holds the whole document, ().
    faults : list of str
        One line each.
    """

    values: dict[str, Any]
    places: dict[Path_, str]
    faults: list[str] = field(default_factory=list)

    def place_of(self, path: Sequence[str | int]) -> str:
        """Return the place of a value, or of the nearest thing that holds it."""
        return self.places[self._known(path)]

    def order_of(self, path: Sequence[str | int]) -> int:
        """Return where a value stands among all: file order, overrides last."""
        return list(self.places).index(self._known(path))

    def _known(self, path: Sequence[str | int]) -> Path_:
        at = tuple(path)
        while at not in self.places:
            at = at[:-1]
        return at


def read_document(text: str, name: str) -> Document:
    """Read the text of a recipe.

    Raises
    ------
    RecipeError
        The text is not YAML, or not a mapping.
    """
    document = Document(values={}, places={(): f"{name}:1:1"})
    node = _compose(text, name)
    if not isinstance(node, yaml.MappingNode):
        found = _kind(node)
        raise RecipeError(f"{name}:1:1: a recipe is a mapping of sections (task, data, model, …), found {found}")
    document.values = _build(node, (), lambda mark: f"{name}:{mark.line + 1}:{mark.column + 1}", document)
    return document


def override(document: Document, assignment: str) -> None:
    """Put one `a.b=value` into a document; the value is read as YAML.

    Raises
    ------
    RecipeError
        The text is not of this form, or `a` is not a section.
    """
    dotted, equals, text = assignment.partition("=")
    path: Path_ = tuple(dotted.strip().split("."))
    place = f"--set {dotted.strip()}"
    if not equals or not all(path):
        raise RecipeError(f"--set {assignment}: write it as section.key=value, e.g. --set model.n_layers=3")
    section = _section(document, path[:-1], place)
    _forget(document, path)
    document.places[path] = place
    node = _compose(text, place)
    section[str(path[-1])] = None if node is None else _build(node, path, lambda _: place, document)


def _section(document: Document, path: Path_, place: str) -> dict[str, Any]:
    section = document.values
    for i, key in enumerate(path):
        if section.get(str(key)) is None:
            section[str(key)] = {}
            document.places.setdefault(path[: i + 1], place)
        section = section[str(key)]
        if not isinstance(section, dict):
            raise RecipeError(f"{place}: {'.'.join(map(str, path[: i + 1]))} is not a section")
    return section


def _forget(document: Document, path: Path_) -> None:
    for old in [p for p in document.places if p[: len(path)] == path]:
        del document.places[old]


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark, words = error.problem_mark or error.context_mark, error.problem or error.context
        if "end of stream" in str(words) and error.context_mark:  # where it began says more
            mark, words = error.context_mark, f"{words} {error.context}"
        at = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark and not name.startswith("--set") else name
        raise RecipeError(f"{at}: not YAML: {words}") from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        at = f"{name}:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"
        at = name if name.startswith("--set") else at
        raise RecipeError(f"{at}: not YAML: the character {chr(error.character)!r} is not allowed") from None
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not YAML: {str(error).splitlines()[0]}") from None


def _build(node: yaml.Node, path: Path_, place: Any, document: Document) -> Any:
    document.places.setdefault(path, place(node.start_mark))
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _PLAIN:
        at, key = place(node.start_mark), ".".join(map(str, path))
        document.faults.append(f"{at}: {key}: the tag {node.tag} is not allowed")
    if isinstance(node, yaml.MappingNode):
        return _build_mapping(node, path, place, document)
    if isinstance(node, yaml.SequenceNode):
        return [_build(item, (*path, i), place, document) for i, item in enumerate(node.value)]
    try:
        value = _Constructor().construct_object(node)
        if path in _FILES and "\0" in str(value):  # no file can be named so
            raise ValueError
        return value
    except (yaml.YAMLError, ValueError):
        at, key = place(node.start_mark), ".".join(map(str, path))
        document.faults.append(f"{at}: {key}: cannot read {node.value!r}")
        return None


def _build_mapping(node: yaml.MappingNode, path: Path_, place: Any, document: Document) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in node.value:
        at = place(key.start_mark)
        if not isinstance(key, yaml.ScalarNode):
            document.faults.append(f"{at}: a key must be plain text")
            continue
        here = (*path, key.value)
        if key.value in result:
            name, first = ".".join(map(str, here)), document.places[here]
            document.faults.append(f"{at}: {name}: the key stands twice (first at {first})")
            continue
        document.places[here] = at
        result[key.value] = _build(value, here, place, document)
    return result


class _Constructor(yaml.constructor.SafeConstructor):
    """Makes Python values of scalar nodes."""


def _kind(node: yaml.Node | None) -> str:
    if node is None:
        return "nothing"
    return "a list" if isinstance(node, yaml.SequenceNode) else f"{node.value!r}"


def read_text(path: Path) -> str:
    """Return a recipe's text.

    Raises
    ------
    RecipeError
        The file is not UTF-8 text.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        at = f"{path}:{before.count(10) + 1}:{len(before) - before.rfind(10)}"
        raise RecipeError(f"{at}: not a text file in UTF-8; save it as UTF-8") from None
