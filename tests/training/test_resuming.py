"""A fit that is broken off between any two batches, again and again, ends with the bits of one that was not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from titans_seq import DNAClassifier, DNARegressor, TitansForecaster
from titans_seq.adapters.symbols import SymbolModel
from titans_seq.estimators import _sequence_fitting
from titans_seq.estimators._strands import Evidence
from titans_seq.evaluation.recall import Pairs
from titans_seq.nn import Backbone
from titans_seq.training.checkpoint import Checkpoint
from titans_seq.training.recall import RecallSettings, Stage, train_recall

Fit = Callable[[Checkpoint | None], tuple[dict[str, Tensor], Any]]


class Mortal(Checkpoint):
    """Saves whenever asked, and is the end of its process after so many files."""

    def __init__(self, folder: Path, files: int) -> None:
        super().__init__(folder)
        self.files = files

    def due(self) -> bool:
        return True

    def write(self, name: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        super().write(name, tensors, facts)
        self.files -= 1
        if not self.files:
            raise KeyboardInterrupt


def through_deaths(fit: Fit, folder: Path, files: int) -> tuple[tuple[dict[str, Tensor], Any], int]:
    """Fit with as many processes as it takes, each of which dies after writing so many files."""
    for deaths in range(100):
        try:
            return fit(Mortal(folder, files)), deaths
        except KeyboardInterrupt:
            pass
    raise AssertionError("the fit makes no way")


def without_seconds(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in entry.items() if key != "seconds"} for entry in history]


def forecaster(mode: str, dropout: float, variant: str = "mag") -> Fit:
    def fit(checkpoint: Checkpoint | None) -> tuple[dict[str, Tensor], Any]:
        y = np.sin(np.arange(160).reshape(1, 160) / 7) + np.random.default_rng(0).normal(size=(1, 160)) / 4
        model = TitansForecaster(
            horizon=4, context_length=24, patch_length=4, sequence_length=32, training_mode=mode, variant=variant,
            d_model=8, n_layers=1, window_size=4, dropout=dropout, max_epochs=2, batch_size=2,
            early_stopping_patience=2, random_state=0, verbose=0,
            max_minutes=60,
        )  # fmt: skip
        model.fit(y, _checkpoint=checkpoint)
        weights = {**model._model.state_dict(), "point": torch.from_numpy(model.predict())}
        return weights, without_seconds(model.history_)

    return fit


def classifier(reverse_complement: bool | str, early_stopping_patience: int = 6) -> Fit:
    def fit(checkpoint: Checkpoint | None) -> tuple[dict[str, Tensor], Any]:
        random = np.random.default_rng(1)
        X = ["".join(random.choice(list("ACGT"), size=int(random.integers(20, 40)))) for _ in range(60)]
        model = DNAClassifier(
            reverse_complement=reverse_complement, n_members=2, channels=4, d_model=8, max_epochs=4, batch_size=20,
            max_minutes=60,
            early_stopping_patience=early_stopping_patience, random_state=0, verbose=0,
        )  # fmt: skip
        model.fit(X, [int(x.count("G") > 7) for x in X], _checkpoint=checkpoint)
        weights = {f"{i}.{n}": x for i, m in enumerate(model._members) for n, x in m.model.state_dict().items()}
        weights["said"] = torch.from_numpy(model.predict_proba(X[:5]))
        return weights, [*map(without_seconds, model.history_), model.both_strands_, model.temperature_]

    return fit


def found(evidence: Evidence) -> Fit:
    """Fit where strands are told to be so: what is then trained does not depend on what a small set happens to show."""

    def fit(checkpoint: Checkpoint | None) -> tuple[dict[str, Tensor], Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_sequence_fitting, "compare_strands", lambda *a: evidence)
            return classifier("auto")(checkpoint)

    return fit


def recall(checkpoint: Checkpoint | None) -> tuple[dict[str, Tensor], Any]:
    torch.manual_seed(0)
    task = Pairs(n_pairs=1)
    model = SymbolModel(160, 64, Backbone(8, variant="mag", n_layers=1, n_heads=1, chunk_size=8, dropout=0.2))
    settings = RecallSettings(curriculum=(Stage(16, 9), Stage(24, 5)), tokens_per_step=64, core_steps=2)
    place = None if checkpoint is None else checkpoint.at("training")
    history = train_recall(model, task.draw, settings, place=place)
    return model.state_dict(), [(step.step, step.length, step.loss, step.openness) for step in history]


FITS = {
    "sampled": (forecaster("sampled", 0.2), 7),
    "contiguous": (forecaster("contiguous", 0.2), 7),
    "contiguous in segments": (forecaster("contiguous", 0.0, "mac"), 7),
    "strands unlike": (classifier("auto"), 3),
    "strands alike": (found(Evidence(10.0, 0.1, 0.0, 0.5)), 3),
    "strands tried both ways": (found(Evidence(0.0, 1.0, 0.0, 1.0)), 3),
    "one strand": (classifier(False, early_stopping_patience=1), 4),
    "recall": (recall, 3),
}


@pytest.mark.parametrize("name", FITS)
def test_a_fit_that_died_again_and_again_ends_with_the_same_bits(name: str, tmp_path: Path) -> None:
    fit, files = FITS[name]
    (weights, history), deaths = through_deaths(fit, tmp_path / "kept", files)
    assert deaths >= 2
    whole, whole_history = fit(None)
    assert history == whole_history
    assert list(weights) == list(whole)
    for key, x in whole.items():
        assert torch.equal(weights[key], x), key


def test_a_finished_training_is_not_repeated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = forecaster("sampled", 0.0)
    weights, history = fit(Checkpoint(tmp_path / "kept"))
    monkeypatch.setattr("lightning.pytorch.Trainer.fit", lambda *a, **k: pytest.fail("trained again"))
    again, same = fit(Checkpoint(tmp_path / "kept"))
    assert same == history
    assert all(torch.equal(again[key], x) for key, x in weights.items())


def test_numbers_of_a_regressor_are_the_same_too(tmp_path: Path) -> None:
    def fit(checkpoint: Checkpoint | None) -> tuple[dict[str, Tensor], Any]:
        random = np.random.default_rng(1)
        X = ["".join(random.choice(list("ACGT"), size=30)) for _ in range(60)]
        model = DNARegressor(channels=4, d_model=8, n_members=1, max_epochs=3, random_state=0, verbose=0)
        model.fit(X, [x.count("A") / 30 for x in X], _checkpoint=checkpoint)
        return {"said": torch.from_numpy(model.predict(X))}, without_seconds(model.history_[0])

    (said, history), deaths = through_deaths(fit, tmp_path / "kept", 3)
    whole, whole_history = fit(None)
    assert deaths and history == whole_history and torch.equal(said["said"], whole["said"])


def test_a_checkpoint_does_not_disturb_a_fit(tmp_path: Path) -> None:
    weights, history = classifier("auto")(Checkpoint(tmp_path / "kept"))
    whole, whole_history = classifier("auto")(None)
    assert history == whole_history
    assert all(torch.equal(weights[key], x) for key, x in whole.items())


def test_the_time_before_the_end_of_a_process_counts_for_a_forecaster(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        forecaster("sampled", 0.0)(Mortal(tmp_path / "kept", 3))
    checkpoint = Checkpoint(tmp_path / "kept")
    assert 0 < checkpoint.earlier <= checkpoint.elapsed() < 3600
    checkpoint.earlier = 3600.0  # as if the hour had passed
    _, history = forecaster("sampled", 0.0)(checkpoint)
    assert len(history) == 2  # the step that it goes on with is the last one


def test_the_time_before_the_end_of_a_process_counts_for_each_member(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        classifier(False)(Mortal(tmp_path / "kept", 1))
    checkpoint = Checkpoint(tmp_path / "kept")
    saved = checkpoint.at("member0").load()
    assert saved is not None and 0 < saved.facts["left"] < 1800  # half of the hour is the other member's
    checkpoint.at("member0").save(saved.tensors, {**saved.facts, "left": 0.0})
    _, (first, second, *_) = classifier(False)(checkpoint)
    assert (len(first), len(second)) == (2, 5)
