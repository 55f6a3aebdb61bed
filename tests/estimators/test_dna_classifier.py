"""What `DNAClassifier` learns, and what may not change its answers."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from Bio.Seq import Seq
from Bio.SeqRecord import SeqRecord
from planted_motifs import MOTIF, planted, ragged
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import AdaBoostClassifier, BaggingClassifier, StackingClassifier, VotingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multiclass import OneVsRestClassifier

from titans_seq import DNAClassifier, DNARegressor
from titans_seq.data import read_sequences

SMALL = {
    "channels": 16, "d_model": 8, "memory_expansion": 1, "n_persistent": 2, "dropout": 0.1, "max_epochs": 3,
    "learning_rate": 0.005, "n_members": 1, "random_state": 0, "verbose": 0,
}  # fmt: skip
TINY = SMALL | {"channels": 8, "n_heads": 1, "d_model": 4, "max_epochs": 1}


def make(**options: Any) -> DNAClassifier:
    return DNAClassifier(**{**SMALL, **options})


@pytest.fixture(scope="module")
def fitted() -> DNAClassifier:
    strings, y = ragged(80)
    return make(reverse_complement=True).fit(strings, y)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["mag", "swa"])
def test_a_motif_anywhere_in_the_sequence_is_learned(variant: str) -> None:
    model = make(max_epochs=20, variant=variant, reverse_complement=False, kmers=False).fit(*planted(400))
    assert model.score(*planted(200, seed=1)) > 0.93


@pytest.mark.slow
def test_a_place_is_learned_where_every_sequence_holds_the_motif() -> None:
    def moved(n: int, seed: int):
        pairs = [planted(2, seed=seed * 10_000 + i, at=8 if i % 2 else 24) for i in range(n)]
        return [strings[int(holds.argmax())] for strings, holds in pairs], np.arange(n) % 2

    model = make(max_epochs=15, reverse_complement=False, kmers=False, stride=12).fit(*moved(300, 1))
    assert model.placed_share_[0] > 0
    assert model.score(*moved(200, 2)) > 0.9


@pytest.mark.slow
def test_validation_finds_out_whether_strands_are_alike() -> None:
    one_strand = make(max_epochs=15).fit(*planted(500, at=10, length=30))
    assert not one_strand.both_strands_
    either = make(max_epochs=30, kmers=False).fit(*planted(500, both=True))
    assert either.both_strands_
    assert either.score(*planted(200, seed=1, both=True)) > 0.85


@pytest.mark.parametrize("strands", [True, False])
def test_a_sequence_gets_the_same_answer_alone_in_any_order_and_beside_longer_ones(strands: bool) -> None:
    strings, y = ragged(60)
    model = make(reverse_complement=strands).fit(strings, y)
    logits = model.decision_function(strings)
    assert np.ptp(logits) > 1e-3
    np.testing.assert_allclose(model.decision_function(strings[::-1])[::-1], logits, rtol=0, atol=1e-9)
    alone = np.concatenate([model.decision_function([bases]) for bases in strings[:12]])
    np.testing.assert_allclose(alone, logits[:12], rtol=0, atol=1e-9)
    longer = model.decision_function([*strings, "ACGT" * 500])
    np.testing.assert_allclose(longer[:-1], logits, rtol=0, atol=1e-9)


def test_a_sequence_of_the_length_of_fit_is_read_by_place_beside_longer_ones() -> None:
    strings, y = planted(80, at=3)
    model = make(reverse_complement=False).fit(strings, y)
    model._members[0] = type(model._members[0])(
        model._members[0].model, type(model._members[0].choice)(placed_share=1.0)
    )
    logits = model.decision_function(strings[:5])
    beside = model.decision_function([*strings[:5], strings[0] + "ACGTAC", strings[0][:-1]])
    np.testing.assert_allclose(beside[:5], logits, rtol=0, atol=1e-9)
    assert np.abs(beside[5:] - logits[0]).min() > 1e-6


def test_both_strands_of_a_sequence_get_one_answer(fitted: DNAClassifier) -> None:
    sequences = read_sequences(ragged(30, seed=3)[0])
    np.testing.assert_allclose(
        fitted.predict_proba(sequences), fitted.predict_proba(sequences.reverse_complement()), rtol=0, atol=1e-9
    )


def test_with_one_strand_the_other_is_another_sequence() -> None:
    strings, y = planted(80)
    model = make(reverse_complement=False).fit(strings, y)
    sequences = read_sequences(strings)
    difference = model.predict_proba(sequences) - model.predict_proba(sequences.reverse_complement())
    assert np.abs(difference).max() > 1e-5


def test_lower_case_means_nothing_unless_it_is_kept(fitted: DNAClassifier) -> None:
    strings = ragged(20, seed=2)[0]
    np.testing.assert_array_equal(
        fitted.predict_proba(strings), fitted.predict_proba([bases.lower() for bases in strings])
    )
    kept = make(soft_mask="keep").fit(*planted(60))
    upper, lower = kept.predict_proba(["ACGTACGTTATA"]), kept.predict_proba(["acgtacgttata"])
    assert np.abs(upper - lower).max() > 1e-6


def test_everything_that_holds_sequences_is_read_alike(fitted: DNAClassifier, tmp_path) -> None:
    strings = ["ACGTACGTAA", "GGGTTTRYAC", "TATAAACG"]
    expected = fitted.predict_proba(strings)
    fasta = tmp_path / "some.fa"
    fasta.write_text("".join(f">r{i}\n{bases}\n" for i, bases in enumerate(strings)))
    frame = pd.DataFrame({"id": list("abc"), "sequence": strings})
    frame.to_csv(tmp_path / "some.csv", index=False)
    forms = [
        np.array(strings), tuple(strings), pd.Series(strings), [Seq(bases) for bases in strings],
        [SeqRecord(Seq(bases), id="x") for bases in strings], fasta, str(fasta), frame, pl.from_pandas(frame),
        tmp_path / "some.csv", read_sequences(strings),
    ]  # fmt: skip
    for form in forms:
        np.testing.assert_array_equal(fitted.predict_proba(form), expected)


@pytest.mark.parametrize(
    "labels",
    [
        [3, -1], ["on", "off"], [True, False], [1.0, 2.0], np.array(["a", "bcd"], dtype=object),
        np.array([7, 8], dtype=np.int8),
    ],
)  # fmt: skip
def test_labels_come_back_as_they_were_also_from_a_file(labels, tmp_path) -> None:
    strings, holds = planted(40)
    y = np.array(labels)[holds.astype(int)]
    model = make(**TINY).fit(strings, y)
    assert model.classes_.tolist() == sorted(set(y.tolist()))
    found = model.predict(strings)
    assert found.dtype == y.dtype
    model.save(tmp_path / "m")
    again = DNAClassifier.load(tmp_path / "m")
    assert again.classes_.dtype == model.classes_.dtype
    assert [type(label) for label in again.classes_.tolist()] == [type(label) for label in model.classes_.tolist()]
    np.testing.assert_array_equal(again.predict(strings), found)


def test_labels_may_be_a_series_of_either_library() -> None:
    strings, holds = planted(40)
    text = np.where(holds, "on", "off")
    expected = make(**TINY).fit(strings, text).predict_proba(strings)
    for y in (list(text), pd.Series(text, index=range(5, 45)), pd.Series(text).astype("category"), pl.Series(text)):
        np.testing.assert_array_equal(make(**TINY).fit(strings, y).predict_proba(strings), expected)


def test_three_classes_have_three_probabilities_and_three_logits() -> None:
    strings, _ = planted(60)
    model = make(**TINY).fit(strings, np.arange(60) % 3)
    probabilities, logits = model.predict_proba(strings), model.decision_function(strings)
    assert probabilities.shape == logits.shape == (60, 3)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(strings), model.classes_[logits.argmax(1)])


def test_the_decision_of_two_classes_is_the_log_odds_of_the_second(fitted: DNAClassifier) -> None:
    strings = ragged(20, seed=5)[0]
    logits, p = fitted.decision_function(strings), fitted.predict_proba(strings)
    np.testing.assert_allclose(logits, np.log(p[:, 1] / p[:, 0]), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(fitted.predict(strings), (logits > 0).astype(int))


@pytest.mark.slow
def test_several_labels_at_once_are_learned_each() -> None:
    rng = np.random.default_rng(0)
    motifs = ("TATAAACG", "GGGCGGGG")

    def mixed(n: int):
        y = rng.random((n, 2)) < 0.5
        strings = []
        for row in y:
            bases = rng.choice(list("ACGT"), 40)
            for k in np.flatnonzero(row):
                place = 20 * k + rng.integers(0, 12)
                bases[place : place + 8] = list(motifs[k])
            strings.append("".join(bases))
        return strings, y.astype(int)

    model = make(max_epochs=20, reverse_complement=False, kmers=False).fit(*mixed(400))
    strings, y = mixed(200)
    found = model.predict(strings)
    assert found.shape == y.shape
    assert ((found == y).mean(0) > 0.9).all()
    assert model.predict_proba(strings).shape == (200, 2)


@pytest.mark.slow
def test_a_run_of_n_is_not_taken_for_what_may_stand_under_it() -> None:
    model = make(max_epochs=20, reverse_complement=False, kmers=False).fit(*planted(500))
    strings, holds = planted(200, seed=1)
    assert model.score(strings, holds) > 0.93
    hidden = [bases.replace(MOTIF, "N" * len(MOTIF)) for bases in strings]
    run = [f"{bases[:16]}{'N' * len(MOTIF)}{bases[16 + len(MOTIF) :]}" for bases in np.array(strings)[~holds]]
    # Half the sequences hold the motif; of these, few under a run of N: its width over the length, about.
    assert model.predict_proba(hidden)[holds, 1].mean() < 0.35
    assert model.predict_proba(run)[:, 1].mean() < 0.35


def test_a_class_that_weighs_more_is_found_more_often() -> None:
    strings, _ = planted(120, seed=4)
    y = (np.random.default_rng(0).random(120) < 0.2).astype(int)  # labels of nothing: only their shares can be learned
    options = {"max_epochs": 6, "reverse_complement": False}
    shares = [
        make(class_weight=weight, **options).fit(strings, y).predict_proba(strings)[:, 1].mean()
        for weight in ({0: 20.0, 1: 1.0}, None, "balanced", {0: 1.0, 1: 50.0})
    ]
    assert shares == sorted(shares)
    assert shares[0] < 0.12 < 0.35 < shares[2] < 0.65 < shares[3]


def test_a_row_of_weight_zero_is_not_there() -> None:
    strings, y = planted(60)
    wrong = [*strings, *strings[:20]]
    labels = np.concatenate((y, ~y[:20]))
    weight = np.concatenate((np.full(60, 3.0), np.zeros(20)))
    found = make(**TINY).fit(wrong, labels, sample_weight=weight).predict_proba(strings)
    np.testing.assert_allclose(found, make(**TINY).fit(strings, y).predict_proba(strings), rtol=0, atol=1e-9)


@pytest.mark.slow
def test_probabilities_of_doubtful_labels_are_no_surer_than_they_should_be() -> None:
    strings, y = planted(500, at=10)
    flipped = np.random.default_rng(0).random(500) < 0.2
    model = make(max_epochs=25, reverse_complement=False, validation_fraction=0.3).fit(strings, y ^ flipped)
    strings, y = planted(500, seed=7, at=10)
    p = model.predict_proba(strings)[np.arange(500), y.astype(int)]
    assert 0.7 < p.mean() < 0.9


def test_the_same_seed_gives_the_same_bits_and_global_generators_are_left_alone() -> None:
    strings, y = planted(60)
    torch.manual_seed(7)
    np.random.seed(7)
    states = torch.get_rng_state(), np.random.get_state()[1].copy()
    runs = [make(**TINY).fit(strings, y).predict_proba(strings) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), states[0])
    assert np.array_equal(np.random.get_state()[1], states[1])
    np.testing.assert_array_equal(*runs)
    assert not np.array_equal(make(**TINY | {"random_state": 1}).fit(strings, y).predict_proba(strings), runs[0])


def test_members_have_validation_rows_of_their_own_and_answer_together() -> None:
    strings, y = planted(60)
    model = make(**TINY | {"n_members": 2, "max_epochs": 2}).fit(strings, y)
    assert len(model.history_) == len(model.temperature_) == 2
    both = model.decision_function(strings)
    members, parts = model._members, []
    for member in members:
        model._members = [member]
        parts.append(model.decision_function(strings))
    np.testing.assert_allclose(both, np.mean(parts, 0), rtol=1e-9, atol=1e-12)
    assert np.abs(parts[0] - parts[1]).max() > 1e-6


def test_predicting_changes_nothing_and_files_give_the_same_bits(fitted: DNAClassifier, tmp_path) -> None:
    strings = ragged(30, seed=9)[0]
    fitted.save(tmp_path / "before")
    found = fitted.predict_proba(strings)
    fitted.save(tmp_path / "after")
    assert sorted(path.name for path in (tmp_path / "after").iterdir()) == ["model.json", "model.safetensors"]
    for name in ("model.json", "model.safetensors"):
        assert (tmp_path / "before" / name).read_bytes() == (tmp_path / "after" / name).read_bytes()
    for other in (DNAClassifier.load(tmp_path / "after"), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(other.predict_proba(strings), found)
        assert other.get_params() == fitted.get_params()


def test_a_damaged_file_or_that_of_another_estimator_is_refused(fitted: DNAClassifier, tmp_path) -> None:
    from titans_seq import DNARegressor

    fitted.save(tmp_path / "m")
    with pytest.raises(ValueError, match="holds a saved DNAClassifier, not a DNARegressor"):
        DNARegressor.load(tmp_path / "m")
    text = (tmp_path / "m" / "model.json").read_text()
    (tmp_path / "m" / "model.json").write_text(text.replace('"channels": 16', '"channels": 24'))
    with pytest.raises(ValueError, match="is damaged") as error:
        DNAClassifier.load(tmp_path / "m")
    assert "\n" not in str(error.value)


def test_weights_of_classes_survive_a_file(tmp_path) -> None:
    strings, y = planted(40)
    make(**TINY, class_weight={True: 2.0, False: 1.0}).fit(strings, y).save(tmp_path / "m")
    assert DNAClassifier.load(tmp_path / "m").class_weight == {True: 2.0, False: 1.0}


def test_it_works_where_scikit_learn_splits_searches_and_calibrates() -> None:
    strings, holds = planted(60)
    y = np.where(holds, "on", "off")
    model = make(**TINY, reverse_complement=False)
    assert clone(model).get_params() == model.get_params()
    assert cross_val_score(model, strings, y, cv=2).shape == (2,)
    search = GridSearchCV(model, {"channels": [4, 8]}, cv=2).fit(strings, y)
    assert search.best_params_["channels"] in (4, 8)
    calibrated = CalibratedClassifierCV(model, cv=2).fit(strings, y)
    assert calibrated.predict_proba(strings).shape == (60, 2)


def test_time_is_kept_also_when_both_strands_are_tried() -> None:
    strings, y = planted(3000, length=200)
    began = time.monotonic()
    model = DNAClassifier(max_minutes=0.15, random_state=0, verbose=0).fit(strings, y)
    assert model.fit_seconds_ <= time.monotonic() - began
    assert sum(len(run) - 1 for run in model.history_) < 12
    assert np.isfinite(model.predict_proba(strings[:5])).all()


def test_no_epochs_claim_nothing() -> None:
    strings, y = planted(60)
    np.testing.assert_allclose(make(max_epochs=0).fit(strings, y).predict_proba(strings), 0.5)


def test_few_sequences_are_enough_to_begin_with() -> None:
    model = make(**TINY).fit(["ACGT", "A", "NNN"], ["a", "b", "a"])
    assert np.isfinite(model.predict_proba(["", "C"][1:])).all()


def test_an_unfitted_classifier_says_so() -> None:
    for call in (make().predict, make().predict_proba, make().decision_function, make().save):
        with pytest.raises(NotFittedError, match="call fit first"):
            call(["ACGT"])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (["ACGT", ""], [0, 1], "sequence 1: no bases"),
        (["ACGT", "MKLVF"], [0, 1], "sequence 1: 'L' at position 2 is no base and no IUPAC code; is this a protein"),
        (["ACGT", None], [0, 1], "sequence 1 is missing"),
        (["ACGT", "ACGA", "AC"], [0, 1], "X has 3 sequences, y has 2 rows"),
        (["ACGT", "ACGA"], [0, np.nan], "y, row 1: the label is missing"),
        (["ACGT", "ACGA"], ["a", None], "y, row 1: the label is missing"),
        (["ACGT", "ACGA"], ["a", pd.NA], "y, row 1: the label is missing; drop the row or label it"),
        (["ACGT", "ACGA"], pd.Series(["a", pd.NA], dtype="string"), "y, row 1: the label is missing"),
        (["ACGT", "ACGA"], pd.Series([True, pd.NA], dtype="boolean"), "y, row 1: the label is missing"),
        (["ACGT", "ACGA"], pd.Series([1, pd.NA], dtype="Int64"), "y, row 1: the label is missing"),
        (["ACGT", "ACGA"], pl.Series(["a", None]), "y, row 1: the label is missing"),
        (pd.Series(["ACGT", pd.NA], dtype="string"), [0, 1], "sequence 1 is missing; drop it"),
        (["ACGT", "ACGA"], ["a", "a"], "y has one class only, .*'a'"),
        (["ACGT", "ACGA"], ["a", "a"], "y has one class only, 'a'; a classifier"),
        (["ACGT", "ACGA"], [True, True], "y has one class only, True; a classifier"),
        (["ACGT", "ACGA"], [3, 3], "y has one class only, 3; a classifier"),
        (["ACGT", "ACGA"], [0.5, 1.7], "Unknown label type"),
        (["ACGT", "ACGA"], None, "requires y to be passed"),
        (["ACGT", "ACGA"], [[1, 2], [3, 4]], "must be 0 or 1|not supported|Unknown label type"),
    ],
)
def test_bad_data_are_refused_in_one_line_that_names_the_place(X, y, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().fit(X, y)


def test_a_protein_file_is_refused_with_file_and_record(tmp_path) -> None:
    file = tmp_path / "prot.fa"
    file.write_text(">a\nACGT\n>b\nMKLVFW\n")
    with pytest.raises(ValueError, match="prot.fa.*'b'.*protein"):
        make().fit(file, [0, 1])


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ([1.0], "sample_weight has shape \\(1,\\); it must have one entry for each of 2"),
        ([1.0, -1.0], "sample_weight, row 1: .* found -1.0"),
        ([0.0, 0.0], "sample_weight is zero for every row"),
    ],
)
def test_weights_that_cannot_be_are_refused(weight, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make().fit(["ACGT", "ACGA"], [0, 1], sample_weight=weight)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"reverse_complement": "yes"}, ValueError, "reverse_complement must be True, False or 'auto', found 'yes'"),
        ({"variant": "mga"}, ValueError, "variant must be one of"),
        ({"n_members": 0}, ValueError, "n_members must be at least 1"),
        ({"stride": 1.5}, TypeError, "stride must be an integer"),
        ({"soft_mask": "drop"}, ValueError, "soft_mask must be one of"),
        ({"class_weight": "even"}, ValueError, "class_weight must be 'balanced', a dict"),
        ({"class_weight": {7: 1.0}}, ValueError, "class_weight names 7, which is not among the labels"),
        ({"max_minutes": -1}, ValueError, "max_minutes must lie between"),
        ({"validation_fraction": 1.0}, ValueError, "validation_fraction must lie between"),
    ],
)
def test_a_bad_argument_is_named(options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**options).fit(["ACGT", "ACGA", "AAAA"], [0, 1, 0])


META: dict[str, Callable[[DNAClassifier], Any]] = {
    "voting": lambda model: VotingClassifier([("one", model), ("other", model)], voting="soft"),
    "stacking": lambda model: StackingClassifier([("one", model)], LogisticRegression(), cv=2),
    "one versus rest": lambda model: OneVsRestClassifier(model),
    "calibrated": lambda model: CalibratedClassifierCV(model, cv=2),
}


@pytest.mark.parametrize("name", META)
def test_what_combines_classifiers_takes_strings(name: str) -> None:
    strings, y = planted(40)
    assert META[name](DNAClassifier(**TINY, kmers=False)).fit(strings, y).predict_proba(strings[:3]).shape == (3, 2)


@pytest.mark.parametrize("kind", [BaggingClassifier, AdaBoostClassifier])
def test_what_resamples_arrays_of_two_dimensions_takes_strings_as_one_column(kind: Any) -> None:
    strings, y = planted(120)
    column = np.array(strings, dtype=object)[:, None]
    model = kind(DNAClassifier(**TINY), n_estimators=2, random_state=0).fit(column, y)
    assert model.predict_proba(column[:3]).shape == (3, 2)


def test_a_column_of_strings_is_read_like_the_strings(fitted: DNAClassifier) -> None:
    strings, _ = ragged(5)
    for column in (np.array(strings)[:, None], np.array(strings, dtype=object)[:, None]):
        np.testing.assert_array_equal(fitted.predict_proba(column), fitted.predict_proba(strings))
    with pytest.raises(TypeError, match="an array of sequences must have one dimension"):
        fitted.predict(np.array([strings[:2]]))


@pytest.mark.parametrize(
    "y",
    [[1.0, pd.NA], [1.0, None], pd.Series([1, pd.NA], dtype="Int64"), pl.Series([1.0, None]), pd.Series([1, pd.NA])],
)
def test_a_missing_number_is_named_by_its_row(y) -> None:
    with pytest.raises(ValueError, match="y, row 1: the target is missing or infinite .*; drop the row or complete it"):
        DNARegressor(max_epochs=1, verbose=0).fit(["ACGT", "ACGA"], y)


def test_fit_and_predict_tell_of_a_protein_once_each() -> None:
    peptides = ["MKRSSSAAVHHDDGTSKNNWYR", "HHDDGTSKNNWYRMKRSSSAAV"] * 4
    model = make(max_epochs=1)
    for call in (lambda: model.fit(peptides, [0, 1] * 4), lambda: model.predict(peptides)):
        with pytest.warns(UserWarning) as said:
            call()
        assert sum("is this a protein?" in str(one.message) for one in said) == 1
