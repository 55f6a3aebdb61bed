"""A linear model of which k-mers a sequence holds, and of which stand where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from titans_seq.adapters.dna import N_FEATURES, BaseBatch, MixtureBatch
from titans_seq.data.sequences.alphabet import MIXTURE, SOFT_MASKED, UNKNOWN

_NUMBERS_AT_ONCE = 2**22
"""Weights or places that are held in memory at a time."""
_BEYOND = 0.1
"""How much longer or shorter than those of the fit, relative to them, sequences may be: in one three times as long a
motif would count a third."""
_PADDING = SOFT_MASKED - 1


@dataclass(frozen=True)
class Kmers:
    """Which k-mers count.

    Attributes
    ----------
    k : int
        Bases of each.
    where : {"anywhere", "chosen", "placed"}
        All k-mers, the same at any place; some of them, likewise; all of them, each differently at every place of
        sequences of one length, and of no other ones. What is added up of the first two is divided by the places there
        are in a sequence.
    """

    k: int
    where: Literal["anywhere", "chosen", "placed"] = "anywhere"

    @property
    def name(self) -> str:
        """Name of the weights."""
        return f"{self.where}_{self.k}"


class KmerScores(nn.Module):
    """Scores that are linear in the k-mers of a sequence.

    Letters that stand for several bases count as the mean over these; a k-mer with N counts nothing, nor does one that
    reaches into the padding. Of features that are no letters (`MixtureBatch`) the scores are multilinear, so that
    gradients can be taken. Beyond the limits there is no evidence, and the scores stay there: the sum for a
    homopolymer, all of one k-mer, may be a hundred times what was ever seen.

    Parameters
    ----------
    weights : dict of Kmers to Tensor
        Shape (4 ** k, n_outputs), (n chosen, n_outputs) or (n_places, 4 ** k, n_outputs). The first base of a k-mer is
        the most significant digit of its number.
    bias : Tensor, shape (n_outputs,)
    lengths : tuple of int
        Bases of the shortest and of the longest sequence that it is fitted to.
    chosen : dict of int to Tensor of int64, optional
        Of each k, the numbers of the k-mers that are chosen, ascending.
    limits : Tensor, shape (2, n_outputs), optional
        The lowest and the highest scores there can be. Default: any.
    """

    bias: Tensor
    lengths: Tensor
    limits: Tensor

    def __init__(
        self,
        weights: dict[Kmers, Tensor],
        bias: Tensor,
        lengths: tuple[int, int],
        chosen: dict[int, Tensor] | None = None,
        limits: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("lengths", torch.tensor(lengths))
        any_score = torch.tensor([[-torch.inf], [torch.inf]]).repeat(1, len(bias))
        self.register_buffer("limits", any_score if limits is None else limits.float())
        self.kinds = tuple(weights)
        self.register_buffer("bias", bias.float())
        for kind, x in weights.items():
            self.register_buffer(kind.name, x.float())
        for k, numbers in (chosen or {}).items():
            self.register_buffer(f"numbers_{k}", numbers)

    @staticmethod
    def from_tensors(tensors: dict[str, Tensor]) -> KmerScores | None:
        """Put together what `state_dict` took apart; None: there is nothing.

        Raises
        ------
        ValueError, KeyError
            Tensors that do not go together.
        """
        weights, chosen = {}, {}
        for name, x in sorted(tensors.items()):  # as they are added up: in another order the last bits differ
            where, _, k = name.partition("_")
            if where in ("anywhere", "chosen", "placed"):
                weights[Kmers(int(k), where)] = x  # type: ignore[arg-type]
            elif where == "numbers":
                chosen[int(k)] = x
        if not weights:
            return None
        for kind, x in weights.items():
            expected = len(chosen[kind.k]) if kind.where == "chosen" else 4**kind.k
            if x.shape[-2:] != (expected, len(tensors["bias"])):
                raise ValueError(f"the weights of {kind.name} have shape {tuple(x.shape)}")
        shortest, longest = tensors["lengths"].tolist()
        limits = tensors.get("limits")
        if limits is not None and limits.shape != (2, len(tensors["bias"])):
            raise ValueError(f"the limits have shape {tuple(limits.shape)}")
        return KmerScores(weights, tensors["bias"], (shortest, longest), chosen, limits)

    @property
    def placed(self) -> bool:
        """Whether places are told apart, in sequences of one length."""
        return any(kind.where == "placed" for kind in self.kinds)

    def fits(self, lengths: Tensor) -> Tensor:
        """Return of which sequences the scores say something: about as long as those it is fitted to, bool (batch,)."""
        beyond = 0.0 if self.placed and self.lengths[0] == self.lengths[1] else _BEYOND
        return (lengths >= self.lengths[0] / (1 + beyond)) & (lengths <= self.lengths[1] * (1 + beyond))

    def forward(self, batch: BaseBatch | MixtureBatch) -> Tensor:
        """Return the scores (batch, n_outputs), whether they say something or not, see `fits`."""
        scores = self.bias.expand(len(batch.lengths), -1)
        for kind in self.kinds:
            table = self._table(kind)
            found = _of_letters(batch.codes, table) if isinstance(batch, BaseBatch) else _soft(batch.features, table)
            room = batch.lengths[:, None] - kind.k + 1
            if kind.where == "placed":
                scores = scores + torch.where(room == len(getattr(self, kind.name)), found, 0.0)
            else:
                scores = scores + found / room.clamp(min=1)
        return torch.minimum(torch.maximum(scores, self.limits[0]), self.limits[1])

    def _table(self, kind: Kmers) -> _Table:
        weights = getattr(self, kind.name)
        if kind.where == "chosen":
            return _Chosen(kind.k, getattr(self, f"numbers_{kind.k}"), weights)
        return _Table(kind.k, weights if kind.where == "placed" else weights[None])


class _Table:
    """Weights (n_places, 4 ** k, n_outputs) of all k-mers; 1 place: of any."""

    def __init__(self, k: int, weights: Tensor) -> None:
        self.k, self.weights, self.n_outputs = k, weights, weights.shape[-1]
        self.size = 4**k * self.n_outputs

    def windows(self, width: int) -> int:
        """Places at which a k-mer may begin in so many columns."""
        there = max(0, width - self.k + 1)
        return there if len(self.weights) == 1 else min(there, len(self.weights))

    def of_numbers(self, numbers: Tensor, begin: int) -> Tensor:
        """Return the weights of k-mers (batch, n) that begin at the columns from ``begin`` on."""
        if len(self.weights) == 1:
            return self.weights[0, numbers]
        return self.weights[torch.arange(begin, begin + numbers.shape[1], device=numbers.device), numbers]

    def of_shares(self, shares: Tensor, columns: Tensor) -> Tensor:
        """Return the mean weights (m, n_outputs) of k-mers by the shares (m, k, 4) of their bases."""
        if len(self.weights) == 1:
            left = shares[:, 0] @ self.weights[0].reshape(4, -1)
        else:
            weights = self.weights[columns].reshape(len(shares), 4, self.size // 4)
            left = torch.einsum("ma,man->mn", shares[:, 0], weights)
        for j in range(1, self.k):
            left = torch.einsum("ma,man->mn", shares[:, j], left.reshape(len(shares), 4, left.shape[1] // 4))
        return left


class _Chosen(_Table):
    """Weights (n, n_outputs) of k-mers by their ascending numbers (n,)."""

    def __init__(self, k: int, numbers: Tensor, weights: Tensor) -> None:
        super().__init__(k, weights[None])
        self.numbers, self.size = numbers, len(numbers) * k
        places = 4 ** torch.arange(k - 1, -1, -1, device=numbers.device)
        self.bases = numbers[:, None] // places % 4

    def of_numbers(self, numbers: Tensor, begin: int) -> Tensor:
        at = torch.searchsorted(self.numbers, numbers).clamp(max=len(self.numbers) - 1)
        return torch.where((self.numbers[at] == numbers)[..., None], self.weights[0, at], 0.0)

    def of_shares(self, shares: Tensor, columns: Tensor) -> Tensor:
        product = shares[:, 0, self.bases[:, 0]]
        for j in range(1, self.k):
            product = product * shares[:, j, self.bases[:, j]]
        return product @ self.weights[0]


def _of_letters(codes: Tensor, table: _Table) -> Tensor:
    """Return what the k-mers of each row add up to, some columns at a time, (batch, n_outputs)."""
    letters = codes & (SOFT_MASKED - 1)
    total = table.weights.new_zeros(len(letters), table.n_outputs)
    windows = table.windows(letters.shape[1])
    size = max(1, _NUMBERS_AT_ONCE // max(1, len(letters) * table.n_outputs))
    for begin in range(0, windows, size):
        end = min(begin + size, windows)
        part = letters[:, begin : end + table.k - 1]
        numbers = torch.zeros_like(part[:, : end - begin], dtype=torch.int64)
        largest = torch.zeros_like(part[:, : end - begin])
        for j in range(table.k):
            base = part[:, j : j + end - begin]
            numbers, largest = 4 * numbers + (base & 3), torch.maximum(largest, base)
        found = torch.where((largest < 4)[..., None], table.of_numbers(numbers, begin), 0.0)
        total = total + found.sum(1) + _of_ambiguous(part, largest, table, begin)
    return total


def _of_ambiguous(part: Tensor, largest: Tensor, table: _Table, begin: int) -> Tensor:
    """Return what k-mers with letters for several bases, but without N, add up to."""
    shares = torch.from_numpy(MIXTURE).to(table.weights)
    rows, columns = torch.nonzero(largest >= 4, as_tuple=True)
    mixed = torch.stack([part[rows, columns + j] for j in range(table.k)], 1).long()
    known = ((mixed != UNKNOWN) & (mixed != _PADDING)).all(1)
    rows, columns, mixed = rows[known], columns[known], mixed[known]
    total = table.weights.new_zeros(len(part), table.n_outputs)
    size = max(1, _NUMBERS_AT_ONCE // table.size)
    for first in range(0, len(rows), size):
        some = slice(first, first + size)
        total = total.index_add(0, rows[some], table.of_shares(shares[mixed[some]], begin + columns[some]))
    return total


def _soft(features: Tensor, table: _Table) -> Tensor:
    """Return what features add up to: the sum over all k-mers of their weight times the product of their shares."""
    features = features[..., :N_FEATURES].to(table.weights.dtype)
    shares = features[..., :4] * (1 - features[..., 5:])
    windows = table.windows(shares.shape[1])
    total = table.weights.new_zeros(len(shares), table.n_outputs)
    size = max(1, _NUMBERS_AT_ONCE // (max(1, len(shares)) * table.size))
    for begin in range(0, windows, size):
        part = shares[:, begin : min(begin + size, windows) + table.k - 1]
        # What lies between is computed again for the gradient, else a genome would need gigabytes.
        total = total + checkpoint(_soft_piece, part, table, begin, use_reentrant=False)
    return total


def _soft_piece(shares: Tensor, table: _Table, begin: int) -> Tensor:
    windows = shares.unfold(1, table.k, 1).transpose(2, 3)  # (batch, windows, k, 4)
    n, m = windows.shape[:2]
    columns = torch.arange(begin, begin + m, device=shares.device).repeat(n)
    return table.of_shares(windows.flatten(0, 1), columns).unflatten(0, (n, m)).sum(1)
