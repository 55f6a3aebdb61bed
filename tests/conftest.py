"""Settings of the whole suite."""

from __future__ import annotations

import os

# The tests' tensors are small: more threads only wait for each other. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "suite", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], print_blob=False
)
settings.load_profile("suite")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the registers, spills and shared memory of the kernels that were compiled; ``*`` marks defaults."""
    from kernel_resources import LINES

    if LINES:
        terminalreporter.section("compiled kernels")
        for line in sorted(LINES):
            terminalreporter.write_line(line)
