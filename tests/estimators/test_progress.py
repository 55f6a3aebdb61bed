"""The bar on standard error of what takes long."""

from __future__ import annotations

import pytest
from fitted_dna import holding, one_strand

from titans_seq.estimators import _progress
from titans_seq.estimators._progress import with_progress

PIECES = [[1, 2, 3], [4], [5, 6]]


def test_every_piece_comes_through_and_the_bar_counts_what_is_in_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "_LONG", 0.0)
    assert list(with_progress(PIECES, 6, "windows", shown=True)) == PIECES
    shown = capsys.readouterr()
    assert "windows" in shown.err and "0/6" in shown.err
    assert shown.out == ""


def test_what_is_short_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(with_progress(PIECES, 6, "windows", shown=True)) == PIECES
    assert capsys.readouterr().err.strip() == ""


def test_outside_a_terminal_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_progress, "_LONG", 0.0)
    one_strand().mutagenesis(holding(40, 10), region=(0, 4))
    assert capsys.readouterr() == ("", "")
