"""Saturation mutagenesis: against predictions for strings that are changed letter by letter."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from Bio.Seq import Seq
from fitted_dna import both_strands, holding, log_odds, one_strand, regressor, several_labels, three_classes
from planted_motifs import MOTIF

from titans_seq import DNAClassifier
from titans_seq.data import read_sequences
from titans_seq.estimators import _mutagenesis

AT = 14
SEQUENCE = holding(40, AT)


def changed(sequence: str, place: int, base: str) -> str:
    return sequence[:place] + base + sequence[place + 1 :]


def test_effects_are_differences_of_log_odds_of_changed_strings() -> None:
    found = both_strands().mutagenesis(SEQUENCE)
    strings = [changed(SEQUENCE, place, base) for place in range(40) for base in "ACGT"]
    said = log_odds(both_strands().predict_proba(strings)[:, 1]).reshape(40, 4)
    score = log_odds(both_strands().predict_proba([SEQUENCE])[0, 1])
    assert found.score == pytest.approx(score, rel=1e-8)
    np.testing.assert_allclose(found.effects, said - score, rtol=1e-6, atol=1e-9)
    own = np.array(list(SEQUENCE))[:, None] == np.array(list("ACGT"))
    assert (found.effects[own] == 0).all()
    assert found.target is True


def test_the_motif_is_what_matters() -> None:
    found = one_strand().mutagenesis(SEQUENCE)
    place = int(found.effects.min(1).argmin())
    assert AT <= place < AT + len(MOTIF)
    inside = np.zeros(40, dtype=bool)
    inside[AT : AT + len(MOTIF)] = True
    assert found.importance[inside].mean() > 5 * np.abs(found.importance[~inside]).mean()
    assert found.effects.min() < -1


def test_a_region_is_a_part_of_the_whole_and_the_frame_has_every_substitution() -> None:
    whole, part = one_strand().mutagenesis(SEQUENCE), one_strand().mutagenesis(SEQUENCE, region=(AT, AT + 5))
    assert (part.sequence, part.start) == (MOTIF[:5], AT)
    np.testing.assert_allclose(part.effects, whole.effects[AT : AT + 5], rtol=0, atol=1e-10)
    frame = part.to_frame()
    assert list(frame.columns) == ["position", "ref", "alt", "effect"]
    assert len(frame) == 15
    assert (frame["ref"] != frame["alt"]).all()
    row = frame[(frame["position"] == AT + 2) & (frame["alt"] == "G")].iloc[0]
    assert (row["ref"], row["effect"]) == (MOTIF[2], part.effects[2, 2])
    np.testing.assert_allclose(part.importance[2], -frame["effect"][frame["position"] == AT + 2].mean())


def test_of_an_ambiguous_base_all_four_are_tried() -> None:
    sequence = changed(SEQUENCE, 3, "N")
    found = one_strand().mutagenesis(sequence, region=(3, 4))
    said = log_odds(one_strand().predict_proba([changed(sequence, 3, base) for base in "ACGT"])[:, 1])
    np.testing.assert_allclose(found.effects[0], said - found.score, rtol=1e-6)
    assert len(found.to_frame()) == 4
    np.testing.assert_allclose(found.importance, -found.effects.mean(1))


def test_lower_case_is_kept_where_it_is_kept() -> None:
    options = one_strand().get_params() | {"soft_mask": "keep", "max_epochs": 1}
    kept = DNAClassifier(**options).fit(["ACGTacgt", "GGCCaacc"] * 9, [0, 1] * 9)
    found = kept.mutagenesis("ACgtAC", region=(2, 3))
    said = log_odds(kept.predict_proba(["ACatAC", "ACgtAC"])[:, 1])
    np.testing.assert_allclose(found.effects[0, 0], said[0] - said[1], rtol=1e-6, atol=1e-12)
    assert found.sequence == "G"


@pytest.mark.parametrize("rows", [1, 7])
def test_effects_do_not_depend_on_the_batches(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    expected = both_strands().mutagenesis(SEQUENCE, region=(10, 16)).effects
    monkeypatch.setattr(_mutagenesis, "MAX_POSITIONS", 40 * rows)
    np.testing.assert_allclose(both_strands().mutagenesis(SEQUENCE, region=(10, 16)).effects, expected, atol=1e-10)


def test_a_target_is_chosen_or_is_the_likeliest() -> None:
    p = three_classes().predict_proba([SEQUENCE])
    found = three_classes().mutagenesis(SEQUENCE, region=(0, 1))
    assert found.target == three_classes().classes_[p.argmax()]
    for k, name in enumerate(three_classes().classes_):
        asked = three_classes().mutagenesis(SEQUENCE, region=(0, 1), target=name)
        assert asked.score == pytest.approx(log_odds(p[0, k]), rel=1e-8)
    off = one_strand().mutagenesis(SEQUENCE, region=(0, 3), target="off")
    np.testing.assert_allclose(off.effects, -one_strand().mutagenesis(SEQUENCE, region=(0, 3)).effects, atol=1e-12)
    label = several_labels().mutagenesis(SEQUENCE, region=(0, 1), target=1)
    assert label.score == pytest.approx(log_odds(several_labels().predict_proba([SEQUENCE])[0, 1]), rel=1e-8)


def test_numbers_are_in_their_own_units() -> None:
    found = regressor(2).mutagenesis(SEQUENCE, target=0, region=(0, 1))
    said = regressor(2).predict([changed(SEQUENCE, 0, base) for base in "ACGT"])[:, 0]
    np.testing.assert_allclose(found.score + found.effects[0], said, rtol=1e-9)
    assert regressor().mutagenesis(SEQUENCE, region=(0, 1)).target == 0


def test_whatever_holds_one_sequence_is_read() -> None:
    expected = one_strand().mutagenesis(SEQUENCE, region=(0, 2)).effects
    for form in ([SEQUENCE], Seq(SEQUENCE), read_sequences([SEQUENCE]), SEQUENCE.lower()):
        np.testing.assert_array_equal(one_strand().mutagenesis(form, region=(0, 2)).effects, expected)


def test_a_saved_model_gives_the_same_bits(tmp_path: Path) -> None:
    both_strands().save(tmp_path / "m")
    again = DNAClassifier.load(tmp_path / "m").mutagenesis(SEQUENCE, region=(5, 12))
    np.testing.assert_array_equal(again.effects, both_strands().mutagenesis(SEQUENCE, region=(5, 12)).effects)


def test_it_is_drawn(tmp_path: Path) -> None:
    path = one_strand().mutagenesis(SEQUENCE, region=(10, 25)).plot(tmp_path / "m.png", title="A motif", dpi=40)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("given", "options", "error", "message"),
    [
        (["ACGT", "ACGT"], {}, ValueError, "one sequence is needed, got 2"),
        ("ACGX", {}, ValueError, "'X' at position 3"),
        (SEQUENCE, {"region": (3, 41)}, ValueError, "region 3 to 41 is not inside the sequence of 40 bases"),
        (SEQUENCE, {"region": (5, 5)}, ValueError, "region 5 to 5 is not inside"),
        (SEQUENCE, {"region": (-1, 5)}, ValueError, "start of region must be at least 0"),
        (SEQUENCE, {"region": 5}, TypeError, "region must be \\(start, end\\)"),
        (SEQUENCE, {"target": "maybe"}, ValueError, "target 'maybe' is not among 'off', 'on'"),
    ],
)
def test_what_cannot_be_is_refused(given: Any, options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        one_strand().mutagenesis(given, **options)


def test_of_several_targets_one_must_be_chosen() -> None:
    with pytest.raises(ValueError, match="there are 2 targets; choose one of 0, 1 with target="):
        regressor(2).mutagenesis(SEQUENCE)
