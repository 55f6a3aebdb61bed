"""What the docstrings of estimators say of their arguments, read from the source: nothing is imported."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parents[1]
_HEADING = re.compile(r"^(Parameters|Attributes)\n-+\n", re.MULTILINE)
_NEXT = re.compile(r"^\w[\w ]*\n-+$", re.MULTILINE)
_BACKBONE = re.compile(r"^Of the backbone; see `titans_seq\.nn\.Backbone`\.")


@cache
def described(source: str, name: str) -> dict[str, str]:
    """Return the description of each argument of a class, type and default first.

    Parameters
    ----------
    source : str
        File below the package, such as "nn/backbone.py".
    name : str
        Class or function in it whose docstring has a section Parameters (or Attributes, of a dataclass).
    """
    found: dict[str, str] = {}
    for names, kind, text in _entries(_section(_docstring(source, name))):
        words = f"{kind}. {text}" if kind and text else kind or text
        found |= dict.fromkeys(names, words)
    if name == "Backbone":
        return found
    own = described("nn/backbone.py", "Backbone")
    return {key: own.get(key, text) if _BACKBONE.match(text) else text for key, text in found.items()}


def _docstring(source: str, name: str) -> str:
    tree = ast.parse((_PACKAGE / source).read_text(encoding="utf-8"))
    kinds = (ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in tree.body if isinstance(node, kinds) and node.name == name]
    return ast.get_docstring(nodes[-1]) or ""


def _section(docstring: str) -> str:
    """Return the text of the section that describes arguments."""
    heading = _HEADING.search(docstring)
    if heading is None:
        return ""
    text = docstring[heading.end() :]
    end = _NEXT.search(text)
    return text if end is None else text[: end.start()]


def _entries(section: str) -> list[tuple[list[str], str, str]]:
    """Return (names, type, description) of each entry."""
    entries: list[tuple[list[str], str, list[str]]] = []
    for line in section.splitlines():
        if line and not line.startswith(" "):
            names, _, kind = line.partition(" : ")
            entries.append(([part.strip() for part in names.split(",")], kind.strip(), []))
        elif line.strip() and entries:
            entries[-1][2].append(line.strip())
    return [(names, kind, " ".join(lines)) for names, kind, lines in entries]
