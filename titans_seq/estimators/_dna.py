"""What classifiers and regressors of DNA share: their arguments, what they read, and how errors name it."""

from __future__ import annotations

import copy
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from titans_seq.adapters.dna import N_FEATURES, BaseFeatures, DNAExamples
from titans_seq.adapters.language_features import BaseLanguage, LanguageFeatures
from titans_seq.data import read_sequences
from titans_seq.estimators._interpreting import Interpreting
from titans_seq.estimators._language_files import language_tensors, read_language
from titans_seq.estimators._sequence_base import SequenceEstimator
from titans_seq.estimators._sequence_predicting import MAX_POSITIONS, announcement
from titans_seq.estimators._sequence_starting import Start, starting_point
from titans_seq.estimators._settings import check_choice
from titans_seq.training.launch import is_main

if TYPE_CHECKING:
    from titans_seq.data import Sequences


class DNAEstimator(Interpreting, SequenceEstimator):
    """Reads DNA, from one strand or from both."""

    n_features = N_FEATURES
    _language: BaseLanguage | None = None

    def __init__(
        self,
        *,
        reverse_complement: bool | Literal["auto"] = "auto",
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
        self.reverse_complement = reverse_complement
        self.kmers = kmers
        self.variant = variant
        self.stride = stride
        self.channels = channels
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
        self.surprise_threshold = surprise_threshold
        self.initial_theta = initial_theta
        self.initial_eta = initial_eta
        self.initial_alpha = initial_alpha
        self.hold_eta = hold_eta
        self.n_members = n_members
        self.max_epochs = max_epochs
        self.max_minutes = max_minutes
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.early_stopping_patience = early_stopping_patience
        self.sequence_col = sequence_col
        self.id_col = id_col
        self.soft_mask = soft_mask
        self.device = device
        self.precision = precision
        self.devices = devices
        self.num_nodes = num_nodes
        self.strategy = strategy
        self.random_state = random_state
        self.verbose = verbose

    def _read(self, X: Any) -> Sequences:
        if isinstance(X, np.ndarray) and X.ndim == 2 and X.shape[1] == 1:
            X = X[:, 0]  # so strings come from what takes arrays of two dimensions only, as BaggingClassifier does
        return read_sequences(X, sequence_col=self.sequence_col, id_col=self.id_col, soft_mask=self.soft_mask)

    def _begin(self, X: Any, init: Any) -> tuple[DNAExamples, Start]:
        """Read what is to be learned from, and what learning starts from."""
        start = starting_point(init)
        examples = DNAExamples(self._read(X))
        self._language = start.language
        return (examples if start.language is None else start.language.prepare(examples)), start

    def _examples(self, X: Any) -> DNAExamples:
        return DNAExamples(self._read(X))

    def _announce(self, lengths: NDArray[np.int64]) -> None:
        """Say on standard error what long sequences will take: in a batch job, too, where no bar is shown."""
        if not self.verbose or not is_main() or lengths.max(initial=0) <= MAX_POSITIONS:
            return
        # The stretch it is measured on is on the CPU; after `fit`, networks may not be.
        on_cpu = [replace(member, model=copy.deepcopy(member.model).cpu()) for member in self._members]
        print(announcement(on_cpu, lengths, bool(self.both_strands_)), file=sys.stderr, flush=True)

    def _check_arguments(self) -> None:
        super()._check_arguments()
        check_choice("soft_mask", self.soft_mask, ("keep", "fold", "mask"))
        if not isinstance(self.reverse_complement, (bool, np.bool_)) and self.reverse_complement != "auto":
            raise ValueError(f"reverse_complement must be True, False or 'auto', found {self.reverse_complement!r}")
        if not isinstance(self.kmers, (bool, np.bool_)):
            raise ValueError(f"kmers must be True or False, found {self.kmers!r}")

    def _uses_kmers(self) -> bool:
        return bool(self.kmers)

    def _both_strands(self) -> bool | None:
        return None if isinstance(self.reverse_complement, str) else bool(self.reverse_complement)

    def _empty_encoder(self, tensors: dict[str, Tensor]) -> nn.Module:
        return BaseFeatures() if self._language is None else LanguageFeatures(self._language)

    def _own_description(self) -> dict[str, Any]:
        return {} if self._language is None else {"language": self._language.parameters}

    def _own_tensors(self) -> dict[str, Tensor]:
        return {} if self._language is None else language_tensors(self._language)

    def _restore_own(self, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        if "language" in description:
            self._language = read_language(description["language"], tensors)

    def _set_derived(self) -> None:
        super()._set_derived()
        self.kmer_share_ = [member.choice.kmer_share for member in self._members]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        return tags
