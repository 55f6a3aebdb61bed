"""Cells that measure time: rate, roofline, flat, attention, share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from _memory import contenders as c
from _memory.flops import flops_per_token, needed_per_token, products
from _memory.measure import Run, Timing, interleave, matmul_runs, ratio

Result = dict[str, Any]


def rate(mode: str, time: int, d_model: int, rounds: int, expansion: int = 4) -> Result:
    """Ours against titans-pytorch, in one process, in turn."""
    x = c.tokens(1, time, d_model)
    peer: Result = {"default_model_kwargs": {"depth": 2, "expansion_factor": float(expansion)}}
    reads = {
        "layer, bounded": c.our_layer(d_model, 1, expansion),
        "layer, titans": c.our_layer(d_model, 1, expansion, rule="titans"),
        "titans-pytorch, batch_size=64": c.peer_layer(d_model, batch_size=64, **peer),
        "titans-pytorch, default": c.peer_layer(d_model, **peer),
    }
    runs = {name: c.as_run(read, x, mode) for name, read in reads.items()}
    for rule in ("bounded", "titans"):
        runs[f"op, {rule}"] = c.OpInputs(1, time, 1, d_model, expansion, rule=rule).run(mode)
    finite = {name: _finite(read, x) for name, read in reads.items()}
    timings = interleave(runs, rounds)
    return {
        "contenders": {name: timing.record(time) | {"finite": finite.get(name)} for name, timing in timings.items()},
        "times_as_fast_as_peer": _ratios(timings, peers="titans-pytorch"),
    }


def _finite(read: c.Read, x: torch.Tensor) -> bool | None:
    with torch.no_grad():
        try:
            return bool(read(x).isfinite().all())
        except (RuntimeError, MemoryError):
            return None


def _ratios(timings: Mapping[str, Timing], peers: str) -> dict[str, dict[str, float | None]]:
    """CPU seconds of each peer over ours: above 1, ours is faster."""
    return {
        name: {peer: ratio(timings[peer], timing) for peer in timings if peer.startswith(peers)}
        for name, timing in timings.items()
        if not name.startswith(peers)
    }


def roofline(
    batch: int, time: int, n_heads: int, head_dim: int, expansion: int, rounds: int, chunk_size: int = 64
) -> Result:
    """FLOP of the formula per second of the op (median), over what matrix products reach here (best of the rounds)."""
    shape = (batch, time, n_heads, head_dim, expansion)
    ops = {rule: c.OpInputs(*shape, chunk_size=chunk_size, rule=rule) for rule in ("bounded", "titans")}
    runs: dict[str, Run] = {
        f"{rule}, {mode}": op.run(mode) for rule, op in ops.items() for mode in ("forward", "train")
    }
    groups, hidden = batch * n_heads, expansion * head_dim
    matmuls = matmul_runs({
        "2048 x 2048 x 2048": (1, 2048, 2048, 2048),
        "512 x 512 x 512": (1, 512, 512, 512),
        "64 x 128 x 512": (1, 64, 128, 512),
        f"shape of the op: {groups} x ({chunk_size} x {head_dim} x {hidden})": (groups, chunk_size, head_dim, hidden),
    })  # fmt: skip
    timings = interleave(runs | {name: run for name, (run, _) in matmuls.items()}, rounds)
    rates = {name: flop / min(timings[name].cpu) for name, (_, flop) in matmuls.items()}
    rules = {
        rule: _fractions(rule, op, timings, rates, (n_heads, head_dim, hidden, chunk_size)) for rule, op in ops.items()
    }
    return {"matmul_flop_per_cpu_second": rates, "rules": rules}


def _fractions(
    rule: str, op: c.OpInputs, timings: Mapping[str, Timing], rates: Mapping[str, float], dims: tuple[int, ...]
) -> Result:
    n_heads, head_dim, hidden, chunk_size = dims
    per_token = n_heads * flops_per_token(head_dim, hidden, chunk_size, rule)
    needed = n_heads * needed_per_token(head_dim, hidden, chunk_size, rule)
    forward, train = (timings[f"{rule}, {mode}"].record(op.tokens) for mode in ("forward", "train"))
    done = per_token * forward.get("tokens_per_cpu_second", 0.0)
    return {
        "flop_per_token": per_token,
        "flop_per_token_needed": needed,
        "products": {f"{p.part}: {p.name}": p.dense * n_heads for p in products(head_dim, hidden, chunk_size, rule)},
        "forward": forward,
        "train": train,
        "flop_per_cpu_second": done,
        "fraction_of": {name: done / rate for name, rate in rates.items()},
        "fraction_of_best": done / max(rates.values()),
        "fraction_of_best_needed": done * needed / per_token / max(rates.values()),
        "train_over_forward": ratio(timings[f"{rule}, train"], timings[f"{rule}, forward"]),
    }


def flat(mode: str, lengths: list[int], repeats: list[int], d_model: int = 128, expansion: int = 4) -> Result:
    """Tokens per CPU second against length: a rate that does not fall is a cost that is linear."""
    read = c.our_layer(d_model, 1, expansion)
    runs = {str(n): c.as_run(read, c.tokens(1, n, d_model), mode) for n in lengths}
    timings = interleave(runs, max(repeats), dict(zip(runs, repeats, strict=True)))
    return {"lengths": {name: timing.record(int(name)) for name, timing in timings.items()}}


def attention(time: int, rounds: int, d_model: int = 128) -> Result:
    """One layer forward: memory, causal attention, LSTM."""
    reads = {
        "memory, 1 head of 128, expansion 4": c.our_layer(d_model, 1, 4),
        "memory, 4 heads of 32, expansion 2": c.our_layer(d_model, 4, 2),
        "attention, 4 heads of 32": c.attention_layer(d_model, 4),
        "attention, 1 head of 128": c.attention_layer(d_model, 1),
        "LSTM": c.lstm_layer(d_model),
    }
    x = c.tokens(1, time, d_model)
    timings = interleave({name: c.forward_run(read, x) for name, read in reads.items()}, rounds)
    return {"time": time, "contenders": {name: timing.record(time) for name, timing in timings.items()}}


def share(time: int, rounds: int, d_model: int = 128, batch: int = 1) -> Result:
    """How much of a `mag` block's forward time is its memory layer, on the same input."""
    from titans_seq.nn import Backbone
    from titans_seq.nn.mixer import Reading

    block = Backbone(d_model=d_model, n_layers=1, variant="mag").blocks[0]
    mixer: Any = block.mixer
    x = c.tokens(batch, time, d_model)
    with torch.no_grad():
        state, inside = block.init_state(batch), mixer.norm(x)
        persistent = mixer.norm(mixer.persistent)
    runs = {
        "block": c.forward_run(lambda x: block(x, state, Reading()).output, x),
        "memory layer": c.forward_run(lambda x: mixer.memory(x, state)[0], inside),
        "window attention": c.forward_run(lambda x: mixer.attention(x, state.window, persistent=persistent)[0], inside),
        "gated MLP": c.forward_run(block.mlp, inside),
    }
    timings = interleave(runs, rounds)
    parts = {name: ratio(timing, timings["block"]) for name, timing in timings.items() if name != "block"}
    return {
        "parts": {name: timing.record(batch * time) for name, timing in timings.items()},
        "share_of_block": parts,
    }
