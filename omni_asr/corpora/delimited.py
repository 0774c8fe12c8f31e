"""Rows of a corpus's tables (tsv, csv): a row with another number of columns than the header is never taken as one.

A tab or a line feed within a field moves all that follows it into other columns, so such a row has a problem instead,
which the preparation lists with the line. Neighbours that have the columns of one row together are one that line feeds
have broken, and count once.
"""

import csv
import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import stream_lines

Numbered = tuple[int, list[str]]
"""Line and fields."""
MOST_LINES = 50
"""Lines over which a row may be broken."""
FIELD_LIMIT = 1 << 30
"""Characters of a quoted field; the default of the csv module is less than some corpora have."""


@dataclass(frozen=True)
class Row:
    """A row of a table, by the names of its columns.

    Of a row with a problem only the columns before the fault are right: use them for its id if they look like one.
    """

    fields: dict[str, str]
    line: int
    """Line in the file, from 1; of a quoted row that has several, the last."""
    problem: str = ""
    """Reason to leave it out, for ``removed_in_preparation``."""


def read_tsv(path: Path, needed: Sequence[str], columns: Sequence[str] = ()) -> Iterator[Row]:
    """Rows of a file with tabs between the fields, in which a quotation mark is a letter as any other.

    Args:
        path: the file; empty lines, and a byte order mark, are passed over.
        needed: columns that must be there.
        columns: those of a file without a header.

    Raises:
        UserError: the file cannot be read, has no header, or lacks a column.
    """
    lines = enumerate(stream_lines(path, drop_mark=True), 1)
    return _rows(path, ((number, line.rstrip("\r").split("\t")) for number, line in lines), needed, columns)


def read_quoted(path: Path, needed: Sequence[str], delimiter: str) -> Iterator[Row]:
    """Rows of a file, perhaps compressed by gzip, whose fields are quoted as the csv module expects.

    Raises:
        UserError: the file is damaged, has no header, or lacks a column.
    """
    csv.field_size_limit(FIELD_LIMIT)
    try:
        with _open(path) as file:
            reader = csv.reader(file, delimiter=delimiter)
            yield from _rows(path, ((reader.line_num, values) for values in reader), needed, ())
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again") from None


def _open(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def _rows(path: Path, numbered: Iterable[Numbered], needed: Sequence[str], columns: Sequence[str]) -> Iterator[Row]:
    short: list[Numbered] = []  # consecutive rows with too few columns: perhaps one that line feeds have broken
    for number, values in numbered:
        if not columns:
            columns = [name.strip() for name in values]
            missing = [name for name in needed if name not in columns]
            if missing:
                raise UserError(f"{path}:{number}: there is no column {missing[0]}; is this a table of this corpus?")
        elif len(values) < len(columns):
            if short or any(value.strip() for value in values):  # a row does not begin with an empty line
                short.append((number, values))
                yield from _broken(short, columns, path)
        else:
            yield from _each(short, columns, path)
            short.clear()
            yield _row(number, values, columns, path)
    if not columns:
        raise UserError(f"{path} is empty; fetch it again")
    yield from _each(short, columns, path)


def _broken(short: list[Numbered], columns: Sequence[str], path: Path) -> Iterator[Row]:
    """Take from ``short`` the rows that are one together, and those that cannot be part of one."""
    while (width := sum(len(values) - 1 for _, values in short) + 1) > len(columns) or len(short) > MOST_LINES:
        yield from _each(short[:1], columns, path)
        del short[:1]
    if width == len(columns):
        joined = list(short[0][1])
        for _, values in short[1:]:
            joined[-1:] = [f"{joined[-1]}\n{values[0]}", *values[1:]]
        first, last = short[0][0], short[-1][0]
        problem = f"is broken over several lines by a line feed in a field ({path.name}:{first}-{last})"
        yield Row(dict(zip(columns, joined, strict=True)), first, problem)
        short.clear()


def _each(short: Iterable[Numbered], columns: Sequence[str], path: Path) -> Iterator[Row]:
    for number, values in short:
        if any(value.strip() for value in values):
            yield _row(number, values, columns, path)


def _row(number: int, values: Sequence[str], columns: Sequence[str], path: Path) -> Row:
    problem = ""
    if len(values) != len(columns):
        problem = f"has {len(values)} columns, not {len(columns)} ({path.name}:{number})"
    return Row(dict(zip(columns, values, strict=False)), number, problem)
