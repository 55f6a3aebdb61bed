"""Which implementation reads a call: PyTorch anywhere, the Triton kernels on a GPU where they fit."""

from __future__ import annotations

import warnings
from functools import cache

from torch import Tensor

from titans_seq.memory._options import MemoryOptions
from titans_seq.memory._segment import SegmentEngine
from titans_seq.memory.state import MemoryState


def triton_engine(backend: str, q: Tensor, state: MemoryState, options: MemoryOptions) -> SegmentEngine | None:
    """Engine of the Triton kernels if they are to read this call, else None.

    "auto" takes them on a CUDA device; "triton" also under Triton's interpreter. Where a call does not fit them it
    goes to PyTorch, and each reason is said once.

    Raises
    ------
    ValueError
        If ``backend="triton"`` and there is neither a CUDA device under the tensors nor the interpreter.
    """
    if backend not in ("auto", "triton") or (backend == "auto" and q.device.type != "cuda"):
        return None
    reason = _missing(q.device.type)
    if reason is not None and backend == "triton":
        raise ValueError(f"backend='triton' {reason}; use backend='auto' or 'torch'")
    reason = reason or _unfit(q, state, options)
    if reason is None:
        from titans_seq.memory.kernels.engine import TritonEngine

        return TritonEngine()
    _say_once(reason)
    return None


def _missing(device: str) -> str | None:
    try:
        import triton
    except ImportError:
        return "needs the package triton, which is not installed"
    if device != "cuda" and not triton.knobs.runtime.interpret:
        return f"needs tensors on a CUDA device, found {device!r}"
    return None


def _unfit(q: Tensor, state: MemoryState, options: MemoryOptions) -> str | None:
    from titans_seq.memory.kernels.limits import why_not

    if options.surprise_threshold > 0:
        return "the kernels have no surprise threshold"
    if options.loss != "l2":
        return f"the kernels have no loss {options.loss!r}"
    if options.decay_before_error:
        return "the kernels do not take errors after forgetting"
    return why_not(q, state.initial, chunk_size=options.chunk_size)


@cache
def _say_once(reason: str) -> None:
    warnings.warn(f"{reason}: this memory is read by PyTorch instead, more slowly", stacklevel=4)
