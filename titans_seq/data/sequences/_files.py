"""Files in blocks of bytes, whether compressed or not."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

BLOCK = 1 << 18
"""Bytes read at a time: what is derived from them stays small beside a genome."""


class BrokenGzipError(ValueError):
    """A gzip file that ends too early, or is damaged."""


def open_bytes(path: Path) -> BinaryIO:
    """Open a file for reading; gzip is told by its first bytes, not by its name.

    Raises
    ------
    FileNotFoundError, IsADirectoryError
        With the path, in one line.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; pass one file")
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return io.BufferedReader(_Gzip(path), BLOCK) if packed else path.open("rb")


def blocks(stream: BinaryIO, size: int = BLOCK) -> Iterator[bytes]:
    """Yield a stream in blocks; a byte order mark at its beginning is left out."""
    block = stream.read(size)
    if block.startswith(b"\xef\xbb\xbf"):
        block = block[3:]
    while block:
        yield block
        block = stream.read(size)


class _Gzip(io.RawIOBase):
    """A gzip file whose faults are of one class."""

    def __init__(self, path: Path) -> None:
        self._file = gzip.open(path, "rb")  # noqa: SIM115

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        try:
            data = self._file.read1(len(buffer))
        except EOFError:
            raise BrokenGzipError("the gzip file ends too early; fetch it again") from None
        except (OSError, zlib.error) as error:
            raise BrokenGzipError(f"the gzip file is damaged ({error}); fetch it again") from None
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
