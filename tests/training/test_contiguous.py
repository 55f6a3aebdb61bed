"""Training on carried streams: what it reads is what a carried state reads, and the forecaster can use it."""

from __future__ import annotations

import contextlib
import itertools
import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pandas as pd
import pytest
import torch
from series_frames import hourly
from torch import Tensor
from torch.utils.data import DataLoader

from titans_seq import TitansForecaster
from titans_seq.adapters.linear import fit_linear
from titans_seq.adapters.scaled import ScaledPanel, fit_scaling
from titans_seq.adapters.series import SeriesModel
from titans_seq.adapters.stream import StreamReader
from titans_seq.adapters.tokens import LinearForecast, Patching
from titans_seq.data import read_panel
from titans_seq.training.contiguous import ContiguousTraining
from titans_seq.training.pieces import PieceSampler, SeriesPieces
from titans_seq.training.streams import Pieces

HORIZON, PATCH, CONTEXT = 5, 4, 16
SMALL: dict[str, Any] = {
    "horizon": 6, "context_length": 16, "patch_length": 4, "sequence_length": 24, "d_model": 8, "n_layers": 1,
    "n_heads": 2, "chunk_size": 4, "window_size": 4, "n_persistent": 2, "batch_size": 8, "max_epochs": 2,
    "random_state": 0, "verbose": 0, "training_mode": "contiguous",
}  # fmt: skip


class Setup:
    """Two series, an untrained network with a loud head, and what trains it."""

    def __init__(self, variant: str = "mag", lengths: tuple[int, ...] = (150, 90), missing: float = 0.1) -> None:
        frame = hourly({f"s{i}": n for i, n in enumerate(lengths)}, missing=missing)
        self.panel = read_panel(frame, on_gap="mask")[0]
        self.train_end = self.panel.lengths - 20
        center, scale = fit_scaling(self.panel, self.train_end)
        self.linear = LinearForecast(fit_linear(self.panel, scale, center, self.train_end, CONTEXT, HORIZON))
        group = np.zeros(len(lengths), dtype=np.int64) if self.linear.shared else np.arange(len(lengths))
        self.data = ScaledPanel(self.panel, center, scale, group)
        self.patching = Patching(PATCH, CONTEXT, ("day",))
        torch.manual_seed(0)
        self.model = SeriesModel(
            self.patching, HORIZON, d_model=8, n_layers=2, variant=variant, chunk_size=4, window_size=5
        ).double()
        torch.nn.init.normal_(self.model.head.weight, std=0.3)

    def sampler(self, **options: int) -> PieceSampler:
        sizes = {"tokens": 6, "batch_size": 2, "n_batches": 30, "seed": 0} | options
        return PieceSampler(self.data, self.train_end, self.patching, HORIZON, **sizes)

    def module(self) -> ContiguousTraining:
        module = ContiguousTraining(
            self.model, self.linear, quantile_levels=(0.1, 0.9), learning_rate=1e-3, total_steps=10,
            validate=lambda: 0.0,
        )  # fmt: skip
        module.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
        return module

    def one_pass(self, series: int, rows: int) -> tuple[StreamReader, Any, Any]:
        """The first rows of a series, read in one go by what `predict` reads with."""
        reader = StreamReader(self.model, self.linear, self.panel.frequency)
        values, observed = self.data.gather(np.array([series]), np.array([0]), rows)
        stream, reads = reader.read(
            reader.start(1), values, observed, torch.tensor([rows]), self.panel.origins[[series]],
            self.data.groups(np.array([series])),
        )  # fmt: skip
        return reader, stream, reads


def pieces_of(lengths: list[int], size: int) -> list[Pieces]:
    """Both series from their first row on, one per row of the batch, until the shorter one ends."""
    n, zero = len(lengths), np.zeros(len(lengths), dtype=np.int64)
    starts = range(0, min(lengths), size)
    ends = np.array(lengths)
    return [
        Pieces(np.arange(n), zero + at, np.minimum(at + size, ends), np.full(n, at == 0)) for at in starts
    ]  # fmt: skip


def complete(batch: SeriesPieces, x: Tensor, row: int) -> Tensor:
    return x[row, : int(batch.lengths[row])]


