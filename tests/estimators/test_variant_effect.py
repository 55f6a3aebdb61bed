"""Effects of variants: against predictions for strings that are cut and joined by hand."""

from __future__ import annotations

import copy
import gzip
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fitted_dna import (
    LENGTH,
    background,
    both_strands,
    holding,
    log_odds,
    one_strand,
    regressor,
    several_labels,
    three_classes,
)
from planted_motifs import MOTIF
from sklearn.exceptions import NotFittedError

from titans_seq import DNAClassifier
from titans_seq.data import Genome, ReferenceMismatchError, Sequences, read_sequences
from titans_seq.estimators._sequence_predicting import Member

AT = 150
BASES = holding(300, AT)
GENOME = Genome(Sequences.of({"chr1": BASES, "chr2": background(90, seed=3)}))
OTHER = dict(zip("ACGT", "CGTA", strict=True))


def window(bases: str, start: int, end: int) -> str:
    """Return bases start to end, N outside."""
    return "".join(bases[at] if 0 <= at < len(bases) else "N" for at in range(start, end))


def snv(pos: int, bases: str = BASES, chrom: str = "chr1") -> tuple[str, int, str, str]:
    ref = bases[pos - 1]
    return chrom, pos, ref, OTHER[ref]


def test_scores_are_predictions_for_both_windows_and_effects_their_log_odds() -> None:
    model, (chrom, pos, ref, alt) = one_strand(), snv(AT + 3)
    before = pos - 1 - (LENGTH - 1) // 2
    haplotype = BASES[: pos - 1] + alt + BASES[pos:]
    pair = [window(bases, before, before + LENGTH) for bases in (BASES, haplotype)]
    p = model.predict_proba(pair)[:, 1]
    found = model.variant_effect(GENOME, [(chrom, pos, ref, alt)])
    assert list(found.columns) == [
        "chrom", "pos", "id", "ref", "alt", "score_ref_on", "score_alt_on", "effect_on",
    ]  # fmt: skip
    np.testing.assert_allclose(found[["score_ref_on", "score_alt_on"]].to_numpy()[0], p, rtol=1e-9)
    np.testing.assert_allclose(found["effect_on"][0], log_odds(p[1]) - log_odds(p[0]), rtol=1e-7)


def test_to_break_the_motif_costs_most_and_to_make_it_is_a_gain() -> None:
    model = one_strand()
    found = model.variant_effect(GENOME, [snv(pos) for pos in range(AT - 20, AT + 30)])
    worst = found["pos"][found["effect_on"].idxmin()]
    assert AT < worst <= AT + len(MOTIF)
    assert found["effect_on"].min() < -1
    ref = GENOME.fetch("chr2", 44, 45)
    made = model.variant_effect(GENOME, [("2", 45, ref, ref + MOTIF)])
    lost = model.variant_effect(GENOME, [("chr1", AT, BASES[AT - 1 : AT + len(MOTIF)], BASES[AT - 1])])
    assert made["effect_on"][0] > 1 > -1 > lost["effect_on"][0]


@pytest.mark.parametrize("kind", ["insertion", "deletion", "exchange"])
def test_windows_of_indels_have_one_length_and_more_of_the_chromosome(kind: str) -> None:
    model, at = one_strand(), 60
    ref, alt = {"insertion": ("", "GATTACA"), "deletion": (BASES[at : at + 9], ""), "exchange": ("", "")}[kind]
    if kind == "exchange":
        ref, alt = BASES[at : at + 3], "".join(OTHER[base] for base in BASES[at : at + 3]) + "GG"
    assert not ref or BASES[at - 1] != ref[-1]  # it can't be moved to the left, nor can an insertion that ends in A
    assert BASES[at - 1] != "A"
    haplotype = BASES[:at] + alt + BASES[at + len(ref) :]
    before = at - (LENGTH - max(len(ref), len(alt))) // 2
    p = model.predict_proba([bases[before : before + LENGTH] for bases in (BASES, haplotype)])[:, 1]
    found = model.variant_effect(GENOME, [("chr1", at, BASES[at - 1] + ref, BASES[at - 1] + alt)])
    np.testing.assert_allclose(found["effect_on"][0], log_odds(p[1]) - log_odds(p[0]), rtol=1e-7)


