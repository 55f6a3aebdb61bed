"""Two processes train and predict together, and find what one process finds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launching import HELPERS, TORCHRUN, our_lines, run_python

SCRIPT = str(HELPERS / "ranks_at_work.py")
TRAINED = ["odd_batches", "an_empty_rank", "carried_streams", "spread_weights", "many_sequences", "many_arrays"]
Found = Mapping[str, np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes that torchrun started have found, and one alone."""
    folder = tmp_path_factory.mktemp("ranks")
    done = run_python(*TORCHRUN, SCRIPT, str(folder), folder=folder)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == "" and our_lines(done.stderr) == []
    return folder


def of(folder: Path, name: str) -> tuple[Found, Found, Found]:
    """What both ranks found, and the one that was alone."""
    one, two, alone = (np.load(folder / f"{name}-{who}.npz") for who in ("0", "1", "alone"))
    return one, two, alone


@pytest.mark.slow
@pytest.mark.parametrize("name", TRAINED)
def test_weights_are_those_of_one_process(folder: Path, name: str) -> None:
    *ranks, alone = of(folder, name)
    for found in ranks:  # in double precision: a batch that is shared out wrongly shows in the third digit
        np.testing.assert_allclose(found["weights"], alone["weights"], atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRAINED if name != "many_arrays"])
def test_the_network_has_learned_and_every_epoch_is_that_of_one_process(folder: Path, name: str) -> None:
    *ranks, alone = of(folder, name)
    assert alone["history"][:, 0].argmin() > 0, "the weights would be those at the start"
    for found in ranks:
        np.testing.assert_allclose(found["history"], alone["history"], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["in_single_precision", "odd_batches", "an_empty_rank", "carried_streams"])
@pytest.mark.parametrize("what", ["predicted", "elsewhere", "beyond", "backtest", "history"])
def test_forecasts_and_losses_are_those_of_one_process(folder: Path, name: str, what: str) -> None:
    *ranks, alone = of(folder, name)
    for found in ranks:
        np.testing.assert_allclose(found[what], alone[what], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["in_single_precision", *TRAINED])
def test_both_processes_have_the_same_in_the_end_bit_for_bit(folder: Path, name: str) -> None:
    one, two, _ = of(folder, name)
    for what in one:
        np.testing.assert_array_equal(one[what], two[what])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["many_series", "many_sequences", "many_arrays"])
def test_1001_rows_are_gathered_once_and_in_order(folder: Path, name: str) -> None:
    *ranks, alone = of(folder, name)
    assert len(np.unique(alone["predicted"], axis=0)) > 990, "a row in the wrong place would not be seen"
    for found in ranks:
        assert len(found["predicted"]) == 1001
        np.testing.assert_allclose(found["predicted"], alone["predicted"], atol=1e-5)


@pytest.mark.slow
def test_histories_beside_those_of_fit_are_gathered_as_well_also_a_single_one(folder: Path) -> None:
    *ranks, alone = of(folder, "many_series")
    assert alone["network_weight"] > 0
    for found in ranks:
        assert (len(found["elsewhere"]), len(found["one"])) == (1001, 1)
        np.testing.assert_allclose(found["elsewhere"], alone["elsewhere"], atol=1e-5)
        np.testing.assert_allclose(found["one"], alone["one"], atol=1e-5)


PROGRAM = """
import os, pathlib, sys
import numpy as np
from ranks_at_work import SMALL, chaos, history
from titans_seq import TitansForecaster

model = TitansForecaster(**SMALL | {"random_state": None, "devices": 2})
for _ in range(2):
    model.fit(chaos(5, 200))
drawn = np.abs(model.predict()).sum().hex(), history(model.history_).sum().hex()
# Not to the output that both share: pieces of two lines may come in any order.
pathlib.Path("drawn-" + os.environ["LOCAL_RANK"]).write_text(" ".join(drawn))
if os.environ["LOCAL_RANK"] == "1" and len(sys.argv) > 1:
    model.fit(chaos(4, 200))
elif len(sys.argv) > 1:
    try:
        model.fit(chaos(5, 200))
    except ValueError as error:
        print(error)
        raise SystemExit(3) from None
"""


@pytest.mark.slow
def test_a_program_starts_its_second_process_itself_and_both_draw_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run_python("program.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert our_lines(done.stderr) == []
    first, second = ((tmp_path / f"drawn-{rank}").read_text() for rank in range(2))
    assert first == second != ""


@pytest.mark.slow
def test_processes_that_are_given_different_rows_are_told(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = run_python("program.py", "other", folder=tmp_path)
    assert done.returncode == 3
    assert "X: process 1 of 2 was given other rows than the first one" in done.stdout + done.stderr


AT_THE_END = """
import atexit, os, pathlib

def threads():
    names = [file.read_text().strip() for file in pathlib.Path("/proc/self/task").glob("*/comm")]
    pathlib.Path("threads-" + os.environ["LOCAL_RANK"]).write_text("\\n".join(names))

atexit.register(threads)  # what is registered first is called last
"""

CLASSIFY = """
import numpy as np
from titans_seq import TitansClassifier

X = np.random.default_rng(0).normal(size=(64, 8))
model = TitansClassifier(max_epochs=2, devices=2, random_state=0, verbose=0)
model.fit(X, X[:, 0] > 0).predict(X)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to see threads that Python did not start")
@pytest.mark.parametrize("program", [PROGRAM, CLASSIFY], ids=["forecast", "classify"])
def test_no_thread_of_the_group_is_left_when_python_ends(tmp_path: Path, program: str) -> None:
    """One that lets go of a tensor by then aborts the process: seldom, so that its end alone shows nothing."""
    (tmp_path / "program.py").write_text(AT_THE_END + program)
    done = run_python("program.py", folder=tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    for rank in "01":
        names = (tmp_path / f"threads-{rank}").read_text()
        assert "python" in names and "gloo" not in names
