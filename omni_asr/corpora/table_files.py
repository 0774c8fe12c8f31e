"""Tables of a data directory that are written line by line, because they may be too large for memory."""

from contextlib import ExitStack
from pathlib import Path
from typing import IO

from omni_asr.files import open_to_write


class Tables:
    """Tables of a folder that are written line by line, in the order of their ids."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._files: dict[str, IO[str]] = {}
        self._unfinished: dict[str, str] = {}

    def __enter__(self) -> "Tables":
        return self

    def __exit__(self, *error: object) -> None:
        for table in self._unfinished:
            self._files[table].write("\n")
        self._stack.close()

    def has(self, table: str) -> bool:
        """Whether a table has a line."""
        return table in self._files

    def write(self, table: str, name: str, value: str) -> None:
        """Add a line to a table."""
        self._file(table).write(f"{name} {value}\n" if value else f"{name}\n")

    def drop(self, table: str) -> None:
        """Remove a table, if it was begun."""
        if table in self._files:
            self._files.pop(table).close()
            (self._folder / table).unlink()

    def append(self, table: str, name: str, value: str) -> None:
        """Add a value to the line of an id, which is the last of the table, or a new one."""
        file, last = self._file(table), self._unfinished.get(table)
        if last != name:
            file.write(name if last is None else f"\n{name}")
            self._unfinished[table] = name
        file.write(f" {value}")

    def _file(self, table: str) -> IO[str]:
        if table not in self._files:
            path = self._folder / table
            self._files[table] = self._stack.enter_context(open_to_write(path))
        return self._files[table]
