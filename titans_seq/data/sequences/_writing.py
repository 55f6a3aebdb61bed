"""Text files that are there whole or not at all."""

from __future__ import annotations

import gzip
import io
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def whole_file(path: str | Path) -> Iterator[TextIO]:
    """Open a text file that takes its name only once it is complete; an error leaves what was there before.

    Lines end in LF. A name that ends in .gz is compressed, without a time stamp: the same text gives the same bytes.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        If the folder is not there, or the path is one.
    """
    target = check_target(path)
    with tempfile.NamedTemporaryFile(prefix=f".{target.name}.", dir=target.parent, delete=False) as file:
        temporary = Path(file.name)
        try:
            packed = gzip.GzipFile("", "wb", fileobj=file, mtime=0) if target.name.lower().endswith(".gz") else file
            with io.TextIOWrapper(packed, encoding="utf-8", newline="\n") as text:
                yield text
            temporary.chmod(0o644)
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def check_target(path: str | Path) -> Path:
    """Return the path of a file that can be written, before much work goes into it."""
    target = Path(path)
    if target.is_dir():
        raise IsADirectoryError(f"{target} is a folder; name a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"the folder {target.parent} does not exist; create it before {target.name} is written")
    return target
