"""Files that appear whole or not at all."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` and rename it to ``path`` when the block ends without an exception.

    The data are flushed to the disk before the rename, so that ``path`` holds either its old content or all of the
    new one, whatever interrupts. Parent folders are made. ``mode`` is ``"w"`` (UTF-8, ``\\n``) or ``"wb"``.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(path)
    text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
    try:
        with open(temporary, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def beside(path: str | os.PathLike[str]) -> Path:
    """A temporary name beside ``path`` that no other process has, on this machine or another."""
    path = Path(path)
    return path.with_name(f".{path.name}.tmp.{uuid.uuid4().hex[:12]}")


def flush_folder(folder: str | os.PathLike[str]) -> None:
    """Flush a folder's names to the disk: until then a crash of the machine may undo a rename in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
