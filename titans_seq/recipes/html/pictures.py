"""Figures of matplotlib as SVG within the page, in its colours by day and by night."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from titans_seq.recipes.html.markup import Html, escape, printable, tag

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours of the figures, by the names that the page's style has for them.
_COLOURS = {
    "#1f2328": "ink", "#000000": "ink", "#57606a": "soft", "#6e7781": "muted", "#8c959f": "muted", "#d8dee4": "grid",
    "#eaeef2": "shade", "#ffffff": "page", "#0b62c4": "blue", "#0072b2": "sea", "#c2410c": "orange",
    "#d1701f": "orange", "#d55e00": "vermilion", "#2f8f5b": "green", "#009e73": "mint", "#8a4fb5": "violet",
    "#cc79a7": "pink", "#d1901f": "gold", "#e69f00": "gold", "#56b4e9": "sky",
}  # fmt: skip
_COLOUR = re.compile("|".join(_COLOURS))
_FAMILY = re.compile(r"(?<=font-family: )[^;\"]+|(?<=px )'[^;\"]+")  # the second in "font: 9px 'A', 'B'"
_PLACE = re.compile(r'(\bid="|url\(#|xlink:href="#)')
_INK = "#1f2328"
_SETTINGS = {
    "svg.fonttype": "none", "svg.hashsalt": "titans-seq", "text.parse_math": False, "text.color": _INK,
    "axes.labelcolor": _INK, "axes.edgecolor": "#8c959f", "xtick.color": _INK, "ytick.color": _INK,
    "path.simplify_threshold": 0.3, "axes.formatter.useoffset": False,
}  # fmt: skip


def picture(draw: Callable[[], Figure], name: str, description: str) -> Html:
    """Draw a figure and return it as markup.

    Parameters
    ----------
    draw : callable
        Returns the figure. Dollar signs in its texts are dollar signs.
    name : str
        Letters and dashes, no other picture's: with it begin the names of the parts.
    description : str
        For those who can't see it.
    """
    with _drawing():
        made = draw()
        buffer = io.StringIO()
        made.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return Html(_inline(buffer.getvalue(), name, description))


@contextmanager
def _drawing() -> Iterator[None]:
    import matplotlib

    settings: Any = _SETTINGS
    with matplotlib.rc_context(settings), warnings.catch_warnings():
        # Fonts lack letters that a browser's have; the text is not drawn but written.
        warnings.filterwarnings("ignore", message=r"(?s).*missing from (current )?font")
        yield


def _inline(svg: str, name: str, description: str) -> str:
    found = re.search(r"<svg[^>]*>", svg)
    assert found is not None
    view = re.search(r'viewBox="[^"]*"', found[0])
    assert view is not None
    body = printable(svg[found.end() : svg.rindex("</svg>")])
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r'<style type="text/css">.*?</style>', "", body, flags=re.DOTALL)
    # Texts between elements stay as they are.
    body = re.sub(r"<[^>]*>", lambda element: _in_page(element[0], name), body)
    label = f'role="img" aria-label="{escape(description)}"'
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"<svg {names} {view[0]} {label}>{body}</svg>"


def _in_page(element: str, name: str) -> str:
    """Give an element the page's colours and font, and its parts names of their own."""
    coloured = _COLOUR.sub(lambda at: f"var(--{_COLOURS[at[0]]})", element)
    return _PLACE.sub(lambda at: f"{at[0]}{name}-", _FAMILY.sub("var(--text)", coloured))


def titled(given: Html, caption: Any, *, small: bool = False) -> Html:
    """Return a picture with what it shows; a small one is not stretched."""
    of = "picture small" if small else "picture"
    return tag("figure", tag("div", given, class_=of), tag("figcaption", caption))
