"""Training to remember: it learns, it is repeatable, and every setting does what it says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from titans_seq.adapters.symbols import StreamModel, SymbolModel, VectorModel
from titans_seq.evaluation.recall import CONTENT, N_SYMBOLS, Needles, Shapes, SymbolTrials, score_recall
from titans_seq.nn import Backbone, NeuralMemory
from titans_seq.nn.watch import openness, watch_memories
from titans_seq.training import recall
from titans_seq.training.recall import RecallSettings, Stage, Step, train_recall

LENGTH = 24
TASK = Needles(2, vary=True)


def build(seed: int = 0, **options: Any) -> SymbolModel:
    sizes = {"d_model": 8, "n_layers": 1, "chunk_size": 4, "window_size": 4, "n_persistent": 2, "gate": "hard"}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return SymbolModel(N_SYMBOLS, CONTENT, Backbone(**(sizes | options)), stem_width=2)


def settings(steps: int = 3, length: int = LENGTH, **options: Any) -> RecallSettings:
    return RecallSettings(**({"curriculum": [Stage(length, steps)], "tokens_per_step": 96, "seed": 1} | options))


def train(model: StreamModel, **options: Any) -> list[Step]:
    return train_recall(model, TASK.draw, settings(**options))


def parameters(model: StreamModel) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def gradients(model: StreamModel, options: RecallSettings, step: int = 0) -> dict[str, Tensor | None]:
    """What one step of training leaves, before it is clipped."""
    trials = TASK.draw(4, LENGTH, np.random.default_rng(3))
    model.train().zero_grad()
    with watch_memories(model, surprise=options.reconstruction > 0) as watch:
        recall._backward(model, trials, options, watch, step)
    return {name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()}


def gates(model: StreamModel) -> float:
    """Mean openness over trials of the task."""
    with torch.no_grad(), watch_memories(model) as watch:
        model(TASK.draw(8, LENGTH, np.random.default_rng(4)).read(0, LENGTH))
    return float(openness(watch, margin=0.0))


def test_a_tiny_model_learns_to_remember_and_it_is_the_memory_that_does() -> None:
    torch.manual_seed(0)
    backbone = Backbone(
        d_model=32, n_layers=1, n_heads=1, variant="lmm", memory_depth=1, chunk_size=8, gate="hard", n_persistent=0
    )
    model, task = SymbolModel(N_SYMBOLS, CONTENT, backbone), Needles()
    chosen = RecallSettings([Stage(8, 70)], tokens_per_step=320, learning_rate=3e-2, write_price=0.1)
    history = train_recall(model, task.draw, chosen)
    assert [(step.step, step.length) for step in history] == [(n, 8) for n in range(70)]
    assert np.mean([step.loss for step in history[-10:]]) < 0.5 * history[0].loss
    sizes: dict[str, int] = {"n_trials": 100, "seed": 9, "batch_size": 100}
    assert score_recall(model, task, 8, **sizes).accuracy > 0.5
    assert score_recall(model, task, 8, zero_memory=True, **sizes).accuracy < 0.1  # chance is 1 in 64


@pytest.mark.parametrize("options", [{}, {"dropout": 0.3}, {"variant": "mac"}], ids=str)
def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_does_not(options: dict[str, Any]) -> None:
    trained = []
    for seed, noise in ((1, 5), (1, 6), (2, 5)):
        torch.manual_seed(noise)  # nothing of the global generator enters
        model = build(**options)
        history = train(model, steps=2, seed=seed)
        trained.append((parameters(model), [(step.loss, step.openness) for step in history]))
    (first, losses), (again, same), (other, _) = trained
    assert losses == same
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_global_generators_are_not_touched() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    train(build(dropout=0.2))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])


def test_a_price_on_writing_closes_the_gates() -> None:
    free, dear = build(), build()
    assert gates(free) == gates(dear) > 0.3
    for model, price in ((free, 0.0), (dear, 3.0)):
        history = train(model, steps=12, tokens_per_step=48, write_price=price, learning_rate=0.2)
    assert gates(dear) < 0.5 * gates(free)
    assert history[-1].openness < 0.5 * history[0].openness


def test_the_price_is_that_of_the_mean_openness_with_its_margin() -> None:
    model = build()
    free, dear = (gradients(model, settings(write_price=price, write_margin=0.3)) for price in (0.0, 0.7))
    model.zero_grad()
    with watch_memories(model) as watch:
        model(TASK.draw(4, LENGTH, np.random.default_rng(3)).read(0, LENGTH))
    (0.7 * openness(watch, margin=0.3)).backward()
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(dear[name] - free[name], p.grad, rtol=1e-3, atol=1e-6)


def test_the_price_grows_from_nothing_after_the_cores_steps() -> None:
    chosen = settings(steps=9, write_price=0.5, price_steps=4, core_steps=3)
    assert [chosen.price(step) for step in range(9)] == [0, 0, 0, 0, 0.125, 0.25, 0.375, 0.5, 0.5]
    later = replace(chosen, free_steps=2)
    assert [later.price(step) for step in range(7)] == [0, 0, 0, 0, 0, 0, 0.125]
    at_once = settings(write_price=0.5)
    assert [at_once.price(step) for step in range(2)] == [0.5, 0.5]


@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm"])
def test_while_the_core_learns_nothing_of_the_memory_does(variant: str) -> None:
    model = build(variant=variant)
    chosen = settings(core_steps=2, write_price=1.0, reconstruction=1.0)
    of_memory = {id(p) for layer in model.modules() if isinstance(layer, NeuralMemory) for p in layer.parameters()}
    names = [name for name, p in model.named_parameters() if id(p) in of_memory]
    during, after = gradients(model, chosen, step=1), gradients(model, chosen, step=2)
    assert names and all(during[name] is None for name in names)
    assert all(after[name] is not None for name in names)
    assert during["head.weight"] is not None and during["head.weight"].any()
    before, seen = parameters(model), []
    train_recall(model, TASK.draw, chosen, on_step=lambda _: seen.append(parameters(model)))
    now = seen[1]
    assert all(torch.equal(now[name], before[name]) for name in names)
    assert any(not torch.equal(seen[2][name], before[name]) for name in names)
    assert not torch.equal(now["head.weight"], before["head.weight"])


def test_reconstruction_adds_the_memorys_own_loss() -> None:
    # Of hard gates the gradients do not add up: each passes or stops by the sign of their sum.
    model = build(n_layers=2, n_persistent=0, gate="sigmoid").double()
    plain, added = (gradients(model, settings(write_price=0.0, reconstruction=weight)) for weight in (0.0, 0.4))
    model.zero_grad()
    x = model.embedding(TASK.draw(4, LENGTH, np.random.default_rng(3)).read(0, LENGTH))
    _, _, surprise = model.backbone(model._stem(x, model.init_state(4).tail)[0], return_surprise=True)
    (0.4 * 0.5 * surprise.square().mean()).backward()  # ½‖f(k) − v‖², a mean over tokens, layers and heads
    changed = 0
    for name, p in model.named_parameters():
        if p.grad is not None:
            torch.testing.assert_close(added[name] - plain[name], p.grad, rtol=1e-9, atol=1e-12)
            changed += bool(p.grad.any())
    assert changed > 5


@pytest.mark.parametrize("piece_length", [5, 23])
def test_a_stream_in_pieces_has_the_loss_of_the_whole_and_trains_finitely(piece_length: int) -> None:
    whole, pieces = build(n_persistent=0), build(n_persistent=0)
    (first, *_), (same, *rest) = train(whole, steps=1), train(pieces, steps=2, piece_length=piece_length)
    assert same.loss == pytest.approx(first.loss, rel=1e-5)
    assert same.openness == pytest.approx(first.openness, rel=1e-5)
    assert all(np.isfinite(step.loss) for step in rest)
    assert all(p.isfinite().all() for p in pieces.parameters())


def test_pieces_without_a_question_have_no_loss_and_their_states_no_graph() -> None:
    model, trials = build(), TASK.draw(2, LENGTH, np.random.default_rng(3))
    asked: list[int] = []
    model.head.register_forward_hook(lambda _, given, made: asked.append(len(given[0])))
    states: list[bool] = []
    model.backbone.register_forward_pre_hook(
        lambda _, given: states.append(any(w.requires_grad for w in given[1].layers[0].memory.weights))
    )
    model.train()
    with watch_memories(model) as watch:
        loss, _ = recall._backward(model, trials, settings(piece_length=4, write_price=0.0), watch, 0)
    assert states == [True] + [False] * 5  # but for the first, which the persistent tokens were read into
    assert sum(asked) == trials.questions.size and asked[0] == 0
    assert np.isfinite(loss)


def test_answers_by_value_are_trained_on_their_squared_error() -> None:
    torch.manual_seed(0)
    model, task = VectorModel(8, 8, Backbone(d_model=8, n_layers=1, chunk_size=4, window_size=4)), Shapes(2)
    trials = task.draw(4, LENGTH, np.random.default_rng(1))
    with torch.no_grad():
        hidden, _ = model(trials.read(0, LENGTH))
        expected = F.mse_loss(model.head(hidden[:, trials.questions[0]]), trials.answers)
    history = train_recall(model, lambda n, length, _: trials, settings(steps=2, piece_length=5))
    assert history[0].loss == pytest.approx(float(expected), rel=1e-5)


@pytest.mark.parametrize("variant", ["swa", "attention"])
def test_what_has_no_memory_trains_too(variant: str) -> None:
    history = train(build(variant=variant), reconstruction=1.0)
    assert all(np.isfinite(step.loss) and step.openness == 0 for step in history)


def test_streams_fill_the_tokens_of_a_step_and_each_step_is_told_of() -> None:
    drawn: list[tuple[int, int]] = []
    told: list[Step] = []

    def draw(n: int, length: int, random: np.random.Generator) -> SymbolTrials:
        drawn.append((n, length))
        return TASK.draw(n, length, random)

    stages = [Stage(24, 2), Stage(50, 1), Stage(120, 1)]
    history = train_recall(build(), draw, settings(curriculum=stages), on_step=told.append)
    assert drawn == [(4, 24), (4, 24), (1, 50), (1, 120)]
    assert told == history
    assert [step.length for step in history] == [24, 24, 50, 120]
    assert all(a.seconds <= b.seconds for a, b in zip(history, history[1:], strict=False))


def test_the_model_ends_in_evaluation_mode_and_unwatched_also_when_broken_off() -> None:
    model = build()
    assert model.training
    train(model)
    assert not model.training

    def stop(step: Step) -> None:
        assert model.training
        raise KeyboardInterrupt

    state = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        train_recall(model, TASK.draw, settings(), on_step=stop)
    assert not model.training
    assert all(layer.on_gates is None for layer in model.modules() if isinstance(layer, NeuralMemory))
    assert torch.equal(torch.get_rng_state(), state)


def test_streams_and_answers_go_to_the_models_device(monkeypatch: pytest.MonkeyPatch) -> None:
    # There is one device only in most places that run this: what moves is written down.
    moved: list[tuple[torch.dtype, tuple[int, ...]]] = []
    to = Tensor.to

    def noted(x: Tensor, *args: Any, **options: Any) -> Tensor:
        if args and args[0] == torch.device("cpu"):
            moved.append((x.dtype, tuple(x.shape)))
        return to(x, *args, **options)

    model, trials = build(), TASK.draw(3, LENGTH, np.random.default_rng(0))
    monkeypatch.setattr(Tensor, "to", noted)
    with watch_memories(model) as watch:
        recall._backward(model, trials, settings(), watch, 0)
    assert (torch.int64, (3, LENGTH)) in moved and (torch.int64, (trials.questions.size,)) in moved


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_training_and_scoring_run_on_a_gpu() -> None:
    model = build(dropout=0.1).cuda()
    before = torch.cuda.get_rng_state()
    history = train(model, piece_length=7)
    assert all(np.isfinite(step.loss) for step in history)
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert score_recall(model, TASK, LENGTH, n_trials=3, seed=0).asked >= 3


def test_the_rate_warms_up_and_ends_at_a_tenth() -> None:
    chosen = settings(steps=200, learning_rate=0.5)
    rates = [chosen.rate(step) for step in range(200)]
    assert rates[0] == pytest.approx(0.01) and rates[-1] == pytest.approx(0.05)
    assert max(rates) <= 0.5 and 30 < int(np.argmax(rates)) < 60
    assert all(a > b for a, b in zip(rates[60:], rates[61:], strict=False))
    assert settings(steps=1, learning_rate=0.5).rate(0) == pytest.approx(0.01)


def test_the_default_curriculum_has_its_steps() -> None:
    assert RecallSettings().total_steps == sum(stage.steps for stage in RecallSettings().curriculum) == 450


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curriculum": []}, "curriculum must have at least one stage"),
        ({"tokens_per_step": 0}, "tokens_per_step must be at least 1, found 0"),
        ({"piece_length": 0}, "piece_length must be at least 1, found 0"),
        ({"learning_rate": 0.0}, "learning_rate must be positive, found 0.0"),
        ({"write_price": -0.1}, "write_price must be at least 0, found -0.1"),
        ({"write_margin": -1.0}, "write_margin must be at least 0, found -1.0"),
        ({"free_steps": -1}, "free_steps must be at least 0, found -1"),
        ({"price_steps": -1}, "price_steps must be at least 0, found -1"),
        ({"reconstruction": float("nan")}, "reconstruction must be at least 0, found nan"),
        ({"core_steps": -2}, "core_steps must be at least 0, found -2"),
        ({"core_steps": 3}, "core_steps must be less than the 3 steps of the curriculum, .* found 3"),
        ({"seed": -1}, "seed must be at least 0, found -1"),
    ],
)
def test_settings_that_cannot_be_are_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        settings(**options)


@pytest.mark.parametrize(("length", "steps", "name"), [(0, 5, "length"), (5, 0, "steps")])
def test_a_stage_has_tokens_and_steps(length: int, steps: int, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, found 0"):
        Stage(length, steps)
