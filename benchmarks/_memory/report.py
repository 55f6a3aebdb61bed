"""Tables of the finished cells; a cell that has not run is a row that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from _memory.cells import CELLS

Parts = Mapping[str, Mapping[str, Any]]
Rows = Iterable[tuple[Any, ...]]
NOT_RUN = "not run"


def report(parts: Parts) -> str:
    """Return the whole report as Markdown."""
    sections = [_head(parts)]
    for title, heading, prefix, rows in SECTIONS:
        body: list[tuple[Any, ...]] = []
        for cell in (c for c in CELLS if c.name.startswith(prefix)):
            body += list(rows(cell.name, parts[cell.name]["results"])) if cell.name in parts else [(cell.name, NOT_RUN)]
        sections.append(f"## {title}\n\n{_table(heading, body)}")
    return "\n\n".join(sections) + "\n"


def _head(parts: Parts) -> str:
    lines = ["# The memory's cost on a CPU", "", f"{len(parts)} of {len(CELLS)} cells; one thread, fp32."]
    machines = {_machine(part) for part in parts.values()}
    lines += [f"Measured on {machine}." for machine in sorted(machines)]
    return "\n".join([*lines, "Seconds are CPU seconds, medians of interleaved runs; `train` is forward and backward."])


def _machine(part: Mapping[str, Any]) -> str:
    env = part["environment"]
    commit = env["commit"] or "unknown"
    short = commit[:9] + ("-dirty" if commit.endswith("-dirty") else "")
    return f"{env['processor']} ({env['cores']} cores), torch {env['packages']['torch']}, commit {short}"


def _table(heading: tuple[str, ...], rows: Rows) -> str:
    lines = [_line(heading), "|" + "---|" * len(heading)]
    return "\n".join(lines + [_line((*row, *[""] * (len(heading) - len(row)))) for row in rows])


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(cell: Any) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return str(cell)


def _speeds(record: Mapping[str, Any]) -> tuple[Any, ...]:
    """Tokens per second of a timing, or its error."""
    if "error" in record:
        return (record["error"],)
    return record["tokens_per_cpu_second"], record["tokens_per_wall_second"]


def _rate(cell: str, results: Mapping[str, Any]) -> Rows:
    ratios = results["times_as_fast_as_peer"]
    for name, record in results["contenders"].items():
        speeds = _speeds(record)
        if len(speeds) == 2:
            against = ratios.get(name, {})
            speeds += tuple(against.get(f"titans-pytorch, {p}", "") for p in ("batch_size=64", "default"))
        yield cell, name, *speeds


def _roofline(cell: str, results: Mapping[str, Any]) -> Rows:
    rates = results["matmul_flop_per_cpu_second"]
    best, shaped = max(rates.values()), list(rates)[-1]
    for rule, r in results["rules"].items():
        yield (
            cell, rule, r["flop_per_token"] / 1e6, r["flop_per_cpu_second"] / 1e9, best / 1e9, rates[shaped] / 1e9,
            _percent(r["fraction_of_best"]), _percent(r["fraction_of_best_needed"]),
            _percent(r["fraction_of"][shaped]), r["train_over_forward"],
        )  # fmt: skip


def _percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _flat(cell: str, results: Mapping[str, Any]) -> Rows:
    rates = {n: r.get("tokens_per_cpu_second") for n, r in results["lengths"].items()}
    first = next(iter(rates.values()))
    for n, record in results["lengths"].items():
        rate = rates[n]
        yield cell, f"{int(n):,}", *(_speeds(record)[:1]), rate / first if rate and first else None


def _inference(cell: str, r: Mapping[str, Any]) -> Rows:
    yield cell, f"{r['tokens']:,}", r["rss_before_mb"], r["peak_rss_mb"], r["rss_after_mb"], r["tokens_per_cpu_second"]


def _training(cell: str, r: Mapping[str, Any]) -> Rows:
    yield cell, f"{r['tokens']:,}", r["rss_before_mb"], r["peak_rss_mb"], r["above_start_mb"], r.get("error", "")


def _attention(cell: str, results: Mapping[str, Any]) -> Rows:
    for name, record in results["contenders"].items():
        yield f"{results['time']:,}", name, record.get("cpu_seconds"), *_speeds(record)[:1]


def _share(cell: str, results: Mapping[str, Any]) -> Rows:
    for name, record in results["parts"].items():
        yield name, record.get("cpu_seconds"), results["share_of_block"].get(name, 1.0)


def _decode(cell: str, results: Mapping[str, Any]) -> Rows:
    for name, b in results["batched"].items():
        rate = f"{b['session_steps_per_cpu_second']:,.0f} session-steps/s"
        yield cell, f"{b['sessions']:,} sessions, {name}", rate, b["microseconds_per_session_step"] / 1e3, "", ""
    for name, single in results["single"].items():
        for where, s in single.items():
            if isinstance(s, dict):
                yield cell, f"1 session {where}, {name}", "", s["mean_ms"], s["p50_ms"], s["p99_ms"]
        yield cell, f"late over early, {name}", "", single["mean_far_over_near"]
    yield cell, f"by {results['path']}"


def _genome(cell: str, results: Mapping[str, Any]) -> Rows:
    for name in ("equal_pieces", "random_cuts"):
        r = results[name]
        peaks = f"{r['memory'][0]['peak_rss_mb']:.0f} to {r['memory'][-1]['peak_rss_mb']:.0f}"
        how = f"{r['pieces']} {name.replace('_', ' ')}, longest {r['largest_piece']:,}"
        yield how, f"{results['bases']:,}", r["tokens_per_cpu_second"], peaks, r["finite"]
    yield "relative difference of the last output", results["last_output_relative_difference"]
    yield "relative difference of the memories' weights", results["memory_relative_difference"]


Section = tuple[str, tuple[str, ...], str, Callable[[str, Mapping[str, Any]], Rows]]
SECTIONS: tuple[Section, ...] = (
    (
        "Rate: one head of 128, memory 128-512-128, chunk 64, 4,096 tokens",
        ("cell", "contender", "tokens / CPU s", "tokens / wall s", "x peer, batch_size=64", "x peer, default"),
        "rate", _rate,
    ),
    (
        "Roofline: the op's share of the machine's matrix product rate",
        ("cell", "rule", "MFLOP / token", "GFLOP/s", "best matmul", "matmul of its shape", "of best",
         "of best, triangles halved", "of its shape", "train / forward"),
        "roofline", _roofline,
    ),
    ("Flat in length", ("cell", "tokens", "tokens / CPU s", "against the shortest"), "flat", _flat),
    (
        "Memory of reading a stream with a carried state (MB)",
        ("cell", "tokens", "before", "peak", "after", "tokens / CPU s"), "memory_inference", _inference,
    ),
    (
        "Memory of one training step, 4 x 16,384 tokens (MB)",
        ("cell", "tokens", "before", "peak", "above start", "error"), "memory_training", _training,
    ),
    ("One layer of width 128, forward", ("tokens", "layer", "CPU s", "tokens / CPU s"), "attention", _attention),
    ("Parts of a `mag` block, forward", ("part", "CPU s", "of the block"), "share", _share),
    (
        "Decoding: 2 layers of width 64, one token per session and step (ms)",
        ("cell", "what", "rate", "mean", "p50", "p99"), "decode", _decode,
    ),
    (
        "E. coli genome through 2 layers of width 32",
        ("how", "bases", "tokens / CPU s", "peak MB, first to last eighth", "finite"), "genome", _genome,
    ),
)  # fmt: skip
