"""Absolute paths in tables after the folders that they are in were moved."""

import functools
import os
import re
from collections.abc import Mapping

from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import stream_lines


def move_paths(table: str | os.PathLike[str], moved: Mapping[str, str]) -> int:
    """Rewrite a text file in place; return how many paths were changed.

    ``moved`` holds new folders by old ones. A path changes where its folder is there in the new place; of several old
    folders that hold a path, the longest counts. Without a change, the file is not written.
    """
    olds = sorted(moved, key=len, reverse=True)
    pattern = re.compile(rf"(?<![^\s'\"=])({'|'.join(map(re.escape, olds))})(/[^\s'\"|]*)")
    exists = functools.cache(os.path.isdir)
    changed = 0

    def move(match: re.Match[str]) -> str:
        nonlocal changed
        new = moved[match[1]] + match[2]
        if not exists(os.path.dirname(new)):
            return match[0]
        changed += 1
        return new

    lines = [pattern.sub(move, line) for line in stream_lines(table)]
    if changed:
        with atomic_write(table) as file:
            file.writelines(f"{line}\n" for line in lines)
    return changed