def test_all_ways_to_write_a_variant_have_one_effect() -> None:
    bases = "ACGTTGCA" * 3 + "CAGCAGCAGCAG" + "TTGACCAT" * 3
    genome, at = Genome(Sequences.of({"1": bases})), 24
    deletions = [("1", at + 3 * k, bases[at + 3 * k - 1 : at + 3 * k + 3], bases[at + 3 * k - 1]) for k in range(4)]
    padded = [("chr1", at - 4, bases[at - 5 : at + 6], bases[at - 5 : at] + bases[at + 3 : at + 6])]
    found = both_strands().variant_effect(genome, deletions + padded)
    assert abs(found["effect_True"][0]) > 1e-6
    np.testing.assert_array_equal(found["effect_True"], found["effect_True"][0])
    substituted = [("1", 10, "C", "T"), ("1", 9, "AC", "AT"), ("1", 9, "ACG", "ATG")]
    one = both_strands().variant_effect(genome, substituted)["effect_True"]
    np.testing.assert_array_equal(one, one[0])


def test_a_variant_that_changes_nothing_has_no_effect() -> None:
    same = [("1", AT, BASES[AT - 1], BASES[AT - 1]), ("1", AT, BASES[AT - 1 : AT + 3], BASES[AT - 1 : AT + 3])]
    with pytest.warns(UserWarning, match="2 alternative alleles are their reference, and change nothing"):
        found = both_strands().variant_effect(GENOME, same)
    assert (found[["effect_True", "effect_forward_True", "effect_reverse_True"]].to_numpy() == 0).all()


@pytest.mark.parametrize("pos", [1, 2, 299, 300])
def test_near_the_ends_of_a_chromosome_the_window_is_filled_with_n(pos: int) -> None:
    model, (chrom, _, ref, alt) = one_strand(), snv(pos)
    before = pos - 1 - (LENGTH - 1) // 2
    pair = [window(bases, before, before + LENGTH) for bases in (BASES, BASES[: pos - 1] + alt + BASES[pos:])]
    assert "N" in pair[0]
    p = model.predict_proba(pair)[:, 1]
    found = model.variant_effect(GENOME, [(chrom, pos, ref, alt)])
    np.testing.assert_allclose(found["effect_on"][0], log_odds(p[1]) - log_odds(p[0]), rtol=1e-7, atol=1e-12)


