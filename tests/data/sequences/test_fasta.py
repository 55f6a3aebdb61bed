"""FASTA: what is written is read, in blocks of any size, and every fault is named by file, record and line."""

from __future__ import annotations

import gc
import gzip
import io
import tracemalloc

import numpy as np
import pytest
from Bio.SeqIO.FastaIO import SimpleFastaParser
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import Sequences, read_sequences, write_fasta
from titans_seq.data.sequences.fasta import read_fasta

BASES = st.text("ACGTNRYSWKMBDHVacgtnryswkmbdhv", min_size=1, max_size=90)
NAME = st.text("abc>|.é1", min_size=1, max_size=6)
RECORDS = st.lists(st.tuples(NAME, st.sampled_from(["", " of a thing", "\tx>y", "  "]), BASES), min_size=1, max_size=6)


def as_fasta(records, width, end):
    lines = []
    for name, rest, bases in records:
        lines += [f">{name}{rest}", *(bases[at : at + width] for at in range(0, len(bases), width))]
    return end.join(lines)


@given(RECORDS, st.integers(1, 100), st.sampled_from(["\n", "\r\n"]), st.integers(1, 60), st.booleans())
def test_blocks_of_any_size_give_biopythons_records(records, width, end, block, closed):
    text = as_fasta(records, width, end) + (end if closed else "")
    found = read_fasta(io.BytesIO(text.encode()), "x.fa", block)
    expected = list(SimpleFastaParser(io.StringIO(text.replace("\r\n", "\n"))))
    assert list(found.ids) == [title.split(maxsplit=1)[0] for title, _ in expected]
    assert found.to_strings() == [bases for _, bases in expected]


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(st.lists(BASES, min_size=1, max_size=5), st.integers(1, 70))
def test_what_is_written_is_read(tmp_path_factory, strings, width):
    path = tmp_path_factory.mktemp("fasta") / "x.fa"
    sequences = read_sequences(strings)
    write_fasta(sequences, path, width)
    assert read_sequences(path).equals(sequences)
    assert max(map(len, path.read_text().splitlines())) <= max(width, 2)


FAULTS = {
    "protein": (">a\nACGT\n>p1 kinase\nACGT\nMEEPQ\n", r"record 2 'p1', line 5: 'E' is .* is this a protein\?"),
    "gap": (">a\nAC-T\n", "record 1 'a', line 2: '-' is a gap of an alignment"),
    "digit": (">a\r\nAC\r\nA1\r\n", "record 1 'a', line 3: '1' is no base"),
    "header in a line": (">a\nACGT>b\nAC\n", "record 1 'a', line 2: '>' is no base"),
    "empty record": (">a\nAC\n>b\n\n>c\nA\n", "record 2 'b', line 3: no bases; complete or remove the record"),
    "empty first record": (">a\n>b\nA\n", "record 1 'a', line 1: no bases"),
    "empty last record": (">a\nAC\n>b", "record 2 'b', line 3: no bases"),
    "no id": (">a\nAC\n> \nAC\n", "record 2, line 3: the header has no id"),
    "no header": ("\nACGT\n>a\nAC\n", "line 2: bases before the first header"),
    "bare CR": (">a\rACGT\r>b\rAC\r", "line 1: lines end in a bare CR"),
    "bare CR after a title": (">a one\rACGT\r", "record 1 'a', line 1: no bases"),
    "null byte": (">a\nA\0C\n", "record 1 'a', line 2: '.x00' is no base"),
    "blank": (" \n", "no FASTA record"),
}


@pytest.mark.parametrize("block", [1, 5, 1 << 18])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named_by_file_record_and_line(fault, block):
    text, message = FAULTS[fault]
    with pytest.raises(ValueError, match=rf"^x\.fa: {message}") as caught:
        read_fasta(io.BytesIO(text.encode()), "x.fa", block)
    assert "\n" not in str(caught.value)


