"""Markup is escaped, numbers are rounded for people."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_pages import Page

from titans_seq.recipes.html.markup import (
    Html,
    count,
    duration,
    escape,
    facts,
    fold,
    listed,
    note,
    number,
    percent,
    printable,
    table,
    tag,
)

HOSTILE = "<script>alert('x')</script> & \"quotes\" </style><img src=http://a.b/c onerror=x>"


class _Texts(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.tags = "", []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.found += data


@given(st.text())
def test_any_text_comes_back_as_text(text: str) -> None:
    parsed = _Texts(tag("p", text))
    assert parsed.tags == ["p"]
    assert parsed.found == printable(text)


@pytest.mark.parametrize(
    "made",
    [
        tag("p", HOSTILE, title=HOSTILE),
        table([HOSTILE], [[HOSTILE, HOSTILE]]),
        facts([(HOSTILE, HOSTILE)]),
        fold(HOSTILE, HOSTILE),
        note(HOSTILE),
    ],
)
def test_no_piece_lets_markup_of_data_through(made: Html) -> None:
    page = Page(made)
    assert not {"script", "img"} & set(page.tags)
    assert not page.faults and not page.addresses
    assert HOSTILE in page.head


def test_markup_is_not_escaped_twice() -> None:
    assert escape(tag("b", "a & b")) == "<b>a &amp; b</b>"


def test_what_no_page_may_hold_is_replaced() -> None:
    assert printable("a\x00b\x1b\ud800c\n") == "a�b��c\n"
    tag("p", "\ud800").encode()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"), (0.0, "0"), (3, "3"), (12345, "12,345"), (0.33704, "0.337"), (1234.56, "1,235"), (99.96, "100.0"),
        (1e-5, "1.00e-05"), (2.5e7, "2.50e+07"), (-0.012345, "-0.0123"), (float("nan"), "–"), (float("inf"), "–"),
        (None, "–"),
    ],
)  # fmt: skip
def test_numbers_are_rounded_to_what_can_be_read(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_words_fit_their_numbers() -> None:
    assert (count(1, "row"), count(2000, "row"), count(2, "series", "series")) == ("1 row", "2,000 rows", "2 series")
    assert (percent(0.12345), percent(None)) == ("12.3\xa0%", "–")
    assert (percent(10.0), percent(6.2e13), percent(-11.0)) == ("1000.0\xa0%", "> 1000\xa0%", "< -1000\xa0%")
    assert [duration(s) for s in (0.1234, 12.3, 200, 9000)] == ["0.123 s", "12 s", "3 min", "2.5 h"]
    assert (listed(["a"]), listed(["a", "b", "c"])) == ("a", "a, b and c")
