"""Rows of VoxPopuli's tables: the prepared ones, and the annotation of the recordings."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from omni_asr.corpora import delimited

ANNOTATION = ("id_", "session_id", "speaker_id", "original_text", "normed_text", "vad", "split")
PREPARED = ("id", "raw_text", "normalized_text", "speaker_id", "split")
SPLITS = ("train", "dev", "test", "invalid")
_SESSION = re.compile(r"\d{8}-\d{4}-\S+")


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

    A row with another number of fields says so in ``missing``; it is of the split that the file is of.

    Raises:
        UserError: the header lacks a column.
    """
    for row in delimited.read_tsv(path, PREPARED):
        name = row.fields["id"]
        if not row.problem:
            yield Row(name, *(row.fields[column] for column in PREPARED[1:]))
        else:
            known = name if _SESSION.match(name) else f"line{row.line}"
            yield Row(known, "", "", "", split, missing=row.problem)


def read_annotation(path: Path, split: str) -> Iterator[dict[str, str]]:
    """Rows of a split in ``asr_en.tsv.gz``: fields between ``|``, quoted as csv files are.

    A row with another number of fields has a ``problem``. It is of the split that it names, or of each if it names
    none; a session that is not known is empty.

    Raises:
        UserError: the file is damaged, or lacks a column.
    """
    for row in delimited.read_quoted(path, ANNOTATION, "|"):
        entry = {name: row.fields.get(name, "") for name in ANNOTATION}
        entry["problem"] = row.problem
        if row.problem:
            entry["split"] = next((value for value in row.fields.values() if value in SPLITS), split)
            if not _SESSION.match(entry["session_id"]):
                entry |= {"session_id": "", "id_": f"line{row.line}"}
        if entry["split"] == split:
            yield entry


def safe_name(text: str) -> str:
    """A segment's id without what ids and paths must not have: ``16:10:06`` becomes ``16-10-06``."""
    return re.sub(r"[^\w.-]", "-", text)
