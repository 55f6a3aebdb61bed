"""A report as one page: what it says at the top, its sections, and a table of contents."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from titans_seq._version import __version__
from titans_seq.recipes.html.markup import Html, escape, join, paragraph, tag
from titans_seq.recipes.html.style import STYLE

# No script, and no request: a browser refuses what is not in the page.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes
    ----------
    key : str
        Name for links: letters and dashes.
    title : str
    make : callable
        Returns the pieces of its content.
    """

    key: str
    title: str
    make: Callable[[], Iterable[Any]]

    def render(self) -> Html:
        """Return the section; where its content can't be made, why: what was measured is not lost over a picture."""
        try:
            body = join(self.make())
        except Exception as error:
            body = _fault("This section", error)
        return tag("section", tag("h2", self.title, id=self.key), body)


@dataclass(frozen=True)
class Head:
    """What stands at the top.

    Attributes
    ----------
    kind : str
        What sort of report it is.
    title : str
    lead : str or Html
        What came out, in a sentence or two.
    tiles : Html
        The main numbers.
    """

    kind: str
    title: str
    lead: Any
    tiles: Html


def _fault(what: str, error: Exception) -> Html:
    reason = f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
    return tag("p", f"{what} could not be made ({reason}). The files of the run are complete.", class_="fault")


def write_page(path: Path, head: Callable[[], Head], sections: Sequence[Section]) -> None:
    """Write a page; a part that can't be made says so, and the others stand."""
    try:
        made = head()
    except Exception as error:
        made = Head("Report", "Report of a run", "", _fault("The head of this page", error))
    path.write_text(render_page(made, sections), encoding="utf-8")


def render_page(head: Head, sections: Sequence[Section]) -> str:
    """Return the page as text."""
    contents = (tag("li", tag("a", part.title, href=f"#{part.key}")) for part in sections)
    top = tag(
        "header",
        tag("p", head.kind, class_="kind"),
        tag("h1", head.title),
        tag("p", head.lead, class_="lead"),
        head.tiles,
    )
    body = tag(
        "div",
        tag("nav", tag("ol", *contents), aria_label="Contents"),
        top,
        tag("main", *(part.render() for part in sections)),
        tag(
            "footer", paragraph(f"Made by titans-seq {__version__}. This page loads nothing: it can be sent as it is.")
        ),
        class_="frame",
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{tag('title', head.title)}\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )
