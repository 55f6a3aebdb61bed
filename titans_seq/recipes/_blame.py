"""Notes on faults that say what they are about; they leave the fault, and where it was raised, as it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

PLACED = "placed: "
OF_DATA = "a fault of the data"


@contextmanager
def of_the_data() -> Iterator[None]:
    """Mark what is raised inside as a fault of what the data section names."""
    try:
        yield
    except (ValueError, TypeError, FileNotFoundError) as error:
        error.add_note(OF_DATA)
        raise


@contextmanager
def naming(path: str) -> Iterator[None]:
    """Add to faults raised inside the file they are about, if they do not say it."""
    try:
        yield
    except (ValueError, TypeError) as error:
        text = str(error).partition("\n")[0]
        if path not in text:
            error.add_note(f"{PLACED}{path}: {text}")
        raise


def placed_line(error: BaseException) -> str | None:
    """Return the first line of a fault with its place; None if that is not known."""
    notes = getattr(error, "__notes__", [])
    return next((note.removeprefix(PLACED) for note in notes if note.startswith(PLACED)), None)
