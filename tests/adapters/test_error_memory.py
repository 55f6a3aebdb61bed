"""The memory of errors against a loop that is written down plainly, and what it must not depend on."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from titans_seq.adapters.error_memory import Cuts, ErrorMemory, Leads

PATCH, HORIZON, N_FEATURES = 3, 8, 5


def memory(horizon: int = HORIZON, patch: int = PATCH) -> ErrorMemory:
    torch.manual_seed(0)
    made = ErrorMemory(N_FEATURES, Leads(horizon, patch))
    with torch.no_grad():
        made.step.fill_(0.5)
        made.gain.fill_(0.3)
    return made


def cuts(n: int, length: int, leads: Leads, writes: torch.Tensor | None = None, missing: float = 0.0) -> Cuts:
    new = torch.Generator().manual_seed(1)
    normal = [torch.randn(n, length, k, generator=new) for k in (N_FEATURES, leads.horizon, leads.rows)]
    return Cuts(
        normal[0],
        torch.rand(n, length, generator=new) + 0.5,
        normal[1],
        normal[2],
        torch.rand(n, length, leads.rows, generator=new) >= missing,
        torch.ones(n, length, dtype=torch.bool) if writes is None else writes,
        torch.full((n,), length),
    )


def plain_loop(memory: ErrorMemory, all_cuts: Cuts, row: int) -> np.ndarray:
    """Normalised least mean squares, token by token, in float64."""
    leads = memory.leads
    x = {name: getattr(all_cuts, name)[row].double().numpy() for name in ("features", "scale", "point", "actual")}
    seen, writes = all_cuts.seen[row].numpy(), all_cuts.writes[row].numpy()
    projection = memory.projection.detach().double().numpy()
    step, forgetting, gain = (
        torch.sigmoid(getattr(memory, name).detach().double()).numpy() for name in ("step", "forgetting", "gain")
    )
    weights = np.zeros((leads.count, leads.width, leads.width))
    out, made = [], []

    def described(t: int, head: int) -> np.ndarray:
        return np.append(x["features"][t] @ projection[head], 1.0)

    for t in range(len(writes)):
        if writes[t]:
            for head in range(leads.count):
                back = (head + 1) * leads.patches
                if back > len(made):
                    continue
                origin, first = made[-back], head * leads.rows
                forecast = x["point"][origin][first : first + leads.rows]
                k = len(forecast)
                there = seen[t][:k]
                if not there.any():
                    continue
                error = np.zeros(leads.width)
                error[:k] = np.where(there, (x["actual"][t][:k] - forecast) / x["scale"][origin], 0).clip(-3, 3)
                address = described(origin, head)
                miss = error - weights[head].T @ address
                weights[head] *= 1 - forgetting[head]
                weights[head] += step[head] * np.outer(address, miss) / (address @ address)
            made.append(t)
        parts = [2 * gain[h] * (weights[h].T @ described(t, h))[: leads.rows] for h in range(leads.count)]
        out.append(np.concatenate(parts)[: leads.horizon] * x["scale"][t])
    return np.array(out)


@pytest.mark.parametrize(("horizon", "patch"), [(8, 3), (3, 3), (1, 1), (2, 5), (50, 1)])
def test_it_is_the_plain_loop(horizon: int, patch: int) -> None:
    model, leads = memory(horizon, patch), Leads(horizon, patch)
    some = cuts(2, 70, leads, missing=0.2)
    found, _ = model.read(model.start(2), some)
    for row in range(2):
        np.testing.assert_allclose(found[row].detach(), plain_loop(model, some, row), atol=2e-4)


def test_cuts_within_patches_read_and_leave_nothing_behind() -> None:
    model = memory()
    every = cuts(2, 60, model.leads, writes=torch.rand(2, 60, generator=torch.Generator().manual_seed(2)) < 0.4)
    found, stream = model.read(model.start(2), every)
    for row in range(2):
        np.testing.assert_allclose(found[row].detach(), plain_loop(model, every, row), atol=2e-4)
        at = torch.nonzero(every.writes[row])[:, 0]
        only = every.take(torch.tensor([row]), at[None], torch.tensor([len(at)]))
        alone, after = model.read(model.start(1), only)
        torch.testing.assert_close(alone[0], found[row, at], atol=1e-5, rtol=1e-4)
        for name, x in after.memory.tensors().items():
            if name.startswith("weights"):
                torch.testing.assert_close(x[0], stream.memory.tensors()[name][row], atol=1e-5, rtol=1e-4)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4))
def test_pieces_of_any_size_are_one_pass(splits: list[int]) -> None:
    model = memory()
    whole = cuts(3, 40, model.leads, missing=0.1)
    expected, _ = model.read(model.start(3), whole)
    stream, found, rows = model.start(3), [], torch.arange(3)
    for a, b in zip([0, *sorted(splits)], [*sorted(splits), 40], strict=True):
        columns = torch.arange(a, b).expand(3, -1)
        part, stream = model.read(stream, whole.take(rows, columns, torch.full((3,), b - a)))
        found.append(part)
    torch.testing.assert_close(torch.cat(found, 1), expected, atol=1e-5, rtol=1e-4)


def test_series_of_other_lengths_change_nothing() -> None:
    model = memory()
    both = cuts(2, 40, model.leads)
    found, stream = model.read(model.start(2), Cuts(**{**vars(both), "lengths": torch.tensor([40, 17])}))
    short = both.take(torch.tensor([1]), torch.arange(17)[None], torch.tensor([17]))
    alone, after = model.read(model.start(1), short)
    torch.testing.assert_close(found[1, :17], alone[0], atol=1e-6, rtol=1e-5)
    assert not found[1, 17:].any()
    for name, x in after.tensors().items():
        if name.split(".")[-2:-1] in (["weights"], []):
            torch.testing.assert_close(x[0], stream.tensors()[name][1], atol=1e-6, rtol=1e-5)


def test_what_was_not_observed_is_not_written() -> None:
    model = memory()
    some = cuts(1, 40, model.leads, missing=0.3)
    spoilt = Cuts(**{**vars(some), "actual": torch.where(some.seen, some.actual, torch.nan)})
    torch.testing.assert_close(model.read(model.start(1), spoilt)[0], model.read(model.start(1), some)[0])


def test_a_spike_is_remembered_as_no_more_than_a_large_error() -> None:
    model = memory()
    some = cuts(1, 40, model.leads)
    high = some.actual.clone()
    high[0, 20] = 1e9
    found, _ = model.read(model.start(1), Cuts(**{**vars(some), "actual": high}))
    assert found.abs().max() < 50


def test_every_parameter_is_trained() -> None:
    model = memory()
    found, _ = model.read(model.start(2), cuts(2, 40, model.leads))
    found.square().sum().backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.abs().max() > 0, name
