"""What the analysis of memories says is what the memories did."""

from __future__ import annotations

import gc

import numpy as np
import polars as pl
import pytest
import torch
from torch import nn

from titans_seq.adapters.symbols import SymbolModel, VectorModel
from titans_seq.evaluation.analysis import analyze_stream
from titans_seq.nn import Backbone
from titans_seq.nn.mixer import Reading
from titans_seq.nn.watch import watch_memories

VARIANTS = ("mag", "mal", "mac", "lmm")
GATES = ("theta", "eta", "alpha")


def backbone(variant: str = "mag", *, n_layers: int = 2, seed: int = 0, **options: object) -> Backbone:
    torch.manual_seed(seed)
    sizes = {"d_model": 8, "n_heads": 2, "chunk_size": 4, "window_size": 6, "n_persistent": 2}
    model = Backbone(**{**sizes, **options}, n_layers=n_layers, variant=variant)
    for block in model.blocks:
        if block.mixer.__class__.__name__ in ("GatedMixer", "LayeredMixer", "ContextMixer", "MemoryMixer"):
            nn.init.normal_(block.mixer.memory.gates.weight, std=0.5)  # gates that differ from token to token
    return model


def tokens(time: int = 23, *, batch: int = 2, width: int = 8, seed: int = 1) -> torch.Tensor:
    return torch.randn(batch, time, width, generator=torch.Generator().manual_seed(seed))


def cube(table: pl.DataFrame, name: str, batch: int = 2) -> np.ndarray:
    """Return a column as (batch, time, layers, heads)."""
    layers, heads = table["layer"].n_unique(), table["head"].n_unique()
    return table[name].to_numpy().reshape(batch, -1, layers, heads)


