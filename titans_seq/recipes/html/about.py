"""What was run: command, versions, seed, machine, seconds, and the recipe itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from titans_seq.data.catalog import dataset_card
from titans_seq.recipes.html.markup import Html, duration, facts, fold, join, note, number, paragraph, tag

Environment = Mapping[str, Any]


def run_facts(
    environment: Environment, seconds: Mapping[str, float], recipe: str, more: Iterable[tuple[str, Any]]
) -> Iterable[Html]:
    """Yield what was run.

    Parameters
    ----------
    environment : mapping
        See `describe_run`.
    seconds : mapping of part to seconds
    recipe : str
        As YAML, every key filled in.
    more : pairs of name and value
        About model and task, shown first.
    """
    versions = {name: version for name, version in environment["packages"].items() if version}
    yield facts(
        [
            ("Command", tag("code", environment["command"]) if environment["command"] else None),
            *more,
            ("Random seed", environment["random_state"]),
            ("Time", ", ".join(f"{name.replace('_', ' ')} {duration(value)}" for name, value in seconds.items())),
            ("Peak memory", _memory(environment.get("peak_memory_mb"))),
            ("Machine", _machine(environment)),
            ("titans-seq", _version(environment)),
        ]
    )
    listed = [("Python", environment["python"]), *versions.items(), ("System", environment["platform"])]
    yield fold("Versions of everything", facts(listed))
    yield fold("The whole recipe, with every default filled in", tag("pre", recipe))


def _machine(environment: Environment) -> str:
    parts = [environment["gpu"], environment["processor"]]
    cores, threads = environment["cores"], environment["threads"]
    return ", ".join([*(part for part in parts if part), f"{cores} cores, {threads} of them used by PyTorch"])


def _memory(megabytes: float | None) -> str | None:
    return None if megabytes is None else f"{number(megabytes / 1000)} GB"


def _version(environment: Environment) -> str:
    commit = environment["commit"]
    return f"{environment['titans_seq']}" + (f", commit {commit}" if commit else "")


def data_source(name: str | None, path: str | None, sha256: str | None = None) -> list[tuple[str, Any]]:
    """Return rows that say where data come from."""
    if name is None:
        return [("File", path), ("SHA-256", sha256)]
    card = dataset_card(name)
    return [("Data set", f"{card.name}: {card.title}"), ("Source", card.source), ("Licence", card.licence)]


def seeds_words(seeds: Mapping[str, Any] | None) -> Html:
    """Say how many seeds there were, and what they tell."""
    if seeds is None:
        words = "One seed was trained (n = 1), so this run says nothing of how much the scores depend on chance. "
        return note(words, "Add ", tag("code", "evaluate: {seeds: [0, 1, 2]}"), " to the recipe to find out.")
    states = seeds["random_states"]
    return paragraph(
        f"The model was trained {len(states)} times, with the seeds {', '.join(map(str, states))}; ± is the standard "
        f"deviation over them (n = {len(states)}). The first of them is the one that was saved, and the one "
        "everything else on this page is about."
    )


def usage(code: str, shell: Sequence[str]) -> Iterable[Html]:
    """Yield how to go on with the model."""
    yield paragraph("From Python:")
    yield tag("pre", code)
    yield paragraph("Or from the command line:")
    yield tag("pre", join([f"{line}\n" for line in shell]))
