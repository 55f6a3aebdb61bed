"""A recipe as text: sections, keys and comments."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from titans_seq.recipes.json_schema import HEADER

_PLAIN = re.compile(r"[A-Za-z_./][\w./%-]*")
_RESERVED = re.compile(r"~|null|true|false|y|n|yes|no|on|off|\.inf|\.nan", re.IGNORECASE)
_UNPRINTABLE = re.compile("[^ -~\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_WIDTH = 110
_HEADING = 10

Key = tuple[str, Any, str]
"""Key, value, comment (empty: none)."""


def recipe_text(title: str, header: Sequence[tuple[str, str]], sections: Mapping[str, Sequence[Key]]) -> str:
    """Return a recipe with a header of comments.

    Parameters
    ----------
    title : str
        First line.
    header : sequence of (word, text)
        Such as ("What", "3 series of 1,000 hours").
    sections : mapping of name to keys
        Keys whose value is None are left out.
    """
    lines = [f"# {title}", "#"]
    for word, text in header:
        first, *others = wrap(text, _WIDTH - _HEADING, break_long_words=False, break_on_hyphens=False) or [""]
        lines += [f"# {word:<{_HEADING}}{first}", *(f"# {'':<{_HEADING}}{line}" for line in others)]
    lines += [HEADER, "schema: 1"]
    for name, keys in sections.items():
        lines.append(f"{name}:")
        for key, value, comment in keys:
            if value is not None:
                lines += _key_lines(key, value, comment)
    return "\n".join(lines) + "\n"


def _key_lines(key: str, value: Any, comment: str) -> list[str]:
    line = f"  {scalar(key)}: {flow(value)}"
    if len(line) > _WIDTH and isinstance(value, list):
        line = "\n".join([f"  {scalar(key)}:", *(f"    - {flow(item)}" for item in value)])
    if not comment:
        return [line]
    if "\n" in line or len(line) + len(comment) + 4 > _WIDTH:
        return [f"  # {comment}", line]
    return [f"{line}  # {comment}"]


def flow(value: Any) -> str:
    """Return a value on one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{scalar(key)}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(flow, value)) + "]"
    return scalar(value)


def scalar(value: Any) -> str:
    """Return text, a number, true or false; text that could be taken for something else stands in quotes."""
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and not _RESERVED.fullmatch(value)
        return value if plain else _UNPRINTABLE.sub(_escaped, json.dumps(value, ensure_ascii=False))
    return json.dumps(value)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