def test_the_effect_of_both_strands_is_the_mean_and_that_of_the_opposite_genome() -> None:
    model, width = both_strands(), LENGTH + 1  # odd, so that the middle of one strand is that of the other
    turned = Genome(GENOME.sequences.reverse_complement())
    pair = dict(zip("ACGT", "TGCA", strict=True))
    variants = [snv(pos) for pos in (AT + 1, AT + 4, 60, 3, 298)]
    mirrored = [(chrom, 301 - pos, pair[ref], pair[alt]) for chrom, pos, ref, alt in variants]
    there = model.variant_effect(GENOME, variants, window=width)
    back = model.variant_effect(turned, mirrored, window=width)
    np.testing.assert_allclose(there["effect_True"], back["effect_True"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(there["effect_forward_True"], back["effect_reverse_True"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        there["effect_True"], there[["effect_forward_True", "effect_reverse_True"]].mean(axis=1), rtol=0, atol=1e-9
    )
    assert (there["effect_forward_True"] - there["effect_reverse_True"]).abs().max() > 1e-3


def test_a_strand_can_be_chosen() -> None:
    model = one_strand()
    turned = Genome(GENOME.sequences.reverse_complement())
    variant = ("1", 301 - AT - 3, "TGCA"["ACGT".index(BASES[AT + 2])], "N")
    one = model.variant_effect(turned, [variant], window=41)
    minus = model.variant_effect(turned, [variant], window=41, strand="-")
    plus = model.variant_effect(GENOME, [("1", AT + 3, BASES[AT + 2], "N")], window=41)
    np.testing.assert_allclose(minus["effect_on"], plus["effect_on"], rtol=1e-9)
    assert abs(one["effect_on"][0] - minus["effect_on"][0]) > 1e-3
    assert "effect_forward_on" in model.variant_effect(GENOME, [snv(9)], strand="both").columns


def test_every_wrong_reference_is_listed() -> None:
    variants = [snv(10), ("1", 20, OTHER[BASES[19]], "A"), ("7", 5, "A", "C"), ("2", 91, "A", "C")]
    with pytest.raises(ReferenceMismatchError, match="3 of 4 variants do not fit") as error:
        one_strand().variant_effect(GENOME, variants)
    message = str(error.value)
    assert "\n" not in message
    for part in (f"1:20:{OTHER[BASES[19]]}>A: the genome has {BASES[19]}", "no chromosome '7'", "past the end of chr2"):
        assert part in message
    assert [mismatch.variant.chrom for mismatch in error.value.mismatches] == ["1", "7", "2"]


def test_wrong_references_that_are_skipped_keep_their_rows() -> None:
    variants = [snv(10), ("1", 20, OTHER[BASES[19]], "A"), snv(30)]
    with pytest.warns(UserWarning, match="1 of 3 variants do not fit the genome"):
        found = one_strand().variant_effect(GENOME, variants, on_mismatch="skip")
    assert found["mismatch"].tolist() == ["", f"the genome has {BASES[19]}", ""]
    assert found["effect_on"].isna().tolist() == [False, True, False]
    alone = one_strand().variant_effect(GENOME, [variants[0], variants[2]])
    np.testing.assert_allclose(found["effect_on"][[0, 2]], alone["effect_on"], rtol=0, atol=1e-10)


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame])
def test_frames_come_back_in_their_library(build: Any) -> None:
    rows = [snv(10), snv(50), ("1", 20, OTHER[BASES[19]], "A")]
    given = build(dict(zip(("chrom", "pos", "ref", "alt"), map(list, zip(*rows, strict=True)), strict=True)))
    with pytest.warns(UserWarning, match="1 of 3"):
        found = one_strand().variant_effect(GENOME, given, on_mismatch="skip")
    assert type(found) is build
    assert found["pos"].to_list() == [10, 50, 20]
    missing = found["effect_on"].is_null() if build is pl.DataFrame else found["effect_on"].isna()
    assert missing.to_list() == [False, False, True]


def write_variants(path: Path, rows: list[str], end: str = "\n") -> Path:
    lines = ["##fileformat=VCFv4.2", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", *rows]
    data = (end.join(lines) + end).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize(("name", "end"), [("a.vcf", "\n"), ("a.vcf", "\r\n"), ("a.vcf.gz", "\n")])
def test_files_of_any_line_end_and_case_are_read_like_tuples(tmp_path: Path, name: str, end: str) -> None:
    variants = [snv(pos) for pos in (20, AT + 2)]
    rows = [f"1\t{pos}\trs{pos}\t{ref.lower()}\t{alt.lower()}\t.\t.\t." for _, pos, ref, alt in variants]
    found = one_strand().variant_effect(GENOME, write_variants(tmp_path / name, rows, end))
    expected = one_strand().variant_effect(GENOME, variants)
    assert isinstance(found, pd.DataFrame)
    assert found["id"].tolist() == ["rs20", f"rs{AT + 2}"]
    assert found["ref"].tolist() == [ref for _, _, ref, _ in variants]
    np.testing.assert_array_equal(found["effect_on"], expected["effect_on"])


def test_a_vcf_comes_back_with_effects_in_it(tmp_path: Path) -> None:
    ref = BASES[AT + 1]
    rows = [
        f"1\t{AT + 2}\t.\t{ref}\t{OTHER[ref]},<DEL>,{ref}{MOTIF}\t.\tPASS\tDP=7",
        f"1\t9\t.\t{BASES[8]}\t.\t.\t.\t.",
    ]
    source, target = write_variants(tmp_path / "a.vcf", rows), tmp_path / "b.vcf.gz"
    with pytest.warns(UserWarning, match="1 alternative alleles"):
        found = one_strand().variant_effect(GENOME, source, write_vcf=target)
    lines = gzip.decompress(target.read_bytes()).decode().splitlines()
    assert "ID=TITANS_EFFECT,Number=A,Type=Float" in lines[1] and "log odds of on" in lines[1]
    dp, effect = lines[3].split("\t")[7].split(";")
    written = effect.removeprefix("TITANS_EFFECT=").split(",")
    assert dp == "DP=7" and written[1] == "."
    np.testing.assert_allclose([float(written[0]), float(written[2])], found["effect_on"], rtol=1e-5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vcf", "b.vcf.gz"]


def test_a_vcf_that_cannot_be_written_is_refused_before_the_work_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="the folder .* does not exist"):
        one_strand().variant_effect(GENOME, [("1", 20, OTHER[BASES[19]], "A")], write_vcf=tmp_path / "no" / "a.vcf")
    with pytest.raises(ReferenceMismatchError):
        one_strand().variant_effect(GENOME, [("1", 20, OTHER[BASES[19]], "A")], write_vcf=tmp_path / "a.vcf")
    assert list(tmp_path.iterdir()) == []


def test_each_class_label_and_target_has_columns(tmp_path: Path) -> None:
    (chrom, pos, ref, alt) = snv(70)
    before = pos - 1 - (LENGTH - 1) // 2
    pair = [window(bases, before, before + LENGTH) for bases in (BASES, BASES[: pos - 1] + alt + BASES[pos:])]
    classes = three_classes().variant_effect(GENOME, [(chrom, pos, ref, alt)], window=LENGTH, write_vcf=tmp_path / "a")
    p = three_classes().predict_proba(pair)
    effects = classes[["effect_high", "effect_low", "effect_mid"]].to_numpy()[0]
    np.testing.assert_allclose(effects, log_odds(p[1]) - log_odds(p[0]), rtol=1e-6, atol=1e-9)
    assert (tmp_path / "a").read_text().count("##INFO=<ID=TITANS_EFFECT_") == 3
    p = several_labels().predict_proba(pair)
    labels = several_labels().variant_effect(GENOME, [(chrom, pos, ref, alt)])
    np.testing.assert_allclose(
        labels[["effect_0", "effect_1"]].to_numpy()[0], log_odds(p[1]) - log_odds(p[0]), rtol=1e-6, atol=1e-9
    )
    for model, ending in ((regressor(), ""), (regressor(2), "_0")):
        value = model.predict(pair).reshape(2, -1)[:, 0]
        row = model.variant_effect(GENOME, [(chrom, pos, ref, alt)]).iloc[0]
        np.testing.assert_allclose(row[f"score_alt{ending}"], value[1], rtol=1e-9)
        np.testing.assert_allclose(row[f"effect{ending}"], value[1] - value[0], rtol=1e-6, atol=1e-9)


def test_effects_do_not_depend_on_the_batch_or_on_what_a_genome_is_read_from(tmp_path: Path) -> None:
    variants = [snv(pos) for pos in range(5, 300, 40)] + [("2", 30, GENOME.fetch("2", 29, 30), "N")]
    whole = both_strands().variant_effect(GENOME, variants)
    pieces = both_strands().variant_effect(GENOME, variants, batch_size=2)
    np.testing.assert_allclose(whole["effect_True"], pieces["effect_True"], rtol=0, atol=1e-10)
    fasta = tmp_path / "g.fa"
    fasta.write_text(f">1 first\n{BASES}\n>2\n{GENOME.fetch('2', 0, 90)}\n")
    pd.testing.assert_frame_equal(both_strands().variant_effect(fasta, variants), whole)


def test_a_saved_model_gives_the_same_bits(tmp_path: Path) -> None:
    variants = [snv(pos) for pos in range(5, 300, 40)]
    both_strands().save(tmp_path / "m")
    again = DNAClassifier.load(tmp_path / "m")
    assert again.median_length_ == LENGTH
    pd.testing.assert_frame_equal(
        again.variant_effect(GENOME, variants), both_strands().variant_effect(GENOME, variants), check_exact=True
    )
    np.testing.assert_array_equal(again.predict_proba([BASES]), both_strands().predict_proba([BASES]))


def test_the_soft_mask_of_a_genome_is_that_of_both_alleles() -> None:
    masked = Genome(read_sequences([BASES.lower()]))
    chrom, pos, ref, alt = snv(AT + 3, chrom="0")
    model = one_strand()
    folded = model.variant_effect(masked, [(chrom, pos, ref, alt)])
    np.testing.assert_array_equal(folded["effect_on"], model.variant_effect(GENOME, [snv(AT + 3)])["effect_on"])
    options = model.get_params() | {"soft_mask": "mask", "max_epochs": 1}
    hidden = DNAClassifier(**options).fit(["ACGT", "GGCC"] * 9, [0, 1] * 9)
    assert hidden.variant_effect(masked, [(chrom, pos, ref, alt)], window=40)["effect_1"][0] == 0


def test_before_fit_nothing_can_be_asked() -> None:
    for call in ("variant_effect", "scan"):
        with pytest.raises(NotFittedError, match="call fit first"):
            getattr(DNAClassifier(), call)(*[GENOME, [snv(9)]][: 1 + (call == "variant_effect")])
    for call in ("mutagenesis", "integrated_gradients", "embed"):
        with pytest.raises(NotFittedError, match="call fit first"):
            getattr(DNAClassifier(), call)("ACGT")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"window": 0}, ValueError, "window must be at least 1"),
        ({"window": 3.5}, TypeError, "window must be an integer"),
        ({"strand": "forward"}, ValueError, "strand must be one of"),
        ({"on_mismatch": "ignore"}, ValueError, "on_mismatch must be one of"),
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1"),
    ],
)
def test_a_bad_argument_is_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        one_strand().variant_effect(GENOME, [snv(9)], **options)


