"""The command line: what it prints, its exit codes, and errors of one line."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import titans_seq
from titans_seq import cli
from titans_seq._cli import COMMANDS
from titans_seq.data.catalog import list_datasets
from titans_seq.recipes import list_recipes

pytestmark = pytest.mark.usefixtures("folder")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cli.DEBUG_VARIABLE, raising=False)
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments)


def error_lines(result: Result) -> list[str]:
    assert result.exit_code == cli.USER_ERROR, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines), result.stderr
    return [line.removeprefix("error: ") for line in lines]


def test_the_version_is_printed() -> None:
    assert call("--version").stdout == f"titans-seq {titans_seq.__version__}\n"


def test_help_names_the_commands() -> None:
    text = call("--help").stdout
    assert all(name in text for name in ("run", "classify", "validate", "ls", "analyze", *COMMANDS))


def test_ls_names_every_recipe_and_dataset() -> None:
    words = call("ls").stdout.split()
    assert set(list_recipes()) | set(list_datasets()) <= set(words)


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_are_valid(name: str) -> None:
    result = call("validate", name)
    assert (result.exit_code, result.stdout) == (0, f"{name}: valid\n")


def test_an_unknown_option_is_a_usage_error() -> None:
    assert call("run", "quickstart", "--sett", "a=1").exit_code == cli.USER_ERROR


def test_every_fault_of_a_recipe_is_one_line() -> None:
    Path("r.yaml").write_text("schema: 1\ntask: {horizn: 1}\ndata: {name: co2}\n")
    assert error_lines(call("validate", "r.yaml")) == [
        "r.yaml:2:1: task.horizon: this key is missing",
        "r.yaml:2:8: task.horizn: unknown key; did you mean 'horizon'?",
    ]


GOOD_ROWS = [f"a,2020-01-{day:02d},{day}" for day in range(1, 29)]


def changed(*rows: str, at: int = 5) -> list[str]:
    """Put `rows` in the place of one good row."""
    return GOOD_ROWS[:at] + list(rows) + GOOD_ROWS[at + 1 :]


BAD_INPUT = {
    "empty file": ([], [], "empty"),
    "missing timestamp": (changed("a,,6"), [], "row 5"),
    "duplicate": (changed("a,2020-01-05,6"), [], "2020-01-05"),
    "distant duplicate": (changed("a,2020-01-02,6"), [], "2020-01-02"),
    "gap": (GOOD_ROWS[:5] + GOOD_ROWS[8:], [], "on_gap"),
    "mixed frequencies": ([*GOOD_ROWS, *(f"b,2020-{m:02d}-01,1" for m in range(1, 13))], [], "'b'"),
    "text in y": (changed("a,2020-01-06,n/a?"), [], "n/a?"),
    "text in ds": (changed("a,tomorrow,6"), [], "tomorrow"),
    "one row": ([*GOOD_ROWS, "b,2020-01-01,1"], [], "'b'"),
    "short series": ([*GOOD_ROWS, "b,2020-01-01,1", "b,2020-01-02,1"], [], "'b' has 2 rows"),
    "horizon 0": (GOOD_ROWS, ["task.horizon=0"], "--set task.horizon: must be at least 1, found 0"),
    "horizon beyond the test rows": (GOOD_ROWS, ["task.horizon=9"], "data.split: 4 test rows"),
    "unknown key": (
        GOOD_ROWS,
        ["model.n_layer=2"],
        "--set model.n_layer: unknown key; did you mean 'n_layers'?",
    ),
    "missing file": (GOOD_ROWS, ["data.path=gone.csv"], "gone.csv: there is no such data file"),
    "unknown column": (GOOD_ROWS, ["data.time=when"], "'when'"),
    "unknown series": (GOOD_ROWS, ["data.columns=[c]"], "data.columns: the data have no 'c'"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_is_one_line_that_names_the_place_and_nothing_is_written(case: str) -> None:
    rows, assignments, place = BAD_INPUT[case]
    Path("bad.csv").write_text("\n".join(["unique_id,ds,y", *rows]))
    Path("r.yaml").write_text("schema: 1\ntask: {horizon: 2}\ndata: {path: bad.csv, split: [20, 4, 4]}\n")
    options = [word for text in assignments for word in ("--set", text)]
    (line,) = error_lines(call("run", "r.yaml", *options))
    assert place in line
    assert sorted(path.name for path in Path().iterdir()) == ["bad.csv", "r.yaml"]


def test_a_dataset_that_is_nowhere_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITANS_SEQ_DATA", raising=False)
    (line,) = error_lines(call("run", "quickstart", "--set", "data.name=national_illness"))
    assert "TITANS_SEQ_DATA is not set" in line


def test_a_folder_that_is_no_run_is_left_alone() -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("years of work")
    (line,) = error_lines(call("run", "quickstart", "--output-dir", "mine", "--overwrite"))
    assert line == "mine exists and is not the folder of an earlier run; choose another one"


def fail_with(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("titans_seq.recipes.run_recipe", fail)


@pytest.mark.parametrize("error", [RuntimeError("broken"), ValueError("two\nlines"), KeyError("x")])
def test_what_others_raise_is_an_internal_error_of_one_line(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, error)
    result = call("run", "quickstart")
    assert result.exit_code == cli.INTERNAL_ERROR
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"internal error: {type(error).__name__}: ")
    assert "TITANS_SEQ_DEBUG=1" in line


@pytest.mark.parametrize(
    "error", [RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 12 bytes"), MemoryError()]
)
def test_too_little_memory_is_one_line_that_says_what_to_do(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, error)
    (line,) = error_lines(call("run", "quickstart"))
    assert line.startswith("out of memory: ")
    assert "smaller model.d_model" in line


def test_a_full_disk_is_one_line_that_names_what_was_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "study.journal"))
    (line,) = error_lines(call("run", "quickstart"))
    assert line == "study.journal: cannot be written: No space left on device; nothing was written"


def test_a_fault_of_our_code_is_not_taken_for_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    # numpy raises this ValueError in a frame of our package, but no statement of ours does.
    monkeypatch.setattr("titans_seq.recipes._data.read_panel", lambda *a, **k: np.zeros(2) + np.zeros(3))
    assert call("run", "quickstart").exit_code == cli.INTERNAL_ERROR


def test_the_traceback_is_shown_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cli.DEBUG_VARIABLE, "1")
    fail_with(monkeypatch, RuntimeError("broken"))
    assert "Traceback" in call("run", "quickstart").stderr


@pytest.mark.parametrize(
    ("stop", "code"), [(KeyboardInterrupt(), cli.INTERRUPTED), (SystemExit(cli.TERMINATED), cli.TERMINATED)]
)
def test_an_interrupted_run_says_so_and_leaves_nothing(
    stop: BaseException, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fit(*arguments: object, **options: object) -> None:
        assert [path.suffix for path in Path("runs").iterdir()] == [".partial"]
        raise stop

    monkeypatch.setattr(titans_seq.TitansForecaster, "fit", fit)
    result = call("run", "quickstart", "--quiet")
    assert (result.exit_code, result.stderr) == (code, "interrupted: nothing was written\n")
    assert list(Path().iterdir()) == []


def test_sigterm_ends_a_run_like_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*arguments: object, **options: object) -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit:
            raise KeyboardInterrupt from None  # as a trainer may

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(titans_seq.TitansForecaster, "fit", fit)
    result = call("run", "quickstart", "--quiet")
    assert (result.exit_code, result.stderr) == (143, "interrupted: nothing was written\n")
    assert list(Path().iterdir()) == []
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("folder_name", ["file/x", "n" * 300, "nowhere", "/dev/null/x"])
def test_an_output_folder_that_cannot_be_written_is_one_line_before_training(
    folder_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("file").write_text("")
    Path("nowhere").symlink_to("gone")
    monkeypatch.setattr(titans_seq.TitansForecaster, "fit", lambda *a, **k: pytest.fail("training began"))
    (line,) = error_lines(call("run", "quickstart", "--output-dir", folder_name))
    assert line.startswith(f"{folder_name}: no run can be written there: ")


def test_a_search_space_does_not_disturb_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(titans_seq.TitansForecaster, "fit", fit)
    result = call("run", "quickstart", "--quiet", "--set", "tune={space: {model.d_model: [16]}}")
    assert result.exit_code == cli.INTERRUPTED
    assert result.stdout == ""


RECALL = """
schema: 1
task: {kind: recall, name: pairs, n_pairs: 1}
model: {d_model: 8, n_layers: 1, n_heads: 1, chunk_size: 8}
train: {curriculum: [[16, 1]], tokens_per_step: 32}
evaluate: {lengths: [{length: 16, trials: 2}], controls: []}
"""


def test_a_recall_recipe_is_validated_and_run_like_any_other() -> None:
    Path("mine.yaml").write_text(RECALL)
    assert call("validate", "mine.yaml").stdout == "mine.yaml: valid\n"
    result = call("run", "mine.yaml")
    assert result.exit_code == 0, result.stderr
    assert result.stderr == ""
    assert "pairs_1, trained on streams of 16 tokens" in result.stdout
    assert "written to runs/mine" in result.stdout
    assert error_lines(call("run", "mine.yaml")) == [
        "runs/mine holds an earlier run; add --overwrite or choose another folder"
    ]


def test_a_genome_that_is_nowhere_is_one_line_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TITANS_SEQ_DATA", raising=False)
    (line,) = error_lines(call("run", "recall_dna"))
    assert line.startswith("dataset 'ecoli_w': TITANS_SEQ_DATA is not set")
    assert list(Path().iterdir()) == []
