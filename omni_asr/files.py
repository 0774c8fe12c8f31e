"""Files and folders that appear whole or not at all, and errors of writing that name their file.

What is not complete yet has a name of its own, ``.<name>.tmp.<machine>.<number>``, and is locked by the process that
writes it. What a killed process left is removed by the next one that writes the same.
"""

import contextlib
import fcntl
import io
import os
import platform
import resource
import shutil
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

ABANDONED = 7 * 24 * 3600.0
"""Seconds without a change after which what another machine, or one without locks, was writing may be removed."""


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str], mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path`` and rename it to ``path`` when the block ends without an exception.

    The data are flushed to the disk before the rename, so that ``path`` holds either its old content or all of the
    new one, whatever interrupts. Parent folders are made. ``mode`` is ``"w"`` (UTF-8, ``\\n``) or ``"wb"``.

    Raises:
        OSError: the file cannot be written; its ``filename`` is ``path``.
    """
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, descriptor = _new_file(path)
    raw = _NamedFile(descriptor, path)
    file = _stream(raw, mode)
    try:
        yield file
        file.flush()
        with naming(path):
            os.fsync(descriptor)
            os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if raw.error is not None and isinstance(error, Exception):
            raise raw.error from None  # libraries such as torch make other errors of it
        raise
    finally:
        with contextlib.suppress(OSError):
            file.close()


@contextlib.contextmanager
def temporary_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder beside ``path``, to be renamed to it or moved out of; what is left of it is removed at the end."""
    path = Path(path)
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder, descriptor = _new_folder(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def open_to_write(path: str | os.PathLike[str], mode: str = "w") -> IO[Any]:
    """Open a file for writing in its place; an OSError of its writing, too, has ``path`` as its ``filename``.

    ``mode`` is ``"w"`` or ``"a"`` (UTF-8, ``\\n``), ``"wb"`` or ``"ab"``.
    """
    raw = _NamedFile(path, path, mode[0])
    return _stream(raw, mode)


def most_open() -> int:
    """Files that one part of the program may keep open: a quarter of what the process may, and 256 at most."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 256 if limit == resource.RLIM_INFINITY else max(1, min(256, limit // 4))


class AppendedFiles:
    """Text files that are written side by side, however many: the last used ones are open.

    Use it as a context manager. The files are made at once, empty.
    """

    def __init__(self, paths: Iterable[str | os.PathLike[str]]) -> None:
        self._paths = list(paths)
        self._open: OrderedDict[int, IO[str]] = OrderedDict()
        for path in self._paths:
            open_to_write(path).close()

    def write(self, number: int, text: str) -> None:
        """Append to the file with this number, from 0."""
        if number in self._open:
            self._open.move_to_end(number)
        else:
            while len(self._open) >= most_open():
                self._open.popitem(last=False)[1].close()
            self._open[number] = open_to_write(self._paths[number], "a")
        self._open[number].write(text)

    def __enter__(self) -> "AppendedFiles":
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.ExitStack() as stack:
            for file in self._open.values():
                stack.enter_context(file)


@contextlib.contextmanager
def naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Let an OSError name ``path``, whatever name it has."""
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = os.fspath(path), None
        raise


def flush_folder(folder: str | os.PathLike[str]) -> None:
    """Flush a folder's names to the disk: until then a crash of the machine may undo a rename in it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _NamedFile(io.FileIO):
    """A file whose errors of writing bear a name; the first one is kept."""

    def __init__(self, file: int | str | os.PathLike[str], path: str | os.PathLike[str], mode: str = "w") -> None:
        super().__init__(file, mode)  # type: ignore[arg-type]
        self.path = path
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            with naming(self.path):
                return super().write(data)
        except OSError as error:
            self.error = self.error or error
            raise


def _stream(raw: io.FileIO, mode: str) -> IO[Any]:
    buffered = io.BufferedWriter(raw)
    return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding="utf-8", newline="\n")


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp.{platform.node()}.{uuid.uuid4().hex[:12]}")


def _new_file(path: Path) -> tuple[Path, int]:
    """A temporary file beside ``path`` that this process has locked, and its descriptor."""
    remove_abandoned(path)
    while True:
        temporary = _temporary(path)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        _lock(descriptor)
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)  # another process took it for abandoned before it was locked


def _new_folder(path: Path) -> tuple[Path, int]:
    """A temporary folder beside ``path`` that this process has locked, and its descriptor."""
    remove_abandoned(path)
    while True:
        folder = _temporary(path)
        folder.mkdir()
        with contextlib.suppress(FileNotFoundError):  # another process took it for abandoned before it was locked
            descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
            _lock(descriptor)
            if folder.exists():
                return folder, descriptor
            os.close(descriptor)


def _lock(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def remove_abandoned(path: Path) -> None:
    """Remove temporary files and folders of ``path`` whose writers are gone."""
    prefix = f".{path.name}.tmp."
    names = []
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:  # one may write into an unreadable folder
        names = [entry.name for entry in entries if entry.name.startswith(prefix)]
    for name in names:
        temporary = path.with_name(name)
        with contextlib.suppress(OSError):  # another process was faster, or it is another user's
            if name.startswith(f"{prefix}{platform.node()}."):
                _remove_unlocked(temporary)
            else:
                _remove_old(temporary)


def _remove_unlocked(temporary: Path) -> None:
    """Remove what no process holds the lock of; the lock is kept meanwhile, so that nobody begins to write into it."""
    descriptor = os.open(temporary, os.O_RDONLY if temporary.is_dir() else os.O_WRONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(temporary)
    except BlockingIOError:
        pass
    except OSError:
        _remove_old(temporary)
    finally:
        os.close(descriptor)


def _remove_old(temporary: Path) -> None:
    """Remove what has not changed for long: the lock of another machine does not tell everywhere."""
    changed = [entry.stat().st_mtime for entry in (temporary, *temporary.rglob("*"))]
    if time.time() - max(changed) > ABANDONED:
        _remove(temporary)


def _remove(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary)
    else:
        temporary.unlink()
