"""The linear model of k-mers beside the networks of DNA."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fitted_dna import background
from planted_motifs import MOTIF, planted
from safetensors.torch import load_file, save_file

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.adapters.dna import DNAExamples
from titans_seq.data import Genome, read_sequences
from titans_seq.estimators import _kmer_fitting
from titans_seq.training.examples import Labelled
from titans_seq.training.objectives import Objective

TINY = {
    "channels": 8, "d_model": 4, "n_heads": 1, "memory_expansion": 1, "n_persistent": 2, "max_epochs": 1,
    "n_members": 1, "random_state": 0, "verbose": 0,
}  # fmt: skip
SITE, LENGTH = 3100, 5000


def make(**options: Any) -> DNAClassifier:
    return DNAClassifier(**{**TINY, **options})


def genomes(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Copies of one genome, of two lengths, with changes of their own; one base in the middle tells two classes."""
    letters = np.array(list("ACGT"))
    ancestor = np.random.default_rng(0).integers(0, 4, LENGTH)
    random = np.random.default_rng(seed)
    kinds, texts = random.integers(0, 2, n), []
    for kind in kinds:
        codes = np.where(random.random(LENGTH) < 0.003, random.integers(0, 4, LENGTH), ancestor)
        codes[SITE - 40 : SITE + 40] = ancestor[SITE - 40 : SITE + 40]
        codes[SITE] = (ancestor[SITE] + kind) % 4
        texts.append("".join(letters[codes])[: LENGTH - random.integers(0, 2)])
    return texts, np.array(["wild", "mutant"])[kinds]


@pytest.fixture(scope="module")
def of_genomes() -> DNAClassifier:
    return make(max_epochs=0).fit(*genomes(120, 1))


def test_one_base_of_thousands_decides_and_is_found(of_genomes: DNAClassifier) -> None:
    texts, y = genomes(60, 2)
    assert of_genomes.score(texts, y) == 1.0 and of_genomes.kmer_share_ == [1.0]
    for text in (texts[list(y).index(kind)] for kind in ("wild", "mutant")):
        found = of_genomes.integrated_gradients(text)
        assert np.argmax(np.abs(found.attributions)) == SITE
        assert abs(found.completeness_gap) < 1e-6 * abs(found.score - found.baseline_score)
        effects = of_genomes.mutagenesis(text, region=(SITE - 100, SITE + 100)).effects
        assert np.abs(effects).max(1).argmax() == 100


def test_the_wild_type_as_baseline_leaves_only_the_base_that_changed(of_genomes: DNAClassifier) -> None:
    (text, *_), _ = genomes(1, 3)
    base = text[SITE]
    others = [text[:SITE] + other + text[SITE + 1 :] for other in "ACGT" if other != base]
    found = of_genomes.integrated_gradients(text, baseline=others[0])
    assert np.flatnonzero(found.attributions).tolist() == [SITE]


def test_without_k_mers_there_are_none() -> None:
    texts, y = planted(80)
    for model in (make(kmers=False).fit(texts, y), make(validation_fraction=0).fit(texts, y)):
        assert model.kmer_share_ == [0.0] and model._members[0].model.kmers is None
    with pytest.raises(ValueError, match="kmers must be True or False"):
        make(kmers="some").fit(texts, y)


def test_validation_leaves_out_k_mers_that_say_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def noise(*_: Any, **__: Any) -> Any:
        weights = {_kmer_fitting.Kmers(4): torch.from_numpy(np.random.default_rng(0).normal(size=(256, 2)) * 100)}
        scores = _kmer_fitting.KmerScores(weights, torch.zeros(2), (40, 40))
        return _kmer_fitting.FittedKmers(scores, scores)

    monkeypatch.setattr("titans_seq.estimators._kmers_beside.fit_kmers", noise)
    model = make(max_epochs=12, learning_rate=0.01, channels=16).fit(*planted(300))
    assert model.kmer_share_[0] <= 0.2


