"""Groups of sequences that are alike, and splits that keep each group on one side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._chromosomes import common_name
from titans_seq.data.sequences._kmers import kmer_table, shared_pairs
from titans_seq.data.sequences.coordinates import Interval
from titans_seq.data.sequences.read import read_sequences
from titans_seq.data.sequences.sequences import Sequences


def homology_groups(sequences: Any, k: int = 16, threshold: float = 0.2) -> Int64Array:
    """Return a group for each sequence; sequences that are alike are in one group.

    Two sequences are linked if they share `threshold` or more of the different k-mers of the one that has fewer, on
    either strand; a group is everything that is linked, also through others (single linkage). All pairs are
    compared; of more than 20 million bases a random share of the k-mers stands for all. Sequences that are equal, or
    each other's reverse complement, are always in one group; shorter than k they are in no other.

    Parameters
    ----------
    sequences : whatever `read_sequences` takes
    k : int, default 16
        Length of k-mers, 4 to 31. Sixteen bases at random occur once in two thousand million, both strands
        counted; one differing base breaks sixteen k-mers.
    threshold : float, default 0.2
        Share of k-mers, over 0 to 1. Of two windows that overlap by a fifth, or differ in a tenth of their bases,
        about 0.2 is shared.

    Returns
    -------
    int64 array (n,)
        Numbers from 0, by first appearance: `groups` of scikit-learn's ``GroupKFold`` and others.

    Raises
    ------
    ValueError
        k or threshold out of range, no sequences; what `read_sequences` refuses.
    """
    check_threshold(threshold)
    sequences = read_sequences(sequences)
    if not len(sequences):
        raise ValueError("there are no sequences to group")
    table = kmer_table(sequences, k)
    groups = _join(len(sequences), *equal_pairs(sequences))
    groups = _link_neighbours(table, groups, threshold)
    # K-mers whose owners are in one group already link nothing more: the repeats of near copies cost no pairs.
    left, right, _ = shared_pairs(table, table, threshold, _columns_of_several(table, groups))
    return _renumber(_join(len(sequences), left, right, groups))


def split_by_homology(
    sequences: Any,
    *,
    test_size: float = 0.2,
    k: int = 16,
    threshold: float = 0.2,
    random_state: int | np.random.Generator | None = None,
) -> tuple[Int64Array, Int64Array]:
    """Split sequences so that none of the test part is like one of the training part.

    Parameters
    ----------
    sequences : whatever `read_sequences` takes
    test_size : float, default 0.2
        Share of the sequences that are tested, over 0 and under 1; groups are kept whole, so the share is met
        as nearly as their sizes allow, from below.
    k, threshold : int, float
        What counts as alike, see `homology_groups`.
    random_state : int, Generator or None, default None
        Decides on the groups that are tested.

    Returns
    -------
    train, test : int64 arrays
        Places of the sequences, ascending.

    Raises
    ------
    ValueError
        Arguments out of range, or groups too large to be split; what `read_sequences` refuses.
    """
    if not 0 < test_size < 1:
        raise ValueError(f"test_size must be over 0 and under 1, got {test_size}")
    sequences = read_sequences(sequences)
    groups = homology_groups(sequences, k, threshold)
    sizes = np.bincount(groups)
    room = round(test_size * len(sequences))
    chosen = np.zeros(len(sizes), dtype=np.bool_)
    for group in np.random.default_rng(random_state).permutation(len(sizes)):
        if sizes[group] <= room:
            chosen[group] = True
            room -= int(sizes[group])
    tested = chosen[groups]
    if not tested.any() or tested.all():
        raise ValueError(
            f"{len(sequences)} sequences in {len(sizes)} groups, the largest of {sizes.max()}, leave no test part of "
            f"{test_size:g}; raise threshold or test_size, or split by chromosome"
        )
    return np.flatnonzero(~tested), np.flatnonzero(tested)


def split_by_chromosome(
    chroms: Iterable[str | int | Interval], test: Sequence[str | int], validation: Sequence[str | int] = ()
) -> tuple[Int64Array, ...]:
    """Split windows of a genome by their chromosomes.

    Names are one with or without ``chr``, as for `Genome`: ``1`` and ``chr1``, ``MT``, ``M`` and ``chrM``. Numbers are
    read as their text.

    Parameters
    ----------
    chroms : iterable of str, int or Interval
        Chromosome of each window.
    test, validation : sequence of str or int
        Names of the chromosomes held out; with `validation` there are three parts.

    Returns
    -------
    train, test or train, validation, test : int64 arrays
        Places of the windows, ascending.

    Raises
    ------
    ValueError
        A name that no window has, one that is held out twice, or nothing left for training.
    """
    if any(isinstance(part, str) or not isinstance(part, Iterable) for part in (test, validation)):
        raise TypeError("test and validation must be lists of names, such as ['chr8', 'chr9']")
    written = [str(one.chrom if isinstance(one, Interval) else one) for one in chroms]
    held = [[str(name) for name in part] for part in (test, validation)]
    _check_held(held[0], held[1], list(dict.fromkeys(written)))
    names = np.array([common_name(name) for name in written])
    tested, validated = (np.isin(names, [common_name(name) for name in part]) for part in held)
    train = np.flatnonzero(~(tested | validated))
    if not len(train):
        raise ValueError("no chromosome is left for training")
    return (train, *(np.flatnonzero(chosen) for chosen in (validated, tested) if chosen.any()))


def _check_held(test: Sequence[str], validation: Sequence[str], there: Sequence[str]) -> None:
    """Refuse chromosomes to be held out of which there are none, or that are named twice."""
    known, held = {common_name(name) for name in there}, [*test, *validation]
    unknown = [name for name in held if common_name(name) not in known]
    if unknown or not test:
        listed = ", ".join(map(repr, there[:8])) + (", ..." if len(there) > 8 else "")
        raise ValueError(f"no window is on {unknown[0] if unknown else 'a test chromosome'!r}; there are {listed}")
    first: dict[str, str] = {}
    for name in held:
        if (other := first.setdefault(common_name(name), name)) != name or held.count(name) > 1:
            are_one = f"{other!r} and {name!r} are one" if other != name else repr(name)
            raise ValueError(f"a chromosome is held out twice: {are_one}")


def check_threshold(threshold: float) -> None:
    """Refuse what is no share of k-mers."""
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be over 0 and at most 1, got {threshold}")


def equal_pairs(sequences: Sequences) -> tuple[Int64Array, Int64Array]:
    """Return pairs (first of its kind, later one) of sequences equal on one strand or the other, case aside."""
    folded = sequences.fold()
    opposite = folded.reverse_complement()
    first: dict[bytes, int] = {}
    pairs = []
    for i in range(len(sequences)):
        key = min(folded.codes_of(i).tobytes(), opposite.codes_of(i).tobytes())
        if (j := first.setdefault(key, i)) != i:
            pairs.append((j, i))
    left, right = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return left, right


def _join(n: int, left: Int64Array, right: Int64Array, groups: Int64Array | None = None) -> Int64Array:
    """Return the groups after joining pairs of sequences."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if groups is not None:
        left, right = groups[left], groups[right]
    links = coo_matrix((np.ones(len(left), dtype=np.int8), (left, right)), shape=(n, n))
    joined = connected_components(links, directed=False)[1].astype(np.int64)
    return joined if groups is None else joined[groups]


