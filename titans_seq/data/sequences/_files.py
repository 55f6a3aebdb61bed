"""Files in blocks of bytes, whether compressed or not."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 18
"""Bytes read at a time: what is derived from them stays small beside a genome."""
AHEAD = 1 << 26


class BrokenGzipError(ValueError):
    """A gzip file that ends too early, or is damaged."""


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading; gzip is told by its first bytes, not by its name.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        With the path, in one line.
    """
    # Unlike the methods of Path, these say no to what is too long for a name.
    if os.path.isdir(path):
        raise IsADirectoryError(f"{path} is a folder; pass one file")
    if not os.path.exists(path):
        raise FileNotFoundError(f"{_cut(str(path))} does not exist")
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(_Gzip(path), BLOCK) if packed else path.open("rb")


def _cut(name: str) -> str:
    """Shorten what is no name but a text, and keep it in one line."""
    return name if len(name) <= 300 and name.isprintable() else f"{name[:40]!r}... ({len(name)} characters)"


def blocks(stream: BinaryIO, size: int = BLOCK) -> Iterator[bytes]:
    """Yield a stream in blocks; a byte order mark at its beginning is left out.

    Of a broken gzip file all that can be read is yielded before BrokenGzipError is raised.
    """
    block, fault = _block(stream, size)
    if block.startswith(b"\xef\xbb\xbf"):
        block = block[3:]
    while block:
        yield block
        block, fault = _block(stream, size) if fault is None else (b"", fault)
    if fault is not None:
        raise fault


def _block(stream: BinaryIO, size: int) -> tuple[bytes, BrokenGzipError | None]:
    """Read up to a size: read() alone would lose what comes before a fault."""
    parts: list[bytes] = []
    try:
        while size and (part := stream.read1(size)):  # type: ignore[attr-defined]
            parts.append(part)
            size -= len(part)
    except BrokenGzipError as error:
        return b"".join(parts), error
    return b"".join(parts), None


def fault_ahead(stream: BinaryIO) -> BrokenGzipError | None:
    """Return what is wrong with a gzip file within the next `AHEAD` bytes: a fault may explain what was read before."""
    left = AHEAD
    try:
        while left > 0 and (block := stream.read(BLOCK)):
            left -= len(block)
    except BrokenGzipError as error:
        return error
    return None


class _Gzip(io.RawIOBase):
    """A gzip file whose faults are of one class."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115
        self._fault: BrokenGzipError | None = None  # which would be another one when it is read on

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._fault is not None:
            raise self._fault
        try:
            data = self._file.read1(len(buffer))
        except EOFError:
            self._fault = BrokenGzipError("the gzip file ends too early; fetch it again")
            raise self._fault from None
        except (OSError, zlib.error) as error:
            self._fault = BrokenGzipError(f"the gzip file is damaged ({error}); fetch it again")
            raise self._fault from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
