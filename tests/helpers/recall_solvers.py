"""Brute force for the tasks of recall: reads a stream token by token and answers by the stated rules alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations

import numpy as np

from titans_seq.evaluation.recall.tasks import ASK, ASK_THREE, ASK_TWO, BLANK, DECOY, STEP_A, STEP_B, WRITE

Answers = dict[int, int]
Solver = Callable[[Sequence[int]], Answers]


def needles(stream: Sequence[int]) -> Answers:
    """WRITE key value: the last one of a key counts. DECOY key value: nothing. ASK key: its value?"""
    known: dict[int, int] = {}
    found: Answers = {}
    tokens = iter(enumerate(stream))
    for _, token in tokens:
        if token == WRITE:
            (_, key), (_, value) = next(tokens), next(tokens)
            known[key] = value
        elif token == DECOY:
            next(tokens), next(tokens)
        elif token == ASK:
            at, key = next(tokens)
            found[at] = known[key]
    return found


def pairs(stream: Sequence[int]) -> Answers:
    """Key value among blanks; ASK key: its value?"""
    known: dict[int, int] = {}
    found: Answers = {}
    tokens = iter(enumerate(stream))
    for _, token in tokens:
        if token == ASK:
            at, key = next(tokens)
            found[at] = known[key]
        elif token != BLANK:
            _, known[token] = next(tokens)
    return found


def copy(stream: Sequence[int]) -> Answers:
    """WRITE symbol …; as many ASK: the symbols, in their order."""
    written: list[int] = []
    found: Answers = {}
    for at, token in enumerate(stream):
        if token == ASK:
            found[at] = written[len(found)]
        elif at > 0 and stream[at - 1] == WRITE:
            written.append(token)
    return found


def hops(stream: Sequence[int]) -> Answers:
    """WRITE a b: from a to b. ASK a, ASK_TWO a, ASK_THREE a: where to in one, two, three steps?"""
    leads: dict[int, int] = {}
    found: Answers = {}
    for at, token in enumerate(stream):
        if token == WRITE:
            leads[stream[at + 1]] = stream[at + 2]
        elif token in (ASK, ASK_TWO, ASK_THREE):
            place = stream[at + 1]
            for _ in range(1 + (ASK, ASK_TWO, ASK_THREE).index(token)):
                place = leads[place]
            found[at + 1] = place
    return found


def parity(stream: Sequence[int]) -> Answers:
    """STEP_B flips a bit, STEP_A leaves it."""
    return {at: list(stream[:at]).count(STEP_B) % 2 for at, token in enumerate(stream) if token == ASK}


def permutation(stream: Sequence[int]) -> Answers:
    """STEP_A swaps the first two of three things, STEP_B puts the first one last; which of the six orders is it?"""
    things, found = [0, 1, 2], {}
    for at, token in enumerate(stream):
        if token == STEP_A:
            things = [things[1], things[0], things[2]]
        elif token == STEP_B:
            things = [*things[1:], things[0]]
        elif token == ASK:
            found[at] = list(permutations(range(3))).index(tuple(things))
    return found


def motifs(stream: Sequence[int], known: np.ndarray, partner_length: int) -> Answers:
    """A motif is followed by its partner; when it returns, the partner is asked for, a base at each token."""
    text, found = bytes(stream), {}
    for motif in known:
        pattern = bytes(motif.tolist())
        places = [at for at in range(len(text)) if text.startswith(pattern, at)]
        if not places:
            continue
        first, *returned = places  # planted once, asked for once
        partner = stream[first + len(motif) : first + len(motif) + partner_length]
        found |= {last + len(motif) - 1 + i: base for last in returned for i, base in enumerate(partner)}
    return found


def shapes(patches: np.ndarray) -> dict[int, np.ndarray]:
    """A patch that begins with a spike is a cue: what followed it the first time, when it returns?"""
    followed: dict[bytes, np.ndarray] = {}
    found = {}
    for at, patch in enumerate(patches):
        if patch[0] == 4.0:
            cue = patch.tobytes()
            if cue in followed:
                found[at] = followed[cue]
            else:
                followed[cue] = patches[at + 1]
    return found
