"""The op: one function that everything else is built on."""

from __future__ import annotations

from typing import Literal, overload

import torch
from torch import Tensor

from titans_seq.memory.chunked import chunked_memory
from titans_seq.memory.reference import Settings, reference_memory
from titans_seq.memory.rules import RULES
from titans_seq.memory.state import MemoryState

Output = tuple[Tensor, MemoryState]
OutputWithSurprise = tuple[Tensor, MemoryState, Tensor]
BACKENDS = ("auto", "reference", "torch")


@overload
def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, state: MemoryState, *,
    chunk_size: int = 64, rule: str = "bounded", backend: str = "auto", mask: Tensor | None = None,
    lengths: Tensor | None = None, surprise_threshold: float = 0.0, loss: str = "l2",
    decay_before_error: bool = False, return_surprise: Literal[False] = False,
) -> Output: ...
@overload
def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, state: MemoryState, *,
    chunk_size: int = 64, rule: str = "bounded", backend: str = "auto", mask: Tensor | None = None,
    lengths: Tensor | None = None, surprise_threshold: float = 0.0, loss: str = "l2",
    decay_before_error: bool = False, return_surprise: Literal[True],
) -> OutputWithSurprise: ...
def neural_memory(
    q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, state: MemoryState, *,
    chunk_size: int = 64, rule: str = "bounded", backend: str = "auto", mask: Tensor | None = None,
    lengths: Tensor | None = None, surprise_threshold: float = 0.0, loss: str = "l2",
    decay_before_error: bool = False, return_surprise: bool = False,
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
        own position, so a stream fed in pieces is the stream fed whole.
    rule : {"bounded", "titans"}, default "bounded"
        "titans" is the paper's rule and can diverge on repeated keys; "bounded" normalises the step, lets
        errors see what earlier tokens of the chunk corrected, and forgets towards the initial weights.
    backend : {"auto", "torch", "reference"}, default "auto"
        "reference" is the float64 token loop that specifies the rule; "auto" takes "torch".
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
    ValueError
        For shapes that do not fit the state, an unknown rule, backend or loss, a chunk size other than that
        of the state's open chunk, or lengths outside [0, time].
    """
    _check_options(rule, backend, loss, chunk_size, surprise_threshold, decay_before_error)
    _check_shapes(q, k, v, theta, eta, alpha, state)
    _check_chunk_size(state, chunk_size)
    row_lengths = _row_lengths(lengths, q)
    mask = _full_mask(mask, q)
    if backend == "reference":
        settings = Settings(chunk_size, rule, loss, surprise_threshold, decay_before_error)
        y, new, surprise = reference_memory(
            q, k, v, theta, eta, alpha, state, mask=mask, lengths=list(row_lengths), settings=settings
        )
        y, new = y.to(v.dtype), new.to(dtype=_compute_dtype(state, q, k, v, theta, eta, alpha))
    else:
        dtype = _compute_dtype(state, q, k, v, theta, eta, alpha)
        inputs = (x.to(dtype) for x in (q, k, v, theta, eta, alpha))
        y, new, surprise = _chunked(
            *inputs, state.to(dtype=dtype), mask=mask, lengths=row_lengths, chunk_size=chunk_size, rule=rule, loss=loss,
            surprise_threshold=surprise_threshold, decay_before_error=decay_before_error, return_surprise=return_surprise,
        )
        y = y.to(v.dtype)
    return (y, new, surprise) if return_surprise else (y, new)  # type: ignore[return-value]


def _chunked(q: Tensor, *args: Tensor | MemoryState, lengths: tuple[int, ...], **options: object) -> tuple[Tensor, MemoryState, Tensor | None]:
    return chunked_memory(q, *args, lengths=lengths, **options)  # type: ignore[arg-type]


def _compute_dtype(state: MemoryState, *inputs: Tensor) -> torch.dtype:
    """Half precision inputs are read in the state's precision; double inputs raise it."""
    dtype = torch.promote_types(state.dtype, torch.float32)
    for x in inputs:
        dtype = torch.promote_types(dtype, x.dtype)
    return dtype


def _check_options(
    rule: str, backend: str, loss: str, chunk_size: int, surprise_threshold: float, decay_before_error: bool
) -> None:
    for name, value, allowed in (
        ("rule", rule, tuple(RULES)), ("backend", backend, BACKENDS), ("loss", loss, ("l2", "dot")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, found {value!r}")
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, found {chunk_size}")
    if not surprise_threshold >= 0:
        raise ValueError(f"surprise_threshold must be 0 (off) or positive, found {surprise_threshold}")
    if loss == "dot" and rule != "titans":
        raise ValueError(f"loss 'dot' has no error to bound: use rule='titans', found rule={rule!r}")
    if decay_before_error and rule != "bounded":
        raise ValueError(f"decay_before_error needs rule='bounded', found rule={rule!r}")


def _check_shapes(q: Tensor, k: Tensor, v: Tensor, theta: Tensor, eta: Tensor, alpha: Tensor, state: MemoryState) -> None:
    if q.dim() != 4:
        raise ValueError(f"q must have shape (batch, time, heads, head_dim), found {tuple(q.shape)}")
    for name, x, shape in (
        ("k", k, q.shape), ("v", v, q.shape), ("theta", theta, q.shape[:3]), ("eta", eta, q.shape[:3]), ("alpha", alpha, q.shape[:3]),
    ):
        if x.shape != shape:
            raise ValueError(f"{name} must have shape {tuple(shape)} to go with q, found {tuple(x.shape)}")
    batch, heads, head_dim, _ = state.weights[0].shape
    if (batch, heads, head_dim) != (q.shape[0], q.shape[2], q.shape[3]):
        raise ValueError(
            f"the state has batch {batch}, heads {heads}, head_dim {head_dim}; "
            f"q has batch {q.shape[0]}, heads {q.shape[2]}, head_dim {q.shape[3]}"
        )


def _check_chunk_size(state: MemoryState, chunk_size: int) -> None:
    if state.chunk_size in (0, chunk_size):
        return
    if state.pending.width or bool((state.position % chunk_size).any()):
        raise ValueError(f"the state's open chunk was read with chunk_size={state.chunk_size}, found chunk_size={chunk_size}")


def _row_lengths(lengths: Tensor | None, q: Tensor) -> tuple[int, ...]:
    if lengths is None:
        return (q.shape[1],) * q.shape[0]
    if lengths.shape != q.shape[:1]:
        raise ValueError(f"lengths must have shape ({q.shape[0]},), found {tuple(lengths.shape)}")
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