def test_a_byte_order_mark_and_blank_lines_are_no_bases(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(b"\xef\xbb\xbf\n>a\n\nAC \n\n GT\n\n")
    assert read_sequences(path).to_strings() == ["ACGT"]


def test_names_may_be_there_twice_and_records_have_one_base(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text(">a\nA\n>a\nC")
    assert list(read_sequences(path).ids) == ["a", "a"]
    assert read_sequences(path).to_strings() == ["A", "C"]


def test_a_line_may_be_as_long_as_a_chromosome(tmp_path):
    bases = "".join(np.random.default_rng(0).choice(list("ACGTacgtN"), 1_000_003))
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(f">one\n{bases}\n>two\n{bases[:7]}\n".encode(), mtime=0))
    assert read_sequences(path).to_strings() == [bases, bases[:7]]


def test_gzip_is_told_by_its_bytes_and_may_have_members(tmp_path):
    path = tmp_path / "x.fa"
    path.write_bytes(gzip.compress(b">a\nAC") + gzip.compress(b"GT\n>b\nA"))
    assert read_sequences(str(path)).to_strings() == ["ACGT", "A"]


@pytest.mark.parametrize("left", [0.2, 0.6, 0.99])
def test_a_truncated_gzip_names_the_record_it_ends_in(tmp_path, left):
    random = np.random.default_rng(0)
    text = "".join(f">r{i}\n{''.join(random.choice(list('ACGT'), 60))}\n" for i in range(20_000))
    whole = gzip.compress(text.encode())
    path = tmp_path / "x.fa.gz"
    path.write_bytes(whole[: int(left * len(whole))])
    with pytest.raises(ValueError, match=r"^\S+x.fa.gz: record \d+ 'r\d+', line \d+: the gzip file ends too early"):
        read_sequences(path)


def test_a_damaged_gzip_is_refused(tmp_path):
    whole = bytearray(gzip.compress(b">a\n" + b"ACGT" * 50))
    whole[len(whole) // 2] ^= 255
    path = tmp_path / "x.fa.gz"
    path.write_bytes(whole)
    with pytest.raises(ValueError, match=r"x.fa.gz: .*the gzip file (is damaged|ends too early)"):
        read_sequences(path)


def test_reading_makes_no_object_for_each_record(tmp_path):
    path = tmp_path / "x.fa"
    n = 50_000
    path.write_text("".join(f">read{i}\nACGTACGTAC\n" for i in range(n)))
    read_sequences(["A"])
    gc.collect()
    before = len(gc.get_objects())
    tracemalloc.start()
    found = read_sequences(path)
    held, peak = tracemalloc.get_traced_memory()
    blocks = sum(one.count for one in tracemalloc.take_snapshot().statistics("filename"))
    tracemalloc.stop()
    assert len(found) == n
    assert found.ids[n - 1] == f"read{n - 1}"
    assert len(gc.get_objects()) - before < 500
    assert blocks < 500
    # A base takes a byte; a record its name and two offsets of 8 bytes.
    assert held < 1.5 * (10 * n + 9 * n + 16 * n)
    assert peak < held + 20 * (1 << 18) + 32 * n


def test_a_chromosome_takes_little_more_than_its_bases(tmp_path):
    path = tmp_path / "x.fa"
    n = 8_000_000
    path.write_bytes(b">one\n" + (b"ACGT" * 15 + b"\n") * (n // 60))
    tracemalloc.start()
    found = read_sequences(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.lengths.tolist() == [n // 60 * 60]
    assert peak < 2 * n


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    for ids, strings in ((["a b"], ["A"]), ([""], ["A"])):
        sequences = read_sequences(strings)
        sequences = type(sequences)(sequences.codes, sequences.offsets, ids)
        with pytest.raises(ValueError, match="sequence 0: FASTA needs an id of one word and a base"):
            write_fasta(sequences, tmp_path / "x.fa")
    assert not (tmp_path / "x.fa").exists()


@pytest.mark.parametrize(
    ("width", "shown"), [(0, "0"), (-3, "-3"), (60.0, "60.0"), ("60", "'60'"), (True, "True"), (None, "None")]
)
def test_a_width_that_is_no_count_is_refused_before_a_file_is_touched(tmp_path, width, shown):
    path = tmp_path / "x.fa"
    path.write_text("before")
    with pytest.raises(ValueError, match=f"^width must be a whole number from 1 on, found {shown}$"):
        write_fasta(read_sequences(["ACGT"]), path, width=width)
    assert path.read_text() == "before"


def test_fasta_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x.fa"
    path.write_text("before")

    class Breaking(Sequences):
        def __iter__(self):
            yield "ACGT"
            raise RuntimeError("half way")

    sequences = read_sequences(["ACGT", "AC"])
    with pytest.raises(RuntimeError, match="half way"):
        write_fasta(Breaking(sequences.codes, sequences.offsets, sequences.ids), path)
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["x.fa"]
    write_fasta(sequences, path, width=np.int64(3))
    assert path.read_text() == ">0\nACG\nT\n>1\nAC\n"


def test_a_name_that_ends_in_gz_is_compressed(tmp_path):
    path = tmp_path / "x.fa.gz"
    write_fasta(read_sequences(["ACGT"]), path)
    assert gzip.decompress(path.read_bytes()) == b">0\nACGT\n"
