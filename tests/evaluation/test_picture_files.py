"""Pictures that are written by name: the ending is the format, and one that there is not is refused before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from fitted_dna import holding, one_strand

from titans_seq.evaluation import (
    plot_forecast,
    plot_logo,
    plot_novelty,
    plot_several_classes,
    plot_surprise,
    plot_two_classes,
    plot_values,
)  # fmt: skip
from titans_seq.evaluation.memory_plots import plot_memory

BITS = np.full(20, 1.5)
BEGINNINGS = {
    ".png": b"\x89PNG",
    ".PNG": b"\x89PNG",
    ".pdf": b"%PDF",
    ".svg": b"<?xml",
    ".jpg": b"\xff\xd8",
    "": b"\x89PNG",
}


@pytest.mark.parametrize("ending", BEGINNINGS)
def test_a_picture_is_written_as_its_ending_says(tmp_path: Path, ending: str) -> None:
    path = plot_logo(tmp_path / f"x{ending}", "ACG", [1.0, 2.0, 0.5], dpi=30)
    assert path == tmp_path / f"x{ending}"
    assert path.read_bytes().startswith(BEGINNINGS[ending])


# Nothing that is drawn here can be drawn: so an ending that is refused was looked at first.
PLOTS: dict[str, Callable[[Path], Any]] = {
    "forecast": lambda path: plot_forecast(path, []),
    "logo": lambda path: plot_logo(path, "", []),
    "memory": lambda path: plot_memory(path, None),  # type: ignore[arg-type]
    "novelty": lambda path: plot_novelty(path, {}),
    "several classes": lambda path: plot_several_classes(path, [], [], []),
    "surprise": lambda path: plot_surprise(path, None),
    "two classes": lambda path: plot_two_classes(path, [], []),
    "values": lambda path: plot_values(path, [], []),
}


@pytest.mark.parametrize("plot", PLOTS)
def test_an_ending_that_no_picture_has_is_refused_before_anything_is_drawn(tmp_path: Path, plot: str) -> None:
    with pytest.raises(
        ValueError, match=r"x\.xyz: no picture can be written as \.xyz; end its name in one of .*\.pdf,.*\.png"
    ):
        PLOTS[plot](tmp_path / "x.xyz")
    assert list(tmp_path.iterdir()) == []


def test_what_bases_matter_is_drawn_in_the_format_of_its_name_too(tmp_path: Path) -> None:
    model, bases = one_strand(), holding(40, 10)
    for found in (model.mutagenesis(bases, region=(0, 4)), model.integrated_gradients(bases, n_steps=4, tolerance=1e9)):
        with pytest.raises(ValueError, match="no picture can be written as .xyz"):
            found.plot(tmp_path / "x.xyz")
        assert found.plot(str(tmp_path / "x.svg"), dpi=30).read_bytes().startswith(b"<?xml")
    assert [path.name for path in tmp_path.iterdir()] == ["x.svg"]


def test_dots_in_the_name_of_the_folder_mean_nothing(tmp_path: Path) -> None:
    (tmp_path / "v1.xyz").mkdir()
    path = plot_novelty(tmp_path / "v1.xyz" / "x.png", BITS, dpi=30)
    assert matplotlib.image.imread(path).shape[1] == 300
