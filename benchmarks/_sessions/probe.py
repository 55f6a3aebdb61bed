"""Privacy, by a trained probe: can a classifier read a session's secret out of what another session's file holds?"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from _sessions.asked import scored
from _sessions.classify import probed
from _sessions.model import trained
from _sessions.talk import Talk
from titans_seq.evaluation.recall import CONTENT, Needles
from titans_seq.nn import Sessions

Result = dict[str, Any]
Array = npt.NDArray[Any]
KEY = 7
"""The key of every secret: a probe need not find out where to look."""


def probe(
    cache: Path, backbone: Result, pairs: int, rounds: int, length: int, after: int, values: int, leak: float
) -> Result:
    """Train probes on files of half of the rounds, test them on the other half.

    Parameters
    ----------
    pairs : int
        Owners of secrets in a pool, each with a neighbour.
    rounds : int
        Pools.
    length : int
        Symbols that owners and neighbours read.
    after : int
        Symbols that a session reads once it has forgotten, or has got a row that was freed.
    values : int
        Secrets there are.
    leak : float
        Share of the owner's state that is added to the neighbour's: a leak the probe should find.
    """
    model = trained(cache, backbone)
    files: dict[str, list[Array]] = {name: [] for name in WHO}
    secrets = []
    for n in range(rounds):
        random = np.random.default_rng([2, n])
        secret = random.permutation(np.arange(pairs) % values)  # as many of each
        for name, rows in _round(Talk(model, 2 * pairs, n), secret, length, after, random).items():
            files[name].append(rows)
        secrets.append(secret)
    labels, train = np.concatenate(secrets), np.arange(rounds).repeat(pairs) < rounds // 2
    states = {name: np.concatenate(rows) for name, rows in files.items()}
    found = {name: _scores(rows, labels, train, values) for name, rows in states.items()}
    own, other = states["itself"], states["neighbour"]
    planted = other + leak * (own - own.mean(0))
    return {
        "chance": 1 / values,
        "numbers_in_a_state": int(own.shape[1]),
        "trained_on": int(train.sum()),
        "probes": found
        | {f"neighbour, {leak:.0%} of the owner's state added": _scores(planted, labels, train, values)},
    }


WHO = ("itself", "neighbour", "reused row", "forgotten")


def _scores(states: Array, labels: Array, train: Array, values: int) -> Result:
    counts = probed(states, labels, train)
    n = int((~train).sum())
    return {name: scored(right, n, 1 / values) for name, right in counts.items()}


def _round(talk: Talk, secret: Array, length: int, after: int, random: np.random.Generator) -> dict[str, Array]:
    pool, n = talk.pool, len(secret)
    b, a = talk.join(n), talk.join(n)
    told, filler = _told(secret, length, random), Needles(1)
    others = filler.draw(n, length + 2, random).read(0, length)
    talk.tell(dict(zip(a, told, strict=True)) | dict(zip(b, others, strict=True)))
    found = {"itself": held(pool, a), "neighbour": held(pool, b)}
    with tempfile.TemporaryDirectory() as folder:
        for i in reversed(range(n)):  # from the last row on, so that a row is free as its session has left it
            pool.evict(a[i], Path(folder) / str(i))
        successors = talk.join(n)
        later = filler.draw(2 * n, after + 5, random).read(0, after)
        talk.tell(dict(zip(successors, later[:n], strict=True)))
        found["reused row"] = held(pool, successors)
        for s in reversed(successors):
            pool.leave(s)
        a = [pool.restore(Path(folder) / str(i)) for i in range(n)]
    for s in a:
        pool.forget(s)
    talk.tell(dict(zip(a, later[n:], strict=True)))
    return found | {"forgotten": held(pool, a)}


def _told(secret: Array, length: int, random: np.random.Generator) -> torch.Tensor:
    """Streams with one needle each, of the common key and the secret value."""
    trials = Needles(1).draw(len(secret), length + 2, random)
    trials.symbols[:, 1], trials.symbols[:, 2] = KEY, secret * (CONTENT // (int(secret.max()) + 1))
    return trials.read(0, length)


def held(pool: Sessions, sessions: list[int]) -> Array:
    """Every number in the files of sessions, a row for each."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "session"
        rows = []
        for s in sessions:
            pool.save(s, file)
            rows.append(_flat(load_file(file)))
    return np.stack(rows)


def _flat(tensors: Mapping[str, torch.Tensor]) -> Array:
    row = torch.cat([tensors[name].reshape(-1).float() for name in sorted(tensors)])
    return row.nan_to_num(neginf=-1.0).numpy()  # where a window has no token, it says so by -inf
