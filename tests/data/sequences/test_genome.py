"""Coordinates, genomes, BED and VCF: against slices of strings."""

from __future__ import annotations

import gzip
import os
import warnings
from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from Bio.Seq import reverse_complement
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import (
    Genome,
    Interval,
    Sequences,
    Variant,
    check_reference,
    read_bed,
    read_sequences,
    read_vcf,
)

DATA = Path(os.environ.get("TITANS_SEQ_DATA", "")) / "dna"
needs_data = pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")

ONE, TWO = "ACGTTGCAAC", "nnRYacgtTT"
GENOME = Genome(Sequences.of({"chr1": ONE, "chrM": TWO}))


@given(st.sampled_from([("1", ONE), ("chr1", ONE), ("MT", TWO)]), st.integers(-15, 25), st.integers(1, 30))
def test_fetched_bases_are_the_slice_and_n_outside(chromosome, start, length):
    name, bases = chromosome
    end = start + length
    expected = "".join(bases[at] if 0 <= at < len(bases) else "N" for at in range(start, end))
    assert GENOME.fetch(name, start, end) == expected
    assert GENOME.fetch(name, start, end, "-") == reverse_complement(expected)
    assert GENOME.fetch(name, start, end, pad="drop") == bases[max(start, 0) : max(end, 0)]
    if 0 <= start and end <= len(bases):
        assert GENOME.fetch(name, start, end, pad="raise") == expected
    else:
        with pytest.raises(ValueError, match=r"reaches past \S+ of 10 bases"):
            GENOME.fetch(name, start, end, pad="raise")


@pytest.mark.parametrize(
    ("names", "asked", "found"),
    [
        (["chr1", "chrX"], "X", "chrX"),
        (["1", "X"], "chrX", "X"),
        (["chrM"], "MT", "chrM"),
        (["MT"], "chrM", "MT"),
        (["chrMT"], "M", "chrMT"),
        (["Chr1"], "chr1", "Chr1"),
        (["chr1", "1"], "1", "1"),
        (["1", "chr1"], "chr1", "chr1"),
        (["chrI", "chrII"], "II", "chrII"),
    ],
)
def test_names_are_matched_with_and_without_chr(names, asked, found):
    assert Genome(Sequences.of(dict.fromkeys(names, "A"))).resolve(asked) == found


def test_an_unknown_chromosome_shows_what_there_is():
    with pytest.raises(ValueError, match="no chromosome 'chr7'; the genome has 'chr1', 'chrM'"):
        GENOME.fetch("chr7", 0, 1)
    with pytest.raises(ValueError, match="the genome has 'chr1', 'chrM', but not 'chr7', 'x'"):
        GENOME.windows([Interval("chr7", 0, 1), Interval("1", 0, 1), Interval("x", 0, 1)])


