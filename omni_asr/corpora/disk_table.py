"""A table that is looked up while a corpus is read, and that may be too large for memory."""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import temporary_folder


class DiskTable:
    """Strings by strings in a temporary file; as a context manager, which removes it. Not for several threads.

    Args:
        folder: where the file is, until the end of the block.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._stack = ExitStack()  # removes the file
        self._path = self._stack.enter_context(temporary_folder(Path(folder, "table"))) / "table"
        self._database = sqlite3.connect(self._path, isolation_level=None)
        for setting in ("journal_mode = off", "synchronous = off", "cache_size = -4096"):
            self._database.execute(f"PRAGMA {setting}")
        with self._writing():
            self._database.execute("CREATE TABLE entries (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
            self._database.execute("BEGIN")  # once, and never to be committed: nobody else reads the file

    def add(self, entries: Iterable[tuple[str, str]]) -> None:
        """Add many entries; of those with one key the first stays.

        Raises:
            UserError: the disk is full.
        """
        with self._writing():
            self._database.executemany("INSERT OR IGNORE INTO entries VALUES (?, ?)", entries)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            self._stack.close()
            raise UserError(f"cannot write {self._path}: {error}; make room and start again") from None

    def get(self, key: str) -> str | None:
        """The value of a key; None where it has none."""
        row = self._database.execute("SELECT value FROM entries WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]

    def __contains__(self, key: str) -> bool:
        return self.get(key) is not None

    def __enter__(self) -> "DiskTable":
        return self

    def __exit__(self, *error: object) -> None:
        with self._stack:
            self._database.close()
