"""How much a model carries from token to token, in bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from titans_seq.adapters.symbols import StreamModel
    from titans_seq.nn.state import LayerState

_SHARED = ("start.", "memory.initial.")  # these are parameters, not what was read


def state_bytes(model: StreamModel, least_tokens: int, *, piece_length: int = 4096) -> dict[str, Any]:
    """Count the bytes of the state of one stream.

    Parameters
    ----------
    model : StreamModel
    least_tokens : int
        Tokens read before counting, at least: only full attention holds more the more it reads. Rounded up so that
        windows are full and a memory's open chunk is as long as it gets.
    piece_length : int, default 4096
        Tokens per call.

    Returns
    -------
    dict
        ``after_tokens``; ``layers``, a dict for each with ``memory_weights``, ``momentum`` and ``all`` (these two,
        the open chunk and the weights it opened with, convolution tail, attention window or history); ``total``.
    """
    import torch

    config = model.backbone.config
    tokens = -(-max(least_tokens, config.window_size) // config.chunk_size) * config.chunk_size + config.chunk_size - 1
    state = None
    with torch.no_grad():
        for start in range(0, tokens, piece_length):
            _, state = model(_nothing(model, min(piece_length, tokens - start)), state)
    assert state is not None
    tail = getattr(state, "tail", None)  # of a stem
    layers = [_layer_bytes(layer) for layer in (state if tail is None else state.backbone).layers]
    total = sum(layer["all"] for layer in layers) + (0 if tail is None else _bytes(tail))
    return {"after_tokens": tokens, "layers": layers, "total": total}


def _nothing(model: StreamModel, tokens: int) -> Tensor:
    import torch
    from torch import nn

    embedding = model.get_submodule("embedding")
    if isinstance(embedding, nn.Linear):
        return torch.zeros(1, tokens, embedding.in_features)
    return torch.zeros(1, tokens, dtype=torch.int64)


def _layer_bytes(layer: LayerState) -> dict[str, int]:
    held = {name: _bytes(x) for name, x in layer.tensors().items() if not name.startswith(_SHARED)}

    def under(prefix: str) -> int:
        return sum(size for name, size in held.items() if name.startswith(prefix))

    return {
        "memory_weights": under("memory.weights."),
        "momentum": under("memory.momentum."),
        "all": sum(held.values()),
    }


def _bytes(x: Tensor) -> int:
    return x.numel() * x.element_size()
