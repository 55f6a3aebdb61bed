"""The benchmark of labelled DNA."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmark_runs import needs_data, run


@needs_data
@pytest.mark.parametrize(
    "cell",
    [
        "splice_uci_leaks", "splice_uci_one_hot", "dream_yeast_mpra_regression_kmer_4",
        "ecoli_sigma70_promoters_cnn_s0", "dream_yeast_mpra_regression_cnn_s1", "dream_yeast_mpra_regression_ours_s1",
        "SIMULATED_primer_motif_swa_s2",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_a_cell_of_labelled_dna_runs_small_and_renders_with_gaps(cell: str, tmp_path: Path) -> None:
    done = run("genomics.py", "--quick", "--only", cell, "--output", str(tmp_path / "genomics"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "genomics" / f"{cell}.json").read_text())
    assert {"command", "seed", "arguments", "environment"} <= set(record)
    assert record["environment"]["threads"] == 1
    results = record["results"]
    rows = {"splice": 3 * 45, "dream": 45}.get(cell.split("_")[0], 2 * 45)
    assert (results["n_train"], results["n_test"]) == (rows, rows)
    if cell.endswith("leaks"):
        assert results["exact"] == results["reverse_complement"] == 0
    elif cell.startswith("dream"):
        assert set(results["scores"]) == {"pearson", "spearman", "mse"}
    else:
        assert 0.3 < results["scores"]["accuracy"] <= 1
    table = (tmp_path / "genomics.md").read_text()
    assert "not run" in table
    assert table.count("| SIMULATED_primer_motif | accuracy | 0.995 |") == 1


@needs_data
@pytest.mark.slow
def test_the_base_that_decides_is_found_in_a_whole_genome(tmp_path: Path) -> None:
    cell = "sars_cov_2_418_needle_s0"
    done = run("genomics.py", "--quick", "--only", cell, "--output", str(tmp_path / "genomics"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "genomics" / f"{cell}.json").read_text())["results"]
    assert results["n_test"] == 88 and results["scores"]["accuracy"] == 1.0
    assert [found["first"] for found in results["attributions"]] == [23403]


def genomics_part(results: dict[str, Any]) -> dict[str, Any]:
    return {"results": results, "environment": {"commit": "0123456789abcdef-dirty", "processor": "p", "cores": 1}}


def test_the_report_of_labelled_dna_shows_means_spreads_goals_and_gaps(genomics: Any) -> None:
    network = {"n_parameters": 1234, "networks": 3, "fit_cpu_seconds": 10.0, "predict_cpu_seconds": 1.0}
    parts: dict[str, Any] = {}
    for seed, accuracy in enumerate((0.97, 0.98, 0.99)):
        scores = {"accuracy": accuracy, "mcc": accuracy - 0.05, "auroc": 1.0, "log_loss": 0.1}
        parts[f"splice_uci_ours_s{seed}"] = genomics_part(network | {"scores": scores})
        if seed < 2:
            parts[f"splice_uci_cnn_s{seed}"] = genomics_part(network | {"scores": scores})
    scores = {"accuracy": 0.9, "mcc": 0.8, "auroc": 0.95, "log_loss": 0.3}
    parts["splice_uci_one_hot"] = genomics_part({"scores": scores, "fit_and_predict_cpu_seconds": 2.0})
    found = {"exact": 1, "reverse_complement": 2, "near": 3, "covered": 4000}
    parts["splice_uci_leaks"] = genomics_part(found)
    text = genomics("report").report(parts)
    assert "| splice_uci | accuracy | 0.975 | 0.9800 ± 0.0100 | met | not run | not run | not run |" in text
    assert "| 0.9750 ± 0.0071 (2 of 3 seeds) | 0.9000 (one-hot, linear, 1 of 7 run) |" in text
    assert "| splice_uci | MCC | 0.960 | 0.9300 ± 0.0100 | missed |" in text
    assert (
        "| mouse_tata_promoters | accuracy | 0.977 | not run |  | not run | not run | not run | not run | not run |"
        in text
    )
    assert "| splice_uci | 2,528 | 662 | 1 | 2 | 3 | 4,000 |" in text
    assert "| one-hot, linear | 0.9000 | 0.8000 | 0.9500 | 0.3000 |  |  |  |  | 2.0 (both) |  |" in text
    needle = {
        "scores": {"accuracy": 1.0}, "kmer_share": [1.0, 0.5], "fit_cpu_seconds": 9.6, "predict_cpu_seconds": 2.0,
        "attributions": [{"first": p, "is_site": p == 23403, "is_linked": p == 241} for p in (23403, 241, 7)],
        "mutagenesis": {"first": 23403, "effect": 4.5, "next_effect": 0.25},
    }  # fmt: skip
    parts["sars_cov_2_418_needle_s1"] = genomics_part(needle)
    text = genomics("report").report(parts)
    assert "| 1 | 1.0000 | 75% | 23403 (the site), 241 (linked), 7 | 23403 (4.50, next 0.25) | 10 | 2 |" in text
    assert "| 0 | not run |  |  |  |  |  |" in text
    assert "Commits: 0123456789ab-dirty." in text
    del parts["splice_uci_ours_s2"]
    assert "| 0.9750 ± 0.0071 (2 of 3 seeds) |  | not run |" in genomics("report").report(parts)


@pytest.mark.parametrize("model", ["attention", "swa"])
@pytest.mark.parametrize("length", [41, 60, 251, 1000, None])
def test_the_controls_of_labelled_dna_have_as_many_parameters_as_ours(
    genomics: Any, model: str, length: int | None
) -> None:
    from titans_seq import DNAClassifier
    from titans_seq.adapters.sequence_network import SequenceNetwork
    from titans_seq.estimators._sequence_settings import network_shape

    lengths = np.arange(87, 136) if length is None else np.full(9, length)

    def size(**arguments: Any) -> int:
        return SequenceNetwork(network_shape(DNAClassifier(**arguments), lengths, 6, 2)).n_parameters()

    ours, control = size(), size(**genomics("cells").NETWORKS[model])
    assert abs(control / ours - 1) < 0.02


def test_no_baseline_reads_places_in_sequences_of_several_lengths(genomics: Any) -> None:
    cells = genomics("cells")
    assert cells.baselines_of("dream_yeast_mpra_regression") == ("kmer_4", "kmer_5", "kmer_6", "kmer_4_hgb")
    assert cells.baselines_of("splice_uci") == cells.BASELINES


@pytest.mark.slow
@pytest.mark.parametrize("regression", [True, False])
def test_the_convolutional_peer_learns_a_motif_wherever_it_stands(genomics: Any, regression: bool) -> None:
    from titans_seq.data import read_sequences

    random = np.random.default_rng(0)
    there = np.arange(600) % 2
    bases = ["".join(random.choice(list("ACGT"), random.integers(40, 60))) for _ in there]
    places = random.integers(0, 30, len(there))
    bases = [s[:p] + "TGACTCAGCA" + s[p + 10 :] if y else s for s, y, p in zip(bases, there, places, strict=True)]
    answers = there * 6.0 + 2 if regression else np.where(there, "motif", "none")
    model = genomics("cnn").ConvolutionalNetwork(regression=regression, seed=0, max_epochs=12)
    model.fit(read_sequences(bases[:500]), answers[:500])
    test = read_sequences(bases[500:])
    if regression:
        said = model.predict(test)
        assert np.corrcoef(said, answers[500:])[0, 1] > 0.85
        assert np.abs(said - answers[500:]).mean() < 2  # of the mean: 3
    else:
        assert (model.classes[model.predict_proba(test).argmax(1)] == answers[500:]).mean() > 0.85


def test_an_answer_that_is_missing_is_not_scored(genomics: Any) -> None:
    measure = genomics("measure")
    part = measure.Part(None, np.array(["a", "b", "a"]))
    with pytest.raises(AssertionError, match="2 answers for 3 test sequences"):
        measure.scores(part, part, np.full((2, 2), 0.5))
