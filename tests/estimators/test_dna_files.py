"""Files as they come: whatever is asked of a classifier, it answers rightly or says in one line what is wrong where."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fitted_dna import SMALL, holding, one_strand
from planted_motifs import planted
from typer.testing import CliRunner

from titans_seq import DNAClassifier
from titans_seq.cli import app
from titans_seq.data import ReferenceMismatchError

RUN = "N" * 30
IUPAC = "ACGTNRYSWKMBDHVacgtnryswkmbdhvUu"
USUAL = [holding(60, 20, seed=1), holding(48, 5, seed=2), holding(60, 40, seed=3)]
AFTER = "ACGT" * 5


def fasta(strings: list[str], names: list[str] | None = None, end: str = "\n", width: int = 20) -> bytes:
    lines: list[str] = []
    for i, bases in enumerate(strings):
        lines += [f">{names[i] if names else f'r{i + 1}'} of {len(bases)}"]
        lines += [bases[at : at + width] for at in range(0, len(bases), width)]
    return (end.join(lines) + end).encode()


FINE = {
    "plain": fasta(USUAL),
    "runs of N": fasta([RUN + USUAL[0], USUAL[1][:20] + RUN + USUAL[1][20:], RUN]),
    "every IUPAC code": fasta([IUPAC + USUAL[0], IUPAC + AFTER, AFTER + IUPAC[::-1]]),
    "a record of one base": fasta([USUAL[0], "A", "N"]),
    "CRLF": fasta(USUAL, end="\r\n"),
    "lower case": fasta([bases.lower() for bases in USUAL]),
    "blank lines": fasta(USUAL).replace(b"\n>", b"\n\n>") + b"\n\n",
    "no end of the last line": fasta(USUAL).rstrip(),
    "one long line": fasta(USUAL, width=100),
    "gzip": gzip.compress(fasta(USUAL), mtime=0),
}
AS_PLAIN = ("CRLF", "lower case", "blank lines", "no end of the last line", "one long line", "gzip")

WRONG = {
    "an empty record": (fasta([USUAL[0]]) + b">hollow\n" + fasta(USUAL[1:]), r"record 2 'hollow', line 5: no bases"),
    "a protein": (fasta(USUAL[:2]) + b">P53\nMEEPQSDPSV\n", r"record 3 'P53', line 10: 'E' is no base.*protein"),
    "a gap": (fasta([USUAL[0], "ACG-T"]), r"record 2 'r2', line 6: '-' is a gap"),
    "a truncated gzip": (gzip.compress(fasta(USUAL * 50), mtime=0)[:-200], r"the gzip file ends too early"),
    "nothing at all": (b"", r"is empty"),
    "no FASTA": (b"once upon a time\n", r"neither FASTA"),
}
TWICE = fasta(USUAL, ["a", "b", "a"])


def fit(path: Path) -> Any:
    options = SMALL | {"max_epochs": 1, "stride": 4}
    model = DNAClassifier(**options).fit(path, ["on", "off", "on"])
    return model.predict_proba(path)


def predict(path: Path) -> Any:
    return one_strand().predict_proba(path)


def embed(path: Path) -> Any:
    return one_strand().embed(path)


def scan(path: Path) -> Any:
    return one_strand().scan(path, window=40, step=20)["score_on"].to_numpy()


def variant_effect(path: Path, **options: Any) -> Any:
    rows = [("r1", 1, "NACGT"["NACGT".find(first_letter(path))], "ACGT"[first_letter(path) == "A"])]
    return one_strand().variant_effect(path, rows, window=40, **options)["effect_on"].to_numpy()


def first_letter(path: Path) -> str:
    data = path.read_bytes()
    text = gzip.decompress(data) if path.suffix == ".gz" and len(data) > 0 and "short" not in path.name else data
    lines = text.decode("latin-1").splitlines()
    return lines[1][:1].upper() if len(lines) > 1 and lines[1][:1].upper() in "NACGT" else "A"


ASKED: dict[str, Callable[[Path], Any]] = {
    "fit": fit, "predict": predict, "embed": embed, "scan": scan, "variant_effect": variant_effect,
}  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model"
    one_strand().save(path)
    return path


def place(folder: Path, data: bytes, name: str = "some.fa") -> Path:
    path = folder / (f"{name}.gz" if data[:2] == b"\x1f\x8b" else name)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kind", FINE)
def test_what_is_no_fault_is_answered(kind: str, asked: str, tmp_path: Path) -> None:
    found = ASKED[asked](place(tmp_path, FINE[kind]))
    assert len(found) > 0
    assert np.isfinite(found).all()
    if kind in AS_PLAIN:
        np.testing.assert_array_equal(found, ASKED[asked](place(tmp_path, FINE["plain"], "plain.fa")))


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_wrong_is_said_in_one_line_with_file_and_record(kind: str, asked: str, tmp_path: Path) -> None:
    data, message = WRONG[kind]
    path = place(tmp_path, data, "short.fa")
    with pytest.raises(ValueError, match=message) as caught:
        ASKED[asked](path)
    assert re.match(re.escape(str(path)), str(caught.value))
    assert "\n" not in str(caught.value)


def test_ids_may_come_twice_but_names_of_chromosomes_may_not(tmp_path: Path) -> None:
    path = place(tmp_path, TWICE)
    for asked in (fit, predict, embed):
        assert np.isfinite(asked(path)).all()
    for asked in (scan, variant_effect):
        with pytest.raises(ValueError, match=r"some\.fa: the genome has two records 'a' \(1 and 3\)"):
            asked(path)


def test_a_motif_is_found_whatever_stands_around_it(tmp_path: Path) -> None:
    whole, alone = holding(60, 20, seed=1), predict(place(tmp_path, fasta([holding(40, 10)])))[0, 1]
    around = [RUN + whole, whole[:15] + "N" * 3 + whole[18:], whole.lower(), whole.replace("A", "a"), whole + AFTER]
    assert alone > 0.9
    assert (predict(place(tmp_path, fasta(around)))[:, 1] > 0.9).all()


@pytest.mark.parametrize("kind", [*FINE, *WRONG])
def test_the_command_line_classifies_or_says_the_same_in_one_line(kind: str, saved: Path, tmp_path: Path) -> None:
    data = FINE[kind] if kind in FINE else WRONG[kind][0]
    path = place(tmp_path, data)
    done = CliRunner().invoke(app, ["classify", str(saved), str(path)])
    if kind in FINE:
        assert done.exit_code == 0, done.output
        assert "r1" in done.stdout
        return
    assert done.exit_code == 2, done.output
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    assert re.match(rf"error: {re.escape(str(path))}.*{WRONG[kind][1]}", lines[0])


VARIANTS = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\nr1\t{pos}\t.\t{ref}\t{alt}\n"


def vcf(folder: Path, pos: int, ref: str, alt: str) -> Path:
    path = folder / "some.vcf"
    path.write_text(VARIANTS.format(pos=pos, ref=ref, alt=alt))
    return path


@pytest.mark.parametrize("kind", [*FINE, *WRONG])
def test_the_command_line_ranks_variants_or_says_the_same_in_one_line(kind: str, saved: Path, tmp_path: Path) -> None:
    data = FINE[kind] if kind in FINE else WRONG[kind][0]
    path = place(tmp_path, data)
    ref = first_letter(path) if kind in FINE else "A"
    done = CliRunner().invoke(app, ["variants", str(saved), str(path), str(vcf(tmp_path, 1, ref, "C" * 3))])
    if kind in FINE:
        assert done.exit_code == 0, done.output
        return
    assert done.exit_code == 2, done.output
    assert re.match(rf"error: {re.escape(str(path))}.*{WRONG[kind][1]}", done.stderr)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((21, "G", "C"), r"some\.vcf: line 3: r1:21:G>C: the genome has T"),
        ((60, "ACGT", "A"), r"some\.vcf: line 3: r1:60:ACGT>A: past the end of r1 of 60 bases"),
    ],
)
def test_a_reference_allele_that_is_not_the_genomes_is_named_by_file_and_line(row, message, saved, tmp_path) -> None:
    genome, variants = place(tmp_path, FINE["plain"]), vcf(tmp_path, *row)
    with pytest.raises(ReferenceMismatchError, match=message):
        one_strand().variant_effect(genome, variants)
    done = CliRunner().invoke(app, ["variants", str(saved), str(genome), str(variants)])
    assert (done.exit_code, len(done.stderr.splitlines())) == (2, 1)
    assert re.search(message, done.stderr)
    with pytest.warns(UserWarning, match=r"1 of 1 variants do not fit the genome.*left out"):
        found = one_strand().variant_effect(genome, variants, on_mismatch="skip")
    assert np.isnan(found["effect_on"]).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("r1 21 . T C\n", r"some\.vcf: line 1: a VCF row has tabs"),
        ("r1\tx\t.\tT\tC\n", r"some\.vcf: line 1: pos must be a whole number, got 'x'"),
        ("r1\t0\t.\tT\tC\n", r"some\.vcf: line 1: a 1-based position begins at 1"),
        ("r1\t21\t.\tT\tME\n", r"some\.vcf: line 1: alt 'ME'.*protein"),
        ("##nothing\n", r"some\.vcf: no variants"),
    ],
)
def test_a_malformed_vcf_is_named_by_file_and_line(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "some.vcf").write_text(text)
    with pytest.raises(ValueError, match=message):
        one_strand().variant_effect(place(tmp_path, FINE["plain"]), tmp_path / "some.vcf")


def test_tables_are_read_and_refused_by_row_and_line(tmp_path: Path) -> None:
    strings, _ = planted(4)
    path = tmp_path / "some.csv"
    path.write_text("id,sequence\n" + "".join(f"x,{bases}\r\n" for bases in strings))
    np.testing.assert_array_equal(predict(path), one_strand().predict_proba(strings))
    for cell, message in (("", "no bases"), ("MEEP", "protein")):
        path.write_text(f"id,sequence\na,ACGT\nb,{cell}\n")
        with pytest.raises(
            ValueError, match=rf"^{re.escape(str(path))}: row 1, line 3, column 'sequence': .*{message}"
        ):
            predict(path)


def test_a_folder_in_place_of_a_file_is_one_line(saved: Path, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["classify", str(saved), str(tmp_path)])
    assert done.exit_code == 2, done.output
    assert done.stderr.splitlines() == [f"error: {tmp_path} is a folder; pass one file"]
