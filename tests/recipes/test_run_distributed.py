"""A recipe run in two processes: one folder, no line twice, and one message where it fails."""

from __future__ import annotations

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from launching import HELPERS, TORCHRUN, our_lines, run_python
from ranks_at_work import chaos
from typer.testing import CliRunner

from titans_seq import cli

TEXT = """
schema: 1
task: {horizon: 3}
data: {path: made.csv, split: [160, 40, 40]}
model: {context_length: 24, patch_length: 4, d_model: 8, n_layers: 1, window_size: 4, chunk_size: 4}
train:
  {max_epochs: 2, batch_size: 7, learning_rate: 1.0e-3, random_state: 3, device: cpu, devices: 2, strategy: ddp}
"""
RUN = ["-m", "titans_seq.cli", "run", "made.yaml"]
FILES = {"environment.json", "metrics.json", "model", "recipe.yaml"}

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path: Path) -> Path:
    columns = {f"s{i}": values for i, values in enumerate(chaos(3, 240))}
    pl.DataFrame({"ds": range(240), **columns}).write_csv(tmp_path / "made.csv")
    (tmp_path / "made.yaml").write_text(TEXT)
    return tmp_path


def numbers(found: Any) -> list[float]:
    """All numbers in what JSON held but for seconds."""
    if isinstance(found, dict):
        return [x for key, item in found.items() if key != "seconds" for x in numbers(item)]
    return [float(found)] if isinstance(found, int | float) else []


def left_in(place: Path) -> set[str]:
    return {path.name for path in place.iterdir()}


def test_two_processes_write_what_one_writes_once(place: Path) -> None:
    together = run_python(*TORCHRUN, *RUN, folder=place)
    by_itself = run_python(*RUN, "--output-dir", "runs/itself", folder=place)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        alone = CliRunner().invoke(cli.app, [*RUN[2:], "--output-dir", "runs/alone", "--set", "train.devices=1"])
    found = {}
    assert (alone.exit_code, alone.stderr) == (0, "")
    for name, done in (("made", together), ("itself", by_itself), ("alone", alone)):
        assert name == "alone" or (done.returncode, our_lines(done.stderr)) == (0, []), done.stderr[-3000:]
        assert done.stdout.count("written to") == 1
        assert left_in(place / "runs" / name) == left_in(place / "runs" / "alone") > FILES
        found[name] = numbers(json.loads((place / "runs" / name / "metrics.json").read_text()))
    assert left_in(place) == {"made.csv", "made.yaml", "runs"} and len(left_in(place / "runs")) == 3
    assert found["made"] == pytest.approx(found["alone"], abs=1e-5)
    assert found["itself"] == found["made"]


@pytest.mark.parametrize("how", ["raises", "killed"])
@pytest.mark.parametrize("start", [[], TORCHRUN], ids=["by itself", "torchrun"])
def test_where_one_process_fails_all_end_and_one_says_why(place: Path, how: str, start: list[str]) -> None:
    done = run_python(*start, str(HELPERS / "failing_rank.py"), *RUN[2:], folder=place, FAILS=how)
    assert done.returncode not in (0, None)
    said = [line for line in our_lines(done.stderr) if "error: " in line or "interrupted" in line]
    assert len(said) == 1, done.stderr[-3000:]
    if how == "raises":
        assert "the second process cannot go on" in said[0]
    assert left_in(place) == {"made.csv", "made.yaml"}


def test_an_error_of_both_processes_is_told_once(place: Path) -> None:
    done = run_python(*TORCHRUN, *RUN, "--set", "data.path=nowhere.csv", folder=place)
    assert done.returncode != 0
    said = [line for line in our_lines(done.stderr) if line.startswith("error: ")]
    assert len(said) == 1 and "nowhere.csv" in said[0]


def test_a_recipe_for_one_process_is_not_run_by_two(place: Path) -> None:
    done = run_python(*TORCHRUN, *RUN, "--set", "train.devices=1", folder=place)
    said = [line for line in our_lines(done.stderr) if line.startswith("error: ")]
    assert said == [
        "error: torchrun started 2 processes, but devices × num_nodes is 1 × 1; say how many processes there are on "
        "each machine (devices) and how many machines (num_nodes)"
    ]
    assert left_in(place) == {"made.csv", "made.yaml"}


def free_port() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return str(one.getsockname()[1])


def both(place: Path, commands: list[list[str]], environments: list[dict[str, str]]) -> list[str]:
    """Run two commands at a time; what each printed."""
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda c, e: run_python(*c, folder=place, **e), commands, environments))
    for one in done:
        assert one.returncode == 0, one.stderr[-3000:]
    return [one.stdout for one in done]


def test_two_machines_each_with_a_torchrun_of_its_own(place: Path) -> None:
    where = ["--nnodes=2", "--nproc_per_node=1", "--master_addr=127.0.0.1", f"--master_port={free_port()}"]
    sets = ["--set", "train.devices=1", "--set", "train.num_nodes=2"]
    commands = [[*TORCHRUN[:2], *where, f"--node_rank={node}", *RUN, *sets] for node in (0, 1)]
    said = both(place, commands, [{}, {}])
    assert [text.count("written to") for text in said] == [1, 0]
    assert left_in(place / "runs" / "made") > FILES


def test_two_tasks_of_srun(place: Path) -> None:
    job = {"SLURM_JOB_ID": "4711", "SLURM_JOB_NAME": "fit", "SLURM_NODELIST": "127.0.0.1", "SLURM_NTASKS": "2"}
    job |= {"SLURM_NNODES": "1", "SLURM_NTASKS_PER_NODE": "2", "SLURM_NODEID": "0", "MASTER_PORT": free_port()}
    tasks = [job | {"SLURM_PROCID": str(task), "SLURM_LOCALID": str(task)} for task in (0, 1)]
    said = both(place, [RUN, RUN], tasks)
    assert [text.count("written to") for text in said] == [1, 0]
    assert left_in(place / "runs" / "made") > FILES
