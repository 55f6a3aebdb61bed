"""Processes that work together: what each of them does, which of them speaks, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from titans_seq import DNAClassifier, TitansForecaster
from titans_seq.adapters.dna import BaseBatch
from titans_seq.training import launch
from titans_seq.training.examples import LabelledBatch
from titans_seq.training.ranks import ALONE, Ranks, start_ranks
from titans_seq.training.sampling import Stretch

TORCHRUN = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2"}
LIGHTNING = {"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}
SRUN = {"SLURM_PROCID": "1", "SLURM_NTASKS": "2", "SLURM_JOB_NAME": "fit"}
SETTERS = {*TORCHRUN, *LIGHTNING, *SRUN}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say what the environment is; it is empty before."""
    for name in SETTERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(launch, "_processes", 1)
    monkeypatch.setattr(launch, "_remembered", None)

    def state(values: dict[str, str]) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return state


@given(n=st.integers(0, 50), size=st.integers(1, 9))
def test_every_row_is_in_one_part_and_parts_stand_in_order(n: int, size: int) -> None:
    parts = [np.arange(n)[Ranks(rank, size).part(n)] for rank in range(size)]
    np.testing.assert_array_equal(np.concatenate(parts), np.arange(n))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def stretch(n: int) -> Stretch:
    x = torch.arange(1.0, n + 1)
    row = x[:, None]
    return Stretch(row, row > 0, row[..., None], row.long(), row.long(), row[..., None], x.long(), x.long(), row)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_parts_of_a_batch_hold_its_rows_and_a_rank_without_any_counts_nothing(n: int) -> None:
    parts = [stretch(n).part(Ranks(rank, 3)) for rank in range(3)]
    counted = torch.cat([part.values[part.weight[:, 0] > 0] for part in parts])
    torch.testing.assert_close(counted, stretch(n).values)
    assert all(len(part.values) >= 1 for part in parts)


def test_a_rank_without_sequences_reads_one_that_has_no_positions() -> None:
    codes, lengths = torch.zeros(1, 4, dtype=torch.uint8), torch.tensor([4])
    batch = LabelledBatch(BaseBatch(codes, lengths), torch.tensor([1]), torch.tensor([2.0]))
    empty, full = (batch.part(Ranks(rank, 2)) for rank in range(2))
    assert (empty.batch.lengths.tolist(), empty.weight.tolist()) == ([0], [0.0])
    assert (full.batch.lengths.tolist(), full.weight.tolist()) == ([4], [2.0])


def test_alone_nothing_is_changed() -> None:
    rows, count = np.arange(5), torch.tensor(0.0)
    assert ALONE.gather(rows) is rows
    assert ALONE.same(3) == 3
    assert ALONE.rows_each(count) == 1
    assert ALONE.trainer_options() == {"devices": 1}
    ALONE.check_same("X", rows)
    ALONE.barrier()


@pytest.mark.parametrize(
    ("values", "by"), [(TORCHRUN, "torchrun"), (LIGHTNING, "Lightning"), (SRUN, "srun"), ({}, None)]
)
def test_who_started_a_process_is_told_from_the_environment(environment: Any, values: Any, by: str | None) -> None:
    environment(values)
    found = launch.launched()
    assert (found and found.by) == by
    if found:
        assert (found.main, found.size) == (False, 2)


def test_a_batch_script_with_an_interactive_name_is_no_srun(environment: Any) -> None:
    environment(SRUN | {"SLURM_JOB_NAME": "interactive"})
    assert launch.launched() is None


def test_tasks_of_srun_that_do_something_of_their_own_each_write(environment: Any) -> None:
    environment(SRUN)
    launch.take_part(1, 1)
    assert launch.is_main()
    launch.take_part(2, 1)
    assert not launch.is_main()


@pytest.mark.parametrize("processes", [(1, 1), (3, 1), (2, 2)])
def test_other_processes_than_were_started_are_refused(environment: Any, processes: tuple[int, int]) -> None:
    environment(TORCHRUN)
    with pytest.raises(ValueError, match=r"torchrun started 2 processes, but devices × num_nodes is"):
        launch.take_part(*processes)


def test_a_thousand_processes_are_not_started(environment: Any) -> None:
    environment({})
    launch.check_launch(16, 1)
    with pytest.raises(ValueError, match=r"devices is 1,000, and this machine has cores for no more than \d+"):
        launch.check_launch(1000, 1)


def test_one_machine_does_not_wait_for_others_that_nobody_started(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    environment({})
    with pytest.raises(ValueError, match="num_nodes is 2, but this process was started by itself"):
        launch.check_launch(1, 2)
    environment({"MASTER_ADDR": "there"})  # as Lightning is started by hand
    launch.check_launch(1, 2)


def test_what_lightning_clears_is_remembered(environment: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    environment(LIGHTNING)
    launch.remember()
    monkeypatch.delenv("WORLD_SIZE")
    assert launch.launched() == ("Lightning", False, 2)


def test_errors_of_lost_processes_are_told_from_others() -> None:
    assert launch.is_lost(RuntimeError("[gloo/transport/tcp/pair.cc:537] Read error: Connection reset by peer"))
    assert not launch.is_lost(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not launch.is_lost(ValueError("Connection closed by peer"))


def test_a_prompt_is_told_that_its_program_cannot_be_run_again(
    environment: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.ps1", ">>> ", raising=False)
    with pytest.raises(ValueError, match=r"devices=2 runs this program again .* start it with torchrun"):
        start_ranks(2, 1, "ddp", "cpu")


def test_more_gpus_than_there_are_are_refused(environment: Any) -> None:
    there = torch.cuda.device_count()
    with pytest.raises(ValueError, match=rf"devices is {there + 2}, but torch sees {there} GPU"):
        start_ranks(there + 2, 1, "ddp", "gpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"devices": 0}, "devices must be at least 1, found 0"),
        ({"num_nodes": 0}, "num_nodes must be at least 1, found 0"),
        ({"strategy": "dp"}, "strategy must be one of 'auto', 'ddp', 'fsdp', found 'dp'"),
        ({"strategy": "fsdp", "training_mode": "contiguous"}, "strategy='fsdp' trains in 'sampled' mode only"),
    ],
)
def test_arguments_that_make_no_sense_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TitansForecaster(3, **options).fit(np.zeros((1, 50)))


def test_a_small_network_is_not_spread() -> None:
    with pytest.raises(ValueError, match="DNAClassifier is too small to be spread over devices; use strategy='ddp'"):
        DNAClassifier(strategy="fsdp").fit(["ACGT"] * 20, [0, 1] * 10)