def test_a_genome_has_each_name_once(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(">a\nA\n>b\nA\n>a\nC\n")
    with pytest.raises(ValueError, match="the genome has two records 'a'"):
        Genome(path)


WINDOWS = [Interval("1", 1, 4), Interval("chr1", 8, 12, "-"), Interval("MT", -1, 2, name="start")]


def test_windows_past_an_end_are_padded_and_counted_once():
    with pytest.warns(
        UserWarning, match=r"2 of 3 windows reach .* padded with N; the first is chr1:9-12\(-\), window 1"
    ):
        found, kept = GENOME.windows(WINDOWS)
    assert found.to_strings() == ["CGT", "NNGT", "Nnn"]
    assert list(found.ids) == ["1:2-4(+)", "chr1:9-12(-)", "start"]
    assert kept.tolist() == [0, 1, 2]


def test_windows_past_an_end_are_dropped_and_counted_once():
    with pytest.warns(UserWarning, match="2 of 3 windows reach .* were dropped"):
        found, kept = GENOME.windows(WINDOWS, pad="drop")
    assert (found.to_strings(), kept.tolist()) == (["CGT"], [0])
    with pytest.raises(ValueError, match="2 of 3 windows reach .*; use pad='N' or 'drop'"):
        GENOME.windows(WINDOWS, pad="raise")
    with pytest.raises(ValueError, match="no window is left"):
        GENOME.windows(WINDOWS[1:], pad="drop")
    with pytest.raises(ValueError, match="pad must be 'N', 'drop' or 'raise', got 'n'"):
        GENOME.windows(WINDOWS, pad="n")


def test_windows_inside_are_fetched_in_silence():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert GENOME.windows(WINDOWS[:1])[0].to_strings() == ["CGT"]


def test_intervals_are_written_from_one_and_read_back():
    interval = Interval("chr1", 1000, 2000, "-")
    assert str(interval) == "chr1:1001-2000(-)"
    assert Interval.from_region(str(interval)) == interval
    assert Interval.from_region("HLA:01:1,001-2,000") == Interval("HLA:01", 1000, 2000)
    assert len(interval) == 1000
    for wrong in ("chr1", "chr1:5", "chr1:0-5", "chr1:9-5"):
        with pytest.raises(ValueError, match="region|1-based|end after"):
            Interval.from_region(wrong)


@given(st.integers(0, 50), st.integers(1, 30), st.integers(1, 60))
def test_a_resized_interval_keeps_its_centre(start, length, wanted):
    resized = Interval("1", start, start + length).resize(wanted)
    assert len(resized) == wanted
    assert 0 <= (2 * start + length) - (resized.start + resized.end) + 1 <= 1 + (wanted - length) % 2


def test_intervals_overlap_only_where_they_share_a_base():
    first = Interval("1", 5, 10)
    assert first.overlaps(Interval("1", 9, 12, "-"))
    assert not first.overlaps(Interval("1", 10, 12))
    assert not first.overlaps(Interval("2", 5, 10))
    assert first.shift(-5) == Interval("1", 0, 5)


def test_bed_is_read_with_names_and_strands(tmp_path):
    path = tmp_path / "x.bed.gz"
    rows = b"track name=x\n# note\nchr1\t0\t3\r\n\nchr1\t1\t4\tpeak\t7\t-\nchrM 2 5 . 0 .\n"
    path.write_bytes(gzip.compress(rows))
    intervals = read_bed(path)
    assert intervals == [Interval("chr1", 0, 3), Interval("chr1", 1, 4, "-"), Interval("chrM", 2, 5)]
    assert [interval.name for interval in intervals] == ["", "peak", ""]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("chr1\t5", "line 2: a BED row has at least chrom, start and end"),
        ("chr1\tx\t5", "line 2: invalid literal"),
        ("chr1\t5\t5", "line 2: an interval must end after its start, got 5 to 5"),
        ("chr1\t-1\t5", "line 2: start must not be negative, got -1"),
        ("chr1\t1\t5\ta\t0\t?", r"line 2: strand must be '\+' or '-', got '\?'"),
    ],
)
def test_a_fault_of_bed_is_named_by_file_and_line(tmp_path, row, message):
    path = tmp_path / "x.bed"
    path.write_text(f"chr1\t0\t1\n{row}\n")
    with pytest.raises(ValueError, match=f"x.bed: {message}"):
        read_bed(path)


HEAD = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def test_vcf_counts_from_one_and_gives_a_variant_for_each_allele(tmp_path):
    path = tmp_path / "x.vcf.gz"
    rows = "1\t2\trs1\tC\tG,ct\t.\t.\t.\r\nchr1\t4\t.\tTT\tT\t.\t.\t.\n1\t5\t.\tT\t.\t.\t.\t.\n"
    path.write_bytes(gzip.compress((HEAD + rows).encode()))
    variants = read_vcf(path)
    assert variants == [Variant("1", 1, "C", "G"), Variant("1", 1, "C", "CT"), Variant("chr1", 3, "TT", "T")]
    assert [variant.id for variant in variants] == ["rs1", "rs1", ""]
    assert [variant.kind for variant in variants] == ["snv", "insertion", "deletion"]
    assert variants[2].source == f"{path}: line 4"
    assert check_reference(GENOME, variants).kept == [0, 1, 2]


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame])
def test_tables_and_tuples_of_variants_count_from_one(build):
    frame = build({"#CHROM": ["1", "MT"], "POS": [2, 8], "ref": ["C", "T"], "alt": ["A", "TG"], "ID": ["rs1", None]})
    expected = [Variant("1", 1, "C", "A"), Variant("MT", 7, "T", "TG")]
    assert read_vcf(frame) == expected
    assert [variant.id for variant in read_vcf(frame)] == ["rs1", ""]
    assert read_vcf([("1", 2, "C", "A"), expected[1]]) == expected
    assert read_vcf([(1, 2.0, "C", "A")]) == expected[:1]


