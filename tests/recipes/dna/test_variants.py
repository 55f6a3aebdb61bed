"""`titans-seq variants`: effects are those of the saved model, the largest first; what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from planted_motifs import planted
from typer.testing import CliRunner, Result

from titans_seq import DNAClassifier, TitansForecaster, cli
from titans_seq.data import read_sequences, write_fasta

TINY = {
    "channels": 8, "d_model": 4, "n_heads": 1, "memory_expansion": 1, "n_members": 1, "max_epochs": 1,
    "random_state": 0, "verbose": 0,
}  # fmt: skip
GENOME = "ACGTTGCAGATTACA" * 12


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    strings, holds = planted(60)
    folder = tmp_path_factory.mktemp("model") / "run"
    DNAClassifier(**TINY).fit(strings, np.where(holds, "motif", "none")).save(folder)
    return folder


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    write_fasta(read_sequences([GENOME]), "genome.fa")
    rows = [(at + 1, GENOME[at], alt) for at, alt in ((40, "G"), (63, "C"), (90, "T"))]
    rows.append((120, GENOME[119:122], GENOME[119]))
    lines = "".join(f"0\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\n" for pos, ref, alt in rows)
    Path("some.vcf").write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n" + lines)
    table = {"chrom": ["0"] * 4, "pos": [r[0] for r in rows], "ref": [r[1] for r in rows], "alt": [r[2] for r in rows]}
    pl.DataFrame(table).write_csv("some.csv")


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli.app, ["variants", *map(str, arguments)])


def error_of(result: Result) -> str:
    assert result.exit_code == cli.USER_ERROR, result.output
    assert result.stdout == "" and "Traceback" not in result.stderr
    return result.stderr


@pytest.mark.parametrize("given", ["some.vcf", "some.csv"])
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_written_effects_are_the_estimators_largest_first(model: Path, given: str, ending: str) -> None:
    result = call(model, "genome.fa", given, "--output", f"out.{ending}")
    assert result.exit_code == 0, result.stderr
    assert "4 variants written to out" in result.stdout
    found = pl.read_csv("out.csv") if ending == "csv" else pl.read_parquet("out.parquet")
    expected = DNAClassifier.load(model).variant_effect("genome.fa", "some.vcf")
    sizes = np.abs(found["effect_none"].to_numpy())
    assert (np.diff(sizes) <= 0).all()
    own = expected.set_index("pos").loc[found["pos"].to_numpy(), "effect_none"]
    np.testing.assert_allclose(found["effect_none"].to_numpy(), own, rtol=1e-9, atol=1e-12)


def test_vcf_keeps_its_order_and_gains_a_field(model: Path) -> None:
    assert call(model, "genome.fa", "some.vcf", "--output", "out.vcf", "--quiet").stdout == ""
    before, after = (
        [line.split("\t") for line in Path(name).read_text().splitlines() if not line.startswith("#")]
        for name in ("some.vcf", "out.vcf")
    )
    assert [row[:5] for row in before] == [row[:5] for row in after]
    assert all("TITANS_EFFECT=" in row[7] for row in after)


def test_without_a_file_it_shows_a_table(model: Path) -> None:
    result = call(model, "genome.fa", "some.vcf")
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 5
    assert result.stdout.split()[:3] == ["chrom", "pos", "id"]


def test_a_wrong_reference_allele_is_refused_or_left_out(model: Path) -> None:
    text = Path("some.vcf").read_text()
    wrong = "C" if GENOME[40] != "C" else "T"
    Path("wrong.vcf").write_text(text.replace(f"\t41\t.\t{GENOME[40]}\t", f"\t41\t.\t{wrong}\t"))
    assert "41" in error_of(call(model, "genome.fa", "wrong.vcf", "--output", "out.csv"))
    assert not Path("out.csv").exists()
    result = call(model, "genome.fa", "wrong.vcf", "--output", "out.csv", "--on-mismatch", "skip")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.startswith("warning: 1 of 4 variants do not fit the genome: wrong.vcf: line 3: ")
    assert pl.read_csv("out.csv")["effect_none"].null_count() == 1


def test_what_can_not_be_used_is_named_in_a_line(model: Path) -> None:
    assert "there is no such file" in error_of(call(model, "genome.fa", "none.vcf"))
    assert "answers are written as" in error_of(call(model, "genome.fa", "some.vcf", "--output", "out.txt"))
    Path("out.csv").write_text("mine")
    assert "add --overwrite" in error_of(call(model, "genome.fa", "some.vcf", "--output", "out.csv"))
    assert Path("out.csv").read_text() == "mine"
    Path("empty.csv").write_text("")
    assert "empty.csv" in error_of(call(model, "genome.fa", "empty.csv"))
    Path("odd.csv").write_text("chrom,position\n0,5\n")
    assert "pos" in error_of(call(model, "genome.fa", "odd.csv"))
    assert "on_mismatch" in error_of(call(model, "genome.fa", "some.vcf", "--on-mismatch", "perhaps"))


def test_a_fault_of_a_table_is_named_by_file_and_line(model: Path) -> None:
    rows = Path("some.csv").read_text().splitlines()
    wrong = "C" if GENOME[63] != "C" else "T"
    Path("wrong.csv").write_text("\n".join([*rows[:2], f"0,64,{wrong},A", *rows[3:]]))
    said = error_of(call(model, "genome.fa", "wrong.csv"))
    assert f"wrong.csv: row 1, line 3: 0:64:{wrong}>A: the genome has {GENOME[63]}" in said
    for cell, words in (("x", "pos must be a whole number, got 'x'"), ("", "pos is missing; complete it or drop")):
        Path("odd.tsv").write_text("\n".join([*rows[:3], f"0,{cell},A,C"]).replace(",", "\t"))
        assert f"odd.tsv: row 2, line 4: {words}" in error_of(call(model, "genome.fa", "odd.tsv"))
    Path("odd.csv").write_bytes("\n".join([*rows[:2], "Müller,3,A,C"]).encode("windows-1252"))
    assert "odd.csv: line 3: byte 0xfc is no UTF-8; save" in error_of(call(model, "genome.fa", "odd.csv"))


@pytest.mark.parametrize("command", ["variants other genome.fa some.vcf", "classify other genome.fa"])
def test_a_model_of_another_kind_is_refused_in_the_name_of_the_command(command: str) -> None:
    TitansForecaster(4, max_epochs=0).fit(np.arange(80.0)).save("other")
    said, name = error_of(CliRunner().invoke(cli.app, command.split())), command.split()[0]
    assert f"other holds a TitansForecaster; {name} needs a DNAClassifier or DNARegressor" in said
