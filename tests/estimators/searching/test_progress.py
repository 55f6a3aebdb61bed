"""Progress shows in a terminal, and nowhere else."""

from __future__ import annotations

import io
import re

import pytest

from titans_seq.estimators.searching.ledger import Ledger
from titans_seq.estimators.searching.outcome import Outcome
from titans_seq.estimators.searching.progress import Progress
from titans_seq.estimators.searching.sampler import TrialSampler
from titans_seq.estimators.searching.space import read_space
from titans_seq.estimators.searching.storage import open_storage, open_study

SPACE = read_space({"x": {"low": 0.0, "high": 1.0}})


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def searched(stream: io.StringIO, shown: bool, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr("sys.stderr", stream)
    ledger = Ledger(open_study(open_storage(None), "s", TrialSampler(0, SPACE), "none", 1), SPACE, 4)
    with Progress(ledger, shown) as progress:
        for value in (0.5, 0.25, None):
            trial = ledger.claim()
            assert trial is not None
            ledger.finish(trial, Outcome(fault="no luck") if value is None else Outcome([value]))
            progress.update()
    return stream.getvalue()


def test_a_terminal_sees_how_far_the_best_and_how_long_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    last = searched(Terminal(), True, monkeypatch).rstrip().split("\r")[-1]
    assert "2/4" in last
    assert "best=0.25 (trial 1)" in last
    assert "failed=1" in last
    assert re.search(r"\[\d\d:\d\d<\d\d:\d\d", last), last  # time gone, and time to go


def test_a_pipe_sees_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert searched(io.StringIO(), True, monkeypatch) == ""
    assert searched(Terminal(), False, monkeypatch) == ""
