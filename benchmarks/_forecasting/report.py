"""The tables; a cell that has not run is a gap."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from statistics import mean, stdev
from typing import Any

from .cells import ABLATED, CELLS, ETT, M4, NEURAL, SETS, STREAMED, TRIALS, Cell, chosen_over, horizons
from .choosing import longest_as_good
from .trial_names import NAMES

Parts = dict[str, dict[str, Any]]
ONCE = ("naive", "seasonal_naive", "ridge")
MODELS = (*ONCE, "mag", *NEURAL)
SHORT_LOOK_BACK = ("ridge_96", "mag_96")
PUBLISHED = {"ETTh1": 0.420, "ETTh2": 0.356, "ETTm1": 0.358, "ETTm2": 0.261}
"""Mean MSE over the horizons at look-back 96: of the memory module of Titans (arXiv 2501.00663)."""
TITLE = """\
# Forecasting

Written by `python benchmarks/forecasting.py`; one JSON per cell in `forecasting/`, one process and one thread each.
Seeds: mean ± standard deviation. `mag` is `TitansForecaster` as it comes.

- ETT, Exchange, ILI: errors in z-scores of the train rows, pooled over channels; every test window at stride 1 is
  counted, and the count asserted. What is chosen is chosen on validation rows: the look-back of a data set (one for all
  horizons: the longest whose validation error is within one standard error of the smallest, by ten blocks of time; ours
  by our closed form, all others' by the plain ridge; in streaming mode by the same maps as they go on learning),
  penalties, weights, when to stop. Test rows are read once.
- Peers are rerun at the first horizon of each data set and with the look-back chosen: they cost hours.
- Every fit that trains has the same CPU minutes (2; M4: 4) and the same rows. PatchTST, iTransformer, NHITS and DLinear
  are neuralforecast's, AutoETS and AutoTheta statsforecast's. The four train on the squared error (M4: on quantiles) at
  a rate of 1e-3, keep the weights of their best validation and stop after 10 without a better one; sizes are in
  `_forecasting/peers.py`.
"""


def report(parts: Parts) -> str:
    """Render Markdown."""
    commits = sorted({str(p["environment"]["commit"])[:12] for p in parts.values()})
    head = [TITLE, f"Commits: {', '.join(commits) or 'none'}.", "", "![errors relative to the ridge](forecasting.png)"]
    sections = {
        "Look-backs": look_backs(parts),
        "Windowed, look-back by validation: MSE": windowed(parts, MODELS, SETS, "mse"),
        "The same: MAE": windowed(parts, MODELS, SETS, "mae"),
        "Windowed, look-back 96: MSE": short_look_back(parts),
        "Streaming, horizon 96": streaming(parts),
        "M4 Hourly, the competition's split": official(parts),
        "Does memory earn its place?": ablation(parts),
        "What was tried on the closed form, and on what learns beside it": trials(parts),
        "Backtest of 1,000 cut-offs": speed(parts),
        "What it cost": cost(parts),
    }
    lines = [line for title, body in sections.items() for line in ("", f"## {title}", "", *body)]
    return "\n".join([*head, *lines]) + "\n"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """Markdown; first column to the left."""
    names = list(header)
    lines = [f"| {' | '.join(names)} |", "|---|" + "--:|" * (len(names) - 1)]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def cells_of(mode: str, data: str, horizon: int, model: str) -> list[Cell]:
    """Its seeds."""
    return [c for c in CELLS if (c.mode, c.data, c.horizon, c.model) == (mode, data, horizon, model)]


def scores(parts: Parts, cells: list[Cell], score: str) -> list[float]:
    """Of the finished ones."""
    found = [parts[c.name]["results"].get(score) for c in cells if c.name in parts]
    return [x for x in found if x is not None]


def entry(parts: Parts, cells: list[Cell], score: str, digits: int = 3) -> str:
    """Mean, spread, and how many seeds are missing."""
    found = scores(parts, cells, score)
    if not found:
        return "" if not cells or any(c.name in parts for c in cells) else "not run"
    spread = f" ± {stdev(found):.{digits}f}" if len(found) > 1 else ""
    missing = f" ({len(found)} of {len(cells)} seeds)" if len(found) < len(cells) else ""
    return f"{mean(found):.{digits}f}{spread}{missing}"


def over_horizons(parts: Parts, mode: str, data: str, model: str, score: str) -> float | None:
    """Mean over the horizons, if there is something for each."""
    found = [scores(parts, cells_of(mode, data, horizon, model), score) for horizon in horizons(data)]
    return mean(mean(x) for x in found) if all(found) else None


def look_backs(parts: Parts) -> list[str]:
    """Validation error of the closed forms, mean over horizons, and the longest look-back that is as good."""
    rows = [_look_back(parts, data, closed_form) for data in SETS for closed_form in ("ridge", "ours")]
    rows += [_look_back(parts, data, closed_form) for data in ETT for closed_form in STREAMED.values()]
    part = parts.get("official_m4_hourly_48_choose_s0")
    found_m4 = part["results"]["validation"] if part else {}
    best = min(found_m4, key=found_m4.__getitem__, default="not run")
    rows.append([M4, "ours", best, ", ".join(f"{length}: {x:.4f}" for length, x in found_m4.items())])
    return table(("data", "closed form", "chosen", "validation score"), rows)


def _look_back(parts: Parts, data: str, closed_form: str) -> list[str]:
    found = [parts.get(cells_of("choose", data, h, closed_form)[0].name) for h in chosen_over(data, closed_form)]
    if None in found:
        return [data, closed_form, "not run", ""]
    every = [part["results"]["validation"] for part in found if part]
    means = {length: mean(mean(x[length]) for x in every) for length in every[0] if all(length in x for x in every)}
    shown = ", ".join(f"{length}: {x:.4f}" for length, x in means.items())
    return [data, closed_form, longest_as_good(every), shown]


def windowed(parts: Parts, models: tuple[str, ...], sets: tuple[str, ...], score: str) -> list[str]:
    """A row for each data set and horizon, and one for their mean."""
    rows = []
    for data in sets:
        for horizon in horizons(data):
            line = [entry(parts, cells_of("windowed", data, horizon, m), score) for m in models]
            rows.append([data, str(horizon), *line])
        means = [over_horizons(parts, "windowed", data, m, score) for m in models]
        rows.append([data, "mean", *("" if x is None else f"**{x:.3f}**" for x in means)])
    return table(("data", "horizon", *(m.removesuffix("_96") for m in models)), rows)


def short_look_back(parts: Parts) -> list[str]:
    """The same at look-back 96, beside what was published of Titans."""
    head, rule, *rows = windowed(parts, SHORT_LOOK_BACK, ETT, "mse")
    lines = [f"{head} Titans, as published |", f"{rule}--:|"]
    for row in rows:
        data, horizon = (cell.strip() for cell in row.split("|")[1:3])
        lines.append(f"{row} {PUBLISHED[data]:.3f} |" if horizon == "mean" else f"{row} |")
    return lines


def streaming(parts: Parts) -> list[str]:
    """The state carried, beside a ridge that is solved again after every patch."""
    rows = []
    for data in ETT:
        ours, ridge = cells_of("streaming", data, 96, "mag"), cells_of("streaming", data, 96, "online_ridge")
        once = cells_of("windowed", data, 96, "ridge")
        zeroed = _nested(parts, ours, "parts", "memory_zeroed")
        line = [entry(parts, cells, "mse", 4) for cells in (once, ridge, ours)]
        rows.append([data, *line, zeroed, entry(parts, ours, "coverage_80", 2)])
    head = ("data", "ridge, fitted once", "online ridge", "mag", "mag, memory zeroed", "coverage of mag's 80 %")
    return table(head, rows)


def _nested(parts: Parts, cells: list[Cell], group: str, name: str) -> str:
    found = [parts[c.name]["results"][group][name] for c in cells if c.name in parts]
    return f"{mean(found):.4f}" if found else "not run"


def official(parts: Parts) -> list[str]:
    """Scores of the competition, and of the intervals."""
    rows = []
    columns = (("owa", 3), ("smape", 2), ("mase", 3), ("wql", 4), ("coverage_90", 2), ("fit_seconds", 0))
    names = dict.fromkeys(c.model for c in CELLS if c.mode == "official" and c.model != "choose")
    for model in names:
        cells = cells_of("official", M4, 48, model)
        rows.append([model, *(entry(parts, cells, score, digits) for score, digits in columns)])
    head = ("model", "OWA", "sMAPE, %", "MASE", "weighted quantile loss", "coverage of 90 %", "fit, CPU s")
    notes = [
        "",
        "OWA: against Naive2 (published: sMAPE 18.383, MASE 2.395). MASE: season 24. Weighted quantile loss: deciles, "
        "pooled over all series. AutoETS and AutoTheta fit series by series; what is left when the minutes are spent "
        "gets the seasonal naive.",
        *(f"{c.model}: {left} series were left." for c, left in _left(parts)),
    ]
    return table(head, rows) + notes


def _left(parts: Parts) -> list[tuple[Cell, int]]:
    """Statistical models that ran out of minutes."""
    found = [(c, parts[c.name]["results"].get("out_of_budget", 0)) for c in CELLS if c.name in parts]
    return [(c, left) for c, left in found if left]


def ablation(parts: Parts) -> list[str]:
    """ETTm1: memory, memory that never writes, none."""
    rows = []
    for model in ABLATED:
        cells = cells_of("ablation", "ETTm1", 96, model)
        size = scores(parts, cells, "n_parameters_network")
        zeroed = _nested(parts, cells, "parts", "memory_zeroed")
        line = [entry(parts, cells, score, 4) for score in ("validation_loss", "mse")]
        rows.append(
            [model.replace("_frozen", ", θ = 0"), *line, zeroed, entry(parts, cells, "network_weight", 2)]
            + [f"{size[0]:,}" if size else "", entry(parts, cells, "fit_seconds", 0)]
        )
    head = ("variant", "validation", "test MSE", "memory zeroed", "weight", "parameters of the network", "fit, CPU s")
    note = (
        "ETTm1, horizon 96, training sequences of 2,048 rows, 4 epochs, the state carried through everything; the "
        "linear map fitted once. θ = 0: trained and tested with a memory that never writes. `swa` sees 512 rows."
    )
    return [note, "", *table(head, rows)]


def trials(parts: Parts) -> list[str]:
    """Validation and test error of each change."""
    rows = []
    for model in TRIALS:
        pairs = []
        for data in ETT:
            cells = cells_of("trial", data, 96, model)
            pairs += [entry(parts, cells, "validation", 4), entry(parts, cells, "mse", 4)]
        rows.append([NAMES[model], *pairs])
    head = ["change", *(f"{data}, {score}" for data in ETT for score in ("validation", "test"))]
    note = (
        "Horizon 96, look-back 512 (hourly) and 720, the network left out. The state carried: test windows after every "
        "patch only, so compare those rows with each other. Choices were made on validation alone; the sets by the "
        "minute only show what was kept."
    )
    return [note, "", *table(head, rows)]


def speed(parts: Parts) -> list[str]:
    """CPU seconds side by side."""
    part = parts.get("speed_ETTm1_96_backtest_s0")
    if part is None:
        return ["not run"]
    r = part["results"]
    rows = [
        [name, f"{seconds:.2f}", "" if name == "ours" else f"{r['times_as_fast'][name]:.1f}"]
        for name, seconds in r["cpu_seconds"].items()
    ]
    read = r["read"]
    note = (
        f"One series of {r['rows']:,} rows, {r['cutoffs']:,} cut-offs at step 1, look-back {r['look_back']}, fits left "
        f"out. Ours reads {read['rows_read']:,} rows, each once, and looks ahead {read['peeks']:,} times "
        f"({read['cutoffs_at_the_end_of_a_patch']} cut-offs need no look ahead, they end a patch)."
    )
    return [note, "", *table(("", "median CPU s", "over ours"), rows)]


def cost(parts: Parts) -> list[str]:
    """Fit and test of the windowed cells, and learned numbers."""

    def span(model: str, score: str, show: Callable[[float], str]) -> str:
        cells = [c for c in CELLS if c.mode == "windowed" and c.model == model]
        found = scores(parts, cells, score)
        return f"{show(min(found))} to {show(max(found))}" if found else "not run"

    rows = [
        [model, span(model, "fit_seconds", "{:.0f}".format), span(model, "test_seconds", "{:.0f}".format)]
        + [span(model, "n_parameters", "{:,.0f}".format), span(model, "cpu_seconds", "{:.0f}".format)]
        for model in ("ridge", "mag", *NEURAL)
    ]
    for row in rows[:1]:  # the closed form is one call
        row[1:4] = [""] * 3
    return table(("model", "fit, CPU s", "test windows, CPU s", "parameters", "in all, CPU s"), rows)