def test_parameters_are_those_of_the_network_and_the_weights_of_the_k_mers_that_count(tmp_path: Path) -> None:
    texts, y = planted(300, at=8)
    model = make(max_epochs=0).fit(texts, y)
    assert model.kmer_share_ == [1.0]
    network = sum(p.numel() for p in model._members[0].model.network.parameters())
    model.save(tmp_path / "model")
    prefix = "member0.kmers."
    tensors = load_file(tmp_path / "model" / "model.safetensors").items()
    kmers = {name.removeprefix(prefix): x.numel() for name, x in tensors if name.startswith(prefix)}
    learned = {name: size for name, size in kmers.items() if name.startswith(("anywhere", "placed", "chosen", "bias"))}
    assert learned["bias"] == 2 and sum(learned.values()) > 64
    assert model.n_parameters_ == network + sum(learned.values())
    assert DNAClassifier.load(tmp_path / "model").n_parameters_ == model.n_parameters_
    assert make(kmers=False, max_epochs=0).fit(texts, y).n_parameters_ == network


def test_of_chosen_k_mers_the_weights_are_parameters_and_not_the_numbers(of_genomes: DNAClassifier) -> None:
    model = of_genomes._members[0].model
    assert model.kmers is not None
    weights = {kind.name: getattr(model.kmers, kind.name).numel() for kind in model.kmers.kinds}
    assert any(name.startswith("chosen") for name in weights)
    assert of_genomes.n_parameters_ == model.network.n_parameters() + sum(weights.values()) + 2


@pytest.mark.parametrize("both", [False, True])
def test_saved_and_loaded_it_says_the_same(both: bool, tmp_path: Path) -> None:
    texts, y = planted(120)
    model = make(reverse_complement=both).fit(texts, y)
    assert model.kmer_share_[0] > 0
    model.save(tmp_path / "model")
    again = DNAClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))
    assert again.kmer_share_ == model.kmer_share_
    turned = [read_sequences([text]).reverse_complement()[0] for text in texts]
    if both:
        np.testing.assert_allclose(model.predict_proba(turned), model.predict_proba(texts), atol=1e-6)


def test_models_saved_before_there_were_k_mers_can_be_read(tmp_path: Path) -> None:
    texts, y = planted(80)
    model = make(kmers=False).fit(texts, y)
    model.save(tmp_path / "model")
    facts = json.loads((tmp_path / "model" / "model.json").read_text())
    del facts["choices"][0]["kmer_share"], facts["parameters"]["kmers"]
    (tmp_path / "model" / "model.json").write_text(json.dumps(facts))
    again = DNAClassifier.load(tmp_path / "model")
    np.testing.assert_array_equal(again.predict_proba(texts), model.predict_proba(texts))


def test_k_mers_that_are_damaged_are_refused(tmp_path: Path) -> None:
    model = make().fit(*planted(120))
    model.save(tmp_path / "model")
    tensors = load_file(tmp_path / "model" / "model.safetensors")
    del tensors["member0.kmers.bias"]
    save_file(tensors, tmp_path / "model" / "model.safetensors")
    with pytest.raises(ValueError, match="damaged"):
        DNAClassifier.load(tmp_path / "model")


def test_sequences_of_other_lengths_are_answered_by_the_network_alone() -> None:
    """Where a base counts by its place, other lengths have no such places."""
    random = np.random.default_rng(0)
    texts = ["".join(random.choice(list("ACGT"), 40)) for _ in range(200)]
    y = np.array([text[20] in "AG" for text in texts])
    model = make().fit(texts, y)
    network = make(kmers=False).fit(texts, y)
    kmers = model._members[0].model.kmers
    assert model.score(texts, y) > 0.95 and kmers is not None and kmers.placed and kmers.lengths.tolist() == [40, 40]
    longer = [text + "A" for text in texts[:5]]
    batch = model._examples(longer).batch(np.arange(5))
    said = model._members[0].model(batch)
    torch.testing.assert_close(said[:, -1], said[:, 0])
    torch.testing.assert_close(said[:, :2], network._members[0].model(batch), rtol=0, atol=1e-5)


