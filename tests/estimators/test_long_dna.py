"""Sequences longer than a batch holds: read in pieces, they get the answers of sequences read whole."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from titans_seq import DNAClassifier, TitansClassifier
from titans_seq.adapters import long_sequences
from titans_seq.estimators import _dna, _sequence_predicting

LONG = 1500


def sequences(n: int, length: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return ["".join(random.choice(list("ACGT"), length)) for _ in range(n)]


@pytest.fixture(scope="module")
def classifier() -> DNAClassifier:
    X = sequences(40, 200)
    X[::2] = [x[:90] + "TGACTCATGACTCA" + x[104:] for x in X[::2]]
    made = DNAClassifier(
        stride=8, max_epochs=2, n_members=2, channels=8, d_model=8, reverse_complement=True, random_state=0, verbose=0
    )
    return made.fit(X, [0, 1] * 20)


def test_they_get_the_answers_of_sequences_read_whole(
    classifier: DNAClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    X = [*sequences(2, LONG, 1), *sequences(2, 200, 2), "ACGTN" * 100]
    whole, embedded = classifier.predict_proba(X), classifier.embed(X)
    monkeypatch.setattr(_sequence_predicting, "MAX_POSITIONS", 300)
    monkeypatch.setattr(long_sequences, "TOKENS_AT_ONCE", 20)
    read: list[int] = []
    honest = _sequence_predicting.read_in_pieces
    monkeypatch.setattr(
        _sequence_predicting, "read_in_pieces", lambda model, batch: read.append(1) or honest(model, batch)
    )
    np.testing.assert_allclose(classifier.predict_proba(X), whole, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(classifier.embed(X), embedded, rtol=1e-8, atol=1e-8)
    assert len(read) == 3 * 2 * 2  # three are long; two members read two strands


def test_before_long_sequences_it_says_what_they_will_take(
    classifier: DNAClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = _sequence_predicting.announcement(classifier._members, np.array([100, 2**18]), both_strands=True)
    assert said is not None and "1 of 2 sequences are long: about " in said and "GB" in said
    assert _sequence_predicting.announcement(classifier._members, np.array([100, 2**17]), both_strands=True) is None


def test_it_says_so_outside_a_terminal_too_unless_it_is_to_be_silent(
    classifier: DNAClassifier, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in (_dna, _sequence_predicting):
        monkeypatch.setattr(module, "MAX_POSITIONS", 300)
    loud, X = copy.copy(classifier).set_params(verbose=1), sequences(1, 400)
    for ask in (loud.predict, loud.predict_proba, loud.decision_function, loud.embed):
        ask(X)
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("1 of 1 sequences are long: about ")
        assert len(said.err.splitlines()) == 1
        ask(sequences(2, 300))
        assert capsys.readouterr() == ("", "")
    quiet = copy.copy(classifier).set_params(verbose=0)
    for ask in (quiet.predict, quiet.embed):
        ask(X)
        assert capsys.readouterr() == ("", "")


def test_nothing_is_said_of_long_arrays_which_are_read_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    X = np.random.default_rng(0).normal(size=(20, 40))
    model = TitansClassifier(max_epochs=1, d_model=8, random_state=0).fit(X, [0, 1] * 10)
    whole = model.predict_proba(X)
    capsys.readouterr()
    for module in (_dna, _sequence_predicting):
        monkeypatch.setattr(module, "MAX_POSITIONS", 30)
    np.testing.assert_allclose(model.predict_proba(X), whole, rtol=1e-9)
    assert capsys.readouterr() == ("", "")


# In a process of its own: the peak of this one may lie in an earlier test.
READ = """
import resource, sys
import numpy as np
from titans_seq import DNAClassifier
from titans_seq.adapters.dna import DNAExamples
from titans_seq.adapters.long_sequences import read_in_pieces
from titans_seq.data import read_sequences

model = DNAClassifier.load(sys.argv[1])._members[0].model
bases, place = np.random.default_rng(4).choice(list("ACGT"), 2**19), 377_777

def answer(letters):
    batch = DNAExamples(read_sequences(["".join(letters)])).batch(np.array([0]))
    return read_in_pieces(model, batch), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

_, before = answer(bases[: 2**17])
one, after = answer(bases)
bases[place] = "A" if bases[place] != "A" else "C"
other, _ = answer(bases)
print(after - before, float((one - other).abs().max()))
"""


@pytest.mark.slow
def test_one_base_of_half_a_million_changes_the_answer_and_memory_stays_flat(tmp_path: Path) -> None:
    # With as many channels reading it whole takes 280 MB more.
    wide = DNAClassifier(stride=8, max_epochs=1, n_members=1, channels=64, d_model=8, random_state=0, verbose=0)
    wide.fit(sequences(40, 200), [0, 1] * 20).save(tmp_path / "model")
    command = [sys.executable, "-c", READ, str(tmp_path / "model")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    grown, change = map(float, done.stdout.split())
    assert grown < 100 * 1024, f"{grown} KB more for four times the bases"
    assert change > 0