def close(found: object, expected: object, tolerance: float = 1e-5) -> None:
    np.testing.assert_allclose(found, np.asarray(expected), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("variant", VARIANTS)
def test_gates_are_those_that_the_op_was_given(variant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from titans_seq.nn import memory_layer

    model, x = backbone(variant, n_layers=1), tokens()
    seen: list[tuple[torch.Tensor, ...]] = []
    op = memory_layer.neural_memory

    def spy(*inputs: torch.Tensor, **options: object) -> object:
        seen.append(inputs[3:6])
        return op(*inputs, **options)

    state = model.init_state(2)
    monkeypatch.setattr(memory_layer, "neural_memory", spy)
    with torch.no_grad():
        model(x, state)
    monkeypatch.undo()
    table = analyze_stream(model, x, drift_every=9).table
    for name, calls in zip(GATES, zip(*seen, strict=True), strict=True):
        close(cube(table, name)[:, :, 0], torch.cat(calls, 1)[:, : x.shape[1]])


@pytest.mark.parametrize("variant", ["mag", "mal", "lmm"])
@torch.no_grad()
def test_gates_follow_from_the_weights_of_the_layers(variant: str) -> None:
    model, x = backbone(variant), tokens()
    table = analyze_stream(model, x, drift_every=9).table
    state = model.init_state(2)
    for place, (block, layer) in enumerate(zip(model.blocks, state.layers, strict=True)):
        z = block.mixer.memory.gates(block.mixer.norm(x))[..., :6].sigmoid()
        for i, name in enumerate(GATES):
            close(cube(table, name)[:, :, place], z[..., 2 * i : 2 * i + 2])
        x = block(x, layer, Reading()).output


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_surprise_is_what_the_backbone_returns(variant: str) -> None:
    model, x = backbone(variant), tokens(40)
    _, _, surprise = model(x, return_surprise=True)
    close(cube(analyze_stream(model, x, drift_every=9).table, "surprise"), surprise)


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_drift_is_the_way_of_the_weights_from_the_initial_ones(variant: str) -> None:
    model, x = backbone(variant), tokens(20)
    found = cube(analyze_stream(model, x, drift_every=6).table, "drift")
    assert np.flatnonzero(~np.isnan(found[0, :, 0, 0])).tolist() == [5, 11, 17, 19]
    for stop in (6, 12, 18, 20):
        _, state = model(x[:, :stop])
        for place, layer in enumerate(state.layers):
            now = torch.cat([w.flatten(2) for w in layer.memory.weights], 2)
            start = torch.cat([w.flatten(1) for w in layer.memory.initial], 1)
            close(found[:, stop - 1, place], (now - start).norm(dim=-1) / start.norm(dim=-1))


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_length_of_the_pieces_does_not_change_the_table(variant: str) -> None:
    model, x = backbone(variant), tokens(30)
    whole = analyze_stream(model, x, drift_every=15).table
    for piece in (4, 7):
        pieces = analyze_stream(model, x, piece_length=piece, drift_every=15).table
        for name in whole.columns:
            assert whole[name].is_null().equals(pieces[name].is_null()), name
            close(pieces[name].fill_null(0), whole[name].fill_null(0))


def output_of(model: Backbone, x: torch.Tensor) -> torch.Tensor:
    """Return what the mixer of a backbone of one block adds to the stream."""
    return model.blocks[0].mixer(x, model.init_state(x.shape[0]).layers[0], Reading()).output


def without_head(project: nn.Linear, head: int) -> None:
    project.weight.view(project.out_features, 2, -1)[:, head] = 0


@pytest.mark.parametrize("variant", VARIANTS)
@torch.no_grad()
def test_recalled_is_what_the_stream_would_lack_without_the_head(variant: str) -> None:
    model, x = backbone(variant, n_layers=1), tokens()
    found = cube(analyze_stream(model, x, drift_every=9).table, "recalled")
    if variant == "mal":  # attention reads what the memory leaves; here its answer is not to change
        model.blocks[0].mixer.attention.project_out.weight.zero_()
    for head in (0, 1):
        whole, weight = output_of(model, x), model.blocks[0].mixer.memory.project_out.weight.clone()
        without_head(model.blocks[0].mixer.memory.project_out, head)
        close(found[:, :, 0, head], (whole - output_of(model, x)).norm(dim=-1), 1e-4)
        model.blocks[0].mixer.memory.project_out.weight.copy_(weight)


@pytest.mark.parametrize("variant", ["mag", "mal"])
@torch.no_grad()
def test_attended_is_what_the_stream_would_lack_without_the_head(variant: str) -> None:
    model, x = backbone(variant, n_layers=1), tokens()
    found = cube(analyze_stream(model, x, drift_every=9).table, "attended")
    project = model.blocks[0].mixer.attention.project_out
    for head in (0, 1):
        whole, weight = output_of(model, x), project.weight.clone()
        without_head(project, head)
        close(found[:, :, 0, head], (whole - output_of(model, x)).norm(dim=-1), 1e-4)
        project.weight.copy_(weight)


@torch.no_grad()
def test_the_one_head_of_attention_adds_all_that_mac_adds() -> None:
    model, x = backbone("mac", n_layers=1, n_heads=1), tokens()
    close(cube(analyze_stream(model, x, drift_every=9).table, "attended")[..., 0, 0], output_of(model, x).norm(dim=-1))


@torch.no_grad()
def test_the_mixing_gate_is_that_of_mag_alone() -> None:
    model, x = backbone("mag", n_layers=1), tokens()
    mixer = model.blocks[0].mixer
    mix = cube(analyze_stream(model, x, drift_every=9).table, "mix")[:, :, 0]
    close(mix, mixer.gate(mixer.norm(x)).sigmoid().mean(-1, keepdim=True).expand(-1, -1, 2))
    others = {v: analyze_stream(backbone(v, n_layers=1), x[:, :5]).table for v in ("mal", "mac", "lmm")}
    assert all(table["mix"].is_null().all() for table in others.values())
    assert [v for v, table in others.items() if table["attended"].is_null().all()] == ["lmm"]


def test_thinning_keeps_the_mean_and_the_largest_surprise() -> None:
    model, x = backbone(), tokens(101)
    full = analyze_stream(model, x, drift_every=10).table
    thin = analyze_stream(model, x, drift_every=10, max_points=7).table
    assert thin["position"].unique().to_list() == [0, 15, 30, 45, 60, 75, 90]
    assert thin.group_by("stream", "layer", "head").agg(pl.col("tokens").sum())["tokens"].unique().to_list() == [101]
    for name in ("surprise", "theta", "recalled", "mix"):
        values, mean, largest = cube(full, name), cube(thin, name), cube(thin, name + "_max")
        for i in range(7):
            close(mean[:, i], values[:, 15 * i : 15 * i + 15].mean(1))
            close(largest[:, i], values[:, 15 * i : 15 * i + 15].max(1))
    assert thin["surprise_max"].max() == full["surprise"].max()


def test_the_summary_is_of_all_tokens_however_thin_the_table_is() -> None:
    model, x = backbone(gate="hard", initial_theta=0.1), tokens(200)
    full = analyze_stream(model, x, drift_every=50)
    thin = analyze_stream(model, x, drift_every=50, max_points=3)
    assert_same(thin.summary, full.summary)
    assert_same(thin.overall, full.overall)
    values = {name: cube(full.table, name) for name in ("surprise", "theta", "drift")}
    row = full.summary.row(0, named=True)
    assert (row["stream"], row["layer"], row["head"], row["tokens"]) == (0, 0, 0, 200)
    closed = (values["theta"][0, :, 0, 0] == 0).mean()
    assert 0.1 < closed < 0.9
    close(row["closed"], closed)
    close(row["theta"], values["theta"][0, :, 0, 0].mean())
    close(row["drift"], values["drift"][0, -1, 0, 0])
    close(row["surprise_q99"], np.quantile(values["surprise"][0, :, 0, 0], 0.99, method="inverted_cdf"), 0.007)
    close(full.overall["theta"][3], values["theta"][:, :, 1, 1].mean())
    close(full.overall["drift"][3], values["drift"][:, -1, 1, 1].mean())


def test_the_last_tokens_are_those_of_the_whole_table() -> None:
    model, x = backbone("mac"), tokens(50)
    whole = analyze_stream(model, x, drift_every=10).table
    last = analyze_stream(model, x, drift_every=10, last=13).table
    assert last["position"].min() == 37
    expected = whole.filter(pl.col("position") >= 37)
    for name in whole.columns:
        close(last[name].fill_null(0), expected[name].fill_null(0))


class Endless:
    """Streams that are made as they are read; tells how many bytes of tensors were made and are held meanwhile."""

    def __init__(self, length: int) -> None:
        self.length = length
        self.held: list[int] = []

    def read(self, start: int, stop: int) -> torch.Tensor:
        if start in (64, self.length - 64):
            gc.collect()
            self.held.append(sum(x.nbytes for x in gc.get_objects() if type(x) is torch.Tensor))
        return tokens(stop - start, batch=1, seed=start)


@pytest.mark.parametrize("variant", ["mag", "mac"])
def test_what_is_held_does_not_grow_with_the_stream(variant: str) -> None:
    model, stream = backbone(variant, n_layers=1, chunk_size=16, window_size=16), Endless(1024)
    gc.freeze()  # what there was before is not looked through
    try:
        table = analyze_stream(model, stream, max_points=50, piece_length=64, drift_every=64).table
    finally:
        gc.unfreeze()
    assert len(table) <= 50 * 2
    early, late = stream.held
    assert 0 < late <= early


def test_streams_that_make_their_tokens_give_the_table_of_a_tensor() -> None:
    model, x = backbone(), tokens(30)

    class Given:
        length = 30

        def read(self, start: int, stop: int) -> torch.Tensor:
            return x[:, start:stop]

    assert_same(analyze_stream(model, Given(), drift_every=9).table, analyze_stream(model, x, drift_every=9).table)


@torch.no_grad()
def test_models_of_symbols_and_of_vectors_are_read_with_their_embedding() -> None:
    symbols = torch.randint(0, 7, (2, 30), generator=torch.Generator().manual_seed(0))
    model = SymbolModel(7, 3, backbone(n_layers=1), stem_width=4)
    state = model.init_state(2)
    with watch_memories(model, surprise=True) as watch:
        model(symbols, state)
    close(cube(analyze_stream(model, symbols, drift_every=11).table, "surprise")[:, :, 0], watch.surprise[0][0])
    vectors, x = VectorModel(5, 5, backbone()), tokens(30, width=5)
    direct = analyze_stream(vectors.backbone, vectors.embedding(x), drift_every=11).table
    assert_same(analyze_stream(vectors, x, drift_every=11).table, direct)


def assert_same(found: pl.DataFrame, expected: pl.DataFrame) -> None:
    for name in expected.columns:
        close(found[name].fill_null(0), expected[name].fill_null(0))


def test_the_model_is_left_as_it_was() -> None:
    model, x = backbone(dropout=0.5).train(), tokens()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    first = analyze_stream(model, x, drift_every=9).table
    assert model.training and all(block.mixer.training for block in model.blocks)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    hooks = [m._forward_hooks or m._forward_pre_hooks for m in model.modules()]
    assert not any(hooks) and model.blocks[0].mixer.memory.on_gates is None
    assert analyze_stream(model, x, drift_every=9).table.equals(first)  # and dropout was off


@pytest.mark.parametrize("variant", ["swa", "attention"])
def test_a_variant_without_memory_is_refused(variant: str) -> None:
    with pytest.raises(ValueError, match=f"variant '{variant}' has no memory"):
        analyze_stream(backbone(variant), tokens())


@pytest.mark.parametrize("name", ["last", "max_points", "piece_length", "drift_every"])
def test_a_count_below_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, found 0"):
        analyze_stream(backbone(), tokens(), **{name: 0})


def test_an_empty_stream_is_refused() -> None:
    with pytest.raises(ValueError, match="no token"):
        analyze_stream(backbone(), tokens(0))
