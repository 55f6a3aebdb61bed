"""A page as a whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from report_pages import Page, check_page

from titans_seq.recipes.html.markup import Html, paragraph, tiles
from titans_seq.recipes.html.page import Head, Section, render_page, write_page

HEAD = Head("Report", "A <title>", "Something came out.", tiles([("1", "one", "of many")]))


def failing() -> Iterable[Html]:
    yield paragraph("before")
    raise ValueError("no <b>such</b> thing")


def test_contents_lead_to_their_sections() -> None:
    parts = [Section("one", "One", lambda: [paragraph("first")]), Section("two", "Two & more", lambda: [])]
    page = Page(render_page(HEAD, parts))
    check_page(page)
    assert page.sections["one"] == "One first"
    assert page.sections["two"].startswith("Two & more")
    assert "A <title>" in page.head


def test_a_section_that_fails_says_so_and_the_others_stand() -> None:
    page = Page(
        render_page(HEAD, [Section("bad", "Bad", failing), Section("good", "Good", lambda: [paragraph("well")])])
    )
    assert page.faults == [
        "This section could not be made (ValueError: no <b>such</b> thing). The files of the run are complete."
    ]
    assert "well" in page.sections["good"]


def test_a_head_that_fails_leaves_the_sections(tmp_path: Path) -> None:
    def head() -> Head:
        raise KeyError("mse")

    write_page(tmp_path / "page.html", head, [Section("good", "Good", lambda: [paragraph("well")])])
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.faults == [
        "The head of this page could not be made (KeyError: 'mse'). The files of the run are complete."
    ]
    assert "well" in page.sections["good"]


def test_an_interruption_is_no_fault_of_a_section() -> None:
    def stopped() -> Iterable[Html]:
        raise KeyboardInterrupt
        yield

    with pytest.raises(KeyboardInterrupt):
        render_page(HEAD, [Section("bad", "Bad", stopped)])


def test_a_browser_is_told_to_load_nothing() -> None:
    assert "default-src &#x27;none&#x27;" in render_page(HEAD, [])
