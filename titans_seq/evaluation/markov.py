"""What next-base models are measured against: Markov models of order k, and a mixture of several."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.adapters.base_counts import BaseCounts
from titans_seq.data import Sequences
from titans_seq.data.sequences.alphabet import SOFT_MASKED, CodeArray

FloatArray = NDArray[np.float64]

SMOOTHING = (16.0, 4.0, 1.0, 1 / 4, 1 / 16, 1 / 64)
"""Additive constants that are tried."""

_PIECE = 1 << 15


class MarkovModel:
    """Predicts each base from the ``order`` bases before it: p(b) = (n_b + a) / (n + 4 a).

    ``n_b`` counts how often b followed these bases on either strand of what was read: of the training sequences,
    and, if adaptive, of the sequence itself up to the base before. Each base is predicted before it is counted.

    Parameters
    ----------
    order : int
        0 to 12; longer contexts share counts, see `BaseCounts`.
    smoothing : float, optional
        The constant a. Default: the one of `SMOOTHING` that takes the fewest bits for the training sequences, each
        of whose bases is predicted before it is counted.
    both_strands : bool, default True

    Examples
    --------
    >>> from titans_seq.data import read_sequences
    >>> model = MarkovModel(1, smoothing=1.0).fit(read_sequences(["ACACAC"]))
    >>> bits_per_base(model.bits(read_sequences(["ACAC"]))) < 2
    True
    """

    def __init__(self, order: int, smoothing: float | None = None, *, both_strands: bool = True) -> None:
        self.order, self.smoothing, self.both_strands = order, smoothing, both_strands

    def fit(self, sequences: Sequences) -> MarkovModel:
        """Count the training sequences, and choose the smoothing if none was given."""
        self.counts_ = BaseCounts(self.order, both_strands=self.both_strands)
        totals = np.zeros(len(SMOOTHING))
        for codes, (counted,) in _pieces([self.counts_], sequences, learn=True):
            totals += [np.nansum(_bits(smoothed(counted, a), codes)) for a in SMOOTHING]
        self.counts_.forget_context()
        self.smoothing_ = SMOOTHING[int(np.argmin(totals))] if self.smoothing is None else self.smoothing
        return self

    def bits(self, sequences: Sequences, *, adaptive: bool = True) -> FloatArray:
        """Return -log2 of the probability of every base.

        Parameters
        ----------
        sequences : Sequences
            Read one after the other; the first ``order`` bases of each have no context and cost 2 bits.
        adaptive : bool, default True
            Whether what is read is counted. The model itself is not changed.

        Returns
        -------
        float64 array (n_bases,)
            NaN for what is not one of A, C, G and T: it is not scored, and contexts that hold it are not known.
        """
        return self.bits_at(sequences, [self.smoothing_], adaptive=adaptive)[0]

    def bits_at(self, sequences: Sequences, smoothing: Sequence[float], *, adaptive: bool = True) -> FloatArray:
        """Return the bits with each of several constants instead of that of `fit`, (len(smoothing), n_bases)."""
        pieces = _pieces([self.counts_.copy()], sequences, learn=adaptive)
        found = [np.stack([_bits(smoothed(counted, a), codes) for a in smoothing]) for codes, (counted,) in pieces]
        return np.concatenate(found, 1) if found else np.zeros((len(smoothing), 0))


class MarkovMixture:
    """Mean of Markov models of several orders and smoothings, weighted by how well each did just before.

    The weight of expert i is proportional to p_i's product over the bases read, each factor raised to ``decay`` to
    the power of its age: Bayesian averaging with discounted evidence (the mixture of GeCo, Pratas et al. 2016).

    Parameters
    ----------
    orders : sequence of int, default 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 16, 20
    smoothing : sequence of float, default 16, 1, 1/16
        Each order has an expert with each of them.
    decay : float, default 0.99
    """

    def __init__(
        self,
        orders: Sequence[int] = (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 16, 20),
        smoothing: Sequence[float] = (16.0, 1.0, 1 / 16),
        decay: float = 0.99,
    ) -> None:
        self.orders, self.smoothing, self.decay = tuple(orders), tuple(smoothing), decay

    def fit(self, sequences: Sequences) -> MarkovMixture:
        """Count the training sequences."""
        self.counts_ = [BaseCounts(order) for order in self.orders]
        for counts in self.counts_:
            for i in range(len(sequences)):
                counts.learn(sequences.codes_of(i))
        return self

    def bits(self, sequences: Sequences, *, adaptive: bool = True) -> FloatArray:
        """Return -log2 of the probability of every base, as `MarkovModel.bits`; weights begin equal."""
        found: list[FloatArray] = []
        counts = [counts.copy() for counts in self.counts_]
        for i in range(len(sequences)):
            state = np.zeros((1, len(self.orders) * len(self.smoothing)))
            for codes, counted in _pieces(counts, sequences.take([i]), learn=adaptive):
                bits, state = self._mix(codes, counted, state)
                found.append(bits)
        return _joined(found)

    def _mix(self, codes: CodeArray, counted: list[Any], state: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Bits of a piece, and the discounted log likelihoods after it, (1, experts)."""
        from scipy.signal import lfilter

        experts = np.stack([smoothed(counts, a) for counts in counted for a in self.smoothing], 1)
        letters, known = _letters(codes)
        told = np.take_along_axis(experts, letters[:, None, None], 2)[..., 0]
        gain = np.where(known[:, None], np.log(told), 0.0)
        after, _ = lfilter([1.0], [1.0, -self.decay], gain, axis=0, zi=self.decay * state)
        before = np.concatenate((state, after[:-1]))
        weights = np.exp(before - before.max(1, keepdims=True))
        likelihood = (weights * told).sum(1) / weights.sum(1)
        return np.where(known, -np.log2(likelihood), np.nan), after[-1:]


def bits_per_base(bits: FloatArray) -> float:
    """Mean of the bits of the bases that are scored; NaN if there are none."""
    scored = bits[~np.isnan(bits)]
    return float(scored.mean()) if len(scored) else float("nan")


def smoothed(counted: NDArray[Any], smoothing: float) -> FloatArray:
    """Probabilities (..., 4) from counts (..., 4)."""
    n = counted.astype(np.float64)
    return (n + smoothing) / (n.sum(-1, keepdims=True) + 4 * smoothing)


def _pieces(
    counts: Sequence[BaseCounts], sequences: Sequences, *, learn: bool
) -> Iterator[tuple[CodeArray, list[NDArray[np.uint32]]]]:
    """Read piece by piece; yields the codes, and what each of the counts had found before."""
    for i in range(len(sequences)):
        codes = sequences.codes_of(i)
        for one in counts:
            one.forget_context()
        for at in range(0, len(codes), _PIECE):
            piece = codes[at : at + _PIECE]
            yield piece, [one.read(piece, learn=learn) for one in counts]


def _letters(codes: CodeArray) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Bases from 0 to 3, and which of them are known."""
    letters = (codes & np.uint8(SOFT_MASKED - 1)).astype(np.int64)
    return letters & 3, letters < 4


def _bits(probabilities: FloatArray, codes: CodeArray) -> FloatArray:
    letters, known = _letters(codes)
    told = np.take_along_axis(probabilities, letters[:, None], 1)[:, 0]
    return np.where(known, -np.log2(told), np.nan)


def _joined(pieces: list[FloatArray]) -> FloatArray:
    return np.concatenate(pieces) if pieces else np.zeros(0)
