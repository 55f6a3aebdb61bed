"""What classifiers and regressors of numeric arrays share: their arguments and what they read."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn

from titans_seq.adapters.values import ValueExamples, ValueFeatures
from titans_seq.estimators._sequence_base import SequenceEstimator


class ValueEstimator(SequenceEstimator):
    """Reads arrays (n, columns), a column a step of one channel, and (n, time, channels)."""

    def __init__(
        self,
        *,
        variant: str = "mag",
        stride: int | None = None,
        channels: int = 32,
        d_model: int = 16,
        n_layers: int = 1,
        n_heads: int = 2,
        memory_depth: int = 2,
        memory_expansion: int = 2,
        chunk_size: int = 16,
        window_size: int = 16,
        n_persistent: int = 4,
        dropout: float = 0.1,
        rule: str = "bounded",
        surprise_threshold: float = 0.0,
        initial_theta: float | None = None,
        initial_eta: float = 0.5,
        initial_alpha: float = 0.0025,
        hold_eta: float | None = None,
        n_members: int | None = 1,
        max_epochs: int | None = None,
        max_minutes: float | None = None,
        learning_rate: float = 5e-3,
        weight_decay: float = 0.02,
        batch_size: int = 64,
        validation_fraction: float = 0.15,
        early_stopping_patience: int = 6,
        device: str = "auto",
        precision: str = "32",
        devices: int = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        verbose: int = 1,
    ) -> None:
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
        self.device = device
        self.precision = precision
        self.devices = devices
        self.num_nodes = num_nodes
        self.strategy = strategy
        self.random_state = random_state
        self.verbose = verbose

    def _read(self, X: Any) -> NDArray[np.float64]:
        """Return the values (n, time, channels) to fit on, and remember what they look like."""
        values = validate_data(self, X, dtype=np.float64, allow_nd=True, ensure_min_samples=2)
        self._series_shape, self._by_step = _series_shape(values), values.ndim == 2
        return values.reshape(len(values), *self._series_shape)

    def _examples(self, X: Any) -> ValueExamples:
        values = validate_data(self, X, dtype=np.float64, allow_nd=True, reset=False)
        if len(values) and _series_shape(values) != self._series_shape:
            raise ValueError(
                f"X has shape {values.shape}; fit was given (n, {self._series_shape[0]}, {self._series_shape[1]})"
            )
        return ValueExamples(values.reshape(len(values), *self._series_shape))

    def _encoder(self, values: NDArray[np.float64]) -> Any:
        return lambda: ValueFeatures.fitted(values, by_step=self._by_step)

    def _empty_encoder(self, tensors: dict[str, Tensor]) -> nn.Module:
        shape = tuple(tensors["encoder.center"].shape)
        return ValueFeatures(np.zeros(shape), np.ones(shape))

    def _own_description(self) -> dict[str, Any]:
        check_is_fitted(self, "_series_shape")
        names = getattr(self, "feature_names_in_", None)
        return {
            "series_shape": list(self._series_shape),
            "by_step": self._by_step,
            "n_features_in": self.n_features_in_,
            "feature_names_in": None if names is None else list(names),
        }

    def _restore_own(self, description: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        steps, channels = description["series_shape"]
        self._series_shape, self._by_step = (int(steps), int(channels)), bool(description["by_step"])
        self.n_features_in_ = int(description["n_features_in"])
        if description["feature_names_in"] is not None:
            self.feature_names_in_ = np.array(description["feature_names_in"], dtype=object)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def _series_shape(values: NDArray[np.float64]) -> tuple[int, int]:
    if values.ndim not in (2, 3):
        raise ValueError(f"X has shape {values.shape}; it must be (n, columns) or (n, time, channels)")
    return values.shape[1], 1 if values.ndim == 2 else values.shape[2]
