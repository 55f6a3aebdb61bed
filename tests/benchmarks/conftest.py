"""Modules of the benchmarks by name."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import pytest
from benchmark_runs import BENCHMARKS


@pytest.fixture
def forecasting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmark by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"_forecasting.{name}")


@pytest.fixture
def genomics(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmark by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"_genomics.{name}")
