"""Reports in a real browser: nothing is complained of, nothing is fetched, something is seen.

Where no Chromium is installed this is skipped; that every resource is inline is checked by parsing in any case.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib.image import imread

from titans_seq.recipes import load_recipe, run_recipe
from titans_seq.recipes.html.markup import paragraph, tiles
from titans_seq.recipes.html.page import Head, Section, render_page

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
CHROMIUM = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (and CHROMIUM does not name one)"),
]
FORECAST = """
schema: 1
task: {horizon: 4}
data: {path: made.csv, split: [140, 30, 40]}
model: {context_length: 24, patch_length: 4, d_model: 8, n_layers: 1, n_heads: 1, window_size: 4}
train: {max_epochs: 1, random_state: 3}
evaluate: {metrics: [mse], baselines: [seasonal_naive], season_length: 12}
"""
CLASSIFY = """
schema: 1
task: {kind: classify}
data: {path: dna.csv, split: {by: random, test: 0.3, seed: 3}}
model: {channels: 8, d_model: 4, n_heads: 1, memory_expansion: 1, n_persistent: 1, n_members: 1}
train: {max_epochs: 1, random_state: 0}
"""


@dataclass(frozen=True)
class Visit:
    """What a browser did with a page: lines of its console, addresses it asked for, and what it showed."""

    console: list[str]
    fetched: list[str]
    picture: Path


def visit(page: Path, folder: Path, *options: str, width: int = 1200) -> Visit:
    assert CHROMIUM is not None
    log, picture = folder / "net.json", folder / "page.png"
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", f"--user-data-dir={folder / 'profile'}",
        "--enable-logging=stderr", f"--log-net-log={log}", f"--screenshot={picture}", f"--window-size={width},3000",
        *options, page.as_uri(),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    events = json.loads(log.read_text())["events"]
    asked = {event.get("params", {}).get("url", "") for event in events if isinstance(event.get("params"), dict)}
    return Visit(
        [line for line in done.stderr.splitlines() if "CONSOLE" in line],
        sorted(url for url in asked if url.startswith(("http:", "https:")) and "report" in url),
        picture,
    )


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    folder = tmp_path_factory.mktemp("made")
    random, t = np.random.default_rng(0), np.arange(210)
    pl.DataFrame({"ds": t, "<script>x</script>": np.sin(t / 2) + 0.1 * random.normal(size=210)}).write_csv(
        folder / "made.csv"
    )
    texts = ["".join(random.choice(list("ACGT"), 40)) for _ in range(80)]
    pl.DataFrame({"sequence": texts, "label": ["<b>a</b>", "b"] * 40}).write_csv(folder / "dna.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, text in (("forecast", FORECAST), ("dna", CLASSIFY)):
            Path(f"{name}.yaml").write_text(text)
            run_recipe(load_recipe(f"{name}.yaml"), folder / name, quiet=True)
        yield {name: folder / name / "report.html" for name in ("forecast", "dna")}


@pytest.mark.parametrize("name", ["forecast", "dna"])
@pytest.mark.parametrize(("width", "options"), [(1200, ()), (400, ("--force-dark-mode",))])
def test_a_report_is_shown_without_complaint_or_request(
    reports: dict[str, Path], name: str, width: int, options: tuple[str, ...], tmp_path: Path
) -> None:
    found = visit(reports[name], tmp_path, *options, width=width)
    assert found.console == []
    assert found.fetched == []
    shown = imread(found.picture)
    assert shown.shape[:2] == (3000, width)
    rows = (shown != shown[0, 0]).any((1, 2))
    assert rows.mean() > 0.4


def test_a_page_that_asked_for_something_would_be_caught(tmp_path: Path) -> None:
    head = Head("Report", "Bad", "It loads a picture.", tiles([]))
    text = render_page(head, [Section("one", "One", lambda: [paragraph("text")])])
    page = tmp_path / "bad.html"
    page.write_text(text.replace("<p>text</p>", '<img src="http://127.0.0.1:9/report.png"><script>x()</script>'))
    assert len(visit(page, tmp_path).console) >= 2
    page.write_text(page.read_text().replace("Content-Security-Policy", "nothing"))
    assert visit(page, tmp_path).fetched == ["http://127.0.0.1:9/report.png"]