def test_numbers_and_several_labels_have_k_mers_too() -> None:
    texts, holds = planted(300, at=8)
    numbers = holds * 2.0 + np.array([text.count("G") for text in texts]) / 10
    regressor = DNARegressor(**TINY).fit(texts, numbers)
    assert regressor.kmer_share_[0] > 0.5 and np.corrcoef(regressor.predict(texts), numbers)[0, 1] > 0.9
    two = DNARegressor(**TINY).fit(texts, np.stack((numbers, -numbers), 1))
    assert two.predict(texts[:3]).shape == (3, 2) and two.kmer_share_[0] > 0.5
    labels = np.stack((holds, [text[0] == "A" for text in texts]), 1).astype(int)
    many = make().fit(texts, labels)
    assert (many.predict(texts) == labels).mean(0).min() > 0.9
    one_sided = make().fit(texts, np.stack((holds, np.ones(300)), 1).astype(int))
    assert one_sided.predict(texts)[:, 1].all()


def test_of_more_than_can_be_kept_a_share_is_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, y = planted(300, at=8)
    monkeypatch.setattr(_kmer_fitting, "MOST_NUMBERS", 100 * len(texts[0]) * 2)
    sizes: list[int] = []
    solve = _kmer_fitting.solve

    def watched(features: Any, *rest: Any) -> Any:
        sizes.append(features.shape[0])
        return solve(features, *rest)

    monkeypatch.setattr(_kmer_fitting, "solve", watched)
    model = make().fit(texts, y)
    assert set(sizes) == {100} and model.score(texts, y) > 0.9


def test_rows_that_weigh_nothing_are_not_learned_from() -> None:
    texts, y = planted(200, at=8)
    wrong = [text for text, holds in zip(texts, y, strict=True) if holds]
    both = [*texts, *wrong]
    labels = np.concatenate((y, np.zeros(len(wrong), dtype=y.dtype)))
    model = make().fit(both, labels, sample_weight=np.repeat([1.0, 0.0], [len(texts), len(wrong)]))
    assert model.score(texts, y) > 0.9


def test_on_both_strands_and_at_any_length_a_motif_counts_alike() -> None:
    def drawn(n: int, seed: int) -> tuple[list[str], np.ndarray]:
        texts, y = planted(n, seed=seed, at=8)
        random = np.random.default_rng(seed)
        cut = [text[: random.integers(len(MOTIF) + 8, len(text))] for text in texts]
        return [read_sequences([t]).reverse_complement()[0] if random.random() < 0.5 else t for t in cut], y

    model = make(reverse_complement=True).fit(*drawn(300, 1))
    kmers = model._members[0].model.kmers
    assert kmers is not None and not kmers.placed
    assert model.score(*drawn(200, 2)) > 0.9


@pytest.mark.parametrize("strands", [False, True, "auto"])
def test_a_network_that_takes_all_the_time_leaves_some_for_the_k_mers(strands: Any) -> None:
    model = make(max_epochs=1000, early_stopping_patience=1000, max_minutes=0.05, reverse_complement=strands)
    model.fit(*planted(400))
    assert model.kmer_share_[0] > 0 and len(model.history_[0]) < 1000


class MadeUpTime:
    """A clock that moves on by a second at every look."""

    now = 0.0

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def test_once_it_is_late_no_further_label_is_fitted_and_those_left_are_answered_by_their_share(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sklearn.linear_model import LogisticRegression

    texts, holds = planted(200, at=8)
    labels = np.stack([holds, *(np.arange(200) < n for n in range(20, 160, 20))], 1).astype(float)
    fitted: list[int] = []
    plain = LogisticRegression.fit
    monkeypatch.setattr(LogisticRegression, "fit", lambda *a, **kw: fitted.append(1) or plain(*a, **kw))
    monkeypatch.setattr(_kmer_fitting, "time", MadeUpTime())
    found = _kmer_fitting.fit_kmers(
        Labelled(DNAExamples(read_sequences(texts)), labels, np.ones(200)), np.arange(0, 200, 2), np.arange(1, 200, 2),
        Objective("labels", 8), length=None, both_strands=False, deadline=21.0,
    )  # fmt: skip
    assert len(fitted) == 4 and found is not None and len(found.final.kinds) == 1
    assert found.final is found.judged  # nothing was fitted again
    weights = getattr(found.final, found.final.kinds[0].name)
    assert weights[:, :4].abs().amax(0).min() > 0 and not weights[:, 4:].any()
    share = labels[::2, 4:].mean(0)
    np.testing.assert_allclose(found.final.bias[4:], np.log(share / (1 - share)), rtol=1e-5)


def test_long_sequences_without_a_plain_12_mer_have_none() -> None:
    texts = ["ACGTACGTACN" * 400, "TTGTACGTACN" * 400] * 60
    model = make().fit(texts, [0, 1] * 60)
    assert model.score(texts, [0, 1] * 60) == 1.0 and model.kmer_share_[0] > 0
    assert make().fit(["N" * 4200] * 100, [0, 1] * 50).kmer_share_ == [0.0]


def test_what_an_earlier_model_has_is_not_taken_where_it_is_not_wanted_or_knows_other_lengths() -> None:
    texts, y = planted(120, at=8)
    earlier = make(max_epochs=0).fit(texts, y)
    options = {"max_epochs": 0, "validation_fraction": 0}
    assert make(**options).fit(texts, y, init=earlier).kmer_share_ == earlier.kmer_share_ != [0.0]
    assert make(**options, kmers=False).fit(texts, y, init=earlier).kmer_share_ == [0.0]
    assert make(**options).fit([text + "ACGT" * 5 for text in texts], y, init=earlier).kmer_share_ == [0.0]


@pytest.mark.parametrize("seed", range(4))
def test_k_mers_of_one_strand_keep_a_network_that_has_learned_nothing_from_reading_both(seed: int) -> None:
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("ACGT"), 60)) for _ in range(400)]
    y = random.integers(0, 2, 400)
    texts = [text[:30] + "GT" + text[32:] if kind else text for text, kind in zip(texts, y, strict=True)]
    model = make(max_epochs=3, random_state=seed).fit(texts, y)
    assert not model.both_strands_ and model.score(texts, y) > 0.9


