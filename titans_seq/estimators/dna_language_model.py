"""`DNALanguageModel`: learns to predict the next base of genomes, without labels."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from titans_seq.data import Sequences, read_sequences
from titans_seq.data.sequences.alphabet import CodeArray, to_text
from titans_seq.estimators import _language_files, _language_settings, _next_base
from titans_seq.estimators._sequence_predicting import MAX_POSITIONS
from titans_seq.estimators._sequence_settings import plain

Memory = Literal["learning", "frozen", "off"]


_LONG, _SAMPLE = MAX_POSITIONS, 8192


class ReadingEstimate(NamedTuple):
    """What reading takes.

    Attributes
    ----------
    n_bases : int
    seconds : float
        On this machine, as busy as it is.
    megabytes : float
        Of tables of counts, those of the model among them, of bases and results; what PyTorch takes comes on top,
        about 500. But for 5 bytes per base it does not depend on the length.
    """

    n_bases: int
    seconds: float
    megabytes: float

    def __str__(self) -> str:
        return f"reading {self.n_bases:,} bases: about {self.seconds:,.0f} s and {self.megabytes:,.0f} MB"


class DNALanguageModel(BaseEstimator):
    """Predicts every base from those before it: Markov models of many orders, weighted by a Titans network.

    Two things go on learning while a sequence is read: the counts of the Markov models, on both strands, and the
    memory of the network. Both start from what `fit` read.

    Parameters
    ----------
    orders : sequence of int, default 1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 16, 20
        Bases of the contexts that are counted; contexts of more than 12 bases share rows by a hash.
    stem_width : int, default 16
        Bases before each that its token sees directly.
    variant : {"mag", "mal", "mac", "lmm", "swa", "attention"}, default "mag"
        How memory and attention work together; the last two have no memory.
    d_model, n_layers, n_heads, memory_depth, memory_expansion, chunk_size, window_size, n_persistent, dropout, rule
        Of the backbone; see `titans_seq.nn.Backbone`. Sizes in bases.
    piece_length : int, default 512
        Bases through which gradients reach back in training; the state reaches back to the beginning.
    max_epochs : int, default 6
        0 leaves the network alone: a fixed product of the Markov models.
    max_train_bases : int, default 2,000,000
        Bases, both strands counted, that an epoch reads at most; all bases are counted by the Markov models.
    max_minutes : float, optional
        Time that `fit` may take; training stops in time for the rest.
    learning_rate : float, default 3e-3
    batch_size : int, default 8
        Streams read side by side in training.
    validation_fraction : float, default 0.2
        The middle of the bases (of all sequences, one after the other), on which the epoch is chosen.
    early_stopping_patience : int, default 3
        Epochs without a better validation after which training stops.
    random_state : int, RandomState or None
        Owns every random number; global generators are left alone.
    verbose : int, default 1
        0 silences the line on standard error that says, terminal or not, before more than 131,072 bases are read, how
        long it takes, and how much memory.

    Attributes
    ----------
    history_ : list of dict
        Per epoch: bits per base in training and validation, seconds. Epoch 0 is the untrained network.
    validation_bits_ : float
        Bits per base of the validation stretch, whose bases are not counted in advance there.
    best_epoch_ : int
    stopped_by_ : str
        "max_epochs", "early_stopping" or "max_minutes".
    n_bases_ : int
        Bases read by `fit`.
    n_parameters_ : int
        Learned numbers of the network.
    fit_seconds_ : float

    Notes
    -----
    In training, each of four stretches is read with what was counted in the other three, so that counts say as
    much as they will of a sequence that is new; both strands of it are read. Runs on the CPU.

    How much exact repeats are used follows from those in what was trained on: with defaults, the second copy of 3,000
    random bases takes 0.06 bits per base after the first 60,000 bases of yeast chromosome I, where 1,632 stretches of
    32 bases were there before, and 1.0 after the next 60,000, where none was.

    Examples
    --------
    >>> model = DNALanguageModel(orders=(1, 2, 4), max_epochs=0).fit(["ACGGT" * 100])
    >>> model.bits_per_base(["ACGGT" * 20]) < 1
    True
    """

    def __init__(
        self,
        *,
        orders: Sequence[int] = (1, 2, 3, 4, 6, 8, 9, 10, 11, 12, 16, 20),
        stem_width: int = 16,
        variant: str = "mag",
        d_model: int = 32,
        n_layers: int = 1,
        n_heads: int = 2,
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 64,
        window_size: int = 32,
        n_persistent: int = 4,
        dropout: float = 0.0,
        rule: str = "bounded",
        piece_length: int = 512,
        max_epochs: int = 6,
        max_train_bases: int = 2_000_000,
        max_minutes: float | None = None,
        learning_rate: float = 3e-3,
        batch_size: int = 8,
        validation_fraction: float = 0.2,
        early_stopping_patience: int = 3,
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ) -> None:
        self.orders = orders
        self.stem_width = stem_width
        self.variant = variant
        self.d_model = d_model
        self.n_layers = n_layers
        self.n_heads = n_heads
        self.memory_depth = memory_depth
        self.memory_expansion = memory_expansion
        self.chunk_size = chunk_size
        self.window_size = window_size
        self.n_persistent = n_persistent
        self.dropout = dropout
        self.rule = rule
        self.piece_length = piece_length
        self.max_epochs = max_epochs
        self.max_train_bases = max_train_bases
        self.max_minutes = max_minutes
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.early_stopping_patience = early_stopping_patience
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: None = None) -> Self:
        """Learn from sequences.

        Parameters
        ----------
        X : path, strings, records, frame or Sequences
            Whatever `titans_seq.data.sequences.read_sequences` reads. Lower case counts as upper case; what is not
            one of A, C, G and T is neither predicted nor counted.
        y : None
            Ignored.

        Raises
        ------
        TypeError, ValueError
            For arguments or sequences that can't be used; fewer than 100 known bases among them.
        """
        _language_settings.check_arguments(self)
        began = time.monotonic()
        sequences = read_sequences(X, soft_mask="fold")
        _language_settings.check_enough(sequences)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        fitted = _next_base.fit_next_base(self, sequences, seed)
        self._set_fitted(fitted)
        self.n_bases_ = int(sequences.lengths.sum())
        self.fit_seconds_ = time.monotonic() - began
        return self

    def _set_fitted(self, fitted: _next_base.Fitted) -> None:
        self._model, self._counts = fitted.model, fitted.counts
        training = fitted.training
        self.history_, self.best_epoch_ = training.history, training.best_epoch
        self.validation_bits_, self.stopped_by_ = training.best_validation, training.stopped_by
        self.n_parameters_ = sum(p.numel() for p in fitted.model.parameters())

    # --- reading -------------------------------------------------------------------------------------------

    def surprise(
        self, X: Any, *, memory: Memory = "learning", counts: Literal["learning", "frozen"] = "learning"
    ) -> list[NDArray[np.float32]]:
        """Return how many bits every base takes: -log2 of its probability, given those before it.

        Parameters
        ----------
        X : path, strings, records, frame or Sequences
            As for `fit`. They are read one after the other, at a memory that does not grow with their length: the
            counts learn from all of them, the network begins anew with each.
        memory : {"learning", "frozen", "off"}, default "learning"
            What the network's memory does while it reads: learn, answer with the weights it begins with, or
            answer nothing.
        counts : {"learning", "frozen"}, default "learning"
            Whether the Markov models learn from what is read, or know only what `fit` read.

        Returns
        -------
        list of float32 array (length,)
            One for each sequence. NaN where there is not one of A, C, G and T.
        """
        _language_settings.check_reading(memory, counts, self.variant)
        sequences = self._sequences(X)
        self._announce(sequences)
        reader = self._reader(memory, counts)
        return [self._bits(reader, sequences.codes_of(i)) for i in range(len(sequences))]

    def estimate(self, X: Any) -> ReadingEstimate:
        """Return how long `surprise` takes for these sequences, and how much memory.

        Parameters
        ----------
        X : path, strings, records, frame or Sequences
            As for `fit`. The first 8,192 bases are read to take the time.
        """
        return self._estimate(self._sequences(X))

    def _announce(self, sequences: Sequences) -> None:
        if self.verbose and len(sequences.codes) > _LONG:
            print(self._estimate(sequences), file=sys.stderr, flush=True)

    def _estimate(self, sequences: Sequences) -> ReadingEstimate:
        n, first = len(sequences.codes), sequences.codes[:_SAMPLE]
        reader = _next_base.Reader(self._model, self._counts, "learning", learn=True)
        began = time.perf_counter()
        reader.read(first)
        seconds = (time.perf_counter() - began) * n / len(first)
        tables = sum(counts.table.nbytes for counts in self._counts)
        return ReadingEstimate(n, seconds, (2 * tables + 5 * n) / 2**20)

    def bits_per_base(
        self, X: Any, *, memory: Memory = "learning", counts: Literal["learning", "frozen"] = "learning"
    ) -> float:
        """Return the mean of `surprise` over all bases that are one of A, C, G and T; 2 is what chance takes.

        Parameters
        ----------
        X, memory, counts
            As for `surprise`.
        """
        found = np.concatenate(self.surprise(X, memory=memory, counts=counts))
        return float(np.nanmean(found, dtype=np.float64)) if not np.isnan(found).all() else float("nan")

    def score(self, X: Any, y: None = None) -> float:
        """Return minus `bits_per_base`: higher is better."""
        return -self.bits_per_base(X)

    def embed(self, X: Any) -> NDArray[np.float32]:
        """Return the mean of the network's hidden tokens over each sequence.

        The memory learns within a sequence; counts do not, so that a sequence's vector does not depend on others.

        Parameters
        ----------
        X : path, strings, records, frame or Sequences
            As for `fit`.

        Returns
        -------
        float32 array (n_sequences, d_model)
        """
        sequences = self._sequences(X)
        self._announce(sequences)
        reader = self._reader("learning", "frozen")
        rows = []
        for i in range(len(sequences)):
            codes = sequences.codes_of(i)
            totals = [piece.hidden.double().sum(0).numpy() for piece in reader.pieces(codes)]
            rows.append(np.sum(totals, axis=0) / len(codes))
        return np.stack(rows).astype(np.float32)

    def generate(
        self,
        prefix: str,
        n: int,
        *,
        temperature: float = 1.0,
        random_state: int | np.random.RandomState | None = None,
    ) -> str:
        """Draw bases that follow a prefix, one after the other; what is drawn is learned like what is read.

        Parameters
        ----------
        prefix : str
            May be empty.
        n : int
            Bases to draw.
        temperature : float, default 1.0
            Logarithms of probabilities are divided by it; 0 takes the likeliest base each time.
        random_state : int, RandomState or None

        Returns
        -------
        str
            The ``n`` bases alone.
        """
        check_is_fitted(self)
        _language_settings.check_generation(n, temperature)
        reader = _next_base.Reader(self._model, self._counts, "learning", learn=True)
        if prefix:
            for _ in reader.pieces(read_sequences([prefix], soft_mask="fold").codes):
                pass
        random, drawn = check_random_state(random_state), np.zeros(n, dtype=np.uint8)
        for at in range(n):
            drawn[at] = _draw(reader.ahead().numpy(), temperature, random)
            reader.read(drawn[at : at + 1])
        return to_text(drawn)

    # --- saving --------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a folder with ``model.safetensors`` and ``model.json``; it appears whole or not at all.

        Raises
        ------
        FileExistsError
            If ``path`` exists and is not a saved model.
        """
        check_is_fitted(self)
        _language_files.save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote; answers are those of the model that was saved, to the last bit.

        Raises
        ------
        FileNotFoundError, ValueError
            If there is no saved model, or it is damaged or another estimator's.
        """
        return _language_files.load(cls, path)

    def network_arguments(self) -> dict[str, Any]:
        """Return what the network is built from, as plain values."""
        return {name: plain(getattr(self, name)) for name in _next_base.OF_NETWORK} | {
            "orders": [int(order) for order in self.orders]
        }

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")

    def _sequences(self, X: Any) -> Sequences:
        check_is_fitted(self)
        return read_sequences(X, soft_mask="fold")

    def _reader(self, memory: str, counts: str) -> _next_base.Reader:
        return _next_base.Reader(self._model, self._counts, memory, learn=counts == "learning")

    def _bits(self, reader: _next_base.Reader, codes: CodeArray) -> NDArray[np.float32]:
        return np.concatenate([_next_base.bits_of(piece) for piece in reader.pieces(codes)])


def pretrain(fasta: Any, **options: Any) -> DNALanguageModel:
    """Learn to predict the next base of unlabelled sequences.

    Parameters
    ----------
    fasta : path, strings, records, frame or Sequences
        Whatever `titans_seq.data.sequences.read_sequences` reads.
    **options
        Arguments of `DNALanguageModel`; a name it does not have is a TypeError.

    Returns
    -------
    DNALanguageModel
        Fitted.
    """
    return DNALanguageModel(**options).fit(fasta)


def _draw(probabilities: NDArray[np.float64], temperature: float, random: np.random.RandomState) -> int:
    if temperature == 0:
        return int(np.argmax(probabilities))
    weights = probabilities ** (1 / temperature)
    return int(np.searchsorted(np.cumsum(weights / weights.sum()), random.random_sample(), side="right").clip(max=3))
