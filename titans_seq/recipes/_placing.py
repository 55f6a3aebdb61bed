"""Where in its recipe a fault comes from that shows only when data are read or an estimator looks at its arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from titans_seq.recipes._blame import OF_DATA, PLACED
from titans_seq.recipes._explain import located
from titans_seq.recipes._yaml import Document, Path_, RecipeError, override, read_document, read_text
from titans_seq.recipes.load import find_recipe

_KEY = re.compile(r"((?:task|data|model|train|evaluate|tune)(?:\.\w+)+): ")
_ARGUMENT = re.compile(r"(\w+) (?:must|is) ")


@contextmanager
def placing(name_or_path: str | Path, overrides: Sequence[str] = ()) -> Iterator[None]:
    """Add to faults raised inside, as a note, how their first line reads with its place in the recipe.

    Parameters
    ----------
    name_or_path, overrides
        What `load_recipe` was given.
    """
    try:
        yield
    except (ValueError, TypeError, FileNotFoundError, FileExistsError) as error:
        with suppress(OSError, RecipeError):  # the recipe has gone by now, or was changed
            placed = _placed(error, name_or_path, overrides)
            if placed is not None:
                error.add_note(PLACED + placed)
        raise


def _placed(error: Exception, name_or_path: str | Path, overrides: Sequence[str]) -> str | None:
    path = find_recipe(name_or_path)
    document = read_document(read_text(path), str(path))
    for assignment in overrides:
        override(document, assignment)
    text = str(error).partition("\n")[0]
    key = _KEY.match(text)
    if key is not None:
        return located(key[1].split("."), text[key.end() :], document)
    if OF_DATA in getattr(error, "__notes__", []):
        return _of_file(text, document)
    found = _argument(text, document) or _output(text, document)
    return located(found, text, document) if found is not None else None


def _of_file(text: str, document: Document) -> str:
    """Place a fault where the data are named, which it does not always do itself."""
    data = document.values.get("data")
    given = data if isinstance(data, dict) else {}
    key = next((key for key in ("path", "name", "classes") if key in given), None)
    named = given.get(key) if key is not None else None
    whole = text if not isinstance(named, str) or named in text else f"{named}: {text}"
    return located(("data",) if key is None else ("data", key), whole, document)


def _argument(text: str, document: Document) -> Path_ | None:
    """Return where an argument stands that an estimator names first in its message."""
    found = _ARGUMENT.match(text)
    paths = [(section, found[1]) for section in ("model", "train")] if found else []
    return next((path for path in paths if path in document.places), None)


def _output(text: str, document: Document) -> Path_ | None:
    section = document.values.get("output")
    folder = section.get("dir") if isinstance(section, dict) else None
    said = isinstance(folder, str) and folder and re.match(rf"{re.escape(str(Path(folder)))}[ :]", text)
    return ("output", "dir") if said else None
