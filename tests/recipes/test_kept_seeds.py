"""A run with several seeds that was killed does not train again what it had scored."""

from __future__ import annotations

from pathlib import Path

import pytest

from titans_seq.recipes._seeds import keeping_scores, spread_over_seeds
from titans_seq.training.checkpoint import Checkpoint


def test_scores_of_seeds_outlive_the_process_and_are_the_same(tmp_path: Path) -> None:
    asked: list[int] = []

    def train(seed: int, checkpoint: Checkpoint) -> dict[str, float]:
        asked.append(seed)
        if asked == [1, 2]:
            raise KeyboardInterrupt
        assert checkpoint.earlier == 0  # each seed has a clock of its own
        return {"mse": 0.1 * seed, "mae": 1 / seed}

    with pytest.raises(KeyboardInterrupt):
        spread_over_seeds([0, 1, 2], {"mse": 0.0, "mae": 2.0}, keeping_scores(Checkpoint(tmp_path / "kept"), train))
    kept = Checkpoint(tmp_path / "kept")
    assert not kept.is_empty()
    assert kept.earlier == 0
    found = spread_over_seeds([0, 1, 2], {"mse": 0.0, "mae": 2.0}, keeping_scores(kept, train))
    assert asked == [1, 2, 2]
    assert found["seeds"]["model"]["mse"]["values"] == [0.0, 0.1, 0.2]
    assert found["seeds"]["model"]["mae"]["values"] == [2.0, 1.0, 0.5]
