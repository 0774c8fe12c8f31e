"""Sorted tables walked side by side, so that none of them is in memory."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

from omni_asr.errors import UserError
from omni_asr.files import open_to_write
from omni_asr.kaldi.tables import sort_key, split_line, stream_lines

SORT_MEMORY = "64M"


class Key(NamedTuple):
    """An id, and the number of its line."""

    name: str
    line: int


def keys_of(path: str | os.PathLike[str]) -> Iterator[Key]:
    """Ids of a table and their lines."""
    for number, line in enumerate(stream_lines(path), 1):
        yield Key(split_line(line)[0], number)


def differences(found: Iterable[Key], expected: Iterable[Key]) -> Iterator[tuple[Key, bool]]:
    """What only one of two sorted sequences of different ids has; True for what is expected and not found."""
    left, right = iter(found), iter(expected)
    mine, other = next(left, None), next(right, None)
    while mine is not None or other is not None:
        if mine is not None and other is not None and mine.name == other.name:
            mine, other = next(left, None), next(right, None)
        elif other is None or (mine is not None and sort_key(mine.name) < sort_key(other.name)):
            assert mine is not None
            yield mine, False
            mine = next(left, None)
        else:
            yield other, True
            other = next(right, None)


class SortedKeys:
    """Ids that come by their lines, written into a file and sorted, each with its first line.

    Use it as a context manager: add ids in the block; :func:`read_keys` reads them after it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        """Different ids, after the block."""
        self._previous = ""
        self._file: IO[str] | None = None

    def __enter__(self) -> "SortedKeys":
        self._file = open_to_write(self.path)
        return self

    def add(self, key: Key) -> None:
        """Append an id; neighbours that are equal are written once."""
        if self._file is not None and key.name != self._previous:
            self._file.write(f"{key.name}\t{key.line}\n")
            self._previous = key.name

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if kind is None:
            sort_lines(self.path, "-s", "-u", "-k1,1")
            self.count = sum(1 for _ in read_keys(self.path))


def sort_keys(keys: Iterable[Key], path: Path) -> int:
    """Write ids that come by their lines into a file, sorted, each with its first line; return how many there are."""
    with SortedKeys(path) as sorted_keys:
        for key in keys:
            sorted_keys.add(key)
    return sorted_keys.count


def sort_by_id(path: Path) -> None:
    """Sort lines in their file by the bytes before the first tab; those of one id keep their order."""
    sort_lines(path, "-s", "-k1,1", memory="256M")


def sort_lines(path: Path, *options: str, memory: str = SORT_MEMORY) -> None:
    """Sort a file in its place by fields between tabs, with options of ``sort``.

    Raises:
        UserError: ``sort`` fails, because the disk is full for example.
    """
    places = ["-t", "\t", "-S", memory, "-T", str(path.parent), "-o", str(path), str(path)]
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(["sort", *options, *places], env=environment, stderr=subprocess.PIPE)
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1].removeprefix("sort: ") if lines else f"sort ended with status {done.returncode}"
        raise UserError(f"cannot sort {path}: {reason}")


def read_keys(path: Path) -> Iterator[Key]:
    """What :func:`sort_keys` wrote."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            name, _, number = line.partition("\t")
            yield Key(name, int(number))
