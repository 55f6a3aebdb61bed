"""The op: one function that everything else is built on."""

from __future__ import annotations

from functools import partial
from typing import Literal, overload

import torch
from torch import Tensor

from titans_seq.memory._dispatch import triton_engine
from titans_seq.memory._options import MemoryOptions, check_choice
from titans_seq.memory._segment import full_precision
from titans_seq.memory._step_token import needs_graph, step_token
from titans_seq.memory.chunked import chunked_memory
from titans_seq.memory.reference import reference_memory
from titans_seq.memory.state import MemoryState

Output = tuple[Tensor, MemoryState]
OutputWithSurprise = tuple[Tensor, MemoryState, Tensor]
BACKENDS = ("auto", "reference", "torch", "triton")


@overload
def neural_memory(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    backend: str = "auto",
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    surprise_threshold: float = 0.0,
    loss: str = "l2",
    decay_before_error: bool = False,
    checkpoint_every: int | None = None,
    return_surprise: Literal[False] = False,
) -> Output: ...
@overload
def neural_memory(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    backend: str = "auto",
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    surprise_threshold: float = 0.0,
    loss: str = "l2",
    decay_before_error: bool = False,
    checkpoint_every: int | None = None,
    return_surprise: Literal[True],
) -> OutputWithSurprise: ...
def neural_memory(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    theta: Tensor,
    eta: Tensor,
    alpha: Tensor,
    state: MemoryState,
    *,
    chunk_size: int = 64,
    rule: str = "bounded",
    backend: str = "auto",
    mask: Tensor | None = None,
    lengths: Tensor | None = None,
    surprise_threshold: float = 0.0,
    loss: str = "l2",
    decay_before_error: bool = False,
    checkpoint_every: int | None = None,
    return_surprise: bool = False,
) -> Output | OutputWithSurprise:
    """Read tokens with a memory that learns them as it goes (Titans, arXiv 2501.00663, section 3).

    For each token, per head: the error of the memory f(k; W) against v gives a gradient, which enters the
    momentum S_t = η_t S_{t−1} − θ_t ∇ℓ_t; the weights follow M_t = (1 − α_t) M_{t−1} [+ α_t M_init] + S_t; the
    output is y_t = f(q_t; M_t). Gradients within a chunk are taken at the weights with which it opened.

    Parameters
    ----------
    q, k, v : Tensor, shape (batch, time, heads, head_dim)
        Queries, keys (both of unit length for the rule's bounds to hold) and values; any floating dtype.
        Computation runs in the state's dtype, or higher if the inputs' is.
    theta, eta, alpha : Tensor, shape (batch, time, heads)
        Step, momentum and forgetting gates in [0, 1], both ends included. Not checked, for speed.
    state : MemoryState
        From `init_state` or from an earlier call. It is not changed.
    chunk_size : int, default 64
        Tokens that share one point of linearisation. Chunk boundaries stand at multiples of it in each row's
        own position, so a stream fed in pieces is the stream fed whole. A chunk costs its square whether it is
        full or not.
    rule : {"bounded", "titans"}, default "bounded"
        "titans" is the paper's rule and can diverge on repeated keys; "bounded" normalises the step, lets
        errors see what earlier tokens of the chunk corrected, and forgets towards the initial weights.
    backend : {"auto", "torch", "triton", "reference"}, default "auto"
        "torch" runs anywhere; "triton" are kernels for CUDA devices, which "auto" takes there where the call fits
        them (else PyTorch reads it, and a warning says why, once). "reference" is the float64 token loop that
        specifies the rule. "auto" and "torch" read a single token as `memory_step` does where no gradient is
        asked for.
    mask : Tensor of bool, shape (batch, time), optional
        False marks a missing token: it is read but neither writes, decays nor moves momentum; whatever
        stands in its k, v and gates (NaN included) reaches nothing.
    lengths : Tensor of int, shape (batch,), optional
        Tokens beyond are padding: not read at all, their outputs are zero.
    surprise_threshold : float, default 0.0 (off)
        A token whose error at the opening weights is at most this is treated as masked.
    loss : {"l2", "dot"}, default "l2"
        "dot" replaces the error by −v (linear attention); rule "titans" only.
    decay_before_error : bool, default False
        Take each token's error after its own forgetting (gated delta rule); rule "bounded" only.
    checkpoint_every : int, optional
        Chunks between the states that the backward pass keeps; what lies between is computed again. Default: about
        the square root of the number of chunks, which keeps training memory low at one more forward pass.
    return_surprise : bool, default False
        Also return ‖e_t‖ of the rule in use, shape (batch, time, heads); 0 where masked.

    Returns
    -------
    y : Tensor, shape and dtype of ``v``
    state : MemoryState
    surprise : Tensor, shape (batch, time, heads)
        Only with ``return_surprise=True``.

    Raises
    ------
    RuntimeError
        In a backward pass with ``create_graph=True``, for memories of one or two layers: their gradient is derived
        by hand and cannot be differentiated again. ``backend="reference"`` can.
    ValueError
        For shapes that do not fit the state, an unknown rule, backend or loss, a chunk size other than that
        of the state's open chunk, or lengths outside [0, time].
    """
    check_choice("backend", backend, BACKENDS)
    options = MemoryOptions(
        chunk_size, rule, loss, surprise_threshold, decay_before_error, return_surprise, checkpoint_every
    )
    _check_shapes(q, k, v, theta, eta, alpha, state)
    check_chunk_size(state, chunk_size)
    dtype = compute_dtype(state, q, k, v, theta, eta, alpha)
    engine = triton_engine(backend, q, state, options)
    # The kernels take tokens as they are and keep to single precision inside.
    tokens, read_as = dtype if engine is None else q.dtype, v.dtype
    q, k, v = (x.to(tokens) for x in (q, k, v))
    inputs = (q, k, v, theta.to(dtype), eta.to(dtype), alpha.to(dtype))
    state, rows = state.to(dtype=dtype), _row_lengths(lengths, q)
    with full_precision(q.device.type):
        if q.shape[1] == 1 and backend in ("auto", "torch") and not needs_graph(state, *inputs):
            y, new, surprise = _read_one(inputs, state, mask, lengths, options)
        else:
            read = reference_memory if backend == "reference" else partial(chunked_memory, engine=engine)
            y, new, surprise = read(*inputs, state, mask=_full_mask(mask, q), lengths=rows, options=options)
    y = y.to(read_as)
    return (y, new) if surprise is None else (y, new, surprise)


