"""The backward kernels with the configurations they are launched in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton

from titans_seq.memory.kernels.coefficients_backward import coefficients_backward_kernel
from titans_seq.memory.kernels.output_backward import (
    hidden_features_kernel,
    output_first_kernel,
    output_gram_kernel,
    output_hidden_kernel,
    output_queries_kernel,
)
from titans_seq.memory.kernels.rest_backward import (
    rest_carry_kernel,
    rest_initial_kernel,
    rest_keys_kernel,
    rest_linear_kernel,
)
from titans_seq.memory.kernels.state_backward import state_backward_kernel
from titans_seq.memory.kernels.state_backward_linear import state_backward_linear_kernel
from titans_seq.memory.kernels.tuning import TunedKernel, block_width

KEY = ("B", "D", "E", "DEPTH", "BOUNDED")


class RestoredKernel(TunedKernel):
    """A kernel that updates arguments in place, which measuring its configurations must leave as they were."""

    def __init__(
        self,
        kernel: Any,
        configs: Sequence[triton.Config],
        key: Sequence[str],
        fits: Callable[[triton.Config, dict[str, Any]], bool],
        restored: Sequence[str],
    ) -> None:
        super().__init__(kernel, configs, key, fits)
        prune = {"early_config_prune": self._prune}
        self._tuned = triton.autotune(list(configs), list(key), prune, restore_value=list(restored))(kernel)


def _sized(kernel: Any, settings: dict[str, int]) -> dict[int, TunedKernel]:
    """A kernel for every chunk size, in the configuration that fits into registers."""
    return {
        size: TunedKernel(kernel, [triton.Config(settings, num_warps=8 if size == 64 else 4, num_stages=1)], KEY)
        for size in (16, 32, 64)
    }


STATE_CONFIGS = [
    triton.Config({"BLOCK_E": block}, num_warps=warps, num_stages=1)
    for block, warps in ((32, 8), (64, 8), (32, 4), (64, 4))
]


def _state_fits(config: triton.Config, constants: dict[str, Any]) -> bool:
    warps = 4 if constants["B"] == 16 else 8
    return config.num_warps == warps and config.kwargs["BLOCK_E"] <= max(32, block_width(constants["E"]))


WIDE_BLOCK = 32  # of the width, per program of the kernels gridded over it


def head_block(chunk_size: int, head_dim: int) -> int:
    """Tile that holds a row of ``head_dim``.

    In chunks of 64, tiles 16 wide become Hopper's matrix instruction for 8 columns, with which Triton 3.7 is said to
    read beyond its shared memory.
    """
    return max(32 if chunk_size == 64 else 16, block_width(head_dim))


def square_block(size: int) -> int:
    """Side of the tiles of `rest_initial_kernel`."""
    return min(32, block_width(size))


FEATURES = _sized(hidden_features_kernel, {})
GRAM = _sized(output_gram_kernel, {"BLOCK_E": 32})
HIDDEN = _sized(output_hidden_kernel, {})
FIRST = _sized(output_first_kernel, {})
QUERIES = _sized(output_queries_kernel, {"BLOCK_E": 32})
STATE = RestoredKernel(
    state_backward_kernel,
    STATE_CONFIGS,
    KEY,
    _state_fits,
    ("errors_grad", "delta_grad", "feature_grad", "w1_grad", "s1_grad", "w2_grad", "s2_grad", "i1_grad"),
)
STATE_LINEAR = _sized(state_backward_linear_kernel, {})
KEYS = _sized(rest_keys_kernel, {"BLOCK_E": 32})
LINEAR = _sized(rest_linear_kernel, {"BLOCK_E": 32})
CARRY = _sized(rest_carry_kernel, {"BLOCK": 1024})
INITIAL = _sized(rest_initial_kernel, {})
COEFFICIENTS = _sized(coefficients_backward_kernel, {})
