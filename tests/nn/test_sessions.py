"""Sessions come, read in any company, and go: each reads what it would alone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from session_streams import begin, build, difference, read

from titans_seq.nn import VARIANTS, Backbone, Sessions


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@settings(max_examples=12)
@given(data=st.data(), variant=st.sampled_from(sorted(VARIANTS)), seed=st.integers(0, 99))
def test_sessions_that_come_and_go_at_random_read_as_they_would_alone(
    data: st.DataObject, variant: str, seed: int
) -> None:
    backbone = build(variant)
    torch.manual_seed(seed)
    sessions, open_, worst = Sessions(backbone, capacity=1), {}, [0.0]
    for _ in range(data.draw(st.integers(10, 60))):
        what = data.draw(st.sampled_from(["join", "leave", "some", "some", "one", "all", "all"]))
        if what == "join" or not open_:
            session, alone = begin(sessions, backbone, data.draw(st.sampled_from([0, 0, 1, 4, 5, 9])))
            open_[session] = alone
        elif what == "leave":
            session = data.draw(st.sampled_from(sorted(open_)))
            worst.append(open_.pop(session).worst(backbone, sessions.leave(session)))
        else:
            who = data.draw(st.permutations(sorted(open_)))
            who = who[:1] if what == "one" else who[: len(who) // 2 + 1] if what == "some" else sorted(who)
            read(sessions, backbone, open_, who, masked=data.draw(st.booleans()))
        assert len(sessions) == len(open_)
    worst += [alone.worst(backbone, sessions.leave(session)) for session, alone in open_.items()]
    assert max(worst) <= 1e-11
    assert len(sessions) == 0


@pytest.mark.parametrize("variant", VARIANTS)
def test_in_float32_a_session_does_not_depend_on_the_others(variant: str) -> None:
    backbone = build(variant, torch.float32)
    torch.manual_seed(1)
    x = torch.randn(9, 40, 10)
    crowd, found = Sessions(backbone), []
    ids = [crowd.join() for _ in range(9)]
    for i in range(40):
        found.append(crowd.step(ids, x[:, i]))
        if i % 5 == 4:  # another mate every now and then
            crowd.leave(ids.pop())
            ids.append(crowd.join())
    alone = Sessions(backbone)
    session = alone.join()
    for i in range(40):
        y = alone.step([session], x[:1, i])
        assert difference(found[i][:1], y) <= 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_others_may_come_and_go_after_every_token(variant: str) -> None:
    backbone, x = build(variant), torch.randn(1, 30, 10).double()
    sessions, found = Sessions(backbone, capacity=1), []
    session = sessions.join()
    for i in range(30):
        found.append(sessions.step([session], x[:, i]))
        visitor = sessions.join()
        if i % 3 == 0:
            sessions.step([visitor], x[:, 0])
        sessions.leave(visitor)
    assert difference(torch.stack(found, 1), backbone(x)[0]) <= 1e-12


@pytest.mark.parametrize("variant", VARIANTS)
def test_sessions_that_are_not_named_do_not_move(variant: str) -> None:
    backbone = build(variant)
    sessions = Sessions(backbone, capacity=2)
    ids = [sessions.join(backbone(torch.randn(1, n, 10).double())[1]) for n in (3, 5, 8, 13, 1)]
    sessions.step(ids, torch.randn(5, 10).double())
    twin = Sessions(backbone)
    for session in ids:
        twin.join(sessions.peek(session))
    for named in ([4, 0, 2], [1], [1]):  # most of them, where they stand; few, apart
        sessions.step([ids[i] for i in named], torch.randn(len(named), 10).double())
    still, expected = sessions.leave(ids[3]), twin.leave(3)
    assert still.position.tolist() == [14]
    if variant not in ("attention", "mac"):  # whose caches may be padded, or hold rounding in unread slots
        before = expected.tensors()
        assert all(torch.equal(x, before[name]) for name, x in still.tensors().items())
    future = torch.randn(1, 9, 10).double()
    assert difference(backbone(future, still)[0], backbone(future, expected)[0]) <= 1e-12


def test_a_state_that_leaves_is_its_own_and_may_join_again() -> None:
    backbone = build("mag")
    sessions, x = Sessions(backbone), torch.randn(30, 1, 10).double()
    session, other = sessions.join(), sessions.join()
    for token in x[:7]:
        sessions.step([session], token)
    left = sessions.leave(session)
    before = left.tensors()
    again = sessions.join(left)
    assert again not in (session, other)
    outputs = [sessions.step([again, other], torch.cat((token, token)))[:1] for token in x[7:]]
    assert all(torch.equal(v, before[name]) for name, v in left.tensors().items())
    assert difference(torch.cat(outputs), backbone(x.transpose(0, 1))[0][0, 7:]) <= 1e-12


def test_the_pool_writes_where_it_stands_and_grows_by_doubling() -> None:
    backbone = build("mag")
    sessions = Sessions(backbone, capacity=2)
    capacities, ids = [], []
    for _ in range(9):
        ids.append(sessions.join())
        capacities.append(sessions.capacity)
    assert capacities == [2, 2, 4, 4, 8, 8, 8, 8, 16]
    place = sessions._live.layers[0].memory.weights[0].data_ptr()
    for _ in range(6):
        sessions.step(ids, torch.randn(9, 10).double())
        sessions.step(ids[::-1], torch.randn(9, 10).double())
        sessions.step(ids[:2], torch.randn(2, 10).double())
    assert sessions._live.layers[0].memory.weights[0].data_ptr() == place
    assert [session in sessions for session in (0, 8, 9)] == [True, True, False]


def test_a_step_of_nobody_is_nothing() -> None:
    sessions = Sessions(build("mag"))
    assert sessions.step([], torch.zeros(0, 10)).shape == (0, 10)
    session = sessions.join()
    assert sessions.step([], torch.zeros(0, 10)).shape == (0, 10)
    assert sessions.leave(session).position.tolist() == [0]


def test_bad_input_is_named() -> None:
    backbone = build("lmm")
    sessions = Sessions(backbone)
    session = sessions.join()
    with pytest.raises(KeyError, match="no session 7 is open"):
        sessions.step([session, 7], torch.zeros(2, 10).double())
    with pytest.raises(KeyError, match="no session 7 is open"):
        sessions.leave(7)
    with pytest.raises(ValueError, match="named twice"):
        sessions.step([session, session], torch.zeros(2, 10).double())
    with pytest.raises(ValueError, match=r"x must have shape \(1, 10\), a row for each session"):
        sessions.step([session], torch.zeros(2, 10).double())
    with pytest.raises(ValueError, match="batch size 1, found 2"):
        sessions.join(backbone.init_state(2))
    with pytest.raises(ValueError, match="capacity must be at least 1, found 0"):
        Sessions(backbone, capacity=0)
    with pytest.raises(ValueError, match="different memories"):
        other = build("lmm")
        other.blocks[0].mixer.memory.initial[0].add_(1.0)
        sessions.join(other.init_state(1))


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")
@pytest.mark.parametrize("variant", ["mag", "mal", "mac", "lmm", "swa", "attention"])
def test_autocast_reads_tokens_one_by_one_and_at_once(variant: str) -> None:
    torch.manual_seed(0)
    backbone = Backbone(d_model=16, n_layers=1, variant=variant).eval()
    x = torch.randn(2, 20, 16)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        whole, _ = backbone(x)
        state = backbone.init_state(2)
        for t in range(20):
            y, state = backbone.step(x[:, t], state)
            torch.testing.assert_close(y.float(), whole[:, t].float(), rtol=5e-2, atol=5e-2)
    with torch.enable_grad(), torch.autocast("cpu", torch.bfloat16):
        loss = backbone(x)[0].float().square().mean()
        loss.backward()


def test_a_pool_needs_a_backbone_in_evaluation_mode() -> None:
    with pytest.raises(ValueError, match="training mode: call its eval"):
        Sessions(Backbone(d_model=8, n_layers=1).train())


def test_a_pool_says_which_shape_it_wants_and_takes_a_tensor_of_numbers() -> None:
    pool = Sessions(Backbone(d_model=8, n_layers=1).eval())
    ids = torch.tensor([pool.join(), pool.join()])
    assert pool.step(ids, torch.randn(2, 8)).shape == (2, 8)
    for x in (torch.randn(2), torch.randn(2, 5), torch.randn(3, 8)):
        with pytest.raises(ValueError, match=r"x must have shape \(2, 8\)"):
            pool.step(ids, x)
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(2,\)"):
        pool.step(ids, torch.randn(2, 8), mask=torch.ones(2))
    other = Backbone(d_model=8, n_layers=1, variant="swa").eval()
    with pytest.raises(ValueError, match="variant"):
        pool.join(other.init_state(1))


def test_put_writes_rows_that_are_views_of_others() -> None:
    backbone = Backbone(d_model=8, n_layers=1, variant="lmm").eval()
    with torch.no_grad():
        _, state = backbone.step(torch.randn(2, 8), backbone.init_state(2))
    moved = state.put(torch.tensor([1]), state.first(1))
    for a, b in zip(moved.layers[0].memory.weights, state.layers[0].memory.weights, strict=True):
        assert torch.equal(a[1], a[0])
        assert torch.equal(a[0], b[0])