def test_a_file_of_a_table_gives_what_its_rows_give(tmp_path: Path) -> None:
    rows = [snv(AT + at) for at in (-20, 2, 5)]
    table = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"])
    table.to_csv(tmp_path / "x.csv", index=False)
    expected = one_strand().variant_effect(GENOME, table, write_vcf=tmp_path / "frame.vcf")
    found = one_strand().variant_effect(GENOME, tmp_path / "x.csv", write_vcf=tmp_path / "file.vcf")
    pd.testing.assert_frame_equal(found, expected)
    assert (tmp_path / "file.vcf").read_bytes() == (tmp_path / "frame.vcf").read_bytes()


def test_the_effect_of_both_strands_is_their_mean_but_with_three_classes_that_of_the_mean_answer() -> None:
    variants = [snv(pos) for pos in (AT - 9, AT + 3, AT + 5)]
    for model, ending in ((both_strands(), "_True"), (several_labels(), "_0"), (regressor(), "")):
        found = model.variant_effect(GENOME, variants, strand="both")
        mean = (found[f"effect_forward{ending}"] + found[f"effect_reverse{ending}"]) / 2
        np.testing.assert_allclose(found[f"effect{ending}"], mean, rtol=1e-9)
    found = three_classes().variant_effect(GENOME, variants, strand="both")
    for name in three_classes().classes_:
        p = found[[f"score_ref_{name}", f"score_alt_{name}"]].to_numpy()
        np.testing.assert_allclose(found[f"effect_{name}"], log_odds(p[:, 1]) - log_odds(p[:, 0]), rtol=1e-7)
        mean = (found[f"effect_forward_{name}"] + found[f"effect_reverse_{name}"]) / 2
        assert np.abs(found[f"effect_{name}"] - mean).max() > 1e-4


