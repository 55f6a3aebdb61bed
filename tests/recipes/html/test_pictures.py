"""Figures within the page: in its colours, apart from each other, and safe."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from report_pages import Page

from titans_seq.evaluation.plots import ForecastPanel, draw_forecast
from titans_seq.recipes.html.markup import Html, join
from titans_seq.recipes.html.pictures import picture

NAMES = (
    "a</text><script>x</script>",
    "$\\frac$ costs $5",
    "\x00\x1b",
    "日本 😀",
    "_hidden",
    "a & b",
    "url(#x) #1f2328",
)


def drawn(name: str, key: str = "one") -> Html:
    ahead = np.arange(20, 24)
    panel = ForecastPanel(
        name, np.arange(20), np.sin(np.arange(20)), ahead, np.ones(4), np.zeros(4), {80: (np.zeros(4), np.ones(4))}
    )
    return picture(lambda: draw_forecast([panel], None), key, f"forecast of {name}")


@pytest.mark.parametrize("name", NAMES)
def test_names_are_drawn_as_they_are(name: str) -> None:
    page = Page(drawn(name))
    assert not page.faults and not page.addresses
    assert "script" not in page.tags
    shown = name.replace("\x00", "�").replace("\x1b", "�")
    assert shown in page.head


def test_two_pictures_share_no_names_of_parts() -> None:
    page = Page(join([drawn("a", "first"), drawn("a", "second")]))
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)


def test_colours_are_those_of_the_page() -> None:
    made = drawn("a")
    for name in ("ink", "blue", "grid"):
        assert f"var(--{name})" in made
    assert "#1f2328" not in made and "#0b62c4" not in made
    assert "var(--text)" in made and "DejaVu" not in made


def test_texts_keep_what_looks_like_a_colour() -> None:
    assert "#1f2328" in Page(drawn("url(#x) #1f2328")).head


def test_the_same_figure_is_the_same_markup() -> None:
    assert drawn("a") == drawn("a")
    assert "<dc:date>" not in drawn("a")


def test_settings_of_matplotlib_are_left_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    picture(lambda: Figure(), "empty", "nothing")
    assert dict(matplotlib.rcParams) == before
