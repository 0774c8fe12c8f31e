"""Sorted tables walked side by side, so that none of them is in memory."""

import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

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


def sort_keys(keys: Iterable[Key], path: Path) -> int:
    """Write ids that come by their lines into a file, sorted, each with its first line; return how many there are."""
    previous = None
    with open_to_write(path) as file:
        for key in keys:
            if key.name != previous:
                file.write(f"{key.name}\t{key.line}\n")
            previous = key.name
    sort_lines(path, "-s", "-u", "-k1,1")
    return sum(1 for _ in read_keys(path))


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