def _read_one(
    inputs: tuple[Tensor, ...], state: MemoryState, mask: Tensor | None, lengths: Tensor | None, options: MemoryOptions
) -> tuple[Tensor, MemoryState, Tensor | None]:
    keep = None if mask is None else _full_mask(mask, inputs[0])[:, 0]
    read = None if lengths is None else lengths.to(inputs[0].device) > 0
    one = [x[:, 0].to(state.dtype) for x in inputs]
    y, new, surprise = step_token(one, state, options, keep=keep, read=read)
    return y[:, None], new, None if surprise is None else surprise[:, None]


def compute_dtype(state: MemoryState, *inputs: Tensor) -> torch.dtype:
    """Half precision inputs are read in the state's precision; double inputs raise it."""
    dtype = torch.promote_types(state.dtype, torch.float32)
    for x in inputs:
        dtype = dtype if x.dtype == dtype else torch.promote_types(dtype, x.dtype)
    return dtype


def _check_shapes(
    q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, state: MemoryState
) -> None:
    if q.dim() != 4:
        raise ValueError(f"q must have shape (batch, time, heads, head_dim), found {tuple(q.shape)}")
    for name, x, shape in (
        ("k", k, q.shape),
        ("v", v, q.shape),
        ("theta", theta, q.shape[:3]),
        ("eta", eta, q.shape[:3]),
        ("alpha", alpha, q.shape[:3]),
    ):
        if x.shape != shape:
            raise ValueError(f"{name} must have shape {tuple(shape)} to go with q, found {tuple(x.shape)}")
    batch, heads, head_dim, _ = state.weights[0].shape
    if (batch, heads, head_dim) != (q.shape[0], q.shape[2], q.shape[3]):
        raise ValueError(
            f"the state has batch {batch}, heads {heads}, head_dim {head_dim}; "
            f"q has batch {q.shape[0]}, heads {q.shape[2]}, head_dim {q.shape[3]}"
        )


def check_chunk_size(state: MemoryState, chunk_size: int) -> None:
    """Raise a ValueError if a chunk is open that was read with another chunk size."""
    if state.chunk_size in (0, chunk_size):
        return
    if any(bool((state.position % size).any()) for size in (state.chunk_size, chunk_size)):
        raise ValueError(
            f"the state's open chunk was read with chunk_size={state.chunk_size}, found chunk_size={chunk_size}"
        )


def _row_lengths(lengths: Tensor | None, q: Tensor) -> tuple[int, ...]:
    if lengths is None:
        return (q.shape[1],) * q.shape[0]
    if not isinstance(lengths, Tensor) or lengths.is_floating_point() or lengths.shape != q.shape[:1]:
        found = f"{lengths.dtype} of {tuple(lengths.shape)}" if isinstance(lengths, Tensor) else repr(lengths)
        raise ValueError(f"lengths must be a tensor of integers of shape ({q.shape[0]},), found {found}")
    rows = tuple(int(n) for n in lengths.tolist())
    for row, n in enumerate(rows):
        if not 0 <= n <= q.shape[1]:
            raise ValueError(f"lengths[{row}] must lie in [0, {q.shape[1]}], found {n}")
    return rows


def _full_mask(mask: Tensor | None, q: Tensor) -> Tensor:
    if mask is None:
        return torch.ones(q.shape[:2], dtype=torch.bool, device=q.device)
    if mask.shape != q.shape[:2] or mask.dtype != torch.bool:
        raise ValueError(f"mask must be bool of shape {tuple(q.shape[:2])}, found {mask.dtype} of {tuple(mask.shape)}")
    return mask
