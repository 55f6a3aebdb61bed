"""Text that is not in UTF-8: in which line."""

from __future__ import annotations

from collections.abc import Iterable


def not_utf8(lines: Iterable[bytes]) -> str:
    """Say which line (from 1) holds the first byte that is no UTF-8, and what to do."""
    for number, line in enumerate(lines, 1):
        try:
            line.decode()
        except UnicodeDecodeError as error:
            return f"line {number}: byte {line[error.start]:#04x} is no UTF-8; save the file as UTF-8"
    return "not a text file in UTF-8; save it as UTF-8"
