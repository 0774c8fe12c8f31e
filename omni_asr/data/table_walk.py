"""Reading several tables side by side without keeping them in memory."""

import mmap
import os
from array import array
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_entries, split_line


def unique_entries(path: str | os.PathLike[str], may_be_empty: bool = False) -> Iterator[tuple[str, str]]:
    """Ids and values of a table in its order; an id that occurs twice is an error, at the latest after the last line.

    Sorted ids, as Kaldi wants them, need no memory to be known as unique; others need 16 bytes each.

    Raises:
        UserError: as :func:`read_entries`, or an id occurs twice.
    """
    previous, is_sorted = "", True
    for number, key, value in read_entries(path, may_be_empty):
        if key == previous:
            raise _twice(path, number, key)
        is_sorted = is_sorted and key > previous
        previous = key
        yield key, value
    if not is_sorted:
        _Index(path, may_be_empty)


class TableWalk:
    """Values of a table for ids that are asked for one after the other.

    While the table has the same ids in the same order, its next line is the answer. At the first difference an index
    takes over, of 16 bytes an id.
    """

    def __init__(self, path: str | os.PathLike[str], may_be_empty: bool = False) -> None:
        self.path, self.may_be_empty = Path(path), may_be_empty
        self._next: Iterator[tuple[str, str]] = unique_entries(path, may_be_empty)
        self._index: _Index | None = None

    def value_of(self, key: str) -> str | None:
        """Value of an id, or None where the table does not have it.

        Raises:
            UserError: the table is broken.
        """
        if self._index is None:
            found, value = next(self._next, ("", ""))
            if found == key:
                return value
            self._index = _Index(self.path, self.may_be_empty)
        return self._index.value_of(key)

    def finish(self) -> None:
        """Read what was not asked for.

        Raises:
            UserError: the rest of the table is broken.
        """
        if self._index is None:
            for _ in self._next:
                pass


class _Index:
    """Where the lines of a table begin, by a hash of their ids."""

    def __init__(self, path: str | os.PathLike[str], may_be_empty: bool) -> None:
        self.path = path
        hashes, starts = array("q"), array("q")
        for _, key, _ in read_entries(path, may_be_empty):
            hashes.append(hash(key))
        with open(path, "rb") as file:
            position = 0
            for line in file:
                starts.append(position)
                position += len(line)
            self._bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if position else b""
        hash_N, start_N = np.array(hashes, np.int64), np.array(starts, np.int64)
        order = np.argsort(hash_N, kind="stable")
        self._hashes, self._starts = hash_N[order], start_N[order]
        equal = np.flatnonzero(self._hashes[1:] == self._hashes[:-1]).tolist()
        twice = [place + 1 for place in equal if self._line(place)[0] == self._line(place + 1)[0]]
        if twice:
            first = min(twice, key=lambda place: self._starts[place])
            number = int(np.searchsorted(start_N, self._starts[first])) + 1
            raise _twice(path, number, self._line(first)[0])

    def value_of(self, key: str) -> str | None:
        place = int(np.searchsorted(self._hashes, hash(key)))
        while place < len(self._hashes) and self._hashes[place] == hash(key):
            found, value = self._line(place)
            if found == key:
                return value
            place += 1
        return None

    def _line(self, place: int) -> tuple[str, str]:
        start = int(self._starts[place])
        end = self._bytes.find(b"\n", start)
        return split_line(self._bytes[start : end if end >= 0 else None].decode("utf-8"))


def _twice(path: str | os.PathLike[str], number: int, key: str) -> UserError:
    return UserError(f"{path}:{number}: {key!r} occurs a second time; ids must be unique")
