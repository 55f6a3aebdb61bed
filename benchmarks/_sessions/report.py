"""Tables of the finished cells; a cell that has not run is a row that says so."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from _sessions.cells import CELLS

Part = Mapping[str, Any]
Rows = Iterator[tuple[Any, ...]]


def report(parts: Mapping[str, Part]) -> str:
    """Return the whole report as Markdown."""
    sections = [_head(parts)]
    for title, heading, names, rows in SECTIONS:
        body: list[tuple[Any, ...]] = []
        for cell in (c for c in CELLS if c.name.startswith(names)):
            body += list(rows(parts[cell.name])) if cell.name in parts else [(cell.name, "not run")]
        sections.append(f"## {title}\n\n{_table(heading, body)}")
    return "\n\n".join(sections) + "\n"


def _head(parts: Mapping[str, Part]) -> str:
    lines = ["# Sessions", "", f"{len(parts)} of {len(CELLS)} cells, fp32, on a CPU. Backbone of 2 layers of width 64,"]
    lines[-1] += " one head, memory 64-128-64, chunk 32, window 16, hard gates; sessions at all phases of a chunk."
    for machine in sorted({_machine(part) for part in parts.values()}):
        lines.append(f"Measured on {machine}.")
    lines.append(
        "`wall` is what a caller waits, `CPU` what the call takes, on a machine that others use as well: what it gave "
        "stands beside them, by the clock, before and after (products of 512 x 512 matrices, copies of 64 MB, and "
        "`load`, the processes that wanted a core)."
    )
    return "\n".join(lines)


def _machine(part: Part) -> str:
    env = part["environment"]
    commit = env["commit"] or "unknown"
    short = commit[:9] + ("-dirty" if commit.endswith("-dirty") else "")
    return f"{env['processor']} ({env['cores']} cores), torch {env['packages']['torch']}, commit {short}"


def _table(heading: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> str:
    lines = [_line(heading), "|" + "---|" * len(heading)]
    return "\n".join(lines + [_line((*row, *[""] * (len(heading) - len(row)))) for row in rows])


def _line(cells: Iterable[Any]) -> str:
    return "| " + " | ".join(_text(cell) for cell in cells) + " |"


def _text(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _steps(part: Part) -> Rows:
    for who, r in part["results"]["steps"].items():
        rates = r["session_steps_per_wall_second"], r["session_steps_per_cpu_second"]
        yield (
            part["arguments"]["variant"], part["threads"], who, r["calls"], *rates, r["wall_p50_ms"], r["wall_p99_ms"],
            r["cpu_p50_ms"], r["cpu_p99_ms"], *_state(part),
        )  # fmt: skip


def _bytes(part: Part) -> Rows:
    r = part["results"]
    yield (part["arguments"]["variant"], r["sessions"], r["bytes_in_the_pool"], r["bytes_in_the_file"])


def _moves(part: Part) -> Rows:
    for name, r in part["results"]["moves"].items():
        yield (
            part["arguments"]["variant"], name, r["calls"], r["wall_p50_ms"], r["wall_p99_ms"], r["cpu_p50_ms"],
            r["cpu_p99_ms"], *_state(part),
        )  # fmt: skip


def _state(part: Part) -> Iterator[str]:
    """What the machine gave, and how many wanted it, before and after."""
    machine, load = part["results"]["machine"], part["load_average"]
    for name in ("gflop_per_second", "gb_copied_per_second"):
        yield f"{machine['before'][name]:.0f}, {machine['after'][name]:.0f}"
    yield f"{load['before']:.1f}, {load['after']:.1f}"


def _train(part: Part) -> Rows:
    r = part["results"]
    yield r["parameters"], r["steps"], r["cpu_seconds"], *_score(r | {"accuracy": r["right"] / r["asked"]})


def _asked(part: Part) -> Rows:
    for who, r in part["results"]["asked"].items():
        yield who, *_score(r), part["results"]["chance"], _yes(r["chance_is_within"])
    for who, difference in part["results"]["largest_difference_from_a_new_session"].items():
        yield f"largest difference of the state from a new session's: {who}", difference


def _probe(part: Part) -> Rows:
    for who, probes in part["results"]["probes"].items():
        for name, r in probes.items():
            yield who, name, *_score(r), part["results"]["chance"], _yes(r["chance_is_within"])


def _score(r: Part) -> tuple[str, str, str]:
    low, high = r["interval"]
    return f"{r['right']:,} of {r['asked']:,}", f"{r['accuracy']:.1%}", f"{low:.1%} to {high:.1%}"


def _yes(value: bool) -> str:
    return "yes" if value else "no"


STATE = ("GFLOP/s", "GB/s copied", "load")
Section = tuple[str, tuple[str, ...], str, Callable[[Part], Rows]]
SECTIONS: tuple[Section, ...] = (
    (
        "Steps of a pool of 1,000 sessions",
        ("variant", "threads", "who steps", "steps", "session-steps / wall s", "session-steps / CPU s", "wall p50, ms",
         "wall p99, ms", "CPU p50, ms", "CPU p99, ms", *STATE),
        "pool", _steps,
    ),
    ("Bytes of a session", ("variant", "sessions", "in the pool", "in a file"), "files", _bytes),
    (
        "Moving a session of a full pool",
        ("variant", "what", "times", "wall p50, ms", "wall p99, ms", "CPU p50, ms", "CPU p99, ms", *STATE),
        "files", _moves,
    ),
    (
        "The model with secrets, `mag`: recall of one needle in 256 symbols",
        ("parameters", "steps", "CPU s", "right", "accuracy", "95 % interval"), "train", _train,
    ),
    (
        "Privacy: a session is asked for the value that only the owner of the key was told",
        ("who is asked", "right", "accuracy", "95 % interval", "chance", "chance within"), "asked", _asked,
    ),
    (
        "Privacy: probes trained to read the owner's secret out of all numbers in a session's file",
        ("whose file", "probe", "right", "accuracy", "95 % interval", "chance", "chance within"), "probe", _probe,
    ),
)  # fmt: skip
