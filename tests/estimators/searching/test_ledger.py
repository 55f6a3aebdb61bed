"""Which trials count: no place twice, none lost, whatever was killed."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from titans_seq.estimators.searching.ledger import MOST_ATTEMPTS, Ledger
from titans_seq.estimators.searching.outcome import Outcome
from titans_seq.estimators.searching.sampler import TrialSampler
from titans_seq.estimators.searching.space import Space, read_space
from titans_seq.estimators.searching.storage import open_storage, open_study

SPACE = read_space({"x": {"low": 0.0, "high": 1.0}, "k": {"low": 1, "high": 9}})


def ledger(path: Path | None, n_trials: int = 6, space: Space = SPACE) -> Ledger:
    study = open_study(open_storage(path), "s", TrialSampler(0, space), "median", 1)
    found = Ledger(study, space, n_trials)
    found.pulse._beat()
    return found


def work(own: Ledger, failing: int = 0) -> list[int]:
    """Claim until nothing is left; return the numbers."""
    done = []
    while (trial := own.claim()) is not None:
        fails = len(done) < failing
        own.finish(trial, Outcome(fault="bad luck") if fails else Outcome([trial.params["x"]]))
        done.append(trial.number)
    return done


def combinations(own: Ledger) -> list[tuple[tuple[str, float], ...]]:
    return [tuple(sorted(trial.params.items())) for trial in own.trials() if trial.state == TrialState.COMPLETE]


def test_threads_and_processes_claim_each_place_once(tmp_path: Path) -> None:
    ledgers = [ledger(tmp_path / "journal", 20) for _ in range(4)]
    threads = [threading.Thread(target=work, args=(own,)) for own in ledgers for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    own = ledger(tmp_path / "journal", 20)
    assert len(set(combinations(own))) == len(combinations(own)) == 20
    assert own.is_complete() and own.claim() is None


def test_a_study_of_enough_trials_is_not_begun_again(tmp_path: Path) -> None:
    assert work(ledger(tmp_path / "journal")) == list(range(6))
    assert work(ledger(tmp_path / "journal")) == []
    assert work(ledger(tmp_path / "journal", 8)) == [6, 7]


def test_the_last_place_is_given_once(tmp_path: Path) -> None:
    one, other = ledger(tmp_path / "journal", 1), ledger(tmp_path / "journal", 1)
    first = one.claim()
    assert first is not None
    other.study.ask(SPACE.distributions)  # as if both had seen the place free at the same moment
    late = other.study.trials[-1]
    other.study._storage.set_trial_user_attr(late._trial_id, "process", other.pulse.name)
    assert [trial.number for trial in one._places()[0][:1]] == [first.number]
    one.finish(first, Outcome([0.5]))
    assert one.claim() is None


def test_a_failed_trial_gives_its_place_to_another_combination() -> None:
    own = ledger(None)
    work(own, failing=2)
    states = [trial.state for trial in own.trials()]
    assert (states.count(TrialState.FAIL), states.count(TrialState.COMPLETE)) == (2, 6)
    assert [trial.user_attrs["fault"] for trial in own.trials()[:2]] == ["bad luck", "bad luck"]
    assert own.is_complete()


def test_a_study_whose_trials_all_fail_ends() -> None:
    own = ledger(None)
    assert len(work(own, failing=100)) == 6
    assert own.is_complete()


def test_a_finite_space_is_tried_whole_and_once() -> None:
    space = read_space({"x": [0.0, 1.0, 2.0], "k": [1, 2]})
    own = ledger(None, 50, space)
    work(own, failing=1)
    tried = [tuple(trial.params.values()) for trial in own.trials()]
    assert len(tried) == len(set(tried)) == 6
    assert own.is_complete()


def test_a_trial_of_a_killed_process_is_failed_and_its_combination_tried_again(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "from test_ledger import ledger\n"
        "own = ledger(Path(sys.argv[1]))\n"
        "trial = own.claim()\n"
        "print(trial.number, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "j")], capture_output=True, text=True, check=False
    )
    assert (killed.returncode, killed.stdout) == (-9, "0\n"), killed.stderr
    own = ledger(tmp_path / "j")
    own.reclaim()
    own.reclaim()  # again: nothing is queued twice
    work(own)
    trials = own.study.trials
    assert (trials[0].state, trials[0].user_attrs["given_up"]) == (TrialState.FAIL, True)
    again = [trial for trial in trials if trial.user_attrs.get("copy_of") == 0]
    assert [(trial.state, trial.params) for trial in again] == [(TrialState.COMPLETE, trials[0].params)]
    assert len(set(combinations(own))) == len(combinations(own)) == 6


@pytest.mark.parametrize("drawn", [False, True])
def test_a_trial_that_was_killed_while_it_was_drawn_is_replaced(
    tmp_path: Path, drawn: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titans_seq.estimators.searching.liveness._NAMELESS_SECONDS", -1.0)
    own = ledger(tmp_path / "journal")
    trial = own.study.ask()  # and killed here, or after one of two values
    value = trial.suggest_float("x", 0.0, 1.0) if drawn else None
    own.reclaim()
    work(own)
    assert len(set(combinations(own))) == len(combinations(own)) == 6
    assert own.is_complete()
    again = [found for found in own.trials() if found.user_attrs.get("copy_of") == trial.number]
    assert [found.params["x"] for found in again] == ([value] if drawn else [])


def test_a_trial_of_a_living_process_is_left_alone(tmp_path: Path) -> None:
    one, other = ledger(tmp_path / "journal"), ledger(tmp_path / "journal")
    trial = one.claim()
    other.reclaim()
    assert trial is not None
    one.finish(trial, Outcome([0.25]))
    assert one.study.trials[0].value == 0.25


def test_what_was_given_up_by_others_is_not_told_a_second_time(tmp_path: Path) -> None:
    one, other = ledger(tmp_path / "journal"), ledger(tmp_path / "journal")
    trial = one.claim()
    assert trial is not None
    other.give_up(other.study.trials[0])
    assert one.report(trial, 1, 0.5)  # no need to go on
    one.finish(trial, Outcome([0.25]))
    assert one.study.trials[0].state == TrialState.FAIL
    work(other)
    assert len(combinations(other)) == len(set(combinations(other))) == 6


def test_nothing_else_takes_the_place_of_a_trial_that_is_about_to_be_queued_again(tmp_path: Path) -> None:
    one, other = ledger(tmp_path / "journal", 2), ledger(tmp_path / "journal", 2)
    trial = one.claim()
    assert trial is not None
    trial.set_user_attr("given_up", True)
    one.study.tell(trial, state=TrialState.FAIL)  # and killed here, before it is queued
    second = other.claim()
    assert second is not None
    other.finish(second, Outcome([1.0]))
    assert other.claim() is None
    assert not other.is_complete()
    other.reclaim()
    assert work(other) == [2]
    assert other.study.trials[2].params == trial.params
    assert other.is_complete()
    assert [found.number for found in other.trials()] == [1, 2]


def test_a_combination_that_kills_every_process_is_given_up() -> None:
    own = ledger(None, 3)
    for _ in range(MOST_ATTEMPTS):
        trial = own.claim()
        assert trial is not None
        own.give_up(trial)
        own.reclaim()
    work(own)
    assert len(combinations(own)) == 3
    bad = own.study.trials[0].params
    assert sum(trial.params == bad for trial in own.study.trials) == MOST_ATTEMPTS


def test_the_first_trial_is_queued_once(tmp_path: Path) -> None:
    ledgers = [ledger(tmp_path / "journal", 3) for _ in range(2)]
    for own in ledgers:
        own.queue_first({"x": 0.5, "k": 3})
    # As if both had found that there was none at the same moment.
    ledgers[0].study.enqueue_trial({"x": 0.5, "k": 3}, user_attrs={"first": True, "copy_of": "first"})
    work(ledgers[0])
    assert combinations(ledgers[0])[0] == (("k", 3), ("x", 0.5))
    assert len(set(combinations(ledgers[0]))) == len(combinations(ledgers[0])) == 3


@pytest.mark.parametrize("taken", [0, 3])
def test_a_study_that_was_interrupted_draws_what_it_would_have_drawn(tmp_path: Path, taken: int) -> None:
    whole = ledger(None)
    work(whole)
    work(ledger(tmp_path / "journal", taken))
    rest = ledger(tmp_path / "journal")
    work(rest)
    assert combinations(rest) == combinations(whole)


def test_processes_with_one_seed_draw_differently(tmp_path: Path) -> None:
    one, other = ledger(tmp_path / "journal"), ledger(tmp_path / "journal")
    claimed = [own.claim() for own in (one, other)]
    assert claimed[0] is not None and claimed[1] is not None
    assert claimed[0].params != claimed[1].params


def test_a_bad_trial_is_pruned_by_what_others_reached() -> None:
    own = ledger(None, 20)
    for _ in range(5):
        trial = own.claim()
        assert trial is not None
        assert not any([own.report(trial, step, 1.0 - 0.1 * step) for step in range(4)])
        own.finish(trial, Outcome([0.7]))
    bad = own.claim()
    assert bad is not None
    assert [own.report(bad, step, 2.0) for step in range(2)] == [False, True]
    own.finish(bad, Outcome(pruned=True))
    assert own.study.trials[bad.number].state == TrialState.PRUNED
    assert isinstance(own.study.pruner, optuna.pruners.MedianPruner)
