"""The command line: `titans-seq run | tune | classify | variants | validate | ls | analyze`, and those of `_cli`.

Heavy imports stand inside the commands.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated

import typer

from titans_seq._cli import COMMANDS
from titans_seq._version import __version__

DEBUG_VARIABLE = "TITANS_SEQ_DEBUG"
USER_ERROR = 2
INTERNAL_ERROR = 1
INTERRUPTED = 128 + signal.SIGINT
TERMINATED = 128 + signal.SIGTERM
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS}

app = typer.Typer(
    name="titans-seq",
    help="Forecasting with a memory that goes on learning while it reads.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="Name of a shipped recipe, or a YAML file.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key, e.g. model.n_layers=3; may be repeated."),
]


@app.command()
def run(
    recipe: RecipeArgument,
    assignments: SetOption = None,
    output_dir: Annotated[
        Path | None, typer.Option(help="Folder to write; default: output.dir, else runs/<recipe>.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder of an earlier run.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Train, evaluate and write what a recipe describes."""
    with _reporting_errors():
        from titans_seq.recipes import default_folder, format_report, load_recipe, placing, run_recipe
        from titans_seq.training.launch import is_main

        loaded = load_recipe(recipe, assignments or ())
        folder = output_dir or default_folder(loaded, recipe)
        with placing(recipe, assignments or ()):
            result = run_recipe(loaded, folder, overwrite=overwrite, quiet=quiet, command=_command())
        if not quiet and is_main():
            typer.echo(format_report(result))


