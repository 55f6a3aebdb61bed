from __future__ import annotations

from collections.abc import Callable

import pytest

from titans_seq import TitansForecaster

SMALL = {
    "horizon": 6, "context_length": 16, "patch_length": 4, "sequence_length": 48, "d_model": 8, "n_layers": 1,
    "n_heads": 2, "chunk_size": 4, "window_size": 4, "n_persistent": 2, "batch_size": 8, "max_epochs": 2,
    "random_state": 0, "verbose": 0,
}  # fmt: skip


@pytest.fixture
def loud_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the network random head weights and a say, whatever validation thinks of it, so that tests see it."""
    import torch

    from titans_seq.estimators import _fitting
    from titans_seq.estimators._combination import Combination

    honest = _fitting._combine

    def combine(settings, data, train_end, linear, lags, model, error_memory, *rest) -> tuple[Combination, None]:
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            model.head.weight.copy_(0.3 * torch.randn(model.head.weight.shape, generator=generator))
        chosen, _ = honest(settings, data, train_end, linear, lags, model, False, *rest)
        return Combination(0.7, True, chosen.offsets), None

    monkeypatch.setattr(_fitting, "_combine", combine)


@pytest.fixture
def make() -> Callable[..., TitansForecaster]:
    def build(**options: object) -> TitansForecaster:
        return TitansForecaster(**{**SMALL, **options})

    return build
