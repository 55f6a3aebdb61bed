"""Sessions are saved, evicted, restored and forgotten: to the bit, whatever stands beside them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from session_streams import Alone, begin, build, difference, read
from torch import Tensor

from titans_seq.nn import VARIANTS, Backbone, BackboneState, Sessions
from titans_seq.nn._pack import pack

FLOAT = torch.float32
SETTINGS: list[dict[str, Any]] = [
    *({"variant": name} for name in VARIANTS),
    {"variant": "lmm", "memory_depth": 1},
    {"variant": "lmm", "memory_depth": 3},
    {"variant": "mag", "rule": "titans"},
    {"variant": "mag", "gate": "hard"},
    {"variant": "mal", "surprise_threshold": 0.5},
    {"variant": "lmm", "decay_before_error": True},
]


@pytest.fixture(autouse=True)
def no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def held(state: BackboneState) -> dict[str, Tensor]:
    """All that a state holds of its rows, derived parts included."""
    flat: dict[str, Tensor] = {}
    pack(state, "", flat)
    return flat


def assert_same(found: BackboneState, expected: BackboneState) -> None:
    a, b = held(found), held(expected)
    assert a.keys() == b.keys()
    for name in b:
        assert a[name].dtype == b[name].dtype and torch.equal(a[name], b[name]), name


def pool_of(backbone: Backbone, n: int) -> tuple[Sessions, list[int]]:
    pool = Sessions(backbone, capacity=n)
    return pool, [pool.join() for _ in range(n)]


@pytest.mark.parametrize("options", SETTINGS, ids=lambda o: "-".join(map(str, o.values())))
def test_sessions_that_were_evicted_read_on_to_the_last_bit(options: dict[str, Any], tmp_path: Path) -> None:
    backbone = build(**options, dtype=FLOAT)
    torch.manual_seed(1)
    twin, ids = pool_of(backbone, 3)
    pool, now = pool_of(backbone, 3)
    for _ in range(16):  # at all phases of chunk, window and segment
        x, mask = torch.randn(3, 10), torch.rand(3) > 0.2
        assert torch.equal(pool.step(now, x, mask=mask), twin.step(ids, x, mask=mask))
        for i in (2, 1, 0):
            pool.evict(now[i], tmp_path / str(i))
            assert now[i] not in pool and len(pool) == i
        now = [pool.restore(tmp_path / str(i)) for i in range(3)]
    for a, b in zip(now, ids, strict=True):
        assert_same(pool.peek(a), twin.peek(b))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_session_may_come_back_to_another_row(variant: str, tmp_path: Path) -> None:
    # Where rows are a multiple of a vector long, arithmetic is the same in each of them.
    backbone = build(variant, FLOAT, d_model=32)
    torch.manual_seed(1)
    twin, ids = pool_of(backbone, 3)
    pool, now = pool_of(backbone, 3)
    for i in range(16):
        x = torch.randn(3, 32)
        assert torch.equal(pool.step(now, x), twin.step(ids, x))
        pool.evict(now[i % 3], tmp_path / "away")
        now[i % 3] = pool.restore(tmp_path / "away")  # the last row


@pytest.mark.parametrize("variant", ["mag", "mac", "attention"])
def test_a_session_reads_on_in_another_pool_of_another_process(variant: str, tmp_path: Path) -> None:
    backbone = build(variant, FLOAT, d_model=32)
    pool, ids = pool_of(backbone, 3)
    pool.step(ids, torch.randn(3, 32))
    pool.step(ids[1:], torch.randn(2, 32))
    pool.save(ids[1], tmp_path / "session")
    pool.leave(ids[0])
    x = torch.randn(9, 2, 32)
    save_file({"x": x} | {f"w.{k}": v for k, v in backbone.state_dict().items()}, tmp_path / "given")
    expected = torch.stack([pool.step(ids[1:], row)[0] for row in x])
    command = [sys.executable, "-c", OTHER_PROCESS, variant, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    assert torch.equal(load_file(tmp_path / "found")["y"], expected)


OTHER_PROCESS = """
import sys, torch
from safetensors.torch import load_file, save_file
from titans_seq.nn import Backbone, Sessions
variant, folder = sys.argv[1:]
given = load_file(folder + "/given")
backbone = Backbone(32, n_heads=2, variant=variant, n_layers=2, chunk_size=5, window_size=7, n_persistent=3).eval()
backbone.load_state_dict({name[2:]: w for name, w in given.items() if name.startswith("w.")})
pool = Sessions(backbone, capacity=1)
other = pool.join()
with torch.no_grad():
    for _ in range(2 if variant == "attention" else 13):
        pool.step([other], torch.randn(1, 32))
