"""Rows of VoxPopuli's tables: the prepared ones, and the annotation of the recordings."""

import csv
import gzip
import re
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import stream_lines

FIELD_LIMIT = 1 << 30
"""Characters of a field of the annotation; a list of chunks is longer than the csv module expects."""


@dataclass(frozen=True)
class Row:
    """A segment of the corpus."""

    id: str
    raw: str
    """Words with case and punctuation; may be empty."""
    normalized: str
    speaker: str
    split: str
    audio: str = ""
    missing: str = ""
    """Why there is no audio."""
    seconds: float | None = None


def read_table(path: Path, split: str) -> Iterator[Row]:
    """Rows of ``asr_<split>.tsv``: a header, then fields between tabs, in which quotes mean nothing.

    A line with more or fewer fields than the header is a row that says so in ``missing``.

    Raises:
        UserError: the header lacks a column.
    """
    names = ("id", "raw_text", "normalized_text", "speaker_id", "split")
    columns: dict[str, int] = {}
    for number, line in enumerate(stream_lines(path), 1):
        fields = line.rstrip("\r").split("\t")
        if number == 1:
            columns = {name: index for index, name in enumerate(fields)}
            _need(columns, names, path)
        elif len(fields) == len(columns):
            name, raw, normalized, speaker, own_split = (fields[columns[name]] for name in names)
            yield Row(name, raw, normalized, speaker, own_split)
        elif line.strip():
            broken = f"has {len(fields)} fields, where the header has {len(columns)}"
            yield Row(f"{path.stem}-line-{number}", "", "", "", split, missing=broken)


def read_annotation(path: Path) -> Iterator[dict[str, str]]:
    """Rows of ``asr_en.tsv.gz``: fields between ``|``, quoted as csv files are.

    Raises:
        UserError: the file is damaged, or lacks a column.
    """
    csv.field_size_limit(FIELD_LIMIT)
    try:
        with _open(path) as file:
            reader = csv.DictReader(file, delimiter="|")
            names = ("id_", "session_id", "speaker_id", "original_text", "normed_text", "vad", "split")
            _need(reader.fieldnames or (), names, path)
            for entry in reader:
                yield {name: entry[name] or "" for name in names}
    except (OSError, EOFError, zlib.error, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read ({error}); fetch it again") from None


def _open(path: Path) -> TextIO:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return open(path, encoding="utf-8", newline="")


def _need(columns: Collection[str], names: tuple[str, ...], path: Path) -> None:
    missing = [name for name in names if name not in columns]
    if missing:
        raise UserError(f"{path} has no column {missing[0]}; is it a file of VoxPopuli?")


def safe_name(text: str) -> str:
    """A segment's id without what ids and paths must not have: ``16:10:06`` becomes ``16-10-06``."""
    return re.sub(r"[^\w.-]", "-", text)
