"""Figures of classes and numbers are drawn, whatever was said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from titans_seq.evaluation import plot_several_classes, plot_two_classes, plot_values
from titans_seq.evaluation.label_plots import draw_reliability

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.mark.parametrize("constant", [False, True])
def test_two_classes_are_drawn(tmp_path: Path, constant: bool) -> None:
    random = np.random.default_rng(0)
    y = random.random(120) < 0.3
    p = np.full(120, 0.3) if constant else np.clip(0.4 * y + random.random(120) * 0.6, 0, 1)
    path = plot_two_classes(
        tmp_path / "a.png", y, p, others={"k-mers": random.random(120)}, positive_name="tata", title="A title"
    )
    assert path.read_bytes()[:8] == PNG


@pytest.mark.parametrize("n_classes", [3, 20])
def test_several_classes_are_drawn(tmp_path: Path, n_classes: int) -> None:
    random = np.random.default_rng(0)
    names = [f"class {i}" for i in range(n_classes)]
    labels = random.choice(names[:-1], 80)  # the last one never occurs
    path = plot_several_classes(tmp_path / "a.png", labels, random.dirichlet(np.ones(n_classes), 80), names)
    assert path.read_bytes()[:8] == PNG


def test_numbers_are_drawn_even_if_they_are_all_alike(tmp_path: Path) -> None:
    path = plot_values(tmp_path / "a.png", [1.0, 1.0, 1.0], [1.0, 1.0, 1.0], name="expression")
    assert path.read_bytes()[:8] == PNG


def test_a_reliability_diagram_shows_where_the_points_are() -> None:
    random = np.random.default_rng(0)
    p = random.uniform(0.92, 1.0, 400)
    (ax,) = draw_reliability(random.uniform(size=400) < p, p).axes
    low, high = ax.get_xlim()
    assert 0.6 <= low <= 0.9 and high == 1.0
    assert ax.get_ylim()[0] == low
    (ax,) = draw_reliability(np.zeros(30, dtype=bool), np.full(30, 0.34)).axes
    assert ax.get_xlim() == (0.0, 1.0)
