"""The benchmark of a GPU."""

from __future__ import annotations

import json
from pathlib import Path

from benchmark_runs import run


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
