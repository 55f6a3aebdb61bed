"""`init` of classifiers and regressors of DNA: what is taken over is really used."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from fitted_dna import LENGTH, SMALL, background, both_strands, holding, one_strand, regressor, three_classes
from planted_motifs import MOTIF, planted
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from titans_seq import DNAClassifier, DNALanguageModel, DNARegressor, TitansClassifier
from titans_seq.adapters.dna import BaseBatch, DNAExamples, MixtureBatch, pad_batch
from titans_seq.adapters.language_features import STRETCH, LanguageFeatures, evidence_of
from titans_seq.adapters.next_base import EvidenceReader
from titans_seq.data import read_sequences
from titans_seq.estimators import _next_base

TUNED: dict[str, Any] = {"max_epochs": 6, "random_state": 0, "verbose": 0, "n_members": 1, "learning_rate": 0.01}


@cache
def language() -> DNALanguageModel:
    """Return what has read DNA by chance in which one motif, of either strand, comes again and again."""
    rng, parts = np.random.default_rng(5), []
    turned = read_sequences([MOTIF]).reverse_complement()[0]
    for i in range(500):
        parts += ["".join(rng.choice(list("ACGT"), rng.integers(20, 40))), (MOTIF, turned)[i % 2]]
    options = {"orders": (1, 2, 4, 6), "d_model": 8, "n_heads": 1, "n_persistent": 2, "max_epochs": 2}
    return DNALanguageModel(**options, memory_expansion=1, random_state=0, verbose=0).fit(["".join(parts)])


@cache
def with_language() -> DNAClassifier:
    strings, holds = planted(120, length=LENGTH, both=True)
    options = SMALL | {"max_epochs": 4, "reverse_complement": True, "n_members": 2}
    return DNAClassifier(**options).fit(strings, np.where(holds, "on", "off"), init=language())


def strange(n: int, seed: int = 3) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("ACGT" * 8 + "NRacgtn"), rng.integers(1, 70))) for _ in range(n)]


# --- from a classifier or regressor ------------------------------------------------------------------------------


def test_no_epochs_leave_what_an_earlier_classifier_says() -> None:
    earlier, strings = one_strand(), planted(40, seed=9, length=LENGTH)[0]
    text = np.where(planted(40, seed=9, length=LENGTH)[1], "on", "off")
    same = DNAClassifier(max_epochs=0, n_members=1, random_state=4, verbose=0).fit(strings, text, init=earlier)
    np.testing.assert_array_equal(same.embed(strings), earlier.embed(strings))
    ours, theirs = (
        m._members[0].model(DNAExamples(read_sequences(strings)).batch(np.arange(40))) for m in (same, earlier)
    )
    assert torch.equal(ours, theirs)


def test_other_classes_or_lengths_get_a_new_head_on_the_same_network() -> None:
    earlier, (strings, holds) = one_strand(), planted(60, seed=9, length=30)
    options: dict[str, Any] = {"max_epochs": 0, "n_members": 1, "random_state": 4, "verbose": 0}
    other = DNAClassifier(**options).fit(strings, np.arange(60) % 3, init=earlier)
    np.testing.assert_array_equal(other.embed(strings), earlier.embed(strings))
    np.testing.assert_allclose(other.predict_proba(strings), 1 / 3)
    number = DNARegressor(**options).fit(strings, holds.astype(float), init=earlier)
    np.testing.assert_array_equal(number.embed(strings), earlier.embed(strings))
    again = DNARegressor(**options).fit(strings, holds.astype(float), init=regressor())
    ours, theirs = (m._members[0].model.state_dict() for m in (again, regressor()))
    assert torch.equal(ours["network.pooled.4.weight"], theirs["network.pooled.4.weight"])


def test_an_earlier_regressor_answers_in_the_mean_and_spread_of_the_new_numbers() -> None:
    strings, holds = planted(120, length=LENGTH)
    numbers = holds + 0.01 * np.arange(120)
    options = {"random_state": 0, "verbose": 0, "n_members": 1, "kmers": False}
    earlier = DNARegressor(**SMALL | options | {"max_epochs": 2}).fit(strings, numbers)
    again = DNARegressor(max_epochs=0, **options).fit(strings, 1000 * numbers - 70, init=earlier)
    np.testing.assert_allclose(again.predict(strings), 1000 * earlier.predict(strings) - 70, rtol=1e-4)


def test_what_was_learned_helps_where_there_are_few_labels() -> None:
    better = []
    for seed in range(3):
        strings, holds = planted(40, seed=seed + 20, length=LENGTH)
        asked = planted(200, seed=seed + 90, length=LENGTH)
        tuned = DNAClassifier(reverse_complement=False, kmers=False, **TUNED | {"random_state": seed})
        scratch = DNAClassifier(kmers=False, **SMALL | TUNED | {"random_state": seed}).fit(strings, holds)
        better.append(tuned.fit(strings, holds, init=one_strand()).score(*asked) - scratch.score(*asked))
    assert min(better) > 0.1


def test_k_mers_of_the_earlier_model_count_where_those_of_few_labels_are_worse() -> None:
    asked = planted(200, seed=90, length=LENGTH)
    strings, holds = planted(60, seed=20, length=LENGTH)
    options = TUNED | {"max_epochs": 0, "reverse_complement": False, "validation_fraction": 0.5}
    kept = DNAClassifier(**options).fit(strings, np.where(holds, "on", "off"), init=one_strand())
    ours, theirs = (model._members[0].model.kmers for model in (kept, one_strand()))
    assert ours is not None and theirs is not None
    assert all(torch.equal(x, y) for x, y in zip(ours.buffers(), theirs.buffers(), strict=True))
    assert kept.score(asked[0], np.where(asked[1], "on", "off")) > 0.9
    other = DNAClassifier(**options).fit(strings, holds, init=one_strand())._members[0].model.kmers
    assert other is None or not any(torch.equal(x, theirs.bias) for x in other.buffers())


def test_members_begin_with_the_earlier_ones_in_turn_and_nothing_earlier_changes(tmp_path) -> None:
    earlier, (strings, holds) = both_strands(), planted(60, seed=9, length=LENGTH)
    earlier.save(tmp_path / "before")
    model = DNAClassifier(n_members=3, max_epochs=0, random_state=0, verbose=0).fit(strings, holds, init=earlier)
    own = [member.model.state_dict() for member in model._members]
    theirs = [member.model.state_dict() for member in earlier._members]
    for i, source in enumerate((0, 1, 0)):
        assert all(torch.equal(own[i][name], x) for name, x in theirs[source].items())
    DNAClassifier(n_members=1, max_epochs=1, random_state=0, verbose=0).fit(strings, holds, init=tmp_path / "before")
    earlier.save(tmp_path / "after")
    before, after = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("before", "after"))
    assert before == after


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"channels": 24}, "channels is 24, but the model of init has 16"),
        ({"d_model": 16}, "d_model is 16, but the model of init has 4"),
        ({"variant": "lmm"}, "variant is 'lmm', but the model of init has 'swa'"),
        ({"stride": 6}, "stride is 6, but the model of init has 12"),
    ],
)
def test_an_argument_that_does_not_fit_is_named(options: dict[str, Any], message: str) -> None:
    strings, holds = planted(40)
    with pytest.raises(ValueError, match=message):
        DNAClassifier(**options).fit(strings, holds, init=one_strand())
    agreeing = DNAClassifier(channels=16, d_model=4, stride=12, dropout=0.1, max_epochs=0, verbose=0)
    assert agreeing.fit(strings, holds, init=one_strand())._shape.dropout == 0.1


def test_what_is_no_model_of_dna_is_refused(tmp_path) -> None:
    strings, holds = planted(20)
    with pytest.raises(TypeError, match="init must be a fitted DNAClassifier.* found TitansClassifier"):
        DNAClassifier().fit(strings, holds, init=TitansClassifier())
    for unfitted in (DNAClassifier(), DNALanguageModel()):
        with pytest.raises(NotFittedError, match=f"the {type(unfitted).__name__} of init is not fitted"):
            DNAClassifier().fit(strings, holds, init=unfitted)
    with pytest.raises(FileNotFoundError, match="init: .*nothing holds no saved model"):
        DNAClassifier().fit(strings, holds, init=tmp_path / "nothing")
    rng = np.random.default_rng(0)
    TitansClassifier(max_epochs=0, verbose=0).fit(rng.normal(size=(20, 5)), np.arange(20) % 2).save(tmp_path / "m")
    with pytest.raises(TypeError, match="init: .*holds a saved TitansClassifier; it must be a model of DNA"):
        DNAClassifier().fit(strings, holds, init=tmp_path / "m")


# --- from a language model ---------------------------------------------------------------------------------------


def test_evidence_of_many_sequences_is_that_of_each() -> None:
    model, sequences = language(), read_sequences(strange(9), soft_mask="fold")
    batch = pad_batch(sequences, np.arange(9))
    found = evidence_of(model._counts, 16, batch.codes.numpy())
    for i, n in enumerate(sequences.lengths):
        reader = EvidenceReader([one.share() for one in model._counts], 16, learn=False)
        expected = reader.read(sequences.codes_of(i))
        np.testing.assert_array_equal(found.counts[i, :n].numpy(), expected.counts)
        np.testing.assert_allclose(found.gains[i, :n].numpy(), expected.gains, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(found.before[i, : n + 15].numpy(), expected.before)


def test_of_every_base_both_strands_are_read_as_the_language_model_reads_them() -> None:
    encoder = with_language()._members[0].model.encoder
    sequences = read_sequences(strange(8), soft_mask="fold")
    features = encoder(pad_batch(sequences, np.arange(8)))
    for strand, one in enumerate((sequences, sequences.reverse_complement())):
        for i, n in enumerate(sequences.lengths):
            reader = _next_base.Reader(language()._model, language()._counts, "learning", learn=False)
            said = reader.read(one.codes_of(i))
            expected = torch.cat((said.hidden, said.log_probabilities / np.log(2) + 2), 1)
            found = features[i, :n, 6:].chunk(2, 1)[strand]
            torch.testing.assert_close(found.flip(0) if strand else found, expected.double(), rtol=0, atol=2e-4)
    assert not features[:, :, 6:][features[:, :, :4].sum(2) == 0].any()


@pytest.mark.slow
def test_after_pretraining_few_labels_are_enough_for_what_was_read_before() -> None:
    better, options = [], SMALL | {"max_epochs": 12, "reverse_complement": True, "kmers": False}
    for seed in range(4):
        strings, holds = planted(40, seed=seed + 20, length=60, both=True)
        asked = planted(300, seed=seed + 90, length=60, both=True)
        model = DNAClassifier(**options | {"random_state": seed})
        scratch = model.fit(strings, holds).score(*asked)
        better.append(clone(model).fit(strings, holds, init=language()).score(*asked) - scratch)
    assert np.mean(better) > 0.1
    assert min(better) > 0


@pytest.mark.filterwarnings("ignore:.* are longer or shorter than those of fit")  # k-mers know one length
def test_both_strands_get_one_answer_and_neighbours_do_not_matter() -> None:
    model, strings = with_language(), strange(12)
    logits = model.decision_function(strings)
    assert np.ptp(logits) > 1e-3
    turned = read_sequences(strings).reverse_complement()
    np.testing.assert_allclose(model.decision_function(turned), logits, rtol=0, atol=1e-6)
    alone = np.concatenate([model.decision_function([bases]) for bases in strings])
    np.testing.assert_allclose(alone, logits, rtol=0, atol=1e-6)
    assert model.embed(strings).shape == (12, 2 * 3 * (16 + 4))


def test_a_batch_and_its_opposite_strand_have_one_context() -> None:
    encoder = with_language()._members[0].model.encoder
    batch = pad_batch(read_sequences(strange(6)), np.arange(6))
    features = encoder(batch)
    turned = MixtureBatch(features, batch.lengths).reverse_complement().features
    torch.testing.assert_close(encoder(batch.reverse_complement()), turned, rtol=0, atol=1e-9)
    prepared = encoder.language.prepare(DNAExamples(read_sequences(strange(6)))).batch(np.arange(6))
    torch.testing.assert_close(encoder(prepared.reverse_complement()).double(), turned, rtol=0, atol=1e-5)


def test_pieces_of_a_long_sequence_are_read_like_the_whole() -> None:
    encoder = with_language()._members[0].model.encoder
    assert isinstance(encoder, LanguageFeatures)
    length = STRETCH + 300
    codes = torch.from_numpy(np.random.default_rng(0).integers(0, 4, (1, length)).astype(np.uint8))
    batch = BaseBatch(codes, torch.tensor([length]))
    whole = encoder(batch)
    for begin, end in ((0, 40), (250, 400), (STRETCH - 20, STRETCH + 50), (length - 30, length), (0, length)):
        torch.testing.assert_close(encoder.stretch(batch, begin, end), whole[:, begin:end], rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore:.* are longer or shorter than those of fit")  # k-mers know one length
def test_files_hold_the_language_model_too_and_may_be_started_from(tmp_path) -> None:
    model, strings = with_language(), strange(10)
    model.save(tmp_path / "m")
    again = DNAClassifier.load(tmp_path / "m")
    np.testing.assert_array_equal(again.predict_proba(strings), model.predict_proba(strings))
    again.save(tmp_path / "again")
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("m", "again"))
    assert first == second
    strings, holds = planted(40, length=LENGTH)
    on = DNARegressor(max_epochs=0, n_members=2, reverse_complement=True, verbose=0).fit(
        strings, holds.astype(float), init=tmp_path / "m"
    )
    np.testing.assert_array_equal(on.embed(strings), model.embed(strings))
    language().save(tmp_path / "language")
    fitted = DNAClassifier(**SMALL | {"max_epochs": 0}).fit(strings, holds, init=tmp_path / "language")
    assert fitted._language is not None
    assert fitted.fit(strings, holds)._language is None
    damaged = (tmp_path / "m" / "model.json").read_text().replace('"stem_width": 16', '"stem_width": 8')
    (tmp_path / "m" / "model.json").write_text(damaged)
    with pytest.raises(ValueError, match="is damaged"):
        DNAClassifier.load(tmp_path / "m")


def test_what_biologists_ask_next_is_answered() -> None:
    model, sequence = with_language(), holding(LENGTH, 10)
    mutants = model.mutagenesis(sequence, region=(8, 14))
    assert np.isfinite(mutants.effects[8:14]).all()
    for baseline in ("uniform", "N", background(LENGTH)):
        found = model.integrated_gradients(sequence, baseline=baseline)
        assert abs(found.completeness_gap) < 0.02 * max(1.0, abs(found.score - found.baseline_score))
    effect = model.variant_effect(
        read_sequences([sequence]), [("0", 12, sequence[11], "G" if sequence[11] != "G" else "C")]
    )
    assert np.isfinite(effect["effect_on"]).all()
    assert len(model.scan(read_sequences([sequence + sequence]), step=20)) == 3


def test_three_classes_start_a_regressor_of_several_lengths() -> None:
    strings = strange(40)
    model = DNARegressor(max_epochs=1, n_members=1, random_state=0, verbose=0)
    assert np.isfinite(model.fit(strings, np.arange(40.0), init=three_classes()).predict(strings)).all()
