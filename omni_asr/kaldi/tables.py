"""Kaldi tables: text files whose lines are ``<id> <value>``, and nothing else.

Only spaces and tabs separate fields, as in Kaldi: a no-break space or an ideographic space belongs to a word.
"""

import codecs
import math
import os
from collections.abc import Iterable, Iterator, Mapping

from omni_asr.errors import UserError
from omni_asr.files import atomic_write


def stream_lines(path: str | os.PathLike[str], fallback: str = "", drop_mark: bool = False) -> Iterator[str]:
    r"""Lines of a UTF-8 file one after the other, split at ``\n`` only and without it.

    ``fallback`` is the encoding of lines that are not UTF-8, such as ``latin-1`` in what was published long ago;
    ``drop_mark`` takes away the byte order mark that some editors leave at the start of a corpus's lists.

    Raises:
        UserError: the file cannot be read, begins with a byte order mark, which would belong to its first id, or a
            line is not UTF-8 (named as ``file:line``).
    """
    try:
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if number == 1 and drop_mark:
                    line = line.removeprefix(codecs.BOM_UTF8)
                if number == 1 and line.startswith(codecs.BOM_UTF8):
                    raise UserError(
                        f"{path}:1: begins with a byte order mark; remove it: sed -i '1s/^\\xEF\\xBB\\xBF//'"
                    )
                try:
                    yield line.decode("utf-8").removesuffix("\n")
                except UnicodeDecodeError as error:
                    if fallback:
                        yield line.decode(fallback).removesuffix("\n")
                        continue
                    byte = f"byte 0x{line[error.start]:02x}"
                    raise UserError(f"{path}:{number}: not UTF-8 ({byte}); convert the file") from None
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def read_lines(path: str | os.PathLike[str], fallback: str = "") -> list[str]:
    """All lines of :func:`stream_lines`."""
    return list(stream_lines(path, fallback))


def split_line(line: str) -> tuple[str, str]:
    """First field of a line and the rest of it, without the blanks around them."""
    key, _, value = line.partition(" ")
    if "\t" in key:
        key, _, value = line.partition("\t")
    return key.rstrip("\r"), value.strip(" \t\r")


def to_number(text: str, where: str, what: str = "time") -> float:
    """A finite number.

    Raises:
        UserError: it is none; the message begins with ``where``.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in text:
        raise UserError(f"{where}: {what} {text!r} is not a number")
    return number


def read_entries(path: str | os.PathLike[str], may_be_empty: bool = False) -> Iterator[tuple[int, str, str]]:
    """Line number, id and value of each line.

    Raises:
        UserError: bad UTF-8, a line without an id, or (unless ``may_be_empty``) without a value.
    """
    for number, line in enumerate(stream_lines(path), 1):
        key, value = split_line(line)
        if not key:
            raise UserError(f"{path}:{number}: the line starts with a blank or is empty; expected '<id> <value>'")
        if not value and not may_be_empty:
            raise UserError(f"{path}:{number}: nothing follows {key!r}; expected '<id> <value>'")
        yield number, key, value


def read_table(path: str | os.PathLike[str], may_be_empty: bool = False) -> dict[str, str]:
    """A table as a dictionary in the order of the file.

    Raises:
        UserError: as :func:`read_entries`, or an id occurs twice.
    """
    table: dict[str, str] = {}
    for number, key, value in read_entries(path, may_be_empty):
        if key in table:
            raise UserError(f"{path}:{number}: {key!r} occurs a second time; ids must be unique")
        table[key] = value
    return table


def read_ids(path: str | os.PathLike[str]) -> list[str]:
    """First field of each line, for lists of utterances or speakers; duplicates are kept once."""
    return list(dict.fromkeys(key for _, key, _ in read_entries(path, may_be_empty=True)))


def write_table(path: str | os.PathLike[str], table: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
    """Write a table sorted as ``LC_ALL=C sort`` does: by the bytes of UTF-8."""
    items = table.items() if isinstance(table, Mapping) else table
    with atomic_write(path) as file:
        for key, value in sorted(items, key=lambda item: sort_key(item[0])):
            file.write(f"{key} {value}\n" if value else f"{key}\n")


def sort_key(key: str) -> bytes:
    """What ids are sorted by: their UTF-8 bytes, which is also the order of code points."""
    return key.encode("utf-8", "surrogatepass")
