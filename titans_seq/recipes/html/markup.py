"""HTML in small pieces: whatever is not markup is escaped when it becomes part of it."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


class Html(str):
    """Markup. Any other text is escaped when it becomes part of a page."""

    __slots__ = ()


def escape(content: Any) -> Html:
    """Return markup as it is, and anything else as text; what no page may hold becomes U+FFFD."""
    if isinstance(content, Html):
        return content
    return Html(html.escape(printable(str(content))))


def printable(text: str) -> str:
    """Return a text with U+FFFD in place of control characters and halves of surrogate pairs."""
    return _UNPRINTABLE.sub("\ufffd", text)


def join(parts: Iterable[Any]) -> Html:
    """Return parts one after another."""
    return Html("".join(map(escape, parts)))


def tag(name: str, *children: Any, **attributes: Any) -> Html:
    """Return an element; ``class_`` is the attribute class, None and False leave an attribute out."""
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    stated = "".join(f' {key}="{escape(value)}"' for key, value in given.items() if value is not None)
    return Html(f"<{name}{stated}>{join(children)}</{name}>")


def paragraph(*children: Any) -> Html:
    """Return a paragraph."""
    return tag("p", *children)


def note(*children: Any) -> Html:
    """Return a remark that is set apart."""
    return tag("p", *children, class_="note")


def heading(text: str) -> Html:
    """Return a heading within a section."""
    return tag("h3", text)


def facts(rows: Iterable[tuple[str, Any]]) -> Html:
    """Return names and values in two columns; values that are None or empty are left out."""
    kept = [(name, value) for name, value in rows if value not in (None, "")]
    return tag("dl", *(join((tag("dt", name), tag("dd", value))) for name, value in kept), class_="facts")


def table(
    head: Sequence[Any], rows: Iterable[Sequence[Any]], *, text_columns: int = 1, strong: int | None = None
) -> Html:
    """Return a table that scrolls where it is too wide.

    Parameters
    ----------
    head : sequence
        Titles of the columns.
    rows : iterable of sequences
    text_columns : int, default 1
        Columns from the left that are text; the others are numbers, to the right.
    strong : int, optional
        Row to stress.
    """

    def cells(name: str, row: Sequence[Any]) -> list[Html]:
        return [tag(name, cell, class_=None if i < text_columns else "number") for i, cell in enumerate(row)]

    body = (tag("tr", *cells("td", row), class_="strong" if i == strong else None) for i, row in enumerate(rows))
    inner = tag("table", tag("thead", tag("tr", *cells("th", head))), tag("tbody", *body))
    return tag("div", inner, class_="scroll")


def fold(title: str, *children: Any) -> Html:
    """Return what is shown on request."""
    return tag("details", tag("summary", title), *children)


def tiles(given: Iterable[tuple[Any, Any, Any]]) -> Html:
    """Return the main numbers: value, name and remark of each."""
    made = (
        tag("div", tag("b", value), tag("span", name), tag("small", remark), class_="tile")
        for value, name, remark in given
    )
    return tag("div", *made, class_="tiles")


def number(value: Any, digits: int = 3) -> str:
    """Return a number rounded to significant digits, with commas for thousands; a dash for none."""
    if value is None or not math.isfinite(value):
        return "\N{EN DASH}"
    if isinstance(value, int) or value == 0:
        return f"{value:,.0f}"
    size = math.floor(math.log10(abs(value)))
    if size >= 6 or size < -4:
        return f"{value:.{digits - 1}e}"
    return f"{value:,.{max(0, digits - 1 - size)}f}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share in percent; a dash for none. Beyond a thousand it is enough to know that much."""
    if share is None or not math.isfinite(share):
        return "\N{EN DASH}"
    if abs(share) > 10:
        return ("> " if share > 0 else "< -") + "1000\N{NO-BREAK SPACE}%"
    return f"{100 * share:.{digits}f}\N{NO-BREAK SPACE}%"


def count(n: int, one: str, many: str | None = None) -> str:
    """Return a number of things: "1 series", "2,000 rows"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    if seconds < 90:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def listed(names: Sequence[Any]) -> str:
    """Return names with commas and "and"."""
    words = [str(name) for name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
