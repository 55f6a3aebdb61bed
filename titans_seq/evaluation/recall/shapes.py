"""Recall in a time series: a rare shape seen once, to be reproduced when its cue returns much later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from titans_seq.evaluation.recall.haystacks import BLOCK, Keys, block_generator, read_blocks
from titans_seq.evaluation.recall.trials import IntArray, at_least, check_length, scatter

FloatArray = npt.NDArray[np.float32]
SPIKE = 4.0
PERSISTENCE = 0.9


@dataclass(frozen=True)
class ShapeTrials:
    """Patches of a noisy series with cues and shapes in it. Attributes beyond those of `Trials`:

    Attributes
    ----------
    keys : uint64 array, shape (trials,)
        Seed of each row's noise.
    places : int array, shape (trials, n)
    patches : float array, shape (trials, n, patch_length)
        What is put where.
    """

    keys: Keys
    length: int
    places: IntArray
    patches: FloatArray
    questions: IntArray
    answers: Tensor
    answer_length: int = 1

    def read(self, start: int, stop: int) -> Tensor:
        """Return patches ``start`` to ``stop``, float of shape (trials, stop - start, patch_length)."""
        series = read_blocks(self._block, self.keys, start, stop)
        row, column = np.nonzero((self.places >= start) & (self.places < stop))
        series[row, self.places[row, column] - start] = self.patches[row, column]
        return torch.from_numpy(series)

    def _block(self, key: int, block: int) -> FloatArray:
        """Autoregressive noise of unit variance, begun anew every block."""
        return _smooth(1, BLOCK * self.patches.shape[2], block_generator(key, block)).reshape(BLOCK, -1)


@dataclass(frozen=True)
class Shapes:
    """A cue (a spike, then a waveform of its own) is followed by a shape; when it returns, what follows?

    Attributes
    ----------
    n_shapes : int
        Cues in a stream, each with a shape; all return at the end, in random order.
    patch_length : int
        Steps of a token: of a cue, and of a shape.
    vary : bool
        1 to ``n_shapes`` of them.
    """

    n_shapes: int = 2
    patch_length: int = 8
    vary: bool = False

    def __post_init__(self) -> None:
        at_least(1, n_shapes=self.n_shapes)
        at_least(2, patch_length=self.patch_length)  # a cue is more than its spike

    @property
    def name(self) -> str:
        """Name in tables."""
        return f"shapes_{self.n_shapes}"

    def draw(self, n: int, length: int, random: np.random.Generator) -> ShapeTrials:
        """Draw trials of ``length`` patches."""
        check_length(length, 4 * self.n_shapes, self)
        count = int(random.integers(1, self.n_shapes + 1)) if self.vary else self.n_shapes
        cues = _smooth(n * count, self.patch_length, random, 0.5).reshape(n, count, -1)
        cues[:, :, 0] = SPIKE
        shapes = _smooth(n * count, self.patch_length, random, 0.5).reshape(n, count, -1)
        places = scatter(count, 2, length - 2 * count, n, random)
        order = random.permuted(np.tile(np.arange(count), (n, 1)), axis=1)[..., None]
        cued, answers = np.take_along_axis(cues, order, 1), np.take_along_axis(shapes, order, 1)
        # Noise follows a cue's return: what came before must be remembered, not copied from the stream.
        returns = np.tile(length - 2 * count + 2 * np.arange(count), (n, 1))
        return ShapeTrials(
            random.integers(0, 2**63, n, dtype=np.uint64), length, np.concatenate((places, places + 1, returns), 1),
            np.concatenate((cues, shapes, cued), 1), returns, torch.from_numpy(answers),
        )  # fmt: skip


def _smooth(rows: int, steps: int, random: np.random.Generator, persistence: float = PERSISTENCE) -> FloatArray:
    """Draw autoregressive series of unit variance."""
    from scipy.signal import lfilter  # half a second to import

    white = random.standard_normal((rows, steps)) * np.sqrt(1 - persistence**2)
    white[:, 0] /= np.sqrt(1 - persistence**2)
    return np.asarray(lfilter([1.0], [1.0, -persistence], white, axis=1), np.float32)