def test_further_columns_of_a_table_are_not_in_the_result() -> None:
    table = pd.DataFrame([snv(AT + 3)], columns=["chrom", "pos", "ref", "alt"]).assign(gene="x")
    assert "gene" not in one_strand().variant_effect(GENOME, table)


def test_a_genome_that_is_one_long_string_is_refused() -> None:
    with pytest.raises(TypeError, match=r"data is one string of bases.*; pass \[string\] for one sequence"):
        one_strand().variant_effect("ACGT" * 300, [snv(AT + 3)])


def placed() -> DNAClassifier:
    """Return a model of windows in which everything has its place: its k-mers of places are all that counts."""
    model = one_strand()
    again = copy.deepcopy(model)
    again._members = [
        Member(member.model, replace(member.choice, placed_share=1.0, kmer_share=0.2)) for member in model._members
    ]
    return again


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("kind", ["exchange", "insertion", "deletion"])
def test_in_given_windows_what_is_read_before_a_variant_stays_where_it_is(kind: str, strand: str) -> None:
    model, start, at = one_strand(), AT - 12, AT + 3
    ref = BASES[at : at + (4 if kind == "deletion" else 1)]
    alt = {"exchange": OTHER[ref[0]], "insertion": ref + "GATTACC", "deletion": ref[0]}[kind]
    assert kind == "exchange" or BASES[at] != max(alt, ref, key=len)[-1]  # it stays where it is written
    haplotype, moved = BASES[:at] + alt + BASES[at + len(ref) :], len(alt) - len(ref)
    pair = [BASES[start : start + LENGTH], haplotype[start : start + LENGTH]]
    if strand == "-":  # the end of the window is what its strand reads first
        pair = [BASES[start : start + LENGTH], haplotype[start + moved : start + moved + LENGTH]]
        pair = [read_sequences([bases]).reverse_complement()[0] for bases in pair]
    p = model.predict_proba(pair)[:, 1]
    windows = [("1", 0, 30), ("1", start, start + LENGTH, strand), ("chr2", at, at + 2)]
    found = model.variant_effect(GENOME, [("chr1", at + 1, ref, alt)], windows=windows)
    np.testing.assert_allclose(found[["score_ref_on", "score_alt_on"]].to_numpy()[0], p, rtol=1e-9)
    assert found["window"].tolist() == [f"1:{start + 1}-{start + LENGTH}({strand})"]