session = pool.restore(folder + "/session")
y = torch.stack([pool.step([other, session], row)[1] for row in given["x"].flip(1)])
save_file({"y": y}, folder + "/found")
"""


@settings(max_examples=12)
@given(data=st.data(), variant=st.sampled_from(sorted(VARIANTS)), seed=st.integers(0, 99))
def test_sessions_that_move_between_pools_and_files_read_as_they_would_alone(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, variant: str, seed: int
) -> None:
    backbone, folder = build(variant), tmp_path_factory.mktemp("sessions")
    torch.manual_seed(seed)
    pools: list[tuple[Sessions, dict[int, Alone]]] = [(Sessions(backbone, capacity=c), {}) for c in (1, 4)]
    files: list[tuple[Path, Alone]] = []
    worst = [0.0]
    for n in range(data.draw(st.integers(10, 40))):
        pool, open_ = pools[data.draw(st.integers(0, 1))]
        what = data.draw(st.sampled_from(["join", "leave", "save", "evict", "restore", "forget", *["step"] * 6]))
        if what == "restore" and files:
            file, alone = data.draw(st.sampled_from(files))  # a file may be restored more than once: copies go apart
            open_[pool.restore(file)] = deepcopy(alone)
            continue
        if what == "join" or not open_:
            session, alone = begin(pool, backbone, data.draw(st.sampled_from([0, 1, 4, 5, 9])))
            open_[session] = alone
            continue
        session = data.draw(st.sampled_from(sorted(open_)))
        if what == "leave":
            worst.append(open_.pop(session).worst(backbone, pool.leave(session)))
        elif what == "save":
            pool.save(session, folder / str(n))
            files.append((folder / str(n), deepcopy(open_[session])))
        elif what == "evict":
            pool.evict(session, folder / str(n))
            files.append((folder / str(n), open_.pop(session)))
        elif what == "forget":
            pool.forget(session)
            open_[session] = Alone()
        else:
            who = data.draw(st.permutations(sorted(open_)))
            read(pool, backbone, open_, who[: data.draw(st.integers(1, len(who)))], data.draw(st.booleans()))
    for pool, open_ in pools:
        worst += [alone.worst(backbone, pool.leave(session)) for session, alone in open_.items()]
    for file, alone in files:
        worst.append(alone.worst(backbone, BackboneState.load(file, backbone.init_state(1))))
    assert max(worst) <= 1e-11


@pytest.mark.parametrize("variant", VARIANTS)
def test_in_float32_a_session_that_comes_and_goes_does_not_depend_on_the_others(variant: str, tmp_path: Path) -> None:
    backbone, x = build(variant, FLOAT), torch.randn(24, 4, 10, generator=torch.Generator().manual_seed(2))
    pools, solo = [Sessions(backbone), Sessions(backbone)], Sessions(backbone)
    alone, where = [solo.join() for _ in range(4)], [(0, pools[0].join()) for _ in range(4)]
    found, expected = torch.empty_like(x), torch.empty_like(x)
    for t in range(24):
        for p, pool in enumerate(pools):
            rows = [i for i, (at, _) in enumerate(where) if at == p]
            found[t, rows] = pool.step([where[i][1] for i in rows], x[t, rows])
        for i in range(4):
            expected[t, i] = solo.step([alone[i]], x[t, i : i + 1])
        at, session = where[t % 4]
        pools[at].evict(session, tmp_path / "away")
        where[t % 4] = (1 - at, pools[1 - at].restore(tmp_path / "away"))
    assert difference(found, expected) <= 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_session_that_forgot_is_a_new_one_to_the_last_bit(variant: str) -> None:
    backbone = build(variant, FLOAT)
    pool, ids = pool_of(backbone, 3)
    for _ in range(13):
        pool.step(ids, torch.randn(3, 10))
    pool.forget(ids[1])
    assert_same(pool.peek(ids[1]), Sessions(backbone)._fresh)
    assert pool.peek(ids[0]).position.tolist() == [13]
    twin, others = pool_of(backbone, 3)
    for _ in range(8):
        x = torch.randn(3, 10)
        found, expected = pool.step(ids, x)[1], twin.step(others, x)[1]
        # The others' history decides the width of `attention`.
        assert torch.equal(found, expected) if variant != "attention" else difference(found, expected) <= 1e-6


@pytest.mark.parametrize("variant", VARIANTS)
def test_nothing_of_a_session_stays_in_a_row_that_is_free(variant: str, tmp_path: Path) -> None:
    backbone = build(variant, FLOAT)
    pool, ids = pool_of(backbone, 4)
    for _ in range(9):
        pool.step(ids, torch.randn(4, 10))
    pool.leave(ids[1])
    pool.evict(ids[3], tmp_path / "away")
    for row in (2, 3):
        assert_same(pool._pool.select(torch.tensor([row])), Sessions(backbone)._fresh)


@pytest.mark.parametrize("poison", [1.0, 1e30, float("nan")])
@pytest.mark.parametrize("variant", VARIANTS)
def test_no_bit_of_a_session_depends_on_what_another_reads(variant: str, poison: float, tmp_path: Path) -> None:
    backbone = build(variant, FLOAT)

    def run(secret: Tensor) -> tuple[list[Tensor], list[dict[str, Tensor]]]:
        random = torch.Generator().manual_seed(3)
        pool, (a, b, c) = pool_of(backbone, 3)
        outputs = []
        for i in range(24):
            x = torch.randn(3, 10, generator=random)
            x[0] += secret[i]
            who = ([a, b, c], [b, a, c], [a, b], [a], [b])[i % 5]
            y = pool.step(who, x[[(a, b, c).index(s) for s in who]])
            outputs += [y[n] for n, s in enumerate(who) if s != a]
        states = [pool.peek(b), pool.peek(c)]
        pool.evict(a, tmp_path / "a")
        successor = pool.join()
        outputs += pool.step([b, c, successor], torch.randn(3, 10, generator=random))
        states += [pool.peek(b), pool.peek(successor)]
        return outputs, [held(state) for state in states]

    found, expected = run(poison * torch.randn(24, 10)), run(torch.zeros(24, 10))
    assert all(map(torch.equal, found[0], expected[0]))
    for a, b in zip(found[1], expected[1], strict=True):
        assert all(torch.equal(a[name], x) for name, x in b.items())


def test_a_file_does_not_tell_how_much_others_have_read(tmp_path: Path) -> None:
    backbone = build("attention", FLOAT)
    sizes = []
    for n in (2, 50):
        pool, (a, b) = pool_of(backbone, 2)
        for _ in range(2):
            pool.step([a], torch.randn(1, 10))
        for _ in range(n):
            pool.step([b], torch.randn(1, 10))
        pool.save(a, tmp_path / "a")
        sizes.append((tmp_path / "a").stat().st_size)
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_batch_of_states_is_saved_and_loaded(variant: str, tmp_path: Path) -> None:
    backbone, x = build(variant, FLOAT), torch.randn(3, 11, 10)
    state = BackboneState.stack([backbone(torch.randn(1, n, 10))[1] for n in (0, 4, 18)])
    state.save(tmp_path / "new" / "state", about={"user": "b"})
    found = BackboneState.load(tmp_path / "new" / "state", backbone.init_state(1))
    assert_same(found, state)
    assert torch.equal(backbone(x, found)[0], backbone(x, state)[0])
    tensors = load_file(tmp_path / "new" / "state")
    assert sum(t.nbytes for t in tensors.values()) == state.nbytes
    assert not any("initial" in name or "start" in name for name in tensors)
    with pytest.raises(ValueError, match="user is b, needed is a"):
        BackboneState.load(tmp_path / "new" / "state", backbone.init_state(1), about={"user": "a"})
    pool = Sessions(backbone)
    with pytest.raises(ValueError, match="batch size 1, found 3"):
        pool.restore(tmp_path / "new" / "state")
    state.select(torch.tensor([2])).save(tmp_path / "one")
    session = pool.restore(tmp_path / "one")
    y = torch.stack([pool.step([session], row[None])[0] for row in x[2]])
    assert difference(y, backbone(x, state)[0][2]) <= 1e-5


def saved(folder: Path, variant: str = "mag", **options: Any) -> Path:
    pool, (session,) = pool_of(build(variant, FLOAT, **options), 1)
    pool.step([session], torch.randn(1, 10))
    pool.save(session, folder / "session")
    return folder / "session"


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"variant": "swa"}, "state of 2 layers of window, needed is the state of 2 layers of memory and window"),
        ({"n_layers": 1}, "state of 1 layer of memory and window, needed is the state of 2 layers"),
        ({"window_size": 9}, r"window.keys is float32 of \(9, 2, 5\), needed is float32 of \(7, 2, 5\)"),
        ({"memory_expansion": 1}, r"weights.0 is float32 of \(2, 5, 5\), needed is float32 of \(2, 5, 10\)"),
        ({"memory_depth": 3}, r"weights.1 is float32 of \(2, 10, 10\), needed is float32 of \(2, 10, 5\)"),
        ({"chunk_size": 4}, "chunk_size is 4, needed is 5"),
        ({"rule": "titans"}, r"rule is \('titans', 'l2', False\), needed is \('bounded', 'l2', False\)"),
        ({"dtype": torch.float64}, "is float64 of .*, needed is float32"),
        ({"variant": "mal"}, "variant is mal, needed is mag"),
        ({"n_persistent": 2}, "n_persistent is 2, needed is 3"),
        ({"gate": "hard"}, "gate is hard, needed is sigmoid"),
        ({"surprise_threshold": 0.5}, "surprise_threshold is 0.5, needed is 0"),
        ({"hold_alpha": 0.5}, "hold_alpha is 0.5, needed is None"),
        ({"decay_before_error": True}, "rule is .*True.*, needed is .*False|decay_before_error is True"),
        ({"initial_theta": 0.1}, "parameters of the backbone is"),
    ],
)
def test_the_file_of_another_model_is_refused(other: dict[str, Any], message: str, tmp_path: Path) -> None:
    options = {"variant": "mag", "dtype": FLOAT} | other
    pool, (session,) = pool_of(build(**options), 1)
    pool.save(session, tmp_path / "session")
    mine = Sessions(build("mag", FLOAT))
    with pytest.raises(ValueError, match=message):
        mine.restore(tmp_path / "session")
    assert len(mine) == 0


@pytest.mark.parametrize(
    ("variant", "other"),
    [
        ("mag", {"dropout": 0.1, "backend": "reference", "segment_length": 9}),
        ("lmm", {"window_size": 9}),
        ("mac", {"segment_length": 7, "window_size": 5, "surprise_threshold": 0}),
        ("attention", {"gate": "hard", "surprise_threshold": 1.0, "chunk_size": 3}),
    ],
)
def test_a_backbone_that_reads_the_same_takes_the_file(variant: str, other: dict[str, Any], tmp_path: Path) -> None:
    file, backbone = saved(tmp_path, variant), build(variant, FLOAT)
    other_backbone = build(variant, FLOAT, **other)
    other_backbone.load_state_dict(backbone.state_dict())
    pools = [Sessions(backbone), Sessions(other_backbone)]
    sessions = [pool.restore(file) for pool in pools]
    for x in torch.randn(9, 1, 10):
        a, b = (pool.step([session], x) for pool, session in zip(pools, sessions, strict=True))
        assert difference(a, b) <= 1e-6


def test_a_window_of_another_size_is_refused_in_any_form(tmp_path: Path) -> None:
    file = saved(tmp_path, "swa", window_size=9)
    with pytest.raises(ValueError, match=r"window.keys is float32 of \(9, 2, 5\), needed is float32 of \(7, 2, 5\)"):
        BackboneState.load(file, build("swa", FLOAT).init_state(1))


def test_weights_that_differ_in_one_bit_are_another_model(tmp_path: Path) -> None:
    file, other = saved(tmp_path), build("mag", FLOAT)
    other.blocks[0].mixer.memory.initial[0][0, 0, 0] += 1e-6
    with pytest.raises(ValueError, match="initial weights of the memories is"):
        BackboneState.load(file, other.init_state(1))
    other = build("mag", FLOAT)
    other.norm.weight[0] += 1e-6
    with pytest.raises(ValueError, match="parameters of the backbone is"):
        Sessions(other).restore(file)


@pytest.mark.parametrize("place", [0.0, 0.02, 0.5, 0.999])
def test_a_damaged_file_is_refused(place: float, tmp_path: Path) -> None:
    file, pool = saved(tmp_path), Sessions(build("mag", FLOAT))
    whole = file.read_bytes()
    spoilt = bytearray(whole)
    spoilt[int(place * len(whole)) + 9] ^= 1
    for found in (spoilt, whole[: int(place * len(whole))], whole + b"x"):
        file.write_bytes(found)
        with pytest.raises(ValueError, match="session is damaged|holds no state"):
            pool.restore(file)
    file.write_bytes(whole)
    assert pool.restore(file) in pool


def test_what_is_no_state_is_refused(tmp_path: Path) -> None:
    pool = Sessions(build("mag", FLOAT))
    with pytest.raises(FileNotFoundError, match="no saved state at .*nothing"):
        pool.restore(tmp_path / "nothing")
    save_file({"w": torch.ones(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(ValueError, match="weights.safetensors holds no state of format .*, found None"):
        pool.restore(tmp_path / "weights.safetensors")
    (tmp_path / "text").write_text("a session")
    with pytest.raises(ValueError, match="text is damaged or no safetensors file"):
        pool.restore(tmp_path / "text")


def test_a_write_that_fails_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = build("mag", FLOAT)
    pool, (session,) = pool_of(backbone, 1)
    pool.save(session, tmp_path / "session")
    before = (tmp_path / "session").read_bytes()

    def full(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="No space left"):
        pool.evict(session, tmp_path / "session")
    assert session in pool
    assert (tmp_path / "session").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["session"]


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as nobody: root may write everywhere."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("{tmp}/file", NotADirectoryError),
        ("{tmp}/file/below", NotADirectoryError),
        ("{tmp}/closed", PermissionError),
        ("/proc/1", FileNotFoundError),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named(folder: str, kind: type[OSError], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "closed").mkdir(mode=0o500)
    place = Path(folder.format(tmp=tmp_path))
    if not place.parent.exists() and folder.startswith("/proc"):
        pytest.skip("there is no /proc")
    pool, (session,) = pool_of(build("mag", FLOAT), 1)
    pool.save(session, tmp_path / "first")  # whatever is imported on the way is read before rights are given up
    (tmp_path / "first").unlink()
    with unprivileged() if kind is PermissionError else nullcontext():
        with pytest.raises(kind, match="a.safetensors") as caught:
            pool.evict(session, place / "a.safetensors")
    assert caught.value.filename == str(place / "a.safetensors")
    assert session in pool
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["closed", "file"]


def test_a_disk_that_is_full_is_an_error_of_the_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool, (session,) = pool_of(build("mag", FLOAT), 1)

    def full(*_: object, **__: object) -> None:
        raise SafetensorError("No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(OSError, match="a.safetensors cannot be written: No space left"):
        pool.save(session, tmp_path / "a.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_sessions_that_are_not_open_are_named(tmp_path: Path) -> None:
    pool = Sessions(build("mag", FLOAT))
    for call in (pool.forget, lambda s: pool.save(s, tmp_path / "a"), lambda s: pool.evict(s, tmp_path / "a")):
        with pytest.raises(KeyError, match="no session 3 is open"):
            call(3)
    assert list(tmp_path.iterdir()) == []
