"""The benchmark scripts start, list, run small and say what is missing."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def run(script: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCHMARKS / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_memory_lists_its_cells() -> None:
    done = run("memory.py", "--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names))
    assert {"rate_forward", "share", "genome"} <= set(names)


def test_a_pattern_that_matches_no_cell_is_refused() -> None:
    done = run("memory.py", "--only", "nothing_of_the_kind")
    assert done.returncode == 2
    assert "no cell matches 'nothing_of_the_kind'" in done.stderr


def test_a_cell_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("memory.py", "--quick", "--only", "share", "--output", str(tmp_path / "memory"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "memory" / "share.json").read_text())
    assert {"command", "seed", "environment", "results"} <= set(record)
    assert record["environment"]["threads"] == 1
    share = record["results"]["share_of_block"]["memory layer"]
    assert 0 < share < 2
    table = (tmp_path / "memory.md").read_text()
    assert "| genome | not run |" in table
    assert "| memory layer |" in table
    assert (tmp_path / "memory.png").stat().st_size > 10_000


def test_a_finished_cell_is_not_run_again(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    part = {"results": {"parts": {}, "share_of_block": {}}, "environment": {"processor": "p", "cores": 1}}
    part["environment"] |= {"packages": {"torch": "t"}, "commit": None}
    (tmp_path / "memory" / "share.json").write_text(json.dumps(part))
    done = run("memory.py", "--quick", "--only", "share", "--output", str(tmp_path / "memory"))
    assert done.returncode == 0, done.stderr
    assert "share: there already" in done.stdout


def test_gpu_without_cuda_ends_with_one_line() -> None:
    done = run("gpu.py", CUDA_VISIBLE_DEVICES="")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no CUDA device" in done.stderr


def test_gpu_parts_run_small_on_a_cpu(tmp_path: Path) -> None:
    output = tmp_path / "gpu.json"
    arguments = ["--device", "cpu", "--tiny", "--parts", "kernel_tests", "long_stream", "--output", str(output)]
    done = run("gpu.py", *arguments)
    assert done.returncode == 0, done.stderr
    parts = json.loads(output.read_text())["parts"]
    assert "skipped" in parts["kernel_tests"]["results"]
    assert parts["long_stream"]["results"]["forward"]["torch"]["finite"] is True


@pytest.mark.parametrize(("rule", "de", "be", "bd"), [("bounded", 34, 8, 7), ("titans", 22, 4, 4)])
def test_counted_operations_add_up_to_the_stated_sums(rule: str, de: int, be: int, bd: int) -> None:
    flops = load(BENCHMARKS / "_memory" / "flops.py")
    d, e, b = 128, 512, 64
    assert flops.flops_per_token(d, e, b, rule) == de * d * e + be * b * e + bd * b * d + 2 * b * b
    assert flops.needed_per_token(d, e, b, rule) < flops.flops_per_token(d, e, b, rule)


def test_sessions_lists_its_cells() -> None:
    done = run("sessions.py", "--list")
    assert done.returncode == 0, done.stderr
    assert {"pool_mag_1", "pool_lmm_2", "files_mag", "train", "asked", "probe"} <= set(done.stdout.split())
    done = run("sessions.py", "--only", "nothing_of_the_kind")
    assert (done.returncode, "no cell matches 'nothing_of_the_kind'" in done.stderr) == (2, True)


def test_a_cell_of_sessions_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    output = tmp_path / "sessions"
    done = run("sessions.py", "--quick", "--only", "files_lmm", "--output", str(output), "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    record = json.loads((output / "files_lmm.json").read_text())
    assert {"command", "seed", "threads", "environment"} <= set(record)
    assert 0 < record["results"]["bytes_in_the_pool"] < record["results"]["bytes_in_the_file"]
    table = (tmp_path / "sessions.md").read_text()
    assert "| probe | not run |" in table
    assert "| lmm | evict | 2 |" in table


def test_the_other_cells_of_sessions_run_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    cells = {cell.name: cell for cell in importlib.import_module("_sessions.cells").CELLS}
    found = {name: cells[name].call(tmp_path, quick=True) for name in ("pool_mag_1", "asked", "probe")}
    assert found["pool_mag_1"]["steps"]["all"]["calls"] == 2
    assert found["asked"]["largest_difference_from_a_new_session"] == {"forgotten": 0.0, "reused row": 0.0}
    assert set(found["asked"]["asked"]["neighbour"]) >= {"accuracy", "interval", "chance_is_within"}
    assert len(found["probe"]["probes"]) == 5
    parts = {n: {"results": r, "arguments": cells[n].arguments, "threads": 1} for n, r in found.items()}
    common: dict[str, Any] = {"load_average": {"before": 0.0, "after": 0.0}}
    common["environment"] = {"processor": "p", "cores": 1, "packages": {"torch": "t"}, "commit": None}
    table = importlib.import_module("_sessions.report").report({n: part | common for n, part in parts.items()})
    assert "| train | not run |" in table
    assert "| neighbour | network of 64 |" in table


def test_a_probe_finds_what_is_there_and_nothing_where_nothing_is() -> None:
    classify = load(BENCHMARKS / "_sessions" / "classify.py")
    random = np.random.default_rng(0)
    labels, states = np.arange(240) % 4, random.normal(size=(240, 3000))
    train = np.arange(240) < 120
    told = states + 0.5 * random.normal(size=(4, 3000))[labels]
    assert min(classify.probed(told, labels, train).values()) >= 110
    assert max(classify.probed(states, labels, train).values()) < 50
    assert max(classify.probed(np.ones((240, 5)), labels, train).values()) <= 40


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell", ["train_shapes_swa_s0", "shapes_swa_s0_one_2500", "scale_mag_1k", "ablation_depth_1_s0"]
)
def test_a_recall_cell_of_each_kind_runs_small_and_renders_with_gaps(cell: str, tmp_path: Path) -> None:
    done = run("recall.py", "--quick", "--only", cell, "--output", str(tmp_path / "recall"))
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "recall" / f"{cell}.json").read_text())
    assert record["command"] == f"python benchmarks/recall.py --only {cell} --quick"
    assert {"setup", "seed", "arguments", "results", "environment"} <= set(record)
    assert "| needles_s0_one_2m | not run |" in (tmp_path / "recall.md").read_text()
    assert (tmp_path / "recall.png").stat().st_size > 5_000


@pytest.mark.slow
def test_a_study_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("studies.py", "--quick", "--only", "dna_quickstart", "--output", str(tmp_path / "studies"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "studies" / "dna_quickstart.json").read_text())["results"]
    assert results["trials"]["complete"] == len(results["rows"]) == 2
    assert results["by_hand"]["score"] == "log_loss" and len(results["best_on_test"]["values"]) == 2
    table = (tmp_path / "studies.md").read_text()
    assert "| `quickstart` | not run |" in table and "## dna_quickstart" in table


@pytest.mark.slow
def test_a_cell_of_kills_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("kills.py", "--quick", "--only", "recall", "--output", str(tmp_path / "kills"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "kills" / "recall.json").read_text())["results"]
    assert [(r["equal"], r["left"]) for r in results["runs"]] == [(True, False)]
    assert "| forecast | not run |" in (tmp_path / "kills.md").read_text()


def test_a_cell_of_panel_sizes_runs_small_and_renders_with_gaps(tmp_path: Path) -> None:
    done = run("panel_size.py", "--quick", "--only", "5000x200", "--output", str(tmp_path / "panel_size"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "panel_size" / "5000x200.json").read_text())["results"]
    assert results["mse"] < results["naive_mse"]
    assert results["update"]["peak_megabytes"] >= results["megabytes_before"] > 0
    assert "| 50x20000 | not run |" in (tmp_path / "panel_size.md").read_text()


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", ["recall.py", "sessions.py", "forecasting.py", "memory.py", "genomics_language.py", "genomics.py"]
)
def test_every_benchmark_names_its_cells_once(script: str) -> None:
    done = run(script, "--list")
    assert done.returncode == 0, done.stderr
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert len(names) == len(set(names)) > 5


needs_data = pytest.mark.skipif("TITANS_SEQ_DATA" not in os.environ, reason="needs the folder TITANS_SEQ_DATA")
needs_peers = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("neuralforecast", "statsforecast")),
    reason="needs neuralforecast and statsforecast, of the extra bench",
)


@pytest.fixture
def forecasting(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmark by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"_forecasting.{name}")


def forecasting_cell(cell: str, tmp_path: Path) -> dict[str, Any]:
    done = run("forecasting.py", "--quick", "--only", cell, "--output", str(tmp_path / "forecasting"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "forecasting.png").stat().st_size > 5_000
    assert "not run" in (tmp_path / "forecasting.md").read_text()
    return json.loads((tmp_path / "forecasting" / f"{cell}.json").read_text())["results"]


@needs_data
@pytest.mark.parametrize(
    "cell", ["windowed_ETTh1_96_ridge_s0", "windowed_ETTh1_96_mag_96_s0", "streaming_ETTh1_96_online_ridge_s0"]
)
def test_a_forecasting_cell_scores_every_test_window(cell: str, tmp_path: Path) -> None:
    results = forecasting_cell(cell, tmp_path)
    assert results["windows"] == 7 * (200 - 24 + 1)
    assert 0 < results["mse"] < 10


@needs_data
@needs_peers
@pytest.mark.slow
@pytest.mark.parametrize("model", ["PatchTST", "iTransformer", "NHITS", "DLinear"])
def test_a_peer_scores_the_same_windows(model: str, tmp_path: Path) -> None:
    results = forecasting_cell(f"windowed_ETTh1_96_{model}_s0", tmp_path)
    assert results["windows"] == 7 * (200 - 24 + 1)
    assert 0 < results["mse"] < 2
    assert results["validation_loss"] < 2


@needs_data
@needs_peers
@pytest.mark.slow
def test_a_backtest_reads_every_row_once_and_looks_ahead_once_per_cut_off(tmp_path: Path) -> None:
    results = forecasting_cell("speed_ETTm1_96_backtest_s0", tmp_path)
    read = results["read"]
    assert read["rows_read"] == read["rows_to_the_last_cutoff"] - read["rows_before_the_first_patch"]
    assert read["peeks"] == results["cutoffs"] - read["cutoffs_at_the_end_of_a_patch"]
    assert set(results["times_as_fast"]) == {"PatchTST", "PatchTST, small", "NHITS"}


@needs_data
@pytest.mark.parametrize(
    "cell",
    [
        "official_m4_hourly_48_mag_s0", "ablation_ETTm1_96_mal_frozen_s0", "trial_ETTh1_96_shared_s0",
        "trial_ETTh2_96_carried_online_all_errors_s0", "trial_ETTh1_96_online_forgetting_s0",
        "trial_ETTh1_96_online_steady_penalty_s0",
    ],
)  # fmt: skip
@pytest.mark.slow
def test_other_forecasting_cells_run_small(cell: str, tmp_path: Path) -> None:
    results = forecasting_cell(cell, tmp_path)
    if cell.startswith("official"):
        assert results["series"] == 12
        assert 0 < results["owa"] < 2
        assert 0.5 < results["coverage_90"] <= 1
    elif "carried" in cell:
        assert results["error_weight"] >= 0.25 and 0 < results["mse"] < 10
    elif "online" in cell:
        assert results["error_weight"] == 0 and 0 < results["mse"] < 10
    else:
        assert results["windows"] == 7 * (480 - 96 + 1)


@needs_data
@pytest.mark.parametrize("cell", ["orders_yeast", "mixture_ecoli", "model_yeast_mag_s0", "length_yeast_mag_s0"])
@pytest.mark.slow
def test_a_cell_of_bits_per_base_runs_small_and_renders_with_gaps(cell: str, tmp_path: Path) -> None:
    output = tmp_path / "genomics_language"
    done = run("genomics_language.py", "--quick", "--only", cell, "--output", str(output))
    assert done.returncode == 0, done.stderr
    results = json.loads((output / f"{cell}.json").read_text())["results"]
    if cell == "orders_yeast":
        assert results["orders"]["0"]["adaptive_best"] == pytest.approx(2, abs=0.05)
    elif cell.startswith("length"):
        assert results["4000"]["peak_megabytes"] >= results["2000"]["peak_megabytes"]
    else:
        assert (results["train_bases"], results["test_bases"]) == (3000, 3000)
        assert 0 < results["learning" if "learning" in results else "adaptive"] < 2.2
    table = (tmp_path / "genomics_language.md").read_text()
    assert "not run" in table
    assert "| 4,000 |" in table if cell.startswith("length") else "| 4,897,452 | not run | |" in table


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("task", ["ecoli", "yeast"])
def test_cells_of_few_labels_run_small_and_render_with_gaps(task: str, tmp_path: Path) -> None:
    output = tmp_path / "genomics_transfer"
    names = [f"{task}_pretrain", f"{task}_scratch_s0", f"{task}_language_s0"]
    done = run("genomics_transfer.py", "--quick", "--only", *names, "--output", str(output), "--cache", str(tmp_path))
    assert done.returncode == 0, done.stderr
    found = [json.loads((output / f"{name}.json").read_text())["results"] for name in names]
    assert found[0]["bases"] == 3000
    assert found[1]["labels"] == found[2]["labels"] == 30
    assert found[2]["n_parameters"] > found[1]["n_parameters"]
    table = (tmp_path / "genomics_transfer.md").read_text()
    assert table.count("not run") == 4
    assert "seed by seed:" in table


@pytest.fixture
def genomics(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Modules of the benchmark by name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return lambda name: importlib.import_module(f"_genomics.{name}")


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


def genomics_part(results: dict[str, Any]) -> dict[str, Any]:
    return {"results": results, "environment": {"commit": "0123456789abcdef-dirty", "processor": "p", "cores": 1}}


def test_errors_at_look_back_96_stand_beside_what_was_published(forecasting: Any) -> None:
    report = forecasting("report")
    cells = {f"windowed_ETTh1_{horizon}_ridge_96_s0": 0.4 + horizon / 1000 for horizon in (96, 192, 336, 720)}
    text = "\n".join(report.short_look_back({name: {"results": {"mse": mse}} for name, mse in cells.items()}))
    assert "| ETTh1 | 96 | 0.496 | not run | |" in text
    assert "| ETTh1 | mean | **0.736** |  | 0.420 |" in text and "| ETTm2 | mean |  |  | 0.261 |" in text


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


@pytest.mark.slow
def test_long_dna_is_read_small_and_rendered(tmp_path: Path) -> None:
    done = run("long_dna.py", "--quick", "--output", str(tmp_path / "long_dna"))
    assert done.returncode == 0, done.stderr
    whole = json.loads((tmp_path / "long_dna" / "whole.json").read_text())["results"]
    assert [x["bases"] for x in whole["lengths"]] == [4_096, 140_000]
    assert all(x["answer"] > 0 and x["pooled"] > 0 for x in whole["changes"])
    scan = json.loads((tmp_path / "long_dna" / "scan.json").read_text())["results"]
    assert [x["windows"] for x in scan["lengths"]] == [497, 1_997]
    assert "| 40,000 | 1,997 |" in (tmp_path / "long_dna.md").read_text()


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


@needs_data
def test_naive2_scores_what_the_competition_published(forecasting: Any) -> None:
    official, naive2 = forecasting("official"), forecasting("naive2").naive2
    data = official.competition()
    found = official.score(data, np.stack([naive2(x, 48, 24) for x in data.histories]), None)
    assert found["smape"] == pytest.approx(18.383, abs=5e-4)
    assert found["mase"] == pytest.approx(2.395, abs=5e-4)
    assert found["owa"] == 1


def test_seasonal_factors_are_found_under_a_trend(forecasting: Any) -> None:
    module = forecasting("naive2")
    factors = np.array([0.5, 1.5, 1.2, 0.8])
    history = (100 + np.arange(40.0)) * np.tile(factors, 10)
    assert module.seasonal_factors(history, 4) == pytest.approx(factors, abs=0.01)
    assert module.naive2(history, 6, 4) == pytest.approx(139 * np.tile(factors, 2)[:6], rel=0.02)
    noise = np.random.default_rng(0).normal(100, 1, 200)
    assert (module.naive2(noise, 6, 4) == noise[-1]).all()


def test_a_forecasting_score_refuses_to_leave_a_window_out(forecasting: Any) -> None:
    measure, sets = forecasting("measure"), forecasting("sets")
    split = sets.Split(pd.DataFrame({"ds": np.arange(30), "a": 0.0, "b": 0.0}), "ds", (10, 10, 10), 1)
    errors = measure.Errors()
    errors.add(np.ones((7, 4)), np.zeros((7, 4)))
    with pytest.raises(AssertionError, match="7 test windows of 14"):
        errors.result(split, 4)
    errors.add(np.full((7, 4), 2.0), np.zeros((7, 4)))
    assert errors.result(split, 4) == {"mse": 2.5, "mae": 1.5, "windows": 14}


def test_the_forecasting_report_shows_means_spreads_and_gaps(forecasting: Any) -> None:
    parts: dict[str, Any] = {}
    for seed, mse in enumerate((0.3, 0.5)):
        parts[f"windowed_ETTh1_96_mag_s{seed}"] = {"results": {"mse": mse}, "environment": {"commit": None}}
    text = forecasting("report").report(parts)
    assert "0.400 ± 0.141 (2 of 3 seeds)" in text
    assert "| ETTh1 | mean |" in text
    assert "not run" in text


def test_the_look_back_is_the_longest_that_is_as_good_over_all_horizons(forecasting: Any, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(size=10)
    levels = {24: {"24": 1.0, "52": 2.0}, 36: {"24": 5.0, "52": 2.0}, 48: {"24": 1.0, "52": 1.5}}
    for horizon in (24, 36, 48, 60):
        for closed_form, length in (("ridge", 1.0), ("ours", 0.0)):
            found = {"24": 1.0, "52": 1.5} if horizon == 60 else levels[horizon]
            # A look-back of 104 is worse than that of 52 by 0.02, and by noise or for sure.
            found = {name: [x] * 10 for name, x in found.items()}
            found["104"] = (np.array(found["52"]) + 0.005 + (1 - length) * noise).tolist()
            file = tmp_path / f"choose_national_illness_{horizon}_{closed_form}_s0.json"
            file.write_text(json.dumps({"validation": found}))
    assert forecasting("look_back").look_back("national_illness", tmp_path, "ours") == 104
    assert forecasting("look_back").look_back("national_illness", tmp_path, "ridge") == 52


@pytest.mark.slow
def test_rows_gathered_by_two_processes_are_counted_and_gaps_shown(tmp_path: Path) -> None:
    done = run("distributed.py", "--quick", "--only", "rows_arrays", "--output", str(tmp_path / "distributed"))
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "distributed" / "rows_arrays.json").read_text())["results"]
    assert (results["rows_of_each_process"], results["gathered_by_each"]) == ([50, 51], [101, 101])
    assert results["missing"] == results["twice"] == results["out_of_order"] == [0, 0]
    table = (tmp_path / "distributed.md").read_text()
    assert "| metrics_dna_ddp | `dna_quickstart` `model.dropout=0.0` | not run |" in table