@app.command()
def tune(
    recipe: RecipeArgument,
    assignments: SetOption = None,
    trials: Annotated[int | None, typer.Option(help="Trials to complete; default: tune.trials.")] = None,
    workers: Annotated[int, typer.Option(help="Trials at the same time, each in a process of its own.")] = 1,
    storage: Annotated[
        str | None, typer.Option(metavar="FILE_OR_URL", help="Journal or database of the study; default: tune.storage.")
    ] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Folder to write; default: runs/tune-<recipe>.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Search the values in a recipe's tune section; the same command goes on with what was interrupted."""
    with _reporting_errors("the same command goes on with the study"):
        from titans_seq.recipes import load_recipe, placing
        from titans_seq.recipes.tune import format_tuned, tune_recipe

        loaded = load_recipe(recipe, assignments or ())
        with placing(recipe, assignments or ()):
            result = tune_recipe(
                loaded, recipe, folder=output_dir, trials=trials, workers=workers, storage=storage, quiet=quiet,
                command=_command(),
            )  # fmt: skip
        if not quiet:
            typer.echo(format_tuned(result))


@app.command()
def analyze(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a run, or of a saved model.")],
    data: Annotated[
        str | None, typer.Option(metavar="NAME_OR_FILE", help="Dataset or file to read; default: the run's data.")
    ] = None,
    series: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Series to read; may be repeated; default: all.")
    ] = None,
    tokens: Annotated[Path | None, typer.Option(help="Recall models: .npy file of tokens to read.")] = None,
    length: Annotated[int | None, typer.Option(help="Recall models: tokens of the stream drawn from the task.")] = None,
    seed: Annotated[int | None, typer.Option(help="Recall models: seed of that stream.")] = None,
    last: Annotated[int | None, typer.Option(help="Show the last rows (or tokens) only; all are read.")] = None,
    max_points: Annotated[int, typer.Option(help="Longer streams are shown as this many equal bins.")] = 2000,
    output_dir: Annotated[Path | None, typer.Option(help="Folder to write; default: <MODEL>-analysis.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the folder of an earlier analysis.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Show what the memories of a trained model do while it reads: surprise, gates, drift."""
    with _reporting_errors():
        from titans_seq.recipes.analysis import Question, analyze_model, format_analysis

        question = Question(data, series, tokens, length, seed, last, max_points)
        result = analyze_model(model, question, folder=output_dir, overwrite=overwrite)
        if not quiet:
            typer.echo(format_analysis(result))


@app.command()
def classify(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a run on DNA, or of a saved model.")],
    sequences: Annotated[
        Path, typer.Argument(metavar="SEQUENCES", help="FASTA, FASTQ, GenBank, .csv or .tsv; may be gzipped.")
    ],
    output: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write .csv, .tsv or .parquet; default: show the first rows.")
    ] = None,
    sequence_col: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column with the sequences; default: the model's, or sequence.")
    ] = None,
    id_col: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column with their names; default: the model's, or id.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Tell the classes (or numbers) of DNA sequences with a saved model."""
    with _reporting_errors():
        from titans_seq.recipes.dna.classify import check_output, classify_sequences, format_answers, write_answers

        if output is not None:
            check_output(output, overwrite=overwrite)
        answers = classify_sequences(model, sequences, sequence_col=sequence_col, id_col=id_col, quiet=quiet)
        if output is not None:
            write_answers(answers, output, overwrite=overwrite)
        if not quiet:
            found = f"{len(answers):,} sequences written to {output}"
            typer.echo(format_answers(answers) if output is None else found)


@app.command()
def variants(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="Folder of a run, or of a saved model of DNA.")],
    genome: Annotated[Path, typer.Argument(metavar="GENOME", help="FASTA; may be gzipped.")],
    changes: Annotated[
        Path, typer.Argument(metavar="VARIANTS", help="VCF, or .csv or .tsv with chrom, pos, ref and alt.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write .vcf, .vcf.gz, .csv, .tsv or .parquet; default: show the first rows."),
    ] = None,
    window: Annotated[int | None, typer.Option(help="Bases around each; default: as long as those of fit.")] = None,
    windows: Annotated[
        Path | None, typer.Option(metavar="BED", help="Windows to read variants in; default: with each in the middle.")
    ] = None,
    on_mismatch: Annotated[
        str, typer.Option(metavar="raise|skip", help="Where a REF is not that of the genome: refuse, or leave it out.")
    ] = "raise",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file of --output.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Rank variants by what they change in the answer of a saved model."""
    with _reporting_errors():
        from titans_seq.recipes.dna.classify import format_answers, write_answers
        from titans_seq.recipes.dna.variants import check_variant_output, is_vcf, rank_variants

        if output is not None:
            check_variant_output(output, overwrite=overwrite)
        options = {"window": window, "windows": windows, "on_mismatch": on_mismatch}
        with _warning_in_lines():
            ranked = rank_variants(model, genome, changes, output=output, **options)
        if output is not None and not is_vcf(output):
            write_answers(ranked, output, overwrite=overwrite)
        if not quiet:
            typer.echo(format_answers(ranked) if output is None else f"{len(ranked):,} variants written to {output}")


@app.command()
def validate(recipe: RecipeArgument, assignments: SetOption = None) -> None:
    """Check a recipe without running it."""
    with _reporting_errors():
        from titans_seq.recipes import load_recipe

        load_recipe(recipe, assignments or ())
        typer.echo(f"{recipe}: valid")


@app.command("ls")
def list_shipped() -> None:
    """List the recipes and datasets that can be named."""
    with _reporting_errors():
        from titans_seq.data.catalog import dataset_card, list_datasets
        from titans_seq.recipes import list_recipes, recipe_title

        _print_table("recipes", {name: recipe_title(name) for name in list_recipes()})
        cards = [dataset_card(name) for name in list_datasets()]
        _print_table("datasets", {card.name: card.title for card in cards if card.run_by_us})
        _print_table("datasets not run by us", {card.name: card.title for card in cards if not card.run_by_us})


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"titans-seq {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the `titans-seq` script."""
    app()


@contextmanager
def _reporting_errors(after_interrupt: str = "nothing was written") -> Iterator[None]:
    """Turn exceptions into one line on stderr and an exit code.

    The code is 2 for what the user can mend, 130 and 143 for SIGINT and SIGTERM, else 1.
    """
    try:
        with _terminable():
            yield
    except (typer.Exit, typer.Abort, BrokenPipeError):  # the last: `| head` has read enough
        raise
    except (KeyboardInterrupt, SystemExit) as stop:
        if _speaks(stop):
            typer.echo(f"interrupted: {_note_of(stop) or after_interrupt}", err=True)
        code = INTERRUPTED if isinstance(stop, KeyboardInterrupt) else stop.code
        raise typer.Exit(code if isinstance(code, int) and code else INTERNAL_ERROR) from None
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        if not _speaks(error):
            raise typer.Exit(INTERNAL_ERROR) from None
        if _is_users(error):
            lines = str(error).splitlines() or [type(error).__name__]
            lines[0] = _placed_line(error) or lines[0]
            lines[-1] += f" ({_note_of(error)})" if _note_of(error) else ""
            for line in lines:
                typer.echo(f"error: {line}", err=True)
            raise typer.Exit(USER_ERROR) from None
        if isinstance(error, OSError) and error.errno in _FULL:
            place = error.filename or "the output"
            typer.echo(f"error: {place}: cannot be written: {error.strerror}; {after_interrupt}", err=True)
            raise typer.Exit(USER_ERROR) from None
        if _is_out_of_memory(error):
            smaller = "take a smaller model.d_model, train.batch_size or model.context_length"
            note = _note_of(error) or "nothing was written"
            typer.echo(f"error: out of memory: {' '.join(str(error).split()):.200}; {smaller}; {note}", err=True)
            raise typer.Exit(USER_ERROR) from None
        if _is_lost(error):
            from titans_seq.training.launch import LOST

            typer.echo(f"error: {LOST}; {_note_of(error) or 'nothing was written'}", err=True)
            raise typer.Exit(INTERNAL_ERROR) from None
        text = f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
        text += f"; {_note_of(error)}" if _note_of(error) else ""
        typer.echo(f"internal error: {text} (set {DEBUG_VARIABLE}=1 for the traceback)", err=True)
        raise typer.Exit(INTERNAL_ERROR) from None


def _speaks(error: BaseException) -> bool:
    """Whether this process is the one to report; of the processes of one run the first that fails is."""
    from titans_seq.training.launch import may_report

    return may_report(error)


def _is_out_of_memory(error: Exception) -> bool:
    """Whether a processor or a GPU had no more memory; torch says so in words."""
    words = ("out of memory", "can't allocate memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


def _is_lost(error: BaseException) -> bool:
    from titans_seq.training.launch import is_lost, launched

    return launched() is not None and is_lost(error)


@contextmanager
def _warning_in_lines() -> Iterator[None]:
    """Show warnings as one line each, without the place in the code."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield
    for warning in caught:
        typer.echo(f"warning: {' '.join(str(warning.message).split())}", err=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block with SystemExit(143), so that nothing half written is left."""
    stops: list[int] = []

    def stop(number: int, _: object) -> None:
        stops.append(number)
        raise SystemExit(TERMINATED)

    if threading.current_thread() is not threading.main_thread():  # only that one may set handlers
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except (KeyboardInterrupt, SystemExit) as error:
        if stops:  # a trainer may have turned ours into another of the two
            stop_again = SystemExit(TERMINATED)
            stop_again.__notes__ = getattr(error, "__notes__", [])
            raise stop_again from None
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _note_of(error: BaseException) -> str:
    """Return what a run said of the checkpoint that it leaves; nothing if it leaves none."""
    from titans_seq.recipes._output import KEPT

    return next((note for note in getattr(error, "__notes__", []) if note.startswith(KEPT)), "")


def _placed_line(error: BaseException) -> str | None:
    from titans_seq.recipes._blame import placed_line

    return placed_line(error)


def _is_users(error: Exception) -> bool:
    """Tell messages written for the user from faults of the program.

    Ours are raised by a `raise` statement of this package. A ValueError that numpy or torch raises, or one
    that surfaces in our code without such a statement, is a bug and must not pass for the user's mistake.
    """
    if isinstance(error, PermissionError):
        return True
    if not isinstance(error, ValueError | TypeError | FileNotFoundError | FileExistsError | IsADirectoryError):
        return False
    last = traceback.extract_tb(error.__traceback__)[-1]
    ours = Path(last.filename).is_relative_to(Path(__file__).parent)
    return ours and (last.line or "").startswith("raise ")


def _print_table(title: str, rows: dict[str, str]) -> None:
    width = max(map(len, rows), default=0)
    typer.echo(f"{title}:")
    for name, text in rows.items():
        typer.echo(f"  {name:<{width}}  {text}")


def _command() -> str:
    return shlex.join(["titans-seq", *sys.argv[1:]])


def _guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that reports its errors like those above."""

    @wraps(command)
    def run_command(*arguments: object, **options: object) -> None:
        with _reporting_errors():
            command(*arguments, **options)

    return run_command


for _name, _function in COMMANDS.items():
    app.command(_name)(_guarded(_function))


if __name__ == "__main__":
    main()
