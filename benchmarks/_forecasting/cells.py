"""The list of cells. Imports nothing heavy until one runs."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ETT = ("ETTh1", "ETTh2", "ETTm1", "ETTm2")
SETS = (*ETT, "exchange_rate", "national_illness")
LONG, SHORT = (96, 192, 336, 720), (24, 36, 48, 60)
M4, M4_HORIZON = "m4_hourly", 48
NEURAL = ("PatchTST", "iTransformer", "NHITS", "DLinear")
STATISTICAL = ("AutoETS", "AutoTheta")
STREAMED = {"online_ridge": "online_ridge", "mag": "online_ours"}
"""Models in streaming mode, and the closed form that their look-back is chosen by."""
SEEDS = range(3)
TRIALS = (
    "plain", "narrowing", "short", "all_decays", "shared", "shipped",
    "carried", "carried_online", "carried_errors", "carried_online_errors", "carried_online_all_errors",
    "online_forgetting", "online_steady_penalty", "online_four_decays",
)  # fmt: skip
TRIED_ON = {data: TRIALS if data.startswith("ETTh") else ("plain", "shipped") for data in ETT}
"""Changes are tried on the hourly sets; what was kept is shown on all."""
ABLATED = ("mag", "mal", "lmm", "swa", "mag_frozen", "mal_frozen", "lmm_frozen")


@dataclass(frozen=True)
class Cell:
    """One data set, horizon, model and seed.

    Attributes
    ----------
    data, model : str
        ``_96`` behind the model: with a look-back of 96 rows.
    horizon, seed : int
    mode : str
        "choose": look-back by validation. "windowed", "streaming": the long-horizon protocol. "official": that of
        the competition. "ablation": memory and its controls. "trial": the closed form and what learns beside it, one
        change each. "speed": backtests.
    options : dict
        Of the model.
    """

    data: str
    horizon: int
    model: str
    mode: str
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Also the name of its file."""
        return f"{self.mode}_{self.data}_{self.horizon}_{self.model}_s{self.seed}"

    def call(self, cache: Path, *, quick: bool) -> dict[str, Any]:
        """Run it here and return its results."""
        if self.mode == "official":
            from . import official

            return official.measure(self, cache, quick=quick)
        if self.mode == "ablation":
            from . import ablation

            return ablation.measure(self, quick=quick)
        if self.mode == "trial":
            from . import trials

            return trials.measure(self, quick=quick)
        if self.mode == "speed":
            from . import speed

            return speed.measure(self, quick=quick)
        from . import measure

        return measure.measure(self, cache, quick=quick)


def horizons(data: str) -> tuple[int, ...]:
    """Of the protocol."""
    return SHORT if data == "national_illness" else LONG


def chosen_over(data: str, closed_form: str) -> tuple[int, ...]:
    """Horizons that the look-back of a closed form is chosen over: streaming has one."""
    return (horizons(data)[0],) if closed_form in STREAMED.values() else horizons(data)


def _windowed(data: str, horizon: int) -> list[Cell]:
    cells = [Cell(data, horizon, closed_form, "choose") for closed_form in ("ridge", "ours")]
    cells += [Cell(data, horizon, model, "windowed") for model in ("naive", "seasonal_naive", "ridge")]
    learned = ("mag", *NEURAL) if horizon == horizons(data)[0] else ("mag",)  # peers cost hours: first horizons only
    cells += [Cell(data, horizon, model, "windowed", seed) for model in learned for seed in SEEDS]
    if data in ETT:
        options = {"context_length": 96}
        cells.append(Cell(data, horizon, "ridge_96", "windowed", options=options))
        cells += [Cell(data, horizon, "mag_96", "windowed", seed, options) for seed in SEEDS]
    return cells


def _streaming(data: str) -> list[Cell]:
    return [
        *(Cell(data, 96, closed_form, "choose") for closed_form in STREAMED.values()),
        Cell(data, 96, "online_ridge", "streaming"),
        *(Cell(data, 96, "mag", "streaming", seed) for seed in SEEDS),
    ]


def _official() -> list[Cell]:
    """iTransformer forecasts series that stand side by side; these do not."""
    once = ("choose", "naive2", "seasonal_naive", "ridge", *STATISTICAL)
    learned = ("mag", *(model for model in NEURAL if model != "iTransformer"))
    cells = [Cell(M4, M4_HORIZON, model, "official") for model in once]
    return cells + [Cell(M4, M4_HORIZON, model, "official", seed) for model in learned for seed in SEEDS]


def _all() -> list[Cell]:
    cells = [cell for data in SETS for horizon in horizons(data) for cell in _windowed(data, horizon)]
    cells += [cell for data in ETT for cell in _streaming(data)]
    cells += _official()
    cells += [Cell("ETTm1", 96, model, "ablation", seed) for model in ABLATED for seed in SEEDS]
    cells += [Cell(data, 96, model, "trial") for data in ETT for model in TRIED_ON[data]]
    return [*cells, Cell("ETTm1", 96, "backtest", "speed")]


CELLS: tuple[Cell, ...] = tuple(_all())
