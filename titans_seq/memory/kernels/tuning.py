"""Launching a kernel in one of its configurations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import triton

INTERPRETED: bool = triton.knobs.runtime.interpret
DOT_PRECISION = "ieee" if INTERPRETED else "tf32"


def block_width(head_dim: int) -> int:
    """Smallest tile that holds a row of ``head_dim``: a power of two, at least 16 for the tensor cores."""
    return max(16, triton.next_power_of_2(head_dim))


class TunedKernel:
    """A kernel and its configurations.

    On a GPU the fastest is measured once for every value of ``key`` and data type; the interpreter takes the first.

    Parameters
    ----------
    kernel : triton.JITFunction
    configs : sequence of triton.Config
        The default comes first.
    key : sequence of str
        Names of the constants that a choice holds for.
    fits : callable, optional
        ``fits(config, constants)``: whether a configuration makes sense for these constants; if none does, the
        default is taken.
    """

    def __init__(
        self,
        kernel: Any,
        configs: Sequence[triton.Config],
        key: Sequence[str],
        fits: Callable[[triton.Config, dict[str, Any]], bool] = lambda config, constants: True,
    ) -> None:
        self.kernel, self.all_configs, self.fits = kernel, tuple(configs), fits
        self._tuned = triton.autotune(list(configs), list(key), {"early_config_prune": self._prune})(kernel)

    def configs(self, constants: dict[str, Any]) -> list[triton.Config]:
        """Configurations to choose from for these constants, the default first."""
        return [c for c in self.all_configs if self.fits(c, constants)] or [self.all_configs[0]]

    def __call__(self, grid: tuple[int, ...], *args: Any, **constants: Any) -> None:
        """Launch; ``constants`` are the kernel's constexprs, without those that a configuration sets."""
        if INTERPRETED:
            self.kernel[grid](*args, **constants, **self.configs(constants)[0].kwargs)
        else:
            self._tuned[grid](*args, **constants)

    def _prune(self, configs: list[triton.Config], named: dict[str, Any], **constants: Any) -> list[triton.Config]:
        return self.configs(constants)
