"""What a language model of DNA says of every base, on both strands, beside the base itself.

The model stays as it was trained. It reads a sequence from either end; of each base it has its hidden token, made of
the bases before it, and the probabilities it gives to the four bases: from both ends, all but the base itself.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.adapters.dna import BaseBatch, BaseFeatures, DNAExamples, MixtureBatch, length_batches
from titans_seq.adapters.next_base import HORIZONS, NOTHING, Evidence, NextBaseModel, letters_of
from titans_seq.data.sequences.alphabet import UNKNOWN
from titans_seq.nn._ragged import take_rows, valid_tokens

STRETCH = 8192
"""Bases after which the model begins anew: what it says of a base depends on at most as many before it."""

_AT_ONCE = 2**14
"""Bases, padding counted, that are read side by side."""

_KEPT = 2**30
"""Bytes of what is said of examples that are kept at most."""


class BaseLanguage:
    """A trained next-base model, in double precision, that never changes; copies of it are itself.

    Parameters
    ----------
    model : NextBaseModel
    counts : sequence of BaseCounts
        What was counted in training; nothing is counted any more.
    parameters : dict
        What the model is built from, for those who save it.
    """

    def __init__(self, model: NextBaseModel, counts: Sequence[BaseCounts], parameters: dict[str, Any]) -> None:
        self.model = copy.deepcopy(model).double().eval().requires_grad_(False)
        self.counts, self.parameters = list(counts), parameters

    def __deepcopy__(self, memo: dict[int, Any]) -> BaseLanguage:
        return self

    @property
    def n_features(self) -> int:
        """Numbers of each base, those of both strands."""
        return 2 * (self.model.backbone.config.d_model + 4)

    def read(self, batch: BaseBatch) -> Tensor:
        """Return what is said of every base, (batch, length, n_features), zero in the padding.

        The first half is that of the strand given, the second that of the other one, in its own letters: on the
        opposite strand the halves change places.
        """
        batch = batch.to("cpu")
        back = batch.lengths[:, None] - 1 - torch.arange(batch.codes.shape[1])
        behind = take_rows(self.read_strand(batch.reverse_complement()), back.clamp_min(0))
        both = torch.cat((self.read_strand(batch), behind), 2)
        return torch.where(valid_tokens(batch.lengths, both.shape[1])[..., None], both, 0.0)

    def read_stretch(self, batch: BaseBatch, begin: int, end: int) -> Tensor:
        """Return what `read` says of bases ``begin`` to ``end - 1`` of a batch of one sequence."""
        batch, length = batch.to("cpu"), int(batch.lengths[0])
        ahead = self._part(batch, begin, end)
        behind = self._part(batch.reverse_complement(), length - end, length - begin).flip(1)
        return torch.cat((ahead, behind), 2)

    def _part(self, batch: BaseBatch, begin: int, end: int) -> Tensor:
        first = begin // STRETCH * STRETCH
        last = min(-(-end // STRETCH) * STRETCH, batch.codes.shape[1])
        part = BaseBatch(batch.codes[:, first:last], torch.full_like(batch.lengths, last - first))
        return self.read_strand(part)[:, begin - first : end - first]

    @torch.no_grad()
    def read_strand(self, batch: BaseBatch) -> Tensor:
        """Return hidden tokens and log2 of the probabilities over those of chance, (batch, length, d_model + 4)."""
        rows, width = batch.codes.shape
        pieces = []
        for at in range(0, width, STRETCH):
            part = batch.codes[:, at : at + STRETCH]
            lengths = (batch.lengths - at).clamp(0, part.shape[1])
            n = max(1, _AT_ONCE // part.shape[1])
            said = [self._say(part[i : i + n], lengths[i : i + n]) for i in range(0, rows, n)]
            pieces.append(torch.cat(said))
        return torch.cat(pieces, 1)

    def _say(self, codes: Tensor, lengths: Tensor) -> Tensor:
        evidence = evidence_of(self.counts, self.model.width, codes.numpy())
        logits, hidden, _ = self.model(evidence, lengths=lengths)
        return torch.cat((hidden, (logits.log_softmax(2) + np.log(4)) / np.log(2)), 2)

    def prepare(self, examples: DNAExamples) -> DNAExamples:
        """Return examples that bring along what is said of their bases, if that is not too much to keep."""
        lengths = examples.lengths
        if 4 * self.n_features * int(lengths.sum()) > _KEPT:
            return examples
        offsets = examples.sequences.offsets
        kept = np.empty((int(offsets[-1]), self.n_features), dtype=np.float32)
        for rows in length_batches(lengths, 256, _AT_ONCE):
            said = self.read(examples.batch(rows)).float().numpy()
            for i, row in enumerate(rows):
                kept[offsets[row] : offsets[row + 1]] = said[i, : lengths[row]]
        return DNAExamples(examples.sequences, kept)


class LanguageFeatures(nn.Module):
    """Features of bases, and behind them what a language model says of each.

    Parameters
    ----------
    language : BaseLanguage
        No part of the weights of this module.
    """

    def __init__(self, language: BaseLanguage) -> None:
        super().__init__()
        self.language, self.bases = language, BaseFeatures()

    def forward(self, batch: BaseBatch | MixtureBatch) -> Tensor:
        """Return features (batch, length, N_FEATURES + n_features)."""
        if isinstance(batch, MixtureBatch):
            return batch.features
        said = self.language.read(batch) if batch.context is None else batch.context
        return self._beside(self.bases(batch), said)

    def stretch(self, batch: BaseBatch, begin: int, end: int) -> Tensor:
        """Return features of bases ``begin`` to ``end - 1`` of a batch of one sequence."""
        return self._beside(self.bases.stretch(batch, begin, end), self.language.read_stretch(batch, begin, end))

    def _beside(self, features: Tensor, said: Tensor) -> Tensor:
        said = said.to(features.device)
        return torch.cat((features.to(said.dtype), said), 2)


def evidence_of(counts: Sequence[BaseCounts], width: int, codes: NDArray[np.uint8]) -> Evidence:
    """Return what is known before each base of a batch of sequences, in double precision.

    As `EvidenceReader` with counts that don't learn says of each row read from its beginning.

    Parameters
    ----------
    counts : sequence of BaseCounts
    width : int
        Bases before each that are handed out.
    codes : uint8 array (batch, time)
        Of padding, any code that is no base.
    """
    letters = letters_of(codes)
    rows, time = letters.shape
    apart = np.concatenate((np.full((rows, 1), UNKNOWN, dtype=np.uint8), letters), 1).ravel()
    found = np.stack([_counts(one, apart).reshape(rows, time + 1, 4)[:, 1:] for one in counts], 2)
    before = np.concatenate((np.full((rows, width), NOTHING, dtype=np.uint8), letters[:, : time - 1]), 1)
    clipped = np.minimum(found, np.iinfo(np.uint16).max).astype(np.float64)
    gains = _gains(found.astype(np.float64), letters)
    return Evidence(torch.from_numpy(clipped), torch.from_numpy(gains), torch.from_numpy(before))


def _counts(counts: BaseCounts, letters: NDArray[np.uint8]) -> NDArray[np.uint32]:
    own = counts.share()
    own.forget_context()
    return own.read(letters, learn=False)


def _gains(counts: NDArray[np.float64], letters: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Exponential averages of 2 - bits of each order over the bases before each, (batch, time, …)."""
    from scipy.signal import lfilter

    told = np.take_along_axis(counts, (letters & 3).astype(np.int64)[..., None, None], 3)[..., 0]
    gain = np.log2(4 * (told + 1 / 16) / (counts.sum(3) + 1 / 4))
    gain[letters >= UNKNOWN] = 0.0
    averages = []
    for horizon in HORIZONS:
        keep = 1 - 1 / horizon
        after = lfilter([1 - keep], [1.0, -keep], gain, axis=1)
        averages.append(np.concatenate((np.zeros_like(after[:, :1]), after[:, :-1]), 1))
    return np.concatenate(averages, 2)
