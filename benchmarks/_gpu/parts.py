"""The parts of the GPU benchmark; each takes a `Setup` and returns what goes into its record."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _memory.contenders import CausalAttention, OpInputs
from _memory.flops import flops_per_token
from torch import Tensor, nn

from _gpu.setup import Run, Setup, attempt, interleave, prepared
from titans_seq.nn import NeuralMemory

Result = dict[str, Any]
ROOT = Path(__file__).parents[2]


def kernel_tests(setup: Setup) -> Result:
    """Run the kernel tests on the device, compiled, and count what came of them."""
    if setup.device != "cuda":
        return {"skipped": "kernels run compiled on a GPU only"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/memory", "-k", "kernels"]
    env = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    lines = done.stdout.strip().splitlines() or [""]
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?|deselected)", lines[-1])}
    return {"exit_code": done.returncode, "counts": counts, "summary": lines[-1], "tail": lines[-30:]}


def layer(setup: Setup) -> Result:
    """Tokens per second of the layer in bf16, by expansion, streams and backend, beside titans-pytorch."""
    out: Result = {"peer": _peer_missing()}
    for expansion in (2, 4):
        for batch in setup.batches:
            for mode in ("train", "forward"):
                runs = _layer_runs(setup, expansion, batch, mode)
                name = f"expansion {expansion}, batch {batch}, {batch * setup.n_heads} heads in all, {mode}"
                out[name] = interleave(runs, setup, batch * setup.time)
    return out


def _layer_runs(setup: Setup, expansion: int, batch: int, mode: str) -> dict[str, Run]:
    x = _tokens(setup, batch, setup.time)
    makes: dict[str, Callable[[], Run]] = {}
    for backend in setup.backends:
        makes[f"ours, {backend}"] = partial(_our_run, setup, expansion, backend, x, mode)
    if _peer_missing() is None:
        for name, options in (("batch_size=64", {"batch_size": 64}), ("default", {})):
            makes[f"titans-pytorch, {name}"] = partial(_peer_run, setup, expansion, options, x, mode)
    return {name: prepared(make) for name, make in makes.items()}


def _our_run(setup: Setup, expansion: int, backend: str, x: Tensor, mode: str) -> Run:
    return _module_run(_ours(setup, expansion, backend), x, mode)


def _tokens(setup: Setup, batch: int, length: int) -> Tensor:
    generator = torch.Generator(setup.device).manual_seed(0)
    x = torch.randn(batch, length, setup.d_model, generator=generator, device=setup.device)
    return x.to(torch.bfloat16).requires_grad_()


def _ours(setup: Setup, expansion: int, backend: str) -> nn.Module:
    made = NeuralMemory(setup.d_model, setup.n_heads, memory_expansion=expansion, chunk_size=64, backend=backend)
    return made.to(setup.device, torch.bfloat16)


def _peer_run(setup: Setup, expansion: int, options: dict[str, Any], x: Tensor, mode: str) -> Run:
    """titans-pytorch under autocast: its weights stay fp32."""
    from titans_pytorch import NeuralMemory as PeerMemory

    made: nn.Module = PeerMemory(
        dim=setup.d_model, heads=setup.n_heads, dim_head=setup.head_dim, chunk_size=64,
        default_model_kwargs={"depth": 2, "expansion_factor": float(expansion)}, **options,
    )  # fmt: skip
    return _module_run(made.to(setup.device), x, mode, autocast=True)


def _peer_missing() -> str | None:
    try:
        import titans_pytorch  # noqa: F401
    except ImportError as error:
        return f"not installed: {error}"
    return None


def _module_run(module: nn.Module, x: Tensor, mode: str, *, autocast: bool = False) -> Run:
    def read() -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=autocast):
            y = module(x.float() if autocast else x)
        return y[0] if isinstance(y, tuple) else y

    def forward() -> Tensor:
        with torch.no_grad():
            return read()

    def train() -> None:
        module.zero_grad(set_to_none=True)
        x.grad = None
        read().float().square().mean().backward()

    return train if mode == "train" else forward


def long_stream(setup: Setup) -> Result:
    """Seconds per layer of one long stream, read forward in pieces with a carried state."""
    x = _tokens(setup, 1, setup.piece).detach()
    pieces = setup.stream // setup.piece
    runs = {name: prepared(partial(_stream_run, setup, name, x, pieces)) for name in setup.backends}
    times = interleave(runs, setup, setup.stream, rounds=3, warm_up=1)
    for name, record in times.items():
        if "error" not in record:
            record["finite"] = bool(runs[name]().isfinite().all())
    return {"tokens": setup.stream, "piece": setup.piece, "forward": times}


def _stream_run(setup: Setup, backend: str, x: Tensor, pieces: int) -> Run:
    module = _ours(setup, 2, backend)

    def run() -> Tensor:
        state, y = None, x
        with torch.no_grad():
            for _ in range(pieces):
                y, state = module(x, state)
        return y

    return run


def roofline(setup: Setup) -> Result:
    """FLOP of the formula per second of the op, over the measured bf16 matrix product rate."""
    n, hidden_groups = setup.matmul, setup.batches[-1] * setup.n_heads
    square = [_random(setup, n, n) for _ in range(2)]
    small = [_random(setup, hidden_groups, 64, setup.head_dim), _random(setup, hidden_groups, setup.head_dim, 256)]
    runs: dict[str, Run] = {
        f"{n} x {n} x {n}": lambda: square[0] @ square[1],
        f"{hidden_groups} x (64 x {setup.head_dim} x 256)": lambda: small[0] @ small[1],
    }
    times = interleave(runs, setup, 1)
    flop = [2.0 * n**3, 2.0 * hidden_groups * 64 * setup.head_dim * 256]
    rates = {name: f / (r["milliseconds_range"][0] / 1e3) for (name, r), f in zip(times.items(), flop, strict=True)}
    out: Result = {"matmul_flop_per_second": rates}
    for expansion in (2, 4):
        for batch in setup.batches:
            out[f"expansion {expansion}, batch {batch}"] = _op_rate(setup, expansion, batch, max(rates.values()))
    return out


def _random(setup: Setup, *shape: int) -> Tensor:
    return torch.randn(*shape, device=setup.device, dtype=torch.bfloat16)


def _op_rate(setup: Setup, expansion: int, batch: int, ceiling: float) -> Result:
    runs = {
        f"{backend}, {mode}": prepared(partial(_op_run, setup, batch, setup.time, expansion, backend, mode))
        for backend in setup.backends
        for mode in ("forward", "train")
    }
    times = interleave(runs, setup, batch * setup.time)
    per_token = setup.n_heads * flops_per_token(setup.head_dim, expansion * setup.head_dim, 64)
    for name, record in times.items():
        if name.endswith("forward") and "error" not in record:
            record["flop_per_second"] = per_token * record["tokens_per_second"]
            record["fraction_of_matmul"] = record["flop_per_second"] / ceiling
    return {"flop_per_token": per_token} | times


def _op(setup: Setup, batch: int, length: int, expansion: int, backend: str) -> OpInputs:
    return OpInputs(
        batch, length, setup.n_heads, setup.head_dim, expansion, backend=backend, device=setup.device,
        dtype=torch.bfloat16,
    )  # fmt: skip


def _op_run(setup: Setup, batch: int, length: int, expansion: int, backend: str, mode: str) -> Run:
    return _op(setup, batch, length, expansion, backend).run(mode)


def attention(setup: Setup) -> Result:
    """One layer forward against length: ours and fused causal attention; and bare ops, with those of fla."""
    out: Result = {"fla": _fla_missing()}
    for batch in setup.length_batches:
        for length in setup.lengths:
            name = f"batch {batch}, {length} tokens"
            out[name] = attempt(partial(_attention_case, setup, batch, length))
    return out


def _attention_case(setup: Setup, batch: int, length: int) -> Result:
    x, backend = _tokens(setup, batch, length), setup.backends[0]
    softmax = CausalAttention(setup.d_model, setup.n_heads).to(setup.device, torch.bfloat16)
    op = _op(setup, batch, length, 2, backend)
    runs: dict[str, Run] = {
        "attention layer": _module_run(softmax, x, "forward"),
        f"memory layer, expansion 2, {backend}": _our_run(setup, 2, backend, x, "forward"),
        f"memory op, expansion 2, {backend}": op.run("forward"),
    }
    if _fla_missing() is None:
        runs |= {name: prepared(partial(make, op)) for name, make in FLA.items()}
    return interleave(runs, setup, batch * length)


def _gated_delta(op: OpInputs) -> Run:
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule

    q, k, v, theta, _, alpha = (x.detach() for x in op.inputs)
    g, beta = torch.log1p(-alpha), theta.to(q.dtype)
    return lambda: chunk_gated_delta_rule(q=q, k=k, v=v, g=g, beta=beta)


def _ttt_linear(op: OpInputs) -> Run:
    from fla.ops.ttt import chunk_ttt_linear

    q, k, v, theta, _, _ = (x.detach() for x in op.inputs)
    w, b = torch.ones_like(q[0, 0]), torch.zeros_like(q[0, 0])
    eta = theta.to(q.dtype)[..., None] / q.shape[-1]
    return lambda: chunk_ttt_linear(q=q, k=k, v=v, w=w, b=b, eta=eta, chunk_size=16)


FLA: dict[str, Callable[[OpInputs], Run]] = {
    "fla gated delta rule op (matrix memory)": _gated_delta,
    "fla TTT-linear op (matrix memory)": _ttt_linear,
}


def _fla_missing() -> str | None:
    try:
        import fla  # noqa: F401
    except Exception as error:  # fla's import fails in many ways on a machine without a GPU
        return f"not installed: {error}"[:300]
    return None


def forecaster(setup: Setup) -> Result:
    """Fit and score the embedded CO2 series on the GPU in bf16 and fp32, and on the CPU: same test windows."""
    places = [("cpu", "32")] + [("cuda", "32"), ("cuda", "bf16")] * (setup.device == "cuda")
    return {
        f"{d}, {precision}": attempt(partial(_fit_and_score, d, precision, setup.epochs)) for d, precision in places
    }


def _fit_and_score(device: str, precision: str, epochs: int) -> Result:
    from titans_seq import TitansForecaster
    from titans_seq.data import load_dataset

    co2, (train, validation) = load_dataset("co2"), (1660, 312)
    made = TitansForecaster(
        26, variant="mag", patch_length=8, max_epochs=epochs, learning_rate=0.003, random_state=0, device=device,
        precision=precision, verbose=0,
    )  # fmt: skip
    began = time.perf_counter()
    made.fit(co2[:train], validation=co2[train : train + validation])
    fitted = time.perf_counter()
    result = made.backtest(co2, first_cutoff=train + validation, mode="streaming", stride=8, components=True)
    observed = result.observed
    errors = {name: (point - result.actual)[observed] for name, point in result.components.items()}
    return {
        "mse": {name: float((e**2).mean()) for name, e in errors.items()},
        "windows": result.n_windows,
        "network_weight": float(made.network_weight_),
        "fit_seconds": fitted - began,
        "backtest_seconds": time.perf_counter() - fitted,
    }


PARTS: dict[str, Callable[[Setup], Result]] = {
    "kernel_tests": kernel_tests,
    "layer": layer,
    "long_stream": long_stream,
    "roofline": roofline,
    "attention": attention,
    "forecaster": forecaster,
}
