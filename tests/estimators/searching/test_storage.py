"""Where studies are kept, and what a killed writer leaves there."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from titans_seq.estimators.searching.storage import JournalLock, check_pruner, hide_password, open_storage, quiet_optuna


def new_study(path: Path) -> optuna.Study:
    with quiet_optuna():
        return optuna.create_study(storage=open_storage(path), study_name="s", load_if_exists=True)


@pytest.mark.parametrize("torn", [b'{"op_code":4,"worker_id":"x","tri', b"{", b'{"op_code":4}x'])
def test_a_line_that_a_killed_writer_left_unfinished_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    path = tmp_path / "journal"
    new_study(path).add_trial(optuna.create_trial(value=1.0))
    whole = path.read_bytes()
    path.write_bytes(whole + torn)
    new_study(path).add_trial(optuna.create_trial(value=2.0))
    assert [trial.value for trial in new_study(path).trials] == [1.0, 2.0]
    assert path.read_bytes().startswith(whole)


def test_the_lock_of_a_killed_writer_is_free(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.touch()
    code = (
        "import sys, time\n"
        "from titans_seq.estimators.searching.storage import JournalLock\n"
        "JournalLock(sys.argv[1]).acquire(); print('held', flush=True); time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
    lock = JournalLock(str(path))
    assert lock.acquire()
    lock.release()


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="this is no journal of a study"):
        open_storage(tmp_path / "file")
    with pytest.raises(ValueError, match="no study can be kept there"):
        open_storage(tmp_path / "file" / "below")


@pytest.mark.parametrize("url", ["postgresql://me:secret@nowhere.invalid:1/db", "nonsense://me:secret@x/y"])
def test_a_database_that_cannot_be_opened_is_named_without_its_password(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("titans_seq.estimators.searching.storage._ATTEMPTS", 1)
    with pytest.raises(ValueError, match="storage") as error:
        open_storage(url)
    assert "me:***@" in str(error.value)
    assert "secret" not in str(error.value)


def test_passwords_are_hidden_and_nothing_else() -> None:
    assert hide_password("postgresql://me:se:c@ret@host/db") == "postgresql://me:***@host/db"
    assert hide_password("postgresql://me@host/db") == "postgresql://me@host/db"
    assert hide_password("sqlite:///file.db") == "sqlite:///file.db"
    assert hide_password(Path("a@b:c/d")) == "a@b:c/d"


def test_a_pruner_compares_one_number() -> None:
    assert (check_pruner(None, ["a"]), check_pruner(None, ["a", "b"])) == ("median", "none")
    with pytest.raises(ValueError, match="compares one number"):
        check_pruner("median", ["a", "b"])
    with pytest.raises(ValueError, match="must be one of 'median', 'halving', 'none' or None, found 'hyper'"):
        check_pruner("hyper", ["a"])