def _link_neighbours(table: Any, groups: Int64Array, threshold: float) -> Int64Array:
    """Join sequences with the first one that has the same k-mer, if they are alike."""
    by_kmer = table.tocsc()
    firsts = np.repeat(by_kmer.indices[by_kmer.indptr[:-1]], np.diff(by_kmer.indptr)) if table.nnz else by_kmer.indices
    pairs = np.unique(firsts.astype(np.int64) * len(groups) + by_kmer.indices)
    left, right = pairs // len(groups), pairs % len(groups)
    apart = groups[left] != groups[right]
    left, right = left[apart], right[apart]
    alike = _shares(table, left, right) >= threshold
    return _join(len(groups), left[alike], right[alike], groups)


def _shares(table: Any, left: Int64Array, right: Int64Array) -> Any:
    """Return the share of k-mers that pairs of sequences have in common, some pairs at a time."""
    totals = np.asarray(table.sum(1)).ravel()
    step = max(1, 20_000_000 // max(1, int(totals.max(initial=1))))
    found = [np.zeros(0)]
    for begin in range(0, len(left), step):
        a, b = left[begin : begin + step], right[begin : begin + step]
        common = np.asarray(table[a].multiply(table[b]).sum(1)).ravel()
        found.append(common / np.minimum(totals[a], totals[b]))
    return np.concatenate(found)


def _columns_of_several(table: Any, groups: Int64Array) -> Int64Array:
    """Return the k-mers whose owners are in more than one group."""
    by_kmer = table.tocsc()
    if not table.nnz:
        return np.zeros(0, dtype=np.int64)
    of = groups[by_kmer.indices]
    starts = by_kmer.indptr[:-1]
    return np.flatnonzero(np.minimum.reduceat(of, starts) != np.maximum.reduceat(of, starts))


def _renumber(groups: Int64Array) -> Int64Array:
    """Return the same groups, numbered by first appearance."""
    _, first, numbers = np.unique(groups, return_index=True, return_inverse=True)
    order = np.empty(len(first), dtype=np.int64)
    order[np.argsort(first)] = np.arange(len(first))
    return order[numbers]
