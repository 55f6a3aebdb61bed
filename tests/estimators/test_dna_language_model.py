"""`DNALanguageModel`: bits of bases, the memory's three ways, embedding, generating, saving."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from titans_seq import DNALanguageModel, TitansForecaster, pretrain
from titans_seq.data import read_sequences

SMALL = {
    "orders": (1, 2, 4), "stem_width": 6, "d_model": 8, "chunk_size": 8, "window_size": 8, "n_persistent": 2,
    "piece_length": 32, "batch_size": 4, "max_epochs": 2, "random_state": 0,
}  # fmt: skip


def text(n: int, seed: int) -> str:
    """Bases that prefer to repeat what stood seven before."""
    random = np.random.default_rng(seed)
    codes = random.integers(0, 4, n)
    for t in np.flatnonzero(random.random(n) < 0.5):
        codes[t] = codes[t - 7]
    return "".join("ACGT"[c] for c in codes)


TRAIN = [text(900, 0), text(500, 1) + "NNN" + text(100, 2).lower()]
TEST = text(400, 3)


@pytest.fixture(scope="module")
def fitted() -> DNALanguageModel:
    return DNALanguageModel(**SMALL).fit(TRAIN)


def changed(bases: str, at: int) -> str:
    return bases[:at] + "ACGT"[("ACGT".index(bases[at]) + 1) % 4] + bases[at + 1 :]


def test_fit_tells_what_it_did(fitted: DNALanguageModel) -> None:
    assert [entry["epoch"] for entry in fitted.history_] == list(range(len(fitted.history_)))
    assert fitted.validation_bits_ == min(entry["validation_bits"] for entry in fitted.history_)
    assert fitted.history_[fitted.best_epoch_]["validation_bits"] == fitted.validation_bits_
    assert fitted.n_bases_ == 1503
    assert fitted.get_params() == DNALanguageModel(**SMALL).get_params()
    assert not hasattr(clone(fitted), "_model")


@pytest.mark.parametrize("memory", ["learning", "frozen", "off"])
def test_a_base_costs_the_same_whatever_comes_after_it(fitted: DNALanguageModel, memory: str) -> None:
    (first,) = fitted.surprise([TEST], memory=memory)
    for at in (0, 50, 399):
        (second,) = fitted.surprise([changed(TEST, at)], memory=memory)
        assert np.array_equal(first[:at], second[:at])
        assert first[at] != second[at]


def test_the_probabilities_of_the_four_bases_add_up_to_one(fitted: DNALanguageModel) -> None:
    for at in (0, 7, 200):
        probabilities = [2.0 ** -fitted.surprise([TEST[:at] + base])[0][-1] for base in "ACGT"]
        assert sum(probabilities) == pytest.approx(1.0, abs=1e-5)


def test_a_long_sequence_is_cut_inside_without_a_trace(
    fitted: DNALanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    (whole,) = fitted.surprise([TEST])
    monkeypatch.setattr("titans_seq.estimators._next_base._PIECE", 37)
    np.testing.assert_allclose(fitted.surprise([TEST])[0], whole, rtol=1e-4, atol=1e-5)


def test_bits_per_base_is_the_mean_of_the_surprise_of_known_bases(fitted: DNALanguageModel) -> None:
    found = fitted.surprise([TEST + "NRN" + "acgt", "AC"])
    assert [len(one) for one in found] == [407, 2]
    assert np.isnan(found[0]).nonzero()[0].tolist() == [400, 401, 402]
    expected = np.nanmean(np.concatenate(found))
    assert fitted.bits_per_base([TEST + "NRN" + "ACGT", "AC"]) == pytest.approx(expected, rel=1e-6)
    assert fitted.score([TEST]) == -fitted.bits_per_base([TEST])
    assert np.isnan(fitted.bits_per_base(["NNN"]))


def test_what_was_learned_helps_and_so_does_going_on_learning(fitted: DNALanguageModel) -> None:
    untrained = DNALanguageModel(**SMALL | {"max_epochs": 0}).fit(TRAIN)
    assert fitted.validation_bits_ < untrained.validation_bits_
    repeated = [TEST * 3]
    assert fitted.bits_per_base(repeated) < fitted.bits_per_base(repeated, counts="frozen")


def test_the_memory_can_be_frozen_or_switched_off(fitted: DNALanguageModel) -> None:
    bits = {memory: fitted.bits_per_base([TEST], memory=memory) for memory in ("learning", "frozen", "off")}
    assert len(set(bits.values())) == 3


def test_reading_changes_nothing(fitted: DNALanguageModel) -> None:
    before = {name: x.clone() for name, x in fitted._model.state_dict().items()}
    tables = [counts.table.copy() for counts in fitted._counts]
    generator = torch.random.get_rng_state()
    first = fitted.surprise([TEST])
    fitted.embed([TEST])
    fitted.generate("ACG", 5, random_state=0)
    fitted.bits_per_base([TEST], memory="frozen", counts="frozen")
    assert np.array_equal(fitted.surprise([TEST])[0], first[0])
    assert all(torch.equal(x, before[name]) for name, x in fitted._model.state_dict().items())
    assert all(np.array_equal(c.table, table) for c, table in zip(fitted._counts, tables, strict=True))
    assert torch.equal(torch.random.get_rng_state(), generator)


def test_the_same_seed_gives_the_same_model(fitted: DNALanguageModel) -> None:
    again, other = DNALanguageModel(**SMALL).fit(TRAIN), DNALanguageModel(**SMALL | {"random_state": 1}).fit(TRAIN)
    assert again.bits_per_base([TEST]) == fitted.bits_per_base([TEST])
    assert other.bits_per_base([TEST]) != fitted.bits_per_base([TEST])


def test_both_strands_are_learned() -> None:
    bases = text(1200, 4)
    model = DNALanguageModel(**SMALL | {"orders": (2, 8), "max_epochs": 0}).fit([bases])
    opposite = read_sequences([bases]).reverse_complement()
    assert model.bits_per_base(opposite, counts="frozen") < 1.6
    assert model.bits_per_base([text(1200, 5)], counts="frozen") > 1.9


def test_a_vector_for_each_sequence_that_does_not_depend_on_the_others(fitted: DNALanguageModel) -> None:
    vectors = fitted.embed([TEST, "A", "NNNN", TEST[:50]])
    assert vectors.shape == (4, 8)
    assert np.isfinite(vectors).all()
    assert np.array_equal(fitted.embed([TEST[:50]])[0], vectors[3])


def test_bases_are_drawn_from_the_probabilities_of_reading(fitted: DNALanguageModel) -> None:
    drawn = fitted.generate(TEST, 30, random_state=0)
    assert len(drawn) == 30
    assert set(drawn) <= set("ACGT")
    assert drawn == fitted.generate(TEST, 30, random_state=0)
    assert drawn != fitted.generate(TEST, 30, random_state=1)
    assert fitted.generate("", 0) == ""
    greedy = fitted.generate(TEST, 3, temperature=0)
    costs = {base: fitted.surprise([TEST + base])[0][-1] for base in "ACGT"}
    assert greedy[0] == min(costs, key=costs.__getitem__)
    first = [fitted.generate(TEST, 1, random_state=seed) for seed in range(60)]
    expected = 2.0 ** -costs[greedy[0]]
    assert abs(first.count(greedy[0]) / 60 - expected) < 4 * (expected * (1 - expected) / 60) ** 0.5


def test_a_saved_model_answers_as_before(fitted: DNALanguageModel, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    loaded = DNALanguageModel.load(tmp_path / "model")
    assert np.array_equal(loaded.surprise([TEST])[0], fitted.surprise([TEST])[0])
    assert loaded.get_params() == fitted.get_params()
    for name in ("history_", "validation_bits_", "best_epoch_", "stopped_by_", "n_bases_", "n_parameters_"):
        assert getattr(loaded, name) == getattr(fitted, name)


def test_a_damaged_file_and_that_of_another_estimator_are_refused(fitted: DNALanguageModel, tmp_path: Path) -> None:
    fitted.save(tmp_path / "model")
    description = json.loads((tmp_path / "model" / "model.json").read_text())
    description["parameters"]["d_model"] = 16
    (tmp_path / "model" / "model.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match="is damaged: .*size mismatch"):
        DNALanguageModel.load(tmp_path / "model")
    TitansForecaster(2, max_epochs=0, verbose=0).fit(np.arange(40.0)).save(tmp_path / "other")
    with pytest.raises(ValueError, match="holds a saved TitansForecaster, not a DNALanguageModel"):
        DNALanguageModel.load(tmp_path / "other")


def test_a_long_run_says_beforehand_what_it_takes(
    fitted: DNALanguageModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate, longer = fitted.estimate([TEST]), fitted.estimate([TEST * 100])
    assert (estimate.n_bases, longer.n_bases) == (400, 40_000)
    assert 0 < estimate.seconds < longer.seconds
    assert longer.megabytes - estimate.megabytes == pytest.approx(5 * 39_600 / 2**20)
    fitted.surprise([TEST])
    assert capsys.readouterr().err == ""
    monkeypatch.setattr("titans_seq.estimators.dna_language_model._LONG", 300)
    fitted.surprise([TEST])
    assert capsys.readouterr().err.startswith("reading 400 bases: about ")
    clone(fitted).set_params(verbose=0, max_epochs=0).fit(TRAIN).surprise([TEST])
    assert capsys.readouterr().err == ""


def test_both_ways_to_read_say_so_from_the_length_on_that_is_long_to_a_classifier(
    fitted: DNALanguageModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from titans_seq.estimators import _sequence_predicting, dna_language_model

    assert dna_language_model._LONG == _sequence_predicting.MAX_POSITIONS
    monkeypatch.setattr(dna_language_model, "_LONG", 300)
    fitted.embed([TEST])
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith("reading 400 bases: about ")
    fitted.embed([TEST[:300]])
    assert capsys.readouterr() == ("", "")


def test_a_long_run_copies_the_tables_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = DNALanguageModel(**SMALL | {"orders": (12,), "max_epochs": 0}).fit(TRAIN)
    monkeypatch.setattr("titans_seq.estimators.dna_language_model._LONG", 300)
    tracemalloc.start()
    try:
        model.surprise([TEST])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert capsys.readouterr().err != ""
    assert peak < 1.2 * model._counts[0].table.nbytes


def test_gaps_of_any_length_cost_nothing_in_training() -> None:
    short, long = ([TRAIN[0] + "N" * n + TRAIN[1]] for n in (2, 5000))
    assert DNALanguageModel(**SMALL).fit(short).history_[1]["train_bits"] == pytest.approx(
        DNALanguageModel(**SMALL).fit(long).history_[1]["train_bits"]
    )


def test_pretrain_reads_a_fasta_file(tmp_path: Path) -> None:
    (tmp_path / "genome.fa").write_text(f">one\n{TRAIN[0]}\n>two\n{TRAIN[1]}\n")
    model = pretrain(tmp_path / "genome.fa", **SMALL | {"max_epochs": 1})
    assert model.bits_per_base(tmp_path / "genome.fa") < 2
    with pytest.raises(TypeError, match="epochs"):
        pretrain(TRAIN, epochs=3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"orders": ()}, "orders must name at least one order"),
        ({"orders": (3, 2)}, "orders must increase"),
        ({"orders": (1, 40)}, "orders must be at most 31, found 40"),
        ({"variant": "lstm"}, "variant must be one of"),
        ({"piece_length": 0}, "piece_length must be at least 1"),
        ({"max_minutes": 0.0}, "max_minutes must lie between"),
        ({"validation_fraction": 1.0}, "validation_fraction must lie between"),
        ({"random_state": -1}, "random_state must be"),
    ],
)
def test_bad_arguments_are_refused_by_fit(options: dict[str, object], message: str) -> None:
    model = DNALanguageModel(**SMALL | options)
    with pytest.raises(ValueError, match=message):
        model.fit(TRAIN)


def test_bad_sequences_and_ways_of_reading_are_refused(fitted: DNALanguageModel) -> None:
    with pytest.raises(ValueError, match="3 of 6 letters are one of A, C, G and T; fit needs at least 100"):
        DNALanguageModel(**SMALL).fit(["ACGNNN"])
    with pytest.raises(ValueError, match="memory must be one of"):
        fitted.bits_per_base([TEST], memory="on")
    for ask in (fitted.surprise, fitted.bits_per_base):
        with pytest.raises(TypeError, match=r"data is one string of bases.*; pass \[string\] for one sequence"):
            ask("ACGT" * 300)
    with pytest.raises(ValueError, match="n must be at least 0"):
        fitted.generate("A", -1)
    with pytest.raises(NotFittedError):
        DNALanguageModel().surprise([TEST])
    control = DNALanguageModel(**SMALL | {"variant": "swa", "max_epochs": 0}).fit(TRAIN)
    with pytest.raises(ValueError, match="variant 'swa' has no memory to freeze"):
        control.surprise([TEST], memory="frozen")


def test_fit_keeps_to_its_minutes() -> None:
    model = DNALanguageModel(**SMALL | {"max_epochs": 10_000, "max_minutes": 0.03}).fit(TRAIN)
    assert model.stopped_by_ in ("max_minutes", "early_stopping")
    assert len(model.history_) < 10_000