def test_a_target_that_hardly_varies_where_it_is_measured_decides_nothing() -> None:
    texts, holds = planted(300, at=8)
    rare = np.zeros(300)
    rare[:2] = 1.0
    for seed in range(3):
        model = DNARegressor(**TINY | {"random_state": seed}).fit(texts, np.stack((holds * 2.0, rare), 1))
        assert model.validation_score_ < 100
        assert np.corrcoef(model.predict(texts)[:, 0], holds)[0, 1] > 0.8


@pytest.mark.parametrize("size", [1e160, 1e300])
def test_numbers_that_cannot_be_squared_are_refused(size: float) -> None:
    texts, holds = planted(60)
    with pytest.raises(ValueError, match=r"y has numbers up to 1e\+\d+, too large to be squared; rescale them"):
        DNARegressor(**TINY).fit(texts, holds * size)


def test_nothing_is_tried_when_time_is_up() -> None:
    texts, y = planted(100)
    labelled = Labelled(DNAExamples(read_sequences(texts)), y.astype(np.int64), np.ones(100))
    given = (labelled, np.arange(80), np.arange(80, 100), Objective("classes", 2))
    late, soon = time.monotonic() - 1, time.monotonic() + 60
    assert _kmer_fitting.fit_kmers(*given, length=None, both_strands=False, deadline=late) is None
    assert _kmer_fitting.fit_kmers(*given, length=None, both_strands=False, deadline=soon) is not None


def test_sequences_that_k_mers_say_nothing_of_are_counted_where_they_count_most() -> None:
    texts, y = planted(300, at=8)
    model = make(max_epochs=0).fit(texts, y)
    assert model.kmer_share_ == [1.0] and len(texts[0]) == 40
    asked = [*texts[:3], texts[0][:-1], texts[1] + "ACGTACGT"]
    with pytest.warns(UserWarning, match=r"2 of 5 sequences are longer or .* of fit \(40 to 40 bases\)"):
        model.predict(asked)
    genome = Genome(read_sequences([background(200)]))
    with pytest.warns(UserWarning, match="windows of 60 bases are longer or shorter"):
        model.scan(genome, window=60, step=1)
    base = genome.fetch("0", 99, 100)
    variant = [("0", 100, base, "ACGT"[("ACGT".index(base) + 1) % 4])]
    with pytest.warns(UserWarning, match="windows of 60 bases are longer or shorter"):
        model.variant_effect(genome, variant, window=60)
    with pytest.warns(UserWarning, match="some of the windows are longer or shorter"):
        model.variant_effect(genome, variant, windows=[("0", 80, 120), ("0", 0, 90)])
    network = make(max_epochs=0, kmers=False).fit(texts, y)
    assert network.predict(asked).shape == (5,)
