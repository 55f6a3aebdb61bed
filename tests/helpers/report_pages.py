"""Reports of runs, read as a browser would: what they hold, load and point at."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

# Elements that HTML has no closing tag for.
_VOID = {"meta", "br", "hr", "img", "input", "link"}
# Attributes whose value is an address.
_ADDRESSES = {"src", "href", "xlink:href", "action", "data", "poster", "srcset", "background"}


class Page(HTMLParser):
    """A parsed report.

    Attributes
    ----------
    ids, links : list of str
        Every id, and every address that begins with #.
    addresses : list of str
        All others.
    tags : list of str
        Names of the elements, in order.
    styles : list of str
        Content of style elements and attributes, and of others that name a place with url().
    sections : dict of str to str
        Text of each section by the id of its heading, spaces squeezed.
    faults : list of str
        Notes that a section could not be made, and elements that are not closed in their order.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.ids: list[str] = []
        self.links: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.styles: list[str] = []
        self.sections: dict[str, str] = {}
        self.faults: list[str] = []
        self.head = ""
        self._open: list[str] = []
        self._section: str | None = None
        self._fault = False
        self.feed(text)
        self.close()
        if self._open:
            self.faults.append(f"not closed: {self._open}")
        self.sections = {key: re.sub(r"[ \n\t]+", " ", value).strip() for key, value in self.sections.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        given = dict(attrs)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        if tag == "h2":
            self._section = str(given["id"])
            self.sections[self._section] = ""
        self._fault = given.get("class") == "fault"
        self.styles += [value for name, value in attrs if value and (name == "style" or "url(" in value)]
        for name in _ADDRESSES & given.keys():
            value = str(given[name])
            (self.links if value.startswith("#") else self.addresses).append(value)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "style":
            self.styles.append(data)
            return
        if self._fault:
            self.faults.append(data)
            self._fault = False
        if self._section is None:
            self.head += data
        else:
            self.sections[self._section] += f" {data}"


def read_report(folder: Path) -> Page:
    """Parse the report of a run."""
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def check_page(page: Page) -> None:
    """Assert that a page is whole, needs nothing else, and that its links lead somewhere."""
    assert not page.faults
    assert len(set(page.ids)) == len(page.ids)
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert set(page.sections) <= {link.removeprefix("#") for link in page.links}
    assert all(address.startswith("data:image/") for address in page.addresses)
    assert not {"script", "iframe", "object", "embed", "link", "base", "form", "video", "audio"} & set(page.tags)
    for style in page.styles:
        assert "@import" not in style
        assert {part.partition(")")[0] for part in style.split("url(")[1:]} <= {f"#{name}" for name in page.ids}