def test_of_several_windows_the_one_with_the_nearest_middle_is_read(tmp_path: Path) -> None:
    bed = tmp_path / "windows.bed"
    bed.write_text("chr1\t100\t140\nchr1\t120\t160\tsite\t0\t-\nchr1\t135\t175\nchr1\t90\t250\n")
    given = [snv(pos) for pos in (101, 137, 150, 174, 200, 251)]
    with pytest.warns(UserWarning, match=r"1 of 6 variants are in none of the windows, .* the first is chr1:251:"):
        found = one_strand().variant_effect(GENOME, given, windows=bed)
    regions = ["chr1:101-140(+)", "chr1:121-160(-)", "chr1:136-175(+)", "chr1:91-250(+)", "chr1:91-250(+)", ""]
    assert found["window"].tolist()[:2] + found["window"].tolist()[3:] == regions[:2] + regions[3:]
    assert found["effect_on"].isna().tolist() == [False] * 5 + [True]
    assert found["window"][2] in ("chr1:121-160(-)", "chr1:136-175(+)")


def test_windows_that_are_none_are_refused(tmp_path: Path) -> None:
    model, given = one_strand(), [snv(120)]
    for windows, match in (
        ([], "windows holds no intervals"),
        ([("chr9", 1, 9)], "interval 0, chr9:2-9.*is of a chromosome that the genome does not have"),
        ([("chr1", 9, 1)], r"number 0 is \('chr1', 9, 1\): an interval must end after its start"),
        (["chr1"], "number 0 is 'chr1'"),
    ):
        with pytest.raises(ValueError, match=match):
            model.variant_effect(GENOME, given, windows=windows)
    with pytest.raises(ValueError, match="give it or windows, not both"):
        model.variant_effect(GENOME, given, windows=[("chr1", 90, 130)], window=30)


def test_a_model_that_keeps_places_says_that_it_may_need_windows() -> None:
    model, given = placed(), [snv(120)]
    with pytest.warns(UserWarning, match=r"depends on where things stand .* give windows=, a BED file"):
        model.variant_effect(GENOME, given)
    model.variant_effect(GENOME, given, windows=[("chr1", 90, 90 + LENGTH)])
    model.variant_effect(GENOME, given, window=LENGTH + 2)  # which only the pooled head reads
    with pytest.warns(UserWarning, match=r"windows every 40 bases miss .* use step=1"):
        model.scan(GENOME)
    model.scan(GENOME, step=1)
    model.scan(GENOME, window=LENGTH + 2)
