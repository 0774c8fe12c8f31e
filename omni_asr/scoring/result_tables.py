"""Tables in a Markdown file between marks such as ``<!-- results -->`` and ``<!-- /results -->``.

Only what stands between the marks is rewritten; the rest of the file belongs to whoever writes it.
"""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.read_files import read_text

NEW_FILE = "# Results\n\nThe tables are written by `omni-asr results`; text outside the marks is kept.\n"
TEXT_COLUMNS = {"exp", "router", "config", "set", "regime", "protocol", "sets", "commit", "command"}

Row = dict[str, str]
"""Cells by the names of their columns."""


class ResultTables:
    """The file as text, see :func:`changing`."""

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text

    def rows(self, name: str, columns: Sequence[str]) -> list[Row]:
        """The rows of all tables between the marks; none where there are no marks.

        Raises:
            UserError: the marks are damaged, or a table has other columns or a row of another length: since what is
                not read would be lost, naming the line.
        """
        start = self._span(name)[0]
        first = self.text.count("\n", 0, start) + 1
        lines = enumerate((line.strip() for line in self._block(name).splitlines()), first)
        found, heads = [], [*columns]
        has_heading = False
        for number, cells in ((number, _cells(line)) for number, line in lines if line.startswith("|")):
            if not has_heading and cells != heads:
                raise UserError(
                    f"{self.path}:{number}: this table has not the columns that omni-asr results writes "
                    f"({', '.join(columns)}); mend it, or move it out of the marks: stage 5 writes rows anew"
                )
            has_heading = True
            if len(cells) != len(heads):
                raise UserError(
                    f"{self.path}:{number}: this row has {len(cells)} cells and not {len(heads)}; mend or remove it"
                )
            if cells != heads and not set("".join(cells)) <= set("-:"):
                found.append(dict(zip(heads, cells, strict=True)))
        return found

    def put(self, name: str, content: str) -> None:
        """Replace what stands between the marks; without marks, add them at the end.

        Raises:
            UserError: the marks are damaged.
        """
        if self._span(name) == (0, 0):
            self.text = self.text.rstrip("\n") + f"\n\n<!-- {name} --><!-- /{name} -->\n"
        start, end = self._span(name)
        self.text = f"{self.text[:start]}\n{content}{self.text[end:]}"

    def _block(self, name: str) -> str:
        start, end = self._span(name)
        return self.text[start:end]

    def _span(self, name: str) -> tuple[int, int]:
        """Where the text between the marks starts and ends; (0, 0) where there are none."""
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        counts = self.text.count(start), self.text.count(end)
        if counts == (0, 0):
            return 0, 0
        if counts != (1, 1) or self.text.index(end) < self.text.index(start):
            raise UserError(f"{self.path}: {start} and {end} must each stand there once, in this order; mend the file")
        return self.text.index(start) + len(start), self.text.index(end)


@contextlib.contextmanager
def changing(path: str | os.PathLike[str]) -> Iterator[ResultTables]:
    """The tables of a file, made when it is not there, and written when the block ends without an error.

    Several processes may do so at once: the file's lock is held.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "a", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # A writer replaces the file, so whoever waited must look whether it is still the same.
            if path.exists() and os.path.samestat(os.fstat(lock.fileno()), os.stat(path)):
                tables = ResultTables(path, read_text(path, "convert or move the file") or NEW_FILE)
                yield tables
                with atomic_write(path) as file:
                    file.write(tables.text)
                return


def table(columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table."""
    rules = ["---" if column in TEXT_COLUMNS else "---:" for column in columns]
    lines = [list(columns), rules, *([_cell(column, row[column]) for column in columns] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(column: str, value: str) -> str:
    value = value.replace("|", "\\|")
    return f"`{value}`" if column == "command" and value else value


def _cells(line: str) -> list[str]:
    """Cells of a line as :func:`table` wrote it; quotes of a command are taken off."""
    cells = re.split(r"(?<!\\)\|", line)[1:-1]
    return [re.sub(r"^`(.*)`$", r"\1", cell.strip().replace("\\|", "|")) for cell in cells]
