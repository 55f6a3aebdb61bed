"""What of a test set has been in training already."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._kmers import kmer_table, shared_pairs
from titans_seq.data.sequences.homology import check_threshold
from titans_seq.data.sequences.read import read_sequences
from titans_seq.data.sequences.sequences import Sequences

_SHOWN = 3


@dataclass(frozen=True)
class Leak:
    """A test sequence and the training sequence it is like; places count from 0.

    `share` is that of the k-mers in common, of the sequence that has fewer; 1.0 for exact copies.
    """

    test: int
    train: int
    test_id: str
    train_id: str
    share: float

    def __str__(self) -> str:
        share = "" if self.share == 1 else f" ({self.share:.0%})"
        return f"test {self.test} {self.test_id!r} = train {self.train} {self.train_id!r}{share}"


@dataclass(frozen=True)
class LeakReport:
    """What `leak_report` found. Each test sequence is in one of the three lists at most, the first that fits.

    Attributes
    ----------
    n_train, n_test : int
        Sequences compared.
    exact : tuple of Leak
        Test sequences that are in training, case aside.
    reverse_complement : tuple of Leak
        Test sequences whose opposite strand is in training.
    near : tuple of Leak
        Test sequences that share `threshold` or more of their k-mers, on either strand, with a single training
        sequence: the most alike is named.
    covered : int
        Test sequences of which `threshold` or more of the k-mers are somewhere in training, whether in one
        sequence or scattered, as repeats are; exact and near copies are among them.
    k : int
    threshold : float
    """

    n_train: int
    n_test: int
    exact: tuple[Leak, ...] = field(repr=False)
    reverse_complement: tuple[Leak, ...] = field(repr=False)
    near: tuple[Leak, ...] = field(repr=False)
    covered: int
    k: int
    threshold: float

    @property
    def n_leaks(self) -> int:
        """Test sequences in one of the three lists."""
        return len(self.exact) + len(self.reverse_complement) + len(self.near)

    def __str__(self) -> str:
        measure = f"{self.threshold:.0%} or more of their {self.k}-mers"
        lines = [f"{self.n_leaks} of {self.n_test} test sequences are like one of {self.n_train} training sequences"]
        for name, leaks in (
            ("exact copies", self.exact),
            ("reverse complements", self.reverse_complement),
            (f"near copies (share {measure} with one)", self.near),
        ):
            shown = "; ".join(map(str, leaks[:_SHOWN])) + ("; ..." if len(leaks) > _SHOWN else "")
            lines.append(f"  {name}: {len(leaks)}" + (f": {shown}" if leaks else ""))
        lines.append(f"  {measure} somewhere in training: {self.covered}")
        return "\n".join(lines)

    def raise_if_leaking(self) -> None:
        """Raise ValueError if a test sequence is in one of the three lists."""
        if self.n_leaks:
            first = (*self.exact, *self.reverse_complement, *self.near)[0]
            raise ValueError(
                f"{len(self.exact)} exact copies, {len(self.reverse_complement)} reverse complements and "
                f"{len(self.near)} near copies of training sequences are among {self.n_test} test sequences; the "
                f"first is {first}; split with split_by_homology"
            )


def leak_report(train: Any, test: Any, *, k: int = 16, threshold: float = 0.5) -> LeakReport:
    """Compare a test set with a training set, on both strands.

    Parameters
    ----------
    train, test : whatever `read_sequences` takes
    k : int, default 16
        Length of k-mers, 4 to 31.
    threshold : float, default 0.5
        Share of k-mers that makes a near copy. A base that differs breaks k of them: sequences of 41 bases
        that differ in one share 0.38 or more, sequences of 200 at least 0.91.

    Returns
    -------
    LeakReport

    Raises
    ------
    ValueError
        k or threshold out of range; what `read_sequences` refuses.
    """
    check_threshold(threshold)
    before, asked = read_sequences(train).fold(), read_sequences(test).fold()
    exact = _same(before, asked)
    turned = _same(before, asked.reverse_complement())
    table = kmer_table(Sequences.concat([before, asked]), k)
    known, new = table[: len(before)], table[len(before) :]
    near, shares = _nearest(known, new, threshold)
    kinds = np.select([exact >= 0, turned >= 0, near >= 0], [0, 1, 2], default=3)

    def leaks(kind: int, of: Int64Array, share: NDArray[np.float64]) -> tuple[Leak, ...]:
        pairs = [(i, int(of[i])) for i in np.flatnonzero(kinds == kind).tolist()]
        return tuple(Leak(i, j, asked.ids[i], before.ids[j], float(share[i])) for i, j in pairs)

    whole = np.ones(len(asked))
    return LeakReport(
        len(before),
        len(asked),
        leaks(0, exact, whole),
        leaks(1, turned, whole),
        leaks(2, near, shares),
        _covered(known, new, threshold),
        k,
        threshold,
    )


def _same(train: Sequences, test: Sequences) -> Int64Array:
    """Return the first training sequence that each test sequence equals, -1 without one: (n_test,)."""
    places: dict[bytes, int] = {}
    for i in range(len(train)):
        places.setdefault(train.codes_of(i).tobytes(), i)
    return np.array([places.get(test.codes_of(i).tobytes(), -1) for i in range(len(test))], dtype=np.int64)


def _nearest(known: Any, new: Any, threshold: float) -> tuple[Int64Array, NDArray[np.float64]]:
    """Return the training sequence each test sequence shares most with, -1 below the threshold, and the share."""
    both = np.flatnonzero((known.getnnz(axis=0) > 0) & (new.getnnz(axis=0) > 0))
    of, train, share = shared_pairs(new, known, threshold, both)
    order = np.lexsort((-train, share))  # the last one written is the largest share, the first of equal ones
    nearest, shares = np.full(new.shape[0], -1, dtype=np.int64), np.zeros(new.shape[0])
    nearest[of[order]], shares[of[order]] = train[order], share[order]
    return nearest, shares


def _covered(known: Any, new: Any, threshold: float) -> int:
    """Count the test sequences whose k-mers are, by this share, somewhere in training."""
    seen = (known.getnnz(axis=0) > 0).astype(np.int32)
    totals = np.asarray(new.sum(1)).ravel()
    return int(((new @ seen >= threshold * totals) & (totals > 0)).sum())
