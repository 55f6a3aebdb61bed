"""Fitting linear models of k-mers: what is counted for the fit is what is added up for an answer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.adapters.dna import DNAExamples, pad_batch
from titans_seq.adapters.kmer_scores import Kmers
from titans_seq.data import read_sequences
from titans_seq.data.sequences.alphabet import LETTERS
from titans_seq.estimators import _kmer_fitting
from titans_seq.training.examples import Labelled
from titans_seq.training.objectives import Objective


def drawn(n: int, length: int, ambiguous: float, seed: int = 0) -> list[str]:
    """Random sequences, a share of whose letters stand for several bases."""
    random = np.random.default_rng(seed)
    plain, other = random.integers(0, 4, (n, length)), random.integers(4, len(LETTERS), (n, length))
    codes = np.where(random.random((n, length)) < ambiguous, other, plain)
    return ["".join(LETTERS[code] for code in row) for row in codes]


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize(
    "kinds",
    [(Kmers(4),), (Kmers(6),), (Kmers(3, "placed"),), (Kmers(4), Kmers(1, "placed")), (Kmers(2), Kmers(4), Kmers(6))],
)
def test_an_answer_adds_up_what_the_fit_has_counted(kinds: tuple[Kmers, ...], both: bool) -> None:
    texts = drawn(60, 40, ambiguous=0.2)
    sequences, targets = read_sequences(texts), np.array([text.count("G") for text in texts], dtype=float)
    part = _kmer_fitting.Examples(sequences, targets, np.ones(60))
    trials = _kmer_fitting._Trials(part, part, Objective("values", 1), 40, both, lambda: False)
    trials.each((kind,) for kind in kinds)
    trial = trials(kinds)
    assert trial is not None
    said = trial.features.train @ trial.linear.weights + trial.linear.bias
    batch, scores = pad_batch(sequences, np.arange(60)), trial.scores(sequences.lengths).double()
    found = scores(batch)
    if both:
        found = (found + scores(batch.reverse_complement())) / 2
    torch.testing.assert_close(found, torch.from_numpy(said), rtol=0, atol=1e-4)


@pytest.mark.filterwarnings("ignore:.* is this a protein")
def test_letters_that_stand_for_several_bases_are_learned_from() -> None:
    """Where they say as much of a target as bases do, they are as good to learn from."""
    texts = drawn(400, 60, ambiguous=0.0)
    strong = np.array([text.count("G") + text.count("C") for text in texts], dtype=float)

    def fitted(share: float) -> float:
        random, read = np.random.default_rng(1), {"A": "W", "C": "S", "G": "S", "T": "W"}
        hidden = read_sequences(["".join(read[x] if random.random() < share else x for x in text) for text in texts])
        labelled = Labelled(DNAExamples(hidden), strong[:, None], np.ones(400))
        given = (labelled, np.arange(300), np.arange(300, 400), Objective("values", 1))
        found = _kmer_fitting.fit_kmers(*given, length=None, both_strands=False)
        assert found is not None
        said = found.judged(pad_batch(hidden, np.arange(300, 400)))[:, 0].numpy()
        return float(np.corrcoef(said, strong[300:])[0, 1])

    plain, ambiguous = fitted(0.0), fitted(0.4)
    assert plain > 0.7 and ambiguous > plain


def test_kmers_of_several_lengths_count_together_where_that_is_better_in_validation() -> None:
    """Every place says something of the target by its base alone, one of them more by three bases in a row."""
    texts, random = drawn(600, 30, ambiguous=0.0), np.random.default_rng(1)
    bases = np.array([["ACGT".index(x) for x in text] for text in texts])
    y = random.normal(size=(30, 4))[np.arange(30), bases].sum(1)
    y += 6 * random.normal(size=(4, 4, 4))[tuple(bases[:, 9:12].T)]
    sequences, targets = read_sequences(texts), (y - y.mean())[:, None] / y.std()
    rows, held = np.arange(450), np.arange(450, 600)
    given = (rows, held, Objective("values", 1))
    found = _kmer_fitting.fit_kmers(
        Labelled(DNAExamples(sequences), targets, np.ones(600)), *given, length=30, both_strands=False
    )
    assert found is not None and len(found.judged.kinds) > 1
    scores = found.judged
    error = float(((scores(pad_batch(sequences, held)).numpy() - targets[held]) ** 2).mean())
    train, test = (_kmer_fitting.Examples(sequences.take(of), targets[of], np.ones(len(of))) for of in (rows, held))
    trials = _kmer_fitting._Trials(train, test, Objective("values", 1), 30, False, lambda: False)
    alone = [trials((kind,)) for kinds in _kmer_fitting._kinds(sequences, 30) for kind in kinds]
    assert len(alone) == 7 and all(trial is not None and error < 0.99 * trial.linear.loss for trial in alone)


def test_answers_stay_where_there_is_evidence() -> None:
    """A homopolymer is all of one k-mer: its sum may be a hundred times what the targets are."""
    texts = drawn(200, 60, ambiguous=0.0)
    y = np.array([text.count("GG") - text.count("AA") for text in texts], dtype=float)
    model = DNARegressor(
        channels=8, d_model=4, n_heads=1, memory_expansion=1, n_persistent=2, max_epochs=0, n_members=1,
        random_state=0, verbose=0,
    ).fit(texts, y)  # fmt: skip
    assert model.kmer_share_[0] > 0.5
    said = model.predict(["G" * 60, "A" * 60])
    assert said[0] > said[1]
    assert (np.abs(said - y.mean()) < 1.1 * np.ptp(y)).all()


def test_what_answers_has_learned_from_the_validation_rows_with_the_penalty_they_chose(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.linear_model import Ridge

    monkeypatch.setattr(_kmer_fitting, "ANYWHERE", (2,))
    texts = drawn(90, 40, ambiguous=0.0)
    targets = np.array([text.count("GA") for text in texts], dtype=float) + np.random.default_rng(0).normal(size=90)
    pairs = [first + second for first in "ACGT" for second in "ACGT"]
    shares = np.array([[sum(text[i : i + 2] == pair for i in range(39)) / 39 for pair in pairs] for text in texts])
    rows, held = np.arange(60), np.arange(60, 90)

    def ridge(penalty: float, learned: np.ndarray) -> np.ndarray:
        scale = shares[learned].max(0)
        return Ridge(alpha=penalty).fit(shares[learned] / scale, targets[learned]).predict(shares / scale)

    errors = [((ridge(penalty, rows) - targets)[held] ** 2).mean() for penalty in _kmer_fitting.PENALTIES]
    best = _kmer_fitting.PENALTIES[int(np.argmin(errors))]
    labelled = Labelled(DNAExamples(read_sequences(texts)), targets[:, None], np.ones(90))
    found = _kmer_fitting.fit_kmers(labelled, rows, held, Objective("values", 1), length=None, both_strands=False)
    assert found is not None
    batch = pad_batch(read_sequences(texts), np.arange(90))
    for scores, expected in ((found.judged, ridge(best, rows)), (found.final, ridge(best, np.arange(90)))):
        said = scores(batch)[:, 0].numpy()
        np.testing.assert_allclose(said, expected.clip(*scores.limits[:, 0].numpy()), atol=2e-3)
    again = _kmer_fitting.FittedKmers.from_tensors(found.to_tensors())
    assert again is not None
    for scores, other in zip(found, again, strict=True):
        assert torch.equal(scores(batch), other(batch))


@pytest.mark.filterwarnings("ignore:.* are longer or shorter than those of fit")  # of the last sequences asked about
@pytest.mark.parametrize("kmers", [True, False])
def test_a_few_sequences_of_other_lengths_do_not_hide_where_things_are(kmers: bool) -> None:
    """GATTACA stands in every sequence; only its place tells the classes apart."""
    random, motif = np.random.default_rng(0), "GATTACA"

    def placed(text: str, kind: int) -> str:
        at = (20, 32)[kind]
        return text[:at] + motif + text[at + len(motif) :]

    y = random.integers(0, 2, 400)
    texts = [placed(text, kind) for text, kind in zip(drawn(400, 60, ambiguous=0.0), y, strict=True)]
    shorter = [text[: 60 - 3 * (i % 50 == 0)] for i, text in enumerate(texts)]
    model = DNAClassifier(
        channels=8, d_model=4, n_heads=1, memory_expansion=1, n_persistent=2, max_epochs=0 if kmers else 25,
        n_members=1, learning_rate=0.01, kmers=kmers, reverse_complement=False, random_state=0, verbose=0,
    ).fit(shorter[:300], y[:300])  # fmt: skip
    assert model.placed_share_[0] > 0 or kmers
    assert model.score(texts[300:], y[300:]) > 0.95
    assert np.isfinite(model.predict_proba([texts[0][:58], texts[0] + "ACGT", "ACGT"])).all()


@pytest.mark.parametrize("both", [False, True])
def test_k_mers_at_places_are_those_of_sequences_of_one_length(both: bool) -> None:
    texts = [text[: 40 - i % 3] for i, text in enumerate(drawn(60, 40, ambiguous=0.1))]
    sequences, targets = read_sequences(texts), np.array([text.count("G") for text in texts], dtype=float)
    part = _kmer_fitting.Examples(sequences, targets, np.ones(60))
    trials = _kmer_fitting._Trials(part, part, Objective("values", 1), 39, both, lambda: False)
    kinds = (Kmers(2), Kmers(1, "placed"), Kmers(3, "placed"))
    trials.each((kind,) for kind in kinds)
    trial = trials(kinds)
    assert trial is not None
    said = trial.features.train @ trial.linear.weights + trial.linear.bias
    of_places = trial.features.train[:, 16:].sum(1)
    assert ((np.asarray(of_places).ravel() > 0) == (sequences.lengths == 39)).all()
    batch, scores = pad_batch(sequences, np.arange(60)), trial.scores(sequences.lengths).double()
    found = scores(batch)
    if both:
        found = (found + scores(batch.reverse_complement())) / 2
    torch.testing.assert_close(found, torch.from_numpy(said), rtol=0, atol=1e-4)
    alone = torch.cat([scores(pad_batch(sequences, np.array([i]))) for i in range(60)])  # without padding
    torch.testing.assert_close(alone, scores(batch), rtol=0, atol=1e-9)
