"""The command line, with networks of classifiers and forecasters in double precision.

Run: python in_double.py run RECIPE …
"""

from __future__ import annotations

from typing import Any

from titans_seq import cli
from titans_seq.adapters.sequence_network import SequenceModel
from titans_seq.adapters.series import SeriesModel
from titans_seq.estimators import _fitting, _sequence_fitting


def in_double(kind: Any) -> Any:
    return lambda *arguments, **options: kind(*arguments, **options).double()


if __name__ == "__main__":
    _fitting.SeriesModel = in_double(SeriesModel)  # type: ignore[misc, assignment]
    _sequence_fitting.SequenceModel = in_double(SequenceModel)  # type: ignore[misc, assignment]
    cli.main()
