"""Names of many records in one array of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray

from titans_seq.data._calendar import Int64Array
from titans_seq.data.sequences._ragged import offsets_of, take_pieces


@dataclass(frozen=True, eq=False)
class Names(Sequence[str]):
    """Strings that become Python objects only when they are asked for.

    Parameters
    ----------
    text : uint8 array (total,)
        UTF-8 of all names, one after another.
    offsets : int64 array (n + 1,)
        Name i is ``text[offsets[i]:offsets[i + 1]]``.
    """

    text: NDArray[np.uint8]
    offsets: Int64Array

    @classmethod
    def of(cls, names: Iterable[str]) -> Names:
        """Return the names of an iterable of strings."""
        encoded = [name.encode() for name in names]
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(encoded))
        return cls(np.frombuffer(b"".join(encoded), dtype=np.uint8), offsets_of(lengths))

    @classmethod
    def join(cls, parts: Sequence[Names]) -> Names:
        """Return the names of several, in their order."""
        lengths = [np.diff(part.offsets) for part in parts]
        return cls(np.concatenate([part.text for part in parts]), offsets_of(np.concatenate(lengths)))

    def take(self, indices: Int64Array) -> Names:
        """Return the names at the given places."""
        starts = self.offsets[indices]
        lengths = self.offsets[indices + 1] - starts
        return Names(take_pieces(self.text, starts, lengths), offsets_of(lengths))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, i: int) -> str: ...
    @overload
    def __getitem__(self, i: slice) -> Names: ...
    def __getitem__(self, i: int | slice) -> str | Names:
        if isinstance(i, slice):
            return self.take(np.arange(len(self))[i])
        place = range(len(self))[i]
        return self.text[self.offsets[place] : self.offsets[place + 1]].tobytes().decode("utf-8", "replace")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(a == b for a, b in zip(self, other, strict=True))

    def __repr__(self) -> str:
        listed = ", ".join(map(repr, self[:5]))
        return f"<{len(self)} names: {listed}{', ...' if len(self) > 5 else ''}>"