@pytest.mark.parametrize("variant", ["mag", "mac", "swa", "attention"])
def test_training_reads_what_a_carried_state_reads_in_one_pass(variant: str) -> None:
    setup = Setup(variant)
    sampler, module = setup.sampler(), setup.module().eval()
    hidden: list[list[Tensor]] = [[], []]
    features: list[list[Tensor]] = [[], []]
    for pieces in pieces_of(sampler.loader.lengths.tolist(), 24):
        batch = sampler.read(pieces)
        tokens, read, _ = module.read(batch)
        for row in (0, 1):
            hidden[row].append(complete(batch, read, row))
            features[row].append(complete(batch, tokens.features, row))
    for row in (0, 1):
        rows = sum(len(x) for x in hidden[row]) * PATCH
        _, _, reads = setup.one_pass(row, rows)
        torch.testing.assert_close(torch.cat(features[row]), reads.tokens.features[0], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(torch.cat(hidden[row]), reads.hidden[0], rtol=1e-5, atol=1e-5)


def test_a_patch_cut_short_is_read_as_a_forecast_between_patches_reads_it() -> None:
    setup = Setup()
    sampler, module = setup.sampler(), setup.module().eval()
    for pieces in pieces_of(sampler.loader.lengths.tolist(), 24)[:3]:
        batch = sampler.read(pieces)
        tokens, hidden, counted = module.read(batch)
        assert torch.equal(counted[:, -1], batch.partial.bool() & tokens.mask[:, -1])
        correction = setup.model.correct(hidden, tokens.scale)
        for row in np.flatnonzero(batch.partial.numpy()):
            cutoff = int(pieces.start[row] + batch.cutoffs[row, -1] - CONTEXT)
            reader, stream, _ = setup.one_pass(int(row), cutoff)
            group = setup.data.groups(np.array([row]))
            linear, _, expected, _ = reader.forecast_now(stream, setup.panel.origins[[row]], group)
            torch.testing.assert_close(correction.shift[row, -1:], expected.shift, rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(tokens.linear[row, -1:], linear, rtol=1e-4, atol=1e-5)


def test_every_complete_patch_counts_once_and_padding_does_not() -> None:
    setup = Setup(missing=0.0)
    sampler, module = setup.sampler(), setup.module()
    for batch in sampler:
        tokens, _, counted = module.read(batch)
        assert counted[:, :-1].sum(1).tolist() == batch.lengths.tolist()
        assert (batch.cutoffs[:, -1] - batch.starts[:, -1] < PATCH).all()
        assert (batch.cutoffs <= batch.target_end[:, None] - HORIZON)[counted].all()


@pytest.mark.parametrize("lengths", [(150, 90), (150, 26)])
def test_rows_after_the_training_rows_have_no_influence(lengths: tuple[int, ...]) -> None:
    losses = []
    for noise in (0.0, 7.0):
        setup = Setup(lengths=lengths, missing=0.0)
        row = np.arange(len(setup.panel.values)) - np.repeat(setup.panel.offsets[:-1], setup.panel.lengths)
        setup.panel.values[row >= np.repeat(setup.train_end, setup.panel.lengths)] += noise
        module = setup.module()
        losses.append([module.training_step(batch, 0).item() for batch in setup.sampler()])
    assert losses[0] == losses[1]


def test_a_series_begun_anew_knows_nothing_of_the_series_before_in_its_row() -> None:
    read = []
    for noise in (0.0, 7.0):
        setup = Setup(lengths=(150, 90, 90), missing=0.0)
        before = slice(*setup.panel.offsets[1:3])
        setup.panel.values[before] += noise * np.sin(np.arange(90))
        sampler, module = setup.sampler(), setup.module().eval()
        for streams, start, fresh in (([0, 1], [0, 0], [True, True]), ([0, 2], [24, 0], [False, True])):
            begin = np.array(start)
            _, hidden, _ = module.read(sampler.read(Pieces(np.array(streams), begin, begin + 24, np.array(fresh))))
        read.append(hidden)
    assert torch.equal(*read)
    _, _, alone = setup.one_pass(2, 24)
    torch.testing.assert_close(read[0][1, :6], alone.hidden[0], rtol=1e-5, atol=1e-5)


def test_a_step_asks_nothing_of_the_graph_of_the_step_before() -> None:
    setup = Setup()
    sampler, module = setup.sampler(), setup.module()
    first, second = (sampler.read(p) for p in pieces_of(sampler.loader.lengths.tolist(), 24)[:2])
    module.training_step(first, 0).backward()  # frees its graph: whoever reached back into it would raise
    before = setup.model.encoder.weight.grad.clone()
    module.training_step(second, 1).backward()
    assert not torch.equal(setup.model.encoder.weight.grad, before)


@pytest.mark.parametrize("lengths", [(30, 28), (26, 300)])
def test_series_shorter_than_a_piece_or_hardly_longer_than_the_horizon_are_read(lengths: tuple[int, ...]) -> None:
    setup = Setup(lengths=lengths, missing=0.0)
    module = setup.module()
    for batch in itertools.islice(setup.sampler(tokens=20, batch_size=3), 20):
        assert torch.isfinite(module.training_step(batch, 0))


# --- broken off and resumed -----------------------------------------------------------------------------------


def same_batch(a: SeriesPieces, b: SeriesPieces) -> bool:
    return all(torch.equal(x, vars(b)[name]) for name, x in vars(a).items())


@pytest.mark.parametrize("at", [0, 1, 3, 6, 7, 9])
def test_a_sampler_resumed_after_any_piece_reads_the_same_batches(at: int) -> None:
    setup = Setup()
    sampler = setup.sampler(n_batches=7)
    whole = [batch for _ in range(3) for batch in sampler]
    sampler = setup.sampler(n_batches=7)
    reading = itertools.chain(sampler, sampler)
    read = list(itertools.islice(reading, at))
    state = json.loads(json.dumps(sampler.state_dict()))
    resumed = setup.sampler(n_batches=7)
    resumed.load_state_dict(state)
    rest_of_epoch = list(resumed)
    assert len(rest_of_epoch) == 7 - at % 7
    read += [*rest_of_epoch, *resumed]
    assert all(map(same_batch, read, whole))


def test_a_sampler_refuses_the_state_of_another_one_and_does_not_change() -> None:
    setup = Setup()
    sampler = setup.sampler()
    next(iter(sampler))
    state = sampler.state_dict()
    for bad, message in (
        ({"loader": state["loader"]}, "not the state of a PieceSampler: 'random' is missing"),
        (state | {"patch_length": 2}, "patch_length was 2 in the saved state and is 4 here"),
        (state | {"random": {"state": 3}}, "the generator is damaged"),
        (state | {"loader": setup.sampler(seed=5).loader.state_dict()}, "seed was 5 in the saved state and is 0 here"),
    ):
        with pytest.raises(ValueError, match=message):
            sampler.load_state_dict(bad)
    assert sampler.state_dict() == state


@pytest.mark.parametrize("workers", [1, 2])
def test_readers_whose_place_no_worker_could_share_refuse_to_be_read_by_workers(workers: int) -> None:
    sampler = Setup().sampler(n_batches=7)
    assert len(list(DataLoader(sampler, batch_size=None))) == 7
    for reader in (sampler, sampler.loader):
        with pytest.raises(RuntimeError, match=f"cannot be read by the workers .* found num_workers={workers}"):
            list(DataLoader(reader, batch_size=None, num_workers=workers))


class Resumable(ContiguousTraining):
    """Keeps the losses."""

    losses: tuple[float, ...] = ()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        loss = super().training_step(batch, batch_idx)
        self.losses = (*self.losses, loss.item())
        return loss

    def log(self, *_: Any, **__: Any) -> None:
        """Nothing is kept."""


class PulledPlug(pl.Callback):
    """Ends the training after a checkpoint."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise ZeroDivisionError


def trained(setup: Setup, *callbacks: pl.Callback, resume: Path | None = None) -> Resumable:
    """Train for three epochs of five pieces."""
    module = Resumable(
        setup.model, setup.linear, quantile_levels=(0.1, 0.9), learning_rate=1e-2, total_steps=15, validate=lambda: 0.0
    )
    trainer = pl.Trainer(
        max_epochs=3, callbacks=[*callbacks], accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_model_summary=False, enable_progress_bar=False, gradient_clip_val=1.0,
    )  # fmt: skip
    with contextlib.suppress(ZeroDivisionError):
        trainer.fit(module, setup.sampler(n_batches=5), ckpt_path=resume, weights_only=True)
    return module


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("variant", "at"), [("mag", 1), ("mag", 5), ("mac", 8), ("swa", 4), ("attention", 7)])
def test_a_training_broken_off_and_resumed_is_the_one_that_was_not(variant: str, at: int, tmp_path: Path) -> None:
    whole_setup, setup, after = Setup(variant), Setup(variant), Setup(variant)
    whole = trained(whole_setup)
    before = trained(setup, PulledPlug(tmp_path / "part", at))
    with torch.no_grad():
        for weight in after.model.parameters():
            weight.zero_()  # all is to come from the checkpoint
    resumed = trained(after, resume=tmp_path / "part")
    assert (len(whole.losses), len(before.losses)) == (15, at)
    assert before.losses + resumed.losses == whole.losses
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], weight), name
    assert whole.carried is not None and resumed.carried is not None
    for name, x in whole.carried.tensors().items():
        assert ".start." in name or torch.equal(resumed.carried.tensors()[name], x), name


def test_a_checkpoint_loaded_and_saved_again_before_a_step_keeps_the_carried_state() -> None:
    setup = Setup()
    module, other = setup.module(), setup.module()
    checkpoint: dict[str, Any] = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint == {"carried_state": None}
    module.training_step(next(iter(setup.sampler())), 0)
    module.on_save_checkpoint(checkpoint)
    other.on_load_checkpoint(checkpoint)
    again: dict[str, Any] = {}
    other.on_save_checkpoint(again)
    assert again["carried_state"] is checkpoint["carried_state"] is not None


# --- the forecaster ----------------------------------------------------------------------------------------


def make(**options: Any) -> TitansForecaster:
    return TitansForecaster(**SMALL | options)


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa", "attention"])
def test_a_forecaster_trained_on_carried_streams_predicts_updates_and_is_saved(variant: str, tmp_path) -> None:
    frame = hourly({"a": 240, "b": 150}, missing=0.05)
    old, new = (frame.groupby("unique_id", sort=False).nth(part) for part in (slice(0, 130), slice(130, 150)))
    forecaster = make(variant=variant).fit(old)
    assert len(forecaster.history_) == 3
    forecaster.save(tmp_path / "model")
    loaded = TitansForecaster.load(tmp_path / "model")
    assert loaded.training_mode == "contiguous"
    out = forecaster.update(new).predict(level=[80])
    assert np.isfinite(out.iloc[:, 2:].to_numpy()).all()
    pd.testing.assert_frame_equal(loaded.update(new).predict(level=[80]), out)


def chaotic() -> Any:
    """Logistic maps: what comes next is certain, and no linear map knows it."""
    frame = hourly({"a": 240, "b": 150})
    values = [0.3]
    for _ in range(len(frame) - 1):
        values.append(3.7 * values[-1] * (1 - values[-1]))
    return frame.assign(y=values)


def test_the_same_seed_trains_the_same_bits_and_the_mode_makes_a_difference() -> None:
    frame, fast = chaotic(), {"learning_rate": 0.02, "max_epochs": 6}
    state = torch.get_rng_state()
    one, same, other = (make(**fast | o).fit(frame) for o in ({}, {}, {"random_state": 1}))
    assert torch.equal(torch.get_rng_state(), state)
    weight = one._model.encoder.weight
    assert not torch.equal(weight, make(max_epochs=0).fit(frame)._model.encoder.weight), "nothing was learned"
    assert torch.equal(weight, same._model.encoder.weight)
    assert not torch.equal(weight, other._model.encoder.weight)
    assert not torch.equal(weight, make(**fast, training_mode="sampled").fit(frame)._model.encoder.weight)


def test_validation_reads_everything_before_as_the_forecasts_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from titans_seq.estimators import _fitting

    begins: dict[str, list[int]] = {}
    honest = _fitting.streaming_forecasts
    for mode in ("sampled", "contiguous"):

        def spy(*args: Any, start: np.ndarray, mode: str = mode, **options: Any) -> Any:
            begins[mode] = start.tolist()
            return honest(*args, start=start, **options)

        monkeypatch.setattr(_fitting, "streaming_forecasts", spy)
        make(training_mode=mode, max_epochs=0).fit(hourly({"a": 250}))  # 200 rows to train on, 24 per sequence
    assert begins == {"sampled": [176], "contiguous": [0]}


def test_short_and_long_series_are_trained_on_together() -> None:
    forecaster = make().fit(hourly({"a": 14, "b": 15, "c": 400}))
    assert np.isfinite(forecaster.predict()["TitansForecaster"]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"training_mode": "tbptt"}, "training_mode must be one of 'sampled', 'contiguous', found 'tbptt'"),
        ({"carry_state": False}, "training_mode='contiguous' .* needs carry_state=True"),
    ],
)
def test_a_training_mode_that_cannot_be_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**options).fit(hourly({"a": 100}))
