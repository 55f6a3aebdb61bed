"""FASTA that is looked into by an index: against the plain reader, and at a memory that does not grow."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from titans_seq.data import Genome, Interval, read_sequences
from titans_seq.data.sequences._fasta_index import build_index, index_path, write_index
from titans_seq.data.sequences.indexed import IndexedFasta, open_indexed

BASES = st.text("ACGTNRYSWKMBDHVacgtnryswkmbdhvUu", min_size=1, max_size=90)
NAME = st.text("abc>|.é1", min_size=1, max_size=6)
RECORDS = st.lists(
    st.tuples(NAME, st.sampled_from(["", " of a thing", "\tx>y"]), BASES, st.integers(1, 40), st.integers(0, 2)),
    min_size=1, max_size=6, unique_by=lambda record: record[0],
)  # fmt: skip


def as_fasta(records, end: str, closed: bool) -> bytes:
    """Text of records (name, rest of the header, bases, bases of a line, blank lines after)."""
    lines = []
    for name, rest, bases, width, blank in records:
        lines += [f">{name}{rest}", *(bases[at : at + width] for at in range(0, len(bases), width)), *[""] * blank]
    return (end.join(lines) + (end if closed else "")).encode()


def place(folder: Path, data: bytes) -> Path:
    path = folder / "x.fa"
    path.write_bytes(data)
    return path


@pytest.mark.filterwarnings("ignore:.*is this a protein")
@given(
    RECORDS, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.integers(1, 50), st.sampled_from([b"", b"\xef\xbb\xbf"])
)
def test_every_stretch_is_what_the_plain_reader_reads(tmp_path_factory, records, end, closed, block, mark) -> None:
    path = place(tmp_path_factory.mktemp("indexed"), mark + as_fasta(records, end, closed))
    index = build_index(path, block)
    assert index is not None
    write_index(index, index_path(path))
    for source in (IndexedFasta(path, index), open_indexed(path)):
        expected = read_sequences(path)
        assert list(source.names) == list(expected.ids)
        assert source.lengths.tolist() == expected.lengths.tolist()
        for i, length in enumerate(expected.lengths.tolist()):
            for a, b in [(0, length), (length // 3, length), (length // 2, length // 2 + 1), (0, 0), (0, length // 2)]:
                np.testing.assert_array_equal(source.codes(i, a, b), expected.codes_of(i)[a:b])


@given(st.text(">aACGTn \t\r\n-7", max_size=60), st.integers(1, 30))
def test_any_text_has_an_index_that_fits_or_none(tmp_path_factory, text: str, block: int) -> None:
    path = place(tmp_path_factory.mktemp("any"), text.encode())
    index = build_index(path, block)
    if index is not None:
        expected, source = read_sequences(path), IndexedFasta(path, index)
        assert list(source.names) == list(expected.ids)
        for i, length in enumerate(expected.lengths.tolist()):
            np.testing.assert_array_equal(source.codes(i, 0, length), expected.codes_of(i))


def test_the_index_has_the_columns_of_samtools(tmp_path) -> None:
    path = place(tmp_path, b">one first\nACGTA\nCGT\n>two\r\nACG\r\nTTT\r\nAC\r\n\r\n>three\nA")
    Genome(path, write_index=True)
    assert index_path(path).read_text() == "one\t8\t11\t5\t6\ntwo\t8\t27\t3\t5\nthree\t1\t50\t1\t2\n"
    assert Genome(path).fetch("two", 2, 7) == "GTTTA"


@pytest.mark.parametrize("text", [b">a\nACGT\nAC\nACGT\n", b">a\nAC GT\n", b">a\nAC\n\nGT\n", b">a\n\nACGT\n"])
def test_lines_of_many_lengths_are_read_as_before(tmp_path, text: bytes) -> None:
    path = place(tmp_path, text)
    assert build_index(path) is None
    assert Genome(path).fetch("a", 0, 4) == "ACGT"
    with pytest.raises(ValueError, match="write_index: only plain FASTA whose lines have one length"):
        Genome(path, write_index=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b">a\nACGT\n>p1\nMEEP\n", r"x\.fa: record 2 'p1', line 4: 'E' is .*protein"),
        (b">a\nACGT\n>b\n>c\nA\n", r"x\.fa: record 2 'b', line 3: no bases"),
        (b">a\nACGT\n>\nA\n", r"x\.fa: record 2, line 3: the header has no id"),
        (b">a\nA\n>a\nC\n", "the genome has two records 'a'"),
    ],
)
def test_faults_are_named_as_the_plain_reader_names_them(tmp_path, text: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Genome(place(tmp_path, text))


def genome_file(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    lines = []
    for name, length in (("chr1", 333), ("chr2", 60), ("chr3", 121)):
        bases = "".join(rng.choice(list("ACGTacgtN"), length))
        lines += [f">{name} a chromosome", *(bases[at : at + 60] for at in range(0, length, 60))]
    return place(folder, ("\n".join(lines) + "\n").encode())


def later(path: Path) -> None:
    """Make a file younger than everything written so far."""
    about = path.stat()
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns + 10**9))


ROWS = "chr1\t333\t19\t60\t61\nchr2\t60\t377\t60\t61\nchr3\t121\t457\t60\t61\n"
WRONG = {
    "other bases of a line": ROWS.replace("60\t61", "50\t51"),
    "a shifted offset": ROWS.replace("\t377\t", "\t378\t"),
    "a shorter record": ROWS.replace("333", "332"),
    "a longer record": ROWS.replace("121", "122"),
    "another name": ROWS.replace("chr2", "chrX"),
    "a record too few at the end": ROWS[: ROWS.index("chr3")],
    "a record too few in the middle": ROWS.replace("chr2\t60\t377\t60\t61\n", ""),
    "no records": "\n",
    "no numbers": "chr1\tx\ty\n",
    "a record past the end": ROWS + "chr4\t100\t9999\t60\t61\n",
    "no end of line": ROWS.replace("60\t61", "60\t60"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_index_of_another_file_is_said_and_built_anew(tmp_path, wrong: str) -> None:
    path = genome_file(tmp_path)
    expected = read_sequences(path)
    index_path(path).write_text(WRONG[wrong])
    later(index_path(path))
    with pytest.warns(UserWarning, match=r"x\.fa\.fai is not the index of its file \(.*built anew in memory"):
        found = Genome(path)
    assert [found.fetch(f"chr{i + 1}", 0, n) for i, n in enumerate((333, 60, 121))] == expected.to_strings()
    assert index_path(path).read_text() == WRONG[wrong]
    with pytest.warns(UserWarning, match="written anew"):
        Genome(path, write_index=True)
    assert index_path(path).read_text() == ROWS


def test_an_index_older_than_its_file_is_said_and_built_anew(tmp_path) -> None:
    path = genome_file(tmp_path)
    Genome(path, write_index=True)
    # As long as before, with one base changed: only the time can tell.
    data = bytearray(path.read_bytes())
    data[19] = ord("G" if data[19] != ord("G") else "C")
    path.write_bytes(data)
    later(path)
    with pytest.warns(UserWarning, match=r"it is older.*built anew"):
        assert Genome(path).fetch("chr1", 0, 1) == chr(data[19])


def test_an_index_that_only_the_lines_within_contradict_is_found_out_when_they_are_read(tmp_path) -> None:
    path = place(tmp_path, b">a\nACGT\nACG\nACGTA\nACGT\nCC\n>b\nTT\n")
    index_path(path).write_text("a\t18\t3\t4\t5\nb\t2\t29\t2\t3\n")
    later(index_path(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Genome(path)
        assert found.fetch("a", 0, 4) == "ACGT"
    with pytest.warns(UserWarning, match="not the index of its file .*; the file is read as a whole"):
        assert found.fetch("a", 5, 14) == "CGACGTAAC"
    assert found.fetch("b", 0, 2) == "TT"


def test_a_fitting_index_is_used_in_silence_and_the_file_is_not_read(tmp_path) -> None:
    path = genome_file(tmp_path)
    Genome(path, write_index=True)
    data = bytearray(path.read_bytes())
    data[100] = ord("!")  # a fault that reading would find
    path.write_bytes(data)
    later(index_path(path))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Genome(path)
        assert len(found.fetch("chr3", 0, 121)) == 121
    with pytest.raises(ValueError, match=r"x\.fa: record 1 'chr1', line 3: '!' is no base"):
        found.fetch("chr1", 0, 200)


def test_a_genome_survives_pickling_and_says_that_its_file_changed(tmp_path) -> None:
    path = genome_file(tmp_path)
    found = Genome(path)
    again = pickle.loads(pickle.dumps(found))
    assert again.fetch("2", 5, 50) == found.fetch("2", 5, 50)
    assert again.sequences.equals(read_sequences(path))
    path.write_bytes(path.read_bytes() + b">chr4\nA\n")
    with pytest.raises(ValueError, match="has changed since it was opened; open it again"):
        found.fetch("chr1", 0, 1)


def test_windows_and_files_of_other_kinds_are_as_before(tmp_path) -> None:
    path = genome_file(tmp_path)
    asked = [Interval("1", 50, 130), Interval("chr3", 100, 121, "-"), Interval("chr2", 0, 60)]
    found, _ = Genome(path).windows(asked)
    expected, _ = Genome(read_sequences(path)).windows(asked)
    assert found.equals(expected)
    with pytest.raises(ValueError, match="write_index: only plain FASTA"):
        Genome(read_sequences(path), write_index=True)


PROGRAM = """
import resource, sys
from titans_seq.data import Genome, Interval
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Genome(sys.argv[2]).windows([Interval("small", 0, 100)])
before = peak()
found = Genome(sys.argv[1])
length = found.length_of("chr2")
windows, _ = found.windows([Interval("chr1", at, at + 1000) for at in range(0, length - 1000, length // 200)])
for at in range(0, length, 1 << 20):
    found.codes(Interval("chr2", at, min(at + (1 << 20), length)))
print(peak() - before, windows.lengths.sum())
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [60, 10**9])
def test_a_large_genome_is_looked_into_at_a_small_memory(tmp_path, width: int) -> None:
    rng, path, small = np.random.default_rng(0), tmp_path / "large.fa", tmp_path / "small.fa"
    small.write_text(">small\n" + "ACGT" * 100 + "\n")
    part = rng.choice(np.frombuffer(b"ACGT", np.uint8), 6_000_000).tobytes()
    lines = part if width > len(part) else b"\n".join(part[at : at + 60] for at in range(0, len(part), 60)) + b"\n"
    with path.open("wb") as file:
        for name in (b">chr1\n", b">chr2\n"):
            file.write(name + lines * 12)
            file.write(b"\n" * (width > len(part)))
    assert path.stat().st_size > 144_000_000
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path), str(small)], capture_output=True, text=True, check=True
    )
    grown, read = map(int, done.stdout.split())
    assert read >= 200_000
    assert grown < 60_000, f"{grown} kB"
