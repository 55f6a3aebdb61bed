"""Everything that holds sequences: strings, records, FASTQ, GenBank, tables; and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from Bio import SeqIO
from Bio.Seq import Seq
from Bio.SeqFeature import SeqFeature, SimpleLocation
from Bio.SeqRecord import SeqRecord
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import read_sequences

DATA = Path(os.environ.get("TITANS_SEQ_DATA", "")) / "dna"
needs_data = pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")

BASES = st.text("ACGTNRYSWKMBDHVacgtnryswkmbdhv", min_size=1, max_size=40)


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, pl.Series, lambda s: np.array(s, dtype=object)])
def test_strings_come_in_any_container(kind):
    found = read_sequences(kind(["ACGT", "nnR"]))
    assert found.to_strings() == ["ACGT", "nnR"]
    assert list(found.ids) == ["0", "1"]


def test_a_narrower_alphabet_refuses_other_letters():
    assert read_sequences(["ACn"], alphabet="acgtn").to_strings() == ["ACn"]
    assert read_sequences(["ACgt"], alphabet="acgt").to_strings() == ["ACgt"]
    for strings, alphabet, message in (
        (["ACGT", "ACrN"], "acgtn", "sequence 1 '1': 'r' at position 2 is not in alphabet 'acgtn'"),
        (["N"], "acgt", "sequence 0 '0': 'N' at position 0 is not in alphabet 'acgt'"),
        (["A"], "rna", "alphabet must be 'dna', 'acgtn' or 'acgt', got 'rna'"),
    ):
        with pytest.raises(ValueError, match=message):
            read_sequences(strings, alphabet=alphabet)


def test_biopython_objects_come_alone_or_many():
    assert read_sequences(Seq("ACgu")).to_strings() == ["ACgt"]
    assert read_sequences([Seq("AC"), "GT"]).to_strings() == ["AC", "GT"]
    record = SeqRecord(Seq("ACG"), id="r1", letter_annotations={"phred_quality": [1, 2, 40]})
    record.features.append(SeqFeature(SimpleLocation(0, 2), type="CDS"))
    for given_as in (record, [record]):
        found = read_sequences(given_as)
        assert list(found.ids) == ["r1"]
        assert found.qualities_of(0).tolist() == [1, 2, 40]
        assert found.features[0][0].type == "CDS"
    assert read_sequences([record, SeqRecord(Seq("A"), id="r2")]).qualities is None


def test_sequences_are_sequences():
    found = read_sequences(["ac"])
    assert read_sequences(found) is found
    assert read_sequences(found, soft_mask="fold").to_strings() == ["AC"]


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame])
def test_frames_have_a_sequence_column(build):
    frame = build({"id": ["x", "N"], "Seq": ["ACG", "t"], "label": [1, 2]})
    assert read_sequences(frame).to_strings() == ["ACG", "t"]
    assert list(read_sequences(frame).ids) == ["x", "N"]
    assert list(read_sequences(frame, id_col="label").ids) == ["1", "2"]
    renamed = build({"dna": ["A"], "other": ["C"]})
    assert read_sequences(renamed, sequence_col="other").to_strings() == ["C"]
    assert read_sequences(build({"dna": ["A"]})).to_strings() == ["A"]
    with pytest.raises(ValueError, match=r"no column 'sequence' \(it has dna, other\); pass sequence_col="):
        read_sequences(renamed)
    with pytest.raises(ValueError, match="has no column 'dan'; did you mean sequence_col='dna'"):
        read_sequences(renamed, sequence_col="dan")


FRAME_FAULTS = {
    "letter": ({"sequence": ["AC", "AXC"]}, ValueError, "row 1, column 'sequence': 'X' at position 1 is no base"),
    "empty": ({"sequence": ["AC", ""]}, ValueError, "row 1, column 'sequence': no bases"),
    "missing": ({"sequence": ["AC", None]}, ValueError, "row 1: sequence is missing; drop the row or complete it"),
    "number": ({"sequence": [1, 2]}, TypeError, "row 0: sequence 1 is int; sequences must be text"),
    "missing id": ({"sequence": ["A", "C"], "id": ["a", None]}, ValueError, "row 1: id is missing; name the sequence"),
    "no rows": ({"sequence": []}, ValueError, "the frame has no rows"),
}


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("fault", FRAME_FAULTS)
def test_a_fault_of_a_frame_is_named_by_its_row(fault, build):
    columns, kind, message = FRAME_FAULTS[fault]
    with pytest.raises(kind, match=message):
        read_sequences(build(columns))


@pytest.mark.parametrize(("name", "mark"), [("x.csv", ","), ("x.tsv", "\t"), ("x.csv.gz", ","), ("X.TSV.gz", "\t")])
def test_tables_are_read_as_text(tmp_path, name, mark):
    text = "id,sequence\r\nNA,ACn\r\n007,N\r\n".replace(",", mark).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    found = read_sequences(tmp_path / name)
    assert found.to_strings() == ["ACn", "N"]
    assert list(found.ids) == ["NA", "007"]


def test_a_fault_of_a_table_is_named_by_file_row_and_line(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sequence\nAC\nMKE\n")
    with pytest.raises(ValueError, match=r"x.csv: row 1, line 3, column 'sequence': 'E' at position 2 is .* protein"):
        read_sequences(path)
    path.write_text("id,sequence\na,AC\nb,AC,x\n")
    with pytest.raises(ValueError, match=r"x.csv: .*line 3") as caught:
        read_sequences(path)
    assert "\n" not in str(caught.value)
    path.write_text("id,sequence,id\na,AC,b\n")
    with pytest.raises(ValueError, match=r"x.csv: columns 1 and 3 are both 'id'; rename one"):
        read_sequences(path)
    path.write_text("")
    with pytest.raises(ValueError, match=r"x.csv: No columns"):
        read_sequences(path)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"sequence\n" + b"ACGTTGCA\n" * 99)[:-12])
    with pytest.raises(ValueError, match=r"x.csv.gz: the gzip file ends too early"):
        read_sequences(tmp_path / "x.csv.gz")


FASTQ = st.lists(st.tuples(st.text("ab1", min_size=1), BASES, st.integers(0, 93)), min_size=1, max_size=5)


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(FASTQ, st.integers(1, 50), st.sampled_from(["\n", "\r\n"]))
def test_fastq_may_span_lines_and_its_qualities_may_look_like_titles(tmp_path_factory, records, width, end):
    lines = []
    for i, (name, bases, grade) in enumerate(records):
        grades = "".join(chr(33 + (grade + 31 * at) % 94) for at in range(len(bases)))
        wrapped = [[text[at : at + width] for at in range(0, len(text), width)] for text in (bases, grades)]
        lines += [f"@{name} x", *wrapped[0], "+" if i % 2 else f"+{name} x", *wrapped[1]]
    path = tmp_path_factory.mktemp("fastq") / "x.fastq"
    path.write_bytes(end.join(lines).encode())
    found = read_sequences(path)
    expected = list(SeqIO.parse(io.StringIO("\n".join(lines)), "fastq"))
    assert list(found.ids) == [record.id for record in expected]
    assert found.to_strings() == [str(record.seq) for record in expected]
    for i, record in enumerate(expected):
        assert found.qualities_of(i).tolist() == record.letter_annotations["phred_quality"]


FASTQ_FAULTS = {
    "short qualities": ("@a\nACGT\n+\nIII\n", "record 1 'a', line 4: the file ends after 3 qualities of 4 bases"),
    "long qualities": ("@a\nACGT\n+\nIIIII\n", "record 1 'a', line 4: 5 qualities of 4 bases"),
    "too few before the next": (
        "@a\nACGT\n+\nII\n@b\nA\n+\nI\n",
        r"record 1 'a', line 4: 2 qualities of 4 bases before the title line '@b' \(line 5\); correct the record",
    ),
    "too few before a long title": (
        f"@z\nA\n+\nI\n@a\n{'ACGT' * 25}\n+\n{'I' * 98}\n@read2 of a run\nACGT\n+\nIIII\n",
        r"record 2 'a', line 8: 98 qualities of 100 bases before the title line '@read2 of a run' \(line 9\)",
    ),
    "far too few before the last": (
        f"@a\n{'ACGT' * 25}\n+\n{'I' * 50}\n@b\nACGT\n+\nIIII\n",
        r"record 1 'a', line 4: 50 qualities of 100 bases before the title line '@b' \(line 5\)",
    ),
    "a record that fits what is missing": (
        "@a\nACGTACGTAC\n+\nII\n@b\nACG\n+c\nI\n@d\nA\n+\nI\n",
        r"record 1 'a', line 4: 2 qualities of 10 bases before the title line '@b' \(line 5\)",
    ),
    "no qualities": (
        "@a\nACGT\n+\n@b\nA\n+\nI\n",
        r"record 1 'a', line 4: 0 qualities of 4 bases before the title line '@b' \(line 4\)",
    ),
    "an empty line of qualities": (
        "@a\nACGT\n+\n\n@b\nA\n+\nI\n",
        r"record 1 'a', line 4: 0 qualities of 4 bases before the title line '@b' \(line 5\)",
    ),
    "too few on several lines": (
        "@a\nACGT\nACGT\n+\nIIII\nII\n@b\nACGT\nACGT\n+\nIIII\nIIII\n",
        r"record 1 'a', line 5: 6 qualities of 8 bases before the title line '@b' \(line 7\)",
    ),
    "another name after the plus": (
        "@a\nA\n+a x\nI\n@b\nAC\n+a\nII\n",
        "record 2 'b', line 7: the '\\+' line names 'a'; correct the record",
    ),
    "no plus": ("@a\nACGT\n", "record 1 'a', line 2: the file ends before the '\\+' line"),
    "no bases": ("@a\n\n+\n\n", "record 1 'a', line 3: no bases"),
    "protein": ("@a\nAC\n+\nII\n@b\nMEE\n+\nIII\n", "record 2 'b', line 6: 'E' is .* is this a protein"),
    "space in qualities": ("@a\nACG\n+\nI I\n", "record 1 'a', line 4: 'I I' holds a byte that is no quality"),
    "no id": ("@ x\nA\n+\nI\n@\nA\n+\nI\n", "record 2, line 5: '@' is no title line"),
}


@pytest.mark.parametrize("fault", FASTQ_FAULTS)
def test_a_fault_of_fastq_is_named_by_file_record_and_line(tmp_path, fault):
    text, message = FASTQ_FAULTS[fault]
    path = tmp_path / "x.fq"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"x\.fq: {message}") as caught:
        read_sequences(path)
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_of_fastq_names_the_record(tmp_path):
    random = np.random.default_rng(0)
    bases = ["".join(random.choice(list("ACGT"), 50)) for _ in range(3_000)]
    whole = gzip.compress("".join(f"@r{i}\n{one}\n+\n{'I' * 50}\n" for i, one in enumerate(bases)).encode())
    path = tmp_path / "x.fastq.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"x.fastq.gz: record \d+ 'r\d+', line \d+: the gzip file ends too early"):
        read_sequences(path)


def in_form(form, n=6):
    """Return some records r0, r1, ... and how many bytes the last one has."""
    random = np.random.default_rng(0)
    bases = ["".join(random.choice(list("ACGT"), 50)) for _ in range(n)]
    one = {
        "fasta": lambda i: f">r{i} x\n{bases[i]}\n",
        "fastq": lambda i: f"@r{i} x\n{bases[i]}\n+\n{'I' * 50}\n",
        "genbank": lambda i: genbank(bases[i]).replace("X1", f"r{i}"),
    }[form]
    return "".join(map(one, range(n))), len(one(n - 1))


FORMS = {"fasta": (2, "r{}"), "fastq": (4, "r{}"), "genbank": (14, "r{}.1")}
"""Lines of a record, and how it is named."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", ["short by its checksum", "checksum", "garbage"])
def test_a_small_gzip_that_is_broken_at_its_end_names_the_last_record(tmp_path, form, fault):
    whole = gzip.compress(in_form(form)[0].encode())
    path = tmp_path / "x.gz"
    wrong = whole[:-8] + bytes([whole[-8] ^ 255]) + whole[-7:]
    path.write_bytes({"short by its checksum": whole[:-8], "checksum": wrong, "garbage": whole + b"more"}[fault])
    reason = "ends too early" if fault == "short by its checksum" else "is damaged"
    name = FORMS[form][1].format(5)
    with pytest.raises(ValueError, match=rf"^\S+x.gz: record 6 '{name}', line \d+: the gzip file {reason}") as caught:
        read_sequences(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("form", FORMS)
def test_a_small_gzip_that_is_cut_names_the_record_begun_last(tmp_path, form):
    text, last = in_form(form)
    lines, name = FORMS[form]
    cut = zlib.compressobj(wbits=31)
    content = cut.compress(text.encode()[: -last // 2]) + cut.flush(zlib.Z_SYNC_FLUSH)
    path = tmp_path / "x.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="the gzip file ends too early; fetch it again") as caught:
        read_sequences(path)
    found = re.search(r"record (\d+) '(\S+)', line (\d+):", str(caught.value))
    assert found is not None and found[2] == name.format(int(found[1]) - 1)
    begun = [at for at, line in enumerate(text[: -last // 2].split("\n"), 1) if line.startswith((">", "@", "LOCUS"))]
    assert int(found[1]) == len(begun) == 6
    assert begun[-1] <= int(found[3]) <= begun[-1] + lines


@pytest.mark.parametrize("form", ["fasta", "genbank"])
def test_what_a_damaged_gzip_makes_of_a_record_is_not_blamed_on_the_record_alone(tmp_path, form):
    text = in_form(form)[0].encode()
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(text, compresslevel=0).replace(text[-20:-10], b"!" * 10))
    with pytest.raises(ValueError, match=r"x.gz: record 6 .*; that is because the gzip file is damaged \(CRC"):
        read_sequences(path)


def genbank(bases="ACGTTTGA", length=None):
    record = SeqRecord(Seq(bases), id="X1.1", name="X1", annotations={"molecule_type": "DNA"})
    record.features.append(SeqFeature(SimpleLocation(2, 5, strand=-1), type="CDS", qualifiers={"gene": ["g"]}))
    text = record.format("genbank")
    return text if length is None else text.replace(f"{len(bases)} bp", f"{length} bp")


def test_genbank_comes_with_features(tmp_path):
    path = tmp_path / "x.gb"
    path.write_text(genbank() + genbank("AC" * 40))
    found = read_sequences(path)
    assert found.to_strings() == ["ACGTTTGA", "AC" * 40]
    (feature,) = found.features[0]
    assert (feature.type, int(feature.location.start), int(feature.location.end)) == ("CDS", 2, 5)
    assert feature.location.strand == -1
    assert feature.qualifiers["gene"] == ["g"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (genbank() + genbank("AC" * 40)[:-60], r"record 2 \(after 'X1.1'\), line \d+: "),
        (genbank(length=9), r"record 1, line \d+: Expected sequence length 9, found 8"),
        (genbank("ACE"), "record 1 'X1.1': 'E' at position 2 is no base"),
        ("LOCUS\n", "no GenBank record"),
        (genbank()[:300], r"record 1, line \d+: "),
    ],
)
def test_a_fault_of_genbank_is_named_by_file_and_record(tmp_path, text, message):
    path = tmp_path / "x.gb"
    path.write_text(text)
    with pytest.raises(ValueError, match=rf"x\.gb: {message}") as caught:
        read_sequences(path)
    assert "\n" not in str(caught.value)


ODD = {
    "a LOCUS line in no columns": (
        "LOCUS       X1                         8 bp    DNA              UNK",
        "LOCUS       X1 8 bp",
    ),
    "a date": ("01-JAN-1980", "01/JAN/1980"),
    "a blank line": ("ORIGIN\n", "ORIGIN\n\n"),
    "a quote": ('"g"', '"g"h"'),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("what", ODD)
def test_what_is_odd_in_genbank_but_loses_nothing_is_read_without_a_word(tmp_path, what):
    text = genbank().replace(*ODD[what])
    assert text != genbank()
    path = tmp_path / "x.gb"
    path.write_text(genbank("AC") + text)
    found = read_sequences(path)
    assert found.to_strings() == ["AC", "ACGTTTGA"] and list(found.ids) == ["X1.1"] * 2
    assert int(found.features[1][0].location.start) == 2


def test_a_record_of_genbank_is_not_passed_over_for_few_blanks_before_its_name(tmp_path):
    path = tmp_path / "x.gb"
    lines = genbank().splitlines(keepends=True)
    path.write_text(genbank() + "".join(["LOCUS X9 8 bp DNA linear UNK 01-JAN-1980\n", *lines[1:]]))
    assert read_sequences(path).to_strings() == ["ACGTTTGA"] * 2


def test_features_of_genbank_that_are_lost_are_told_once_with_file_and_record(tmp_path):
    path = tmp_path / "x.gb"
    wrong = genbank().replace("X1", "X2").replace("3..5", "3..x5")
    path.write_text(genbank().replace("01-JAN", "01/JAN") + wrong + wrong)
    with pytest.warns(UserWarning) as said:
        found = read_sequences(path)
    assert [str(one.message) for one in said] == [
        f"{path}: record 2 'X2.1': Could not parse feature location '3..x5'; setting feature location to None "
        "(1 more like it); correct the file if its features matter"
    ]
    assert found.to_strings() == ["ACGTTTGA"] * 3 and said[0].category is UserWarning


@pytest.mark.parametrize(
    ("data", "kind", "message"),
    [
        ("ACGT", TypeError, r"data is one string of bases .*; pass \[string\]"),
        (Path("A" * 9), FileNotFoundError, "A{9} does not exist"),
        ("M" + "ACGT" * 300, TypeError, r"one string of bases 'MACGTACGT[ACGT]*...' .*; pass \[string\]"),
        ("ACGT\n" * 9, FileNotFoundError, r"^'ACGT\\nACGT.*'\.\.\. \(45 characters\) does not exist$"),
        ("x/" * 3000, FileNotFoundError, r"x/.*\.\.\. \(5999 characters\) does not exist"),
        ("nowhere.fa", FileNotFoundError, "nowhere.fa does not exist"),
        ([], ValueError, "data is empty"),
        (["A", ""], ValueError, "sequence 1: no bases"),
        (["A", "AC GT"], ValueError, "sequence 1: ' ' at position 2 is white space; strip it"),
        (["ACGT", "AC", "AAZ"], ValueError, "sequence 2: 'Z' at position 2 is no base"),
        (["A", None], ValueError, "sequence 1 is missing"),
        (["A", float("nan")], ValueError, "sequence 1 is missing"),
        (pd.Series(["ACGT", pd.NA], dtype="string"), ValueError, "sequence 1 is missing; drop it"),
        (["A", pd.NA], ValueError, "sequence 1 is missing; drop it"),
        (["A", pd.NaT], ValueError, "sequence 1 is missing; drop it"),
        (pl.Series(["ACGT", None]), ValueError, "sequence 1 is missing; drop it"),
        (["A", np.array(["C", "G"])], TypeError, "sequence 1 is ndarray; sequences must be strings"),
        (["A", 7], TypeError, "sequence 1 is int; sequences must be strings"),
        ([Path("x.fa")], TypeError, "sequence 0 is a path; read one file at a time"),
        (7, TypeError, "data must be a path, strings, SeqRecords or a frame .* got int"),
        (b"ACGT", TypeError, "got bytes"),
        (np.array([["A", "C"]]), TypeError, "an array of sequences must have one dimension"),
        ([SeqRecord(Seq("AJ"), id="r")], ValueError, "record 0 'r': 'J' at position 1 is no base"),
        (SeqRecord(None, id="a"), ValueError, "^record 0 'a': it has no sequence; complete it or leave it out$"),
        ([SeqRecord(Seq("A")), SeqRecord(Seq(None, 10), id="a")], ValueError, "^record 1 'a': it has no sequence;"),
        (["ACGT", SeqRecord(None, id="a")], ValueError, "^sequence 1: it has no sequence; complete it"),
        (Seq(None, length=10), ValueError, "^sequence 0: it has no sequence; complete it or leave it out$"),
    ],
)
def test_what_holds_no_sequences_is_refused(data, kind, message):
    with pytest.raises(kind, match=message):
        read_sequences(data)


def test_files_of_another_kind_are_refused(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("ACGT\n")
    with pytest.raises(ValueError, match=r"x.txt begins with 'ACGT\\n': neither FASTA \('>'\)"):
        read_sequences(path)
    path.write_text("\n \n")
    with pytest.raises(ValueError, match="x.txt is empty"):
        read_sequences(path)
    with pytest.raises(IsADirectoryError, match="is a folder; pass one file"):
        read_sequences(tmp_path)


def test_strings_and_fasta_load_no_biopython_and_no_pandas(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nA\n")
    code = (
        "import sys; from titans_seq.data import read_sequences; read_sequences(['A']);"
        f"read_sequences({str(tmp_path / 'x.fa')!r}); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"Bio", "pandas", "polars", "scipy", "torch"} & set(done.stdout.split())


@needs_data
@pytest.mark.parametrize("name", ["ls_orchid.fasta.gz", "human_tata_promoters_300bp.fa.gz"])
def test_real_fasta_is_what_biopython_reads(name):
    found = read_sequences(DATA / "formats" / name)
    with gzip.open(DATA / "formats" / name, "rt") as file:
        expected = list(SeqIO.parse(file, "fasta"))
    assert list(found.ids) == [record.id for record in expected]
    assert found.to_strings() == [str(record.seq) for record in expected]


@needs_data
def test_real_fastq_is_what_biopython_reads():
    path = DATA / "formats" / "longreads_original_sanger.fastq.gz"
    found = read_sequences(path)
    with gzip.open(path, "rt") as file:
        expected = list(SeqIO.parse(file, "fastq"))
    assert found.to_strings() == [str(record.seq) for record in expected]
    assert "".join(found).count("n") == 54
    for i, record in enumerate(expected):
        assert found.qualities_of(i).tolist() == record.letter_annotations["phred_quality"]


@needs_data
def test_the_same_orchids_come_from_genbank_and_fasta():
    genbank_records = read_sequences(DATA / "formats" / "ls_orchid.gbk.gz")
    assert genbank_records.to_strings() == read_sequences(DATA / "formats" / "ls_orchid.fasta.gz").to_strings()
    chloroplast = read_sequences(DATA / "genomes" / "arabidopsis_chloroplast_NC_000932.gb.gz")
    assert sum(feature.type == "CDS" for feature in chloroplast.features[0]) == 85


@needs_data
def test_real_tables_keep_their_iupac_codes():
    splice = read_sequences(DATA / "labelled" / "splice_uci.csv.gz")
    assert len(splice) == 3190
    assert set(splice.lengths) == {60}
    assert sum(bool(set(bases) & set("DNRS")) for bases in splice) == 15


def test_a_long_string_of_bases_is_not_shown_in_full():
    with pytest.raises(TypeError, match=r"pass \[string\] for one sequence") as caught:
        read_sequences("ACGT" * 300)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("build", [pd.DataFrame, pl.DataFrame])
def test_a_missing_sequence_of_any_dtype_is_named_by_its_row(build):
    frame = build({"sequence": ["AC", None]})
    frame = frame.astype("string") if isinstance(frame, pd.DataFrame) else frame
    with pytest.raises(ValueError, match="row 1: sequence is missing; drop the row or complete it"):
        read_sequences(frame)


@pytest.mark.parametrize(
    ("name", "text", "mark", "do"),
    [
        ("x.csv", "sequence;label\nACGT;a\n", ";", "save it with commas"),
        ("x.csv", '\n"sequence";"label"\r\n"ACGT";"a"\r\n', ";", "save it with commas"),
        ("x.csv", "sequence;score\nACGT;0,5\n", ";", "save it with commas"),
        ("x.csv.gz", "sequence\tlabel\nACGT\ta\n", "\\t", "name it .tsv"),
        ("x.csv", "sequence|label\nACGT|a\n", "|", "save it with commas"),
        ("x.tsv", "sequence,label\nACGT,a\n", ",", "name it .csv"),
    ],
)
def test_a_table_that_is_separated_by_something_else_says_so(tmp_path, name, text, mark, do):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    with pytest.raises(ValueError) as caught:
        read_sequences(path)
    said = str(caught.value)
    assert said.startswith(f"{path}: the header line ") and said.endswith(f" looks separated by '{mark}'; {do}")
    assert "\n" not in said


def test_a_column_may_have_a_mark_in_its_name(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("sequence;of DNA\nACGT\n")
    assert read_sequences(path).to_strings() == ["ACGT"]