@pytest.mark.parametrize(("name", "mark"), [("x.csv", ","), ("x.tsv", "\t"), ("X.CSV.gz", ",")])
def test_files_of_tables_of_variants_are_read_with_their_lines(tmp_path, name, mark):
    path = tmp_path / name
    text = "#CHROM,id,POS,ref,alt\n1,rs1,2,C,A\nMT,,8.0,T, TG \n".replace(",", mark).encode()
    path.write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = read_vcf(path)
    assert found == [Variant("1", 1, "C", "A"), Variant("MT", 7, "T", "TG")]
    assert [variant.id for variant in found] == ["rs1", ""]
    assert [variant.source for variant in found] == [f"{path}: row 0, line 2", f"{path}: row 1, line 3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chrom,pos,ref,alt\n1,2,C,A\n1,3,G\n", "row 1, line 3: alt is missing; complete it or drop the row"),
        ("chrom,pos,ref,alt\n1,2.5,C,A\n", "row 0, line 2: pos must be a whole number, got '2.5'"),
        ("chrom,pos,ref,alt\n1,2,CE,A\n", "row 0, line 2: ref 'CE': 'E' at position 1 is no base"),
        ("chrom,pos,ref,alt,ref\n1,2,C,A,G\n", "columns 3 and 5 are both 'ref'; rename one"),
        ("chrom,pos,ref,alt\n", "no variants"),
    ],
)
def test_a_fault_of_a_file_of_variants_is_named_by_file_and_line(tmp_path, text, message):
    path = tmp_path / "x.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_vcf(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_vcf_may_be_called_a_table(tmp_path):
    path = tmp_path / "x.tsv"
    path.write_text(HEAD + "1\t2\trs1\tC\tG\t.\t.\t.\n")
    assert read_vcf(path) == [Variant("1", 1, "C", "G")]
    assert read_vcf(path)[0].source == f"{path}: line 3"


def test_alleles_that_are_no_bases_are_left_out_and_counted(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text(HEAD + "1\t2\t.\tC\t<DEL>,G,*\t.\n1\t3\t.\tG\tG]chr2:5]\t.\n1\t4\t.\tT\t<*>\t.\n")
    with pytest.warns(UserWarning, match="4 alternative alleles that are no bases .* line 3: <DEL>"):
        assert read_vcf(path) == [Variant("1", 1, "C", "G")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1 2 . C G", "line 3: a VCF row has tabs"),
        ("1\t0\t.\tC\tG", "line 3: a 1-based position begins at 1, got 0"),
        ("1\tx\t.\tC\tG", "line 3: pos must be a whole number, got 'x'"),
        ("1\t2\t.\tC\tGE", "line 3: alt 'GE': 'E' at position 1 is no base"),
        ("1\t2\t.\t.\tG", "line 3: ref '.': '.' at position 0 is a gap"),
        ("1\t2\t.\tC\tG E", "line 3: alt 'G E': ' ' at position 1 is white space"),
        ("1\t2\t.\tC\t.", "no variants"),
    ],
)
def test_a_fault_of_vcf_is_named_by_file_and_line(tmp_path, row, message):
    path = tmp_path / "x.vcf"
    path.write_text(f"{HEAD}{row}\n")
    with pytest.raises(ValueError, match=message) as caught:
        read_vcf(path)
    assert "line 3" not in message or str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        (pd.DataFrame({"chrom": [1], "pos": [1], "ref": ["A"]}), ValueError, "no column 'alt'"),
        ([("1", 2, "C")], TypeError, "variant 0 must be a Variant or"),
        ([("1", 2.5, "C", "A")], ValueError, "variant 0: pos must be a whole number, got 2.5"),
        ([("1", 2, "C", None)], ValueError, "variant 0: alt must be text"),
        ([(None, 2, "C", "A")], ValueError, "variant 0: chrom must be text"),
        (3, TypeError, "variants must be a path, a frame or tuples"),
    ],
)
def test_a_fault_of_a_table_of_variants_is_named_by_its_place(data, kind, message):
    with pytest.raises(kind, match=message):
        read_vcf(data)


