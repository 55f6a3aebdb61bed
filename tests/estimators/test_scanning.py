"""Windows along genomes: against predictions for slices."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fitted_dna import LENGTH, background, both_strands, holding, one_strand, regressor, three_classes
from hypothesis import given
from hypothesis import strategies as st
from planted_motifs import MOTIF, ragged

from titans_seq import DNAClassifier
from titans_seq.data import Genome, Sequences, read_bed
from titans_seq.estimators import _scanning
from titans_seq.estimators._scanning import window_starts

RECORDS = {"chr1": holding(230, 100), "chr2": background(40, seed=2), "tiny": "ACGTTGCA"}
GENOME = Genome(Sequences.of(RECORDS))


def test_scores_are_predictions_for_slices_and_the_last_window_ends_with_the_record() -> None:
    found = one_strand().scan(GENOME, step=25)
    assert list(found.columns) == ["chrom", "start", "end", "score_on"]
    starts = {"chr1": [*range(0, 176, 25), 190], "chr2": [0], "tiny": [0]}
    expected = [(name, at, min(at + LENGTH, len(RECORDS[name]))) for name in RECORDS for at in starts[name]]
    assert list(found[["chrom", "start", "end"]].itertuples(index=False, name=None)) == expected
    p = one_strand().predict_proba([RECORDS[name][a:b] for name, a, b in expected])[:, 1]
    np.testing.assert_allclose(found["score_on"], p, rtol=0, atol=1e-10)


@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 30))
def test_windows_are_inside_and_cover_all_that_steps_allow(length: int, window: int, step: int) -> None:
    starts = window_starts(length, window, step)
    ends = np.minimum(starts + window, length)
    assert starts[0] == 0 and ends[-1] == length and (np.diff(starts) > 0).all()
    assert ((ends - starts) == min(window, length)).all()
    assert (np.diff(starts)[:-1] == step).all() and (np.diff(starts) <= step).all()
    covered = np.zeros(length, dtype=bool)
    for a, b in zip(starts, ends, strict=True):
        covered[a:b] = True
    assert covered.all() or step > window


def test_the_motif_is_found_where_it_is(tmp_path: Path) -> None:
    found = one_strand().scan(GENOME, step=4)
    best = found.loc[found["score_on"].idxmax()]
    assert best["chrom"] == "chr1" and best["start"] <= 100 and 100 + len(MOTIF) <= best["end"]


@pytest.mark.parametrize("name", ["x.bed", "x.BED.gz"])
def test_a_bed_file_has_the_windows_of_the_frame(tmp_path: Path, name: str) -> None:
    frame = both_strands().scan(GENOME, step=15)
    path = both_strands().scan(GENOME, step=15, output=tmp_path / name)
    assert [file.name for file in tmp_path.iterdir()] == [name]
    intervals = read_bed(path)
    assert [(i.chrom, i.start, i.end) for i in intervals] == list(
        frame[["chrom", "start", "end"]].itertuples(index=False, name=None)
    )
    text = path.read_bytes() if name.endswith("bed") else gzip.decompress(path.read_bytes())
    rows = [line.split("\t") for line in text.decode().splitlines()]
    assert {row[3] for row in rows} == {"True"}
    np.testing.assert_array_equal([int(row[4]) for row in rows], np.round(1000 * frame["score_True"]))
    np.testing.assert_allclose([float(row[6]) for row in rows], frame["score_True"], rtol=1e-5)


@pytest.mark.parametrize(("window", "step"), [(40, 7), (13, 5), (12, 12), (1, 1), (10, 33), (300, 50)])
def test_in_bedgraph_each_base_has_the_number_of_the_window_about_it(tmp_path: Path, window: int, step: int) -> None:
    frame = regressor().scan(GENOME, window=window, step=step)
    path = regressor().scan(GENOME, window=window, step=step, output=tmp_path / "x.bedgraph")
    graph = pd.read_csv(path, sep="\t", names=["chrom", "start", "end", "value"])
    np.testing.assert_allclose(graph["value"], frame["score"], rtol=1e-5)
    for name, rows in graph.groupby("chrom"):
        assert (rows["start"].to_numpy()[1:] >= rows["end"].to_numpy()[:-1]).all()
        windows = frame[frame["chrom"] == name]
        middle = ((windows["start"] + windows["end"]) / 2).to_numpy()
        inside = (windows["start"].to_numpy() <= rows["start"]) & (rows["end"] <= windows["end"].to_numpy())
        assert inside.all()
        if step <= window:
            assert rows["start"].iloc[0] == 0 and rows["end"].iloc[-1] == len(RECORDS[name])
            assert (rows["start"].to_numpy()[1:] == rows["end"].to_numpy()[:-1]).all()
            places = np.concatenate([np.arange(a, b) + 0.5 for a, b in zip(rows["start"], rows["end"], strict=True)])
            owner = np.repeat(np.arange(len(rows)), rows["end"] - rows["start"])
            distance = np.abs(places[:, None] - middle)
            assert (distance[np.arange(len(places)), owner] <= distance.min(1) + 0.5).all()


def test_few_windows_are_in_memory_at_once_and_that_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    expected, seen = both_strands().scan(GENOME, step=3), []
    read = _scanning.StrandReader.answers

    def watched(self: Any, x: Sequences, both: bool | None = None) -> np.ndarray:
        seen.append(len(x.codes))
        return read(self, x, both)

    monkeypatch.setattr(_scanning.StrandReader, "answers", watched)
    monkeypatch.setattr(_scanning, "_PIECE", 5 * LENGTH)
    found = both_strands().scan(GENOME, step=3)
    assert max(seen) == 5 * LENGTH and sum(seen) > 10 * max(seen)
    pd.testing.assert_frame_equal(found, expected, check_exact=False, rtol=0, atol=1e-10)


def test_classes_have_columns_and_a_file_is_about_one_of_them(tmp_path: Path) -> None:
    found = three_classes().scan(GENOME, window=30)
    p = three_classes().predict_proba([RECORDS["chr1"][:30]])
    np.testing.assert_allclose(found[["score_high", "score_low", "score_mid"]].iloc[0], p[0], rtol=0, atol=1e-10)
    three_classes().scan(GENOME, window=30, output=tmp_path / "x.bed", target="mid")
    assert "\tmid\t" in (tmp_path / "x.bed").read_text()
    with pytest.raises(ValueError, match="there are 3 targets; choose one of 'high', 'low', 'mid' with target="):
        three_classes().scan(GENOME, output=tmp_path / "y.bed")
    assert [file.name for file in tmp_path.iterdir()] == ["x.bed"]


def test_a_file_is_read_like_a_genome_and_a_saved_model_gives_the_same_bits(tmp_path: Path) -> None:
    fasta = tmp_path / "g.fa.gz"
    fasta.write_bytes(gzip.compress("".join(f">{name} x\n{bases}\n" for name, bases in RECORDS.items()).encode()))
    both_strands().save(tmp_path / "m")
    found = DNAClassifier.load(tmp_path / "m").scan(fasta, step=40)
    pd.testing.assert_frame_equal(found, both_strands().scan(GENOME, step=40), check_exact=True)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"step": 0}, ValueError, "step must be at least 1"),
        ({"window": -1}, ValueError, "window must be at least 1"),
        ({"output": "x.wig"}, ValueError, "output must end in .bed, .bedgraph, .bed.gz or .bedgraph.gz, found 'x.wig'"),
        ({"output": "nowhere/x.bed"}, FileNotFoundError, "the folder nowhere does not exist"),
    ],
)
def test_a_bad_argument_is_named(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        one_strand().scan(GENOME, **options)


def test_an_error_on_the_way_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_scanning, "_PIECE", 1)
    calls: list[int] = []

    def fail(self: Any, x: Any, both: Any = None) -> Any:
        calls.append(1)
        if len(calls) > 2:
            raise MemoryError("no more")
        return np.zeros((len(x), 2))

    monkeypatch.setattr(_scanning.StrandReader, "answers", fail)
    with pytest.raises(MemoryError):
        one_strand().scan(GENOME, output=tmp_path / "x.bedgraph.gz")
    assert list(tmp_path.iterdir()) == []


def test_vectors_are_of_the_sequence_alone_and_of_both_strands(tmp_path: Path) -> None:
    strings = ragged(25, seed=4)[0]
    vectors = both_strands().embed(strings)
    assert vectors.shape == (25, 2 * 3 * (16 + 4))
    alone = np.concatenate([both_strands().embed([bases]) for bases in strings])
    np.testing.assert_allclose(vectors, alone, rtol=0, atol=1e-9)
    longer = both_strands().embed([*strings, "ACGT" * 300])
    np.testing.assert_allclose(longer[:-1], vectors, rtol=0, atol=1e-9)
    turned = GENOME.sequences.reverse_complement()
    there, back = both_strands().embed(GENOME.sequences), both_strands().embed(turned)
    np.testing.assert_allclose(there, back, rtol=0, atol=1e-9)
    assert np.abs(one_strand().embed(GENOME.sequences) - one_strand().embed(turned)).max() > 1e-3
    both_strands().save(tmp_path / "m")
    np.testing.assert_array_equal(DNAClassifier.load(tmp_path / "m").embed(strings), vectors)


def test_the_pooled_head_says_of_a_vector_what_it_says_of_the_sequence() -> None:
    import torch

    model = three_classes(kmers=False)  # of sequences of several lengths: no other head
    member = model._members[0]
    with torch.no_grad():
        said = member.model.network.pooled.double()(torch.from_numpy(model.embed(list(RECORDS.values()))))
    member.model.network.pooled.float()
    expected = model.decision_function(list(RECORDS.values()))
    np.testing.assert_allclose(said.numpy() / member.choice.temperature, expected, rtol=0, atol=1e-9)
