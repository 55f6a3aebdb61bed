"""Privacy, by asking: does a session know what only another one was told, or what it was made to forget?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from _sessions.model import trained
from _sessions.talk import Talk
from titans_seq.evaluation.recall import CONTENT, Needles, wilson_interval
from titans_seq.nn import BackboneState

Result = dict[str, Any]
CHANCE = 1 / CONTENT


@dataclass(frozen=True)
class Told:
    """Streams with one key and value each."""

    streams: Tensor
    keys: Tensor
    values: Tensor

    @classmethod
    def draw(cls, n: int, length: int, random: np.random.Generator) -> Told:
        trials = Needles(1).draw(n, length + 2, random)
        return cls(trials.read(0, length), trials.read(length + 1, length + 2)[:, 0], trials.answers[:, 0])


def asked(cache: Path, backbone: Result, pairs: int, rounds: int, length: int) -> Result:
    """Ask for the key of session A: itself, its neighbour, who gets its row, and itself once it has forgotten."""
    model, right = trained(cache, backbone), {name: [0, 0] for name in WHO}
    differences = {"forgotten": 0.0, "reused row": 0.0}
    for n in range(rounds):
        talk, random = Talk(model, 3 * pairs, n), np.random.default_rng([1, n])
        owners, others = (Told.draw(pairs, length, random) for _ in range(2))
        found, differing = _round(talk, owners, others)
        ours = owners.keys != others.keys  # else the neighbour was told of that key itself
        for name, values in found.items():
            hits = (values == owners.values)[ours]
            right[name] = [right[name][0] + int(hits.sum()), right[name][1] + len(hits)]
        differences = {name: max(worst, differing[name]) for name, worst in differences.items()}
    return {
        "chance": CHANCE,
        "asked": {name: scored(*counts, CHANCE) for name, counts in right.items()},
        "largest_difference_from_a_new_session": differences,
    }


WHO = ("itself", "itself, evicted and restored", "neighbour", "reused row", "forgotten")


def _round(talk: Talk, owners: Told, others: Told) -> tuple[dict[str, Tensor], dict[str, float]]:
    pool, n, found = talk.pool, len(owners.keys), {}
    b, a = talk.join(n), talk.join(n)
    talk.tell(dict(zip(a, owners.streams, strict=True)) | dict(zip(b, others.streams, strict=True)))
    copies = [pool.join(pool.peek(s)) for s in a]
    found["itself"] = talk.ask(copies, owners.keys)
    for s in reversed(copies):
        pool.leave(s)
    found["neighbour"] = talk.ask(b, owners.keys)
    new = pool.join()
    fresh = pool.leave(new)
    with tempfile.TemporaryDirectory() as folder:
        for i in reversed(range(n)):  # from the last row on, so that a row is free as its session has left it
            pool.evict(a[i], Path(folder) / str(i))
        successors = talk.join(n)
        differences = {"reused row": max(differs(pool.peek(s), fresh) for s in successors)}
        found["reused row"] = talk.ask(successors, owners.keys)
        for s in reversed(successors):
            pool.leave(s)
        a = [pool.restore(Path(folder) / str(i)) for i in range(n)]
    found["itself, evicted and restored"] = talk.ask(a, owners.keys)
    for s in a:
        pool.forget(s)
    differences["forgotten"] = max(differs(pool.peek(s), fresh) for s in a)
    found["forgotten"] = talk.ask(a, owners.keys)
    return found, differences


def differs(state: BackboneState, other: BackboneState) -> float:
    """Largest difference of any entry of two states."""
    ours, theirs = state.tensors(), other.tensors()
    if ours.keys() != theirs.keys() or any(x.shape != theirs[name].shape for name, x in ours.items()):
        return float("inf")
    return max(float((x.double() - theirs[name].double()).abs().max()) for name, x in ours.items() if x.numel())


def scored(right: int, n: int, chance: float) -> Result:
    """Share of right answers, its 95 % interval, and whether chance lies within."""
    low, high = wilson_interval(right, n)
    return {
        "right": right, "asked": n, "accuracy": right / n, "interval": [low, high],
        "chance_is_within": bool(low <= chance <= high),
    }  # fmt: skip
