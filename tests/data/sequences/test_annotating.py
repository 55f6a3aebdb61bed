"""VCF out: what was there stays, what is added can be read back."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest

from titans_seq.data import Variant, read_vcf
from titans_seq.data.sequences._writing import whole_file
from titans_seq.data.sequences.annotating import InfoField, annotate_vcf, info_id, write_vcf

HEAD = "##fileformat=VCFv4.2\n##contig=<ID=1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tme\n"
ROWS = (
    "1\t2\trs1\tC\tA,<DEL>,CG\t9\tPASS\tDP=3;X=7\tGT\t0/1\n"
    "1\t3\t.\tG\t.\t.\t.\t.\tGT\t0/0\n"
    "1\t4\t.\tt\tg\t.\t.\tX=1\tGT\t1/1\n"
)


def field(*values: float) -> InfoField:
    return InfoField("X", 'of "on"', np.array(values))


def test_every_allele_of_bases_gets_its_number_and_the_rest_stays_as_it_was(tmp_path: Path) -> None:
    source, target = tmp_path / "a.vcf", tmp_path / "b.vcf"
    source.write_text((HEAD + ROWS).replace("\n", "\r\n"), newline="")
    assert annotate_vcf(source, target, [field(0.5, np.nan, -2.0)]) == target
    head, rows = HEAD.splitlines(), [line.split("\t") for line in ROWS.splitlines()]
    declared = '##INFO=<ID=X,Number=A,Type=Float,Description="of \\"on\\"">'
    rows[0][7], rows[1][7], rows[2][7] = "DP=3;X=0.5,.,.", "X=.", "X=-2"
    expected = [*head[:2], declared, head[2], *("\t".join(row) for row in rows)]
    assert target.read_bytes().decode() == "\n".join(expected) + "\n"
    again = tmp_path / "c.vcf.gz"
    annotate_vcf(target, again, [field(0.5, np.nan, -2.0)])
    assert gzip.decompress(again.read_bytes()) == target.read_bytes()


def test_a_file_without_header_gets_one(tmp_path: Path) -> None:
    source = tmp_path / "a.vcf"
    source.write_text("1\t2\t.\tC\tA\n")
    annotate_vcf(source, source, [field(1.25)])
    lines = source.read_text().splitlines()
    assert lines[0] == "##fileformat=VCFv4.3"
    assert lines[2:] == ["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO", "1\t2\t.\tC\tA\t.\t.\tX=1.25"]


def test_variants_that_are_written_are_read_back(tmp_path: Path) -> None:
    variants = [Variant("2", 4, "AC", "A", "rs5"), Variant("1", 0, "N", "G")]
    path = write_vcf(variants, tmp_path / "x.vcf.gz", [field(1.0, np.nan)])
    found = read_vcf(path)
    assert found == variants
    assert [variant.id for variant in found] == ["rs5", ""]
    assert gzip.decompress(path.read_bytes()).decode().splitlines()[-1].endswith("\tX=.")


def test_alleles_are_counted_as_the_reader_counts_them(tmp_path: Path) -> None:
    source = tmp_path / "a.vcf"
    source.write_text(HEAD + ROWS + "1\t9\t.\tA\t*,C,A[1:5[\t.\t.\t.\tGT\t1/2\n")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        n = len(read_vcf(source))
    annotate_vcf(source, tmp_path / "b.vcf", [field(*range(n))])
    assert (tmp_path / "b.vcf").read_text().splitlines()[-1].split("\t")[7] == f"X=.,{n - 1},."


def test_an_error_leaves_the_file_that_was_there_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "x.vcf.gz"
    target.write_text("before")
    with pytest.raises(RuntimeError, match="half way"), whole_file(target) as file:
        file.write("half")
        raise RuntimeError("half way")
    assert target.read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["x.vcf.gz"]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with (
        pytest.raises(FileNotFoundError, match="the folder .*nowhere does not exist"),
        whole_file(tmp_path / "nowhere/x"),
    ):
        pass
    with pytest.raises(IsADirectoryError, match="is a folder"), whole_file(tmp_path):
        pass


def test_the_same_text_gives_the_same_compressed_bytes(tmp_path: Path) -> None:
    for name in ("a.gz", "b.gz"):
        with whole_file(tmp_path / name) as file:
            file.write("text\n")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


def test_a_key_of_any_text_is_one_that_vcf_allows() -> None:
    assert info_id("_on/off here.2") == "_on_off_here.2"