def test_a_wrong_reference_is_refused_with_file_and_line(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text(HEAD + "1\t2\t.\tC\tG\t.\n1\t3\trs9\tT\tG\t.\n1\t11\t.\tA\tC\t.\n7\t1\t.\tA\tC\t.\n")
    variants = read_vcf(path)
    with pytest.raises(ValueError, match=r"3 of 4 .*x.vcf: line 4: 1:3:T>G: the genome has G; .*past the end of chr1"):
        check_reference(GENOME, variants)
    with pytest.warns(UserWarning, match="3 of 4 variants do not fit the genome: .* they are left out"):
        checked = check_reference(GENOME, variants, on_mismatch="skip")
    assert checked.kept == [0]
    assert [(mismatch.variant, mismatch.found) for mismatch in checked.mismatches] == [
        (variants[1], "G"),
        (variants[2], ""),
        (variants[3], ""),
    ]
    with pytest.raises(ValueError, match="on_mismatch must be 'raise' or 'skip'"):
        check_reference(GENOME, variants, on_mismatch="ignore")


@pytest.mark.parametrize(
    ("pos", "ref", "fits"),
    [
        (3, "A", True),
        (3, "G", True),
        (3, "C", False),
        (3, "R", True),
        (1, "A", False),
        (1, "N", True),
        (5, "ACG", True),
    ],
)
def test_an_ambiguous_base_of_the_genome_fits_what_it_stands_for_and_n_fits_n(pos, ref, fits):
    variants = [Variant.from_vcf("chrM", pos, ref, "T")]
    if fits:
        assert check_reference(GENOME, variants).kept == [0]
    else:
        with pytest.raises(ValueError, match="1 of 1 variants do not fit the genome"):
            check_reference(GENOME, variants)


def test_every_difference_of_letters_is_a_mismatch():
    for code, letter in enumerate("ACGT"):
        genome = Genome(Sequences.of({"1": letter}))
        for other in "ACGT".replace(letter, ""):
            with pytest.raises(ValueError, match=f"the genome has {letter}"):
                check_reference(genome, [Variant("1", 0, other, "ACGT"[code - 1])])


@pytest.mark.parametrize(
    ("ref", "alt", "kind", "trimmed"),
    [
        ("A", "G", "snv", (5, "A", "G")),
        ("AC", "GT", "mnv", (5, "AC", "GT")),
        ("ACT", "AGT", "snv", (6, "C", "G")),
        ("A", "ACC", "insertion", (5, "A", "ACC")),
        ("GACC", "GA", "deletion", (6, "ACC", "A")),
        ("CAA", "CA", "deletion", (5, "CA", "C")),
        ("AC", "GTT", "indel", (5, "AC", "GTT")),
    ],
)
def test_variants_are_named_by_what_they_change(ref, alt, kind, trimmed):
    variant = Variant("1", 5, ref, alt)
    assert variant.kind == kind
    assert variant.trim() == Variant("1", *trimmed)
    assert variant.pos == 6
    assert variant.end == 5 + len(ref)


def test_a_variant_has_bases_and_a_place():
    assert Variant("1", 0, "a", "u").alt == "T"
    for arguments, message in (
        (("1", -1, "A", "C"), "must not be negative"),
        (("1", 0, "", "C"), "ref is empty; begin an insertion or deletion with the base before it"),
        (("1", 0, "A", "<DEL>"), "alt '<DEL>': '<' at position 0"),
    ):
        with pytest.raises(ValueError, match=message):
            Variant(*arguments)


@needs_data
def test_real_variants_of_another_place_are_refused():
    variants = read_vcf(DATA / "formats" / "hg38_chr22_variants.vcf.gz")
    assert sum(max(len(v.ref), len(v.alt)) > 1 for v in variants) == 1851
    genome = Genome(DATA / "genomes" / "human_hg38_chr22_32.0-32.3Mb.fa.gz")
    message = r"9212 of 9212 .*vcf.gz: line \d+: chr22:17565851:G>C: past the end of chr22 of 300000 bases"
    with pytest.raises(ValueError, match=message):
        check_reference(genome, variants)


@needs_data
def test_the_reference_column_of_brca1_fits_its_own_regions():
    table = pd.read_csv(DATA / "labelled" / "brca1_sge_variants.csv.gz", keep_default_na=False)
    regions = table.drop_duplicates("region")
    genome = Genome(Sequences.of(dict(zip(regions["region"].astype(str), regions["region_seq"], strict=True))))
    rows = zip(table["region"].astype(str), table["offset0"] + 1, table["ref"], table["alt"], strict=True)
    variants = read_vcf(rows)
    assert len(check_reference(genome, variants).kept) == len(table) == 3893
    moved = [Variant(v.chrom, v.start, v.alt, v.ref) for v in variants]
    with pytest.raises(ValueError, match="3893 of 3893 variants do not fit"):
        check_reference(genome, moved)


@needs_data
def test_genes_of_a_real_chromosome_begin_with_a_start_codon():
    path = DATA / "genomes" / "yeast_NC_001133.gbk.gz"
    genome, records = Genome(path), read_sequences(path)
    genes = [one.location for one in records.features[0] if one.type == "CDS" and len(one.location.parts) == 1]
    starts = [
        genome.fetch("NC_001133.9", place.end - 3, place.end, "-")
        if place.strand == -1
        else genome.fetch("NC_001133.9", place.start, place.start + 3)
        for place in genes
    ]
    assert len(starts) > 80
    assert starts.count("ATG") >= len(starts) - 2


def test_a_genome_is_not_one_string():
    for bases in ("ACGT", "ACGT" * 300):
        with pytest.raises(
            TypeError, match=r"data is one string of bases.*; pass \[string\] for one sequence"
        ) as caught:
            Genome(bases)
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize("huge", [99_999_999_999, 10**22])
def test_intervals_much_longer_than_their_chromosome_are_refused_with_both_lengths(tmp_path, huge):
    path = tmp_path / "x.bed"
    path.write_text(f"chr1\t1\t5\nchr1\t0\t{huge}\n")
    message = f"chr1:1-{huge}\\(\\+\\) has {huge:,} bases, its chromosome 10; correct its end"
    with pytest.raises(ValueError, match=f"^{path}: line 2: {message}$"):
        GENOME.windows(read_bed(path))
    with pytest.raises(ValueError, match=f"^window 0: {message}"):
        GENOME.windows([Interval("chr1", 0, huge)], pad="raise")
    with pytest.raises(ValueError, match=f"^{message}"):
        GENOME.codes(Interval("chr1", 0, huge))
    with pytest.raises(ValueError, match=f"^chr1:-{huge - 1}-10.* has {huge + 10:,} bases, its chromosome 10"):
        GENOME.fetch("chr1", -huge, 10)
    assert GENOME.fetch("chr1", 0, huge, pad="drop") == ONE
    with pytest.warns(UserWarning, match=r"1 of 2 windows .* dropped; the first is .*, window 1 \(.*x.bed: line 2\)"):
        assert GENOME.windows(read_bed(path), pad="drop")[1].tolist() == [0]
    with pytest.warns(UserWarning, match="1 of 1 windows reach .* padded with N"):
        assert GENOME.windows([Interval("chr1", 0, 1_000_000)])[0].lengths.tolist() == [1_000_000]


def test_a_window_on_an_unknown_chromosome_names_its_row(tmp_path):
    path = tmp_path / "x.bed"
    path.write_text("# rows\nchr1\t0\t5\nchr7\t0\t5\nx\t0\t1\nchr7\t0\t5\n")
    with pytest.raises(ValueError, match=f"^{path}: line 3: the genome has 'chr1', 'chrM', but not 'chr7', 'x'$"):
        GENOME.windows(read_bed(path))
    with pytest.raises(ValueError, match="^window 1: the genome has 'chr1', 'chrM', but not 'x'$"):
        GENOME.windows([Interval("1", 0, 1), Interval("x", 0, 1)])
    assert read_bed(path)[1].resize(3).source == f"{path}: line 3"
    assert read_bed(path)[0] == Interval("chr1", 0, 5)


def test_empty_alternatives_are_left_out_and_counted(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text(HEAD + "1\t2\t.\tC\tG,\t.\n1\t3\t.\tG\t\t.\n1\t4\t.\tT\t.\t.\n")
    with pytest.warns(UserWarning) as said:
        assert read_vcf(path) == [Variant("1", 1, "C", "G")]
    assert [str(one.message) for one in said] == [
        f"2 alternative alleles that are no bases were left out; the first is {path}: line 3: an empty one, in 'G,'"
    ]


def test_alternatives_that_equal_their_reference_are_told_of(tmp_path):
    path = tmp_path / "x.vcf"
    path.write_text(HEAD + "1\t2\t.\tC\tG\t.\n1\t3\trs1\tG\tA,g\t.\n1\t4\t.\tTT\tTT\t.\n")
    with pytest.warns(UserWarning) as said:
        found = read_vcf(path)
    assert [str(one.message) for one in said] == [
        f"2 alternative alleles are their reference, and change nothing; the first is {path}: line 4: 1:3:G>G"
    ]
    assert found[1:3] == [Variant("1", 2, "G", "A"), Variant("1", 2, "G", "G")] and len(found) == 4


def test_a_missing_id_of_a_variant_is_none_at_all():
    frame = pd.DataFrame({"chrom": ["1"], "pos": [2], "ref": ["C"], "alt": ["A"], "id": pd.array([pd.NA], "string")})
    assert read_vcf(frame)[0].id == ""
