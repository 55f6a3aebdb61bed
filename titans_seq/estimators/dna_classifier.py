"""`DNAClassifier`: labels of DNA sequences."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Literal, Self

import numpy as np

from titans_seq.adapters.dna import N_FEATURES
from titans_seq.estimators._dna import DNAEstimator
from titans_seq.estimators._sequence_answers import Classifying
from titans_seq.estimators._sequence_targets import ClassTargets, class_weights, read_groups, read_labels, row_weights
from titans_seq.training.checkpoint import Checkpoint


class DNAClassifier(Classifying, DNAEstimator):
    """Tells DNA sequences apart: convolutions, and a Titans backbone that reads them in both directions.

    Two heads answer, one that pools over the sequence and, where most have one length, one that keeps what is where;
    beside them a linear model of k-mers. Validation rows choose how much each counts, whether both strands are read,
    which epoch's weights are kept, and the temperature of the probabilities. Weights are averaged over the last steps.
    Letters other than A, C, G and T are the mixtures they stand for. In training some bases, and runs of up to a
    quarter of a sequence, are read as N, drawn anew each time, so that N says that nothing is known there.

    Parameters
    ----------
    reverse_complement : {"auto", True, False}, default "auto"
        True: sequences are read from either strand in training, and from both when they are predicted, so that a
        sequence and its reverse complement get the same answer. False: from the strand they are given in. "auto": the
        first network is trained on one strand until it has clearly learned something, and it is clear whether it reads
        the reverse complements of validation rows as well, by the standard error of what they lose to it. If that does
        not become clear by 45 % of the epochs, a fifth of them is trained both ways, and the better validation score
        counts.
    class_weight : {"balanced"}, dict or None, default None
        What the rows of a class count, as in scikit-learn. Probabilities are those of the weighted rows.
    kmers : bool, default True
        Whether a linear model of k-mers may count beside each network: of those of 2, 4 and 6 bases anywhere in a
        sequence and, where most have one length, of up to 4 bases at each place of these. Validation rows choose among
        its kinds, its penalty, and what it counts; see `kmer_share_`. It is then fitted again, with validation rows.
        There is none without validation rows, or for more than 64 classes; and it says nothing of sequences of other
        lengths than those of `fit`: of any other where places count and all had one, elsewhere of more than a tenth
        longer or shorter. They are answered by the network alone, as are those that a head for places does not know.
    variant : {"mag", "mal", "mac", "lmm", "swa", "attention"}, default "mag"
        How memory and attention work together in the backbone; `swa` and `attention` have no memory.
    stride : int, optional
        Bases for each token of the backbone. Default: about 12 tokens for a short sequence, at most 128 bases each.
    channels : int, default 64
        Kernels of each convolution.
    d_model, n_layers, n_heads, memory_depth, memory_expansion, chunk_size, window_size, n_persistent, rule
        Of the backbone; see `titans_seq.nn.Backbone`.
    surprise_threshold, initial_theta, initial_eta, initial_alpha, hold_eta
        Of its memories; see `titans_seq.nn.NeuralMemory`.
    dropout : float, default 0.3
        In the heads; half of it in convolutions and backbone.
    n_members : int, optional
        Networks whose answers are averaged, each with validation rows of its own. Default: 3 for 200 sequences or
        more of at most 5 million bases together, else 1.
    max_epochs : int, optional
        Default: from 12 to 40, fewer for many sequences. An epoch is at most 16,384 sequences, a new sample each time.
    max_minutes : float, optional
        Time for the whole `fit`; training stops in time, whatever it has reached.
    learning_rate, weight_decay : float, default 0.002 and 0.02
        Of AdamW; the rate falls along a cosine to a twentieth.
    batch_size : int, default 64
    validation_fraction : float, default 0.15
        Share of the sequences that choose; 0, or fewer than 12 sequences: nothing is chosen, the heads count alike.
    early_stopping_patience : int, default 6
        Epochs without a better validation score after which training stops, but not before a third of them. The score
        is log loss, at its best temperature and relative to that of the classes' shares, plus twice what the area
        under the ROC curve lacks to 1: log loss alone picks epochs too early.
    sequence_col, id_col, soft_mask
        As in `titans_seq.data.read_sequences`; ``soft_mask="fold"`` by default, lower case means nothing.
    device : str, default "auto"
        "auto" (a GPU if there is one), "cpu" or "cuda".
    precision : {"32", "bf16"}, default "32"
        Of training. Predictions are made in double precision.
    devices, num_nodes : int, default 1
        Processes on each machine (one for each GPU, or for some cores), and machines. With more than one process `fit`
        starts the others, which run the same program up to there and on from there, unless torchrun or srun has
        started them. Each takes its part of every batch; all have the same model in the end, and `predict` of all of
        them, each of which reads its part of the sequences, returns all rows.
    strategy : {"auto", "ddp"}, default "auto"
        Both share out the rows.
    random_state : int, RandomState or None
        Owns every random number; global generators are left alone.
    verbose : int, default 1
        0 silences the progress bar, which otherwise shows in a terminal, and the line on standard error that says,
        terminal or not, how long it takes to answer for sequences of more than 131,072 bases, and how much memory.

    Attributes
    ----------
    classes_ : array
        Classes, of the type they came in; 0, 1, … of several labels.
    both_strands_ : bool
        Whether both strands are read.
    median_length_ : int
        Of the sequences of `fit`: the window of `variant_effect` and `scan`.
    placed_share_, kmer_share_, temperature_ : list of float
        Of each member: how much the head counts that keeps places, of the network's answer; how much the k-mers count
        beside the network (1: only they do); what logits are divided by.
    validation_score_ : float
        Mean over the members; smaller is better.
    history_ : list of list of dict
        Of each member, per epoch: training loss, validation score, seconds.
    n_parameters_ : int
        Learned numbers of all members: of their networks, and weights and bias of the k-mers where these count.
    fit_seconds_ : float

    Notes
    -----
    Lists of strings pass through `GridSearchCV`, `RandomizedSearchCV`, `cross_val_score` and its kin,
    `CalibratedClassifierCV`, `VotingClassifier`, `StackingClassifier`, `OneVsRestClassifier` and
    `MultiOutputClassifier` of scikit-learn. `BaggingClassifier` and `AdaBoostClassifier` take arrays of two dimensions
    only: for them the strings are one column, ``np.array(X, dtype=object)[:, None]``. `OneVsOneClassifier` takes
    numbers only.

    Examples
    --------
    >>> X = ["ACGTTATAAAGC", "GCGCGGCCATGC"] * 20
    >>> model = DNAClassifier(max_epochs=3, random_state=0).fit(X, ["on", "off"] * 20)
    >>> model.predict_proba(X[:1]).shape
    (1, 2)
    """

    def __init__(
        self,
        *,
        reverse_complement: bool | Literal["auto"] = "auto",
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        kmers: bool = True,
        variant: str = "mag",
        stride: int | None = None,
        channels: int = 64,
        d_model: int = 32,
        n_layers: int = 1,
        n_heads: int = 2,
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 16,
        window_size: int = 16,
        n_persistent: int = 4,
        dropout: float = 0.3,
        rule: str = "bounded",
        surprise_threshold: float = 0.0,
        initial_theta: float | None = None,
        initial_eta: float = 0.5,
        initial_alpha: float = 0.0025,
        hold_eta: float | None = None,
        n_members: int | None = None,
        max_epochs: int | None = None,
        max_minutes: float | None = None,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.02,
        batch_size: int = 64,
        validation_fraction: float = 0.15,
        early_stopping_patience: int = 6,
        sequence_col: str | None = None,
        id_col: str | None = None,
        soft_mask: Literal["keep", "fold", "mask"] = "fold",
        device: str = "auto",
        precision: str = "32",
        devices: int = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ) -> None:
        super().__init__(
            reverse_complement=reverse_complement, kmers=kmers, variant=variant, stride=stride, channels=channels,
            d_model=d_model, n_layers=n_layers, n_heads=n_heads, memory_depth=memory_depth,
            memory_expansion=memory_expansion, chunk_size=chunk_size, window_size=window_size,
            n_persistent=n_persistent, dropout=dropout, rule=rule, surprise_threshold=surprise_threshold,
            initial_theta=initial_theta, initial_eta=initial_eta, initial_alpha=initial_alpha, hold_eta=hold_eta,
            n_members=n_members, max_epochs=max_epochs, max_minutes=max_minutes, learning_rate=learning_rate,
            weight_decay=weight_decay, batch_size=batch_size, validation_fraction=validation_fraction,
            early_stopping_patience=early_stopping_patience, sequence_col=sequence_col, id_col=id_col,
            soft_mask=soft_mask, device=device, precision=precision, devices=devices, num_nodes=num_nodes,
            strategy=strategy, random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.class_weight = class_weight

    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, groups: Any = None, init: Any = None, *,
        _checkpoint: Checkpoint | None = None,
    ) -> Self:  # fmt: skip
        """Fit on sequences and their labels.

        Parameters
        ----------
        X : path, strings, records, frame or Sequences
            What `titans_seq.data.read_sequences` takes.
        y : array-like (n,) or (n, n_labels)
            Labels in the order of the sequences: integers, text or booleans. Two dimensions of 0 and 1: several
            labels, each there or not.
        sample_weight : array-like (n,), optional
            What each row counts; only ratios matter, and a row of weight 0 is left out.
        groups : array-like (n,), optional
            Rows of one group are all trained on or all validated on: homologues (`titans_seq.data.homology_groups`),
            donors, chromosomes. Default: every row is a group of its own.
        init : DNAClassifier, DNARegressor, DNALanguageModel or path, optional
            Fitted model to start from, or where one was saved. Of a classifier or regressor the networks go on
            learning: their shape is taken over (arguments may not say otherwise), and the last layer is new where
            classes or targets are others. Of a `DNALanguageModel` (`pretrain`), what it says of each base is read
            beside the base: its hidden tokens and probabilities from both ends, up to 8,192 bases away. It stays as
            it is, and is saved within this model.

        Raises
        ------
        TypeError, ValueError
            For arguments or data that can't be used; the message names the argument, or the record or row.
        """
        began = time.monotonic()
        self._check_arguments()
        examples, start = self._begin(X, init)
        n = len(examples.sequences)
        labels = read_labels(y, n)
        targets = ClassTargets.of(labels)
        weight = class_weights(self.class_weight, labels, row_weights(sample_weight, n))
        together = read_groups(groups, n)
        return self._fit(
            examples, start.encoder, targets, labels, weight, N_FEATURES, began, together, start, _checkpoint
        )
