"""Cheap checks that files which a finished stage left can still be read.

Of an archive only the first and the last matrix are looked at, of other files their end.
"""

import itertools
import json
import os
import struct
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.matrix import LONGEST_HEADER, parse_header
from omni_asr.kaldi.tables import read_entries

DAMAGED = (OSError, ValueError, AssertionError, RuntimeError, LookupError, struct.error)
"""Exceptions of the libraries that read archives, units and JSON, on what is damaged."""


def check_output(path: str | os.PathLike[str]) -> None:
    """Check a file by its name; folders are only looked for.

    Raises:
        UserError: it is missing, or can no longer be read.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path} is missing")
    try:
        _check_kind(path)
    except DAMAGED as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from None


def _check_kind(path: Path) -> None:
    if path.name == "wav.scp":
        _check_recordings(path)
    elif path.suffix == ".scp":
        _check_archives(path)
    elif path.name == "cmvn.ark":
        from omni_asr.features.cmvn import read_cmvn_stats

        read_cmvn_stats(path)
    elif path.name == "tokens.txt":
        from omni_asr.text.tokenizer import load_tokenizer

        load_tokenizer(path.parent)
    elif path.suffix == ".json":
        json.loads(path.read_text(encoding="utf-8"))
    elif path.is_file():
        _check_end(path)
        if path.name == "tokens.jsonl" and _lines(path) != _lines(path.with_name("text")):
            raise UserError(f"{path} and text have different numbers of utterances")


def _check_recordings(path: Path) -> None:
    """Check that the first and the last recording are there; commands are not run."""
    first = last = ""
    for _, _, last in read_entries(path):
        first = first or last
    for value in filter(None, (first, last)):
        if value.endswith("|") or os.path.exists(value):
            continue
        archive, colon, offset = value.rpartition(":")
        if not (colon and offset.isdecimal() and _size(archive) > int(offset)):
            raise UserError(f"{value}, which {path} names, is missing")
    _check_end(path)


def _check_archives(path: Path) -> None:
    """Check that archives are there, and their first and last matrices whole."""
    places: dict[str, tuple[int, int]] = {}
    for _, _, value in read_entries(path):
        archive, colon, text = value.rpartition(":")
        if value.endswith(("|", "]")):
            continue
        if not (colon and text.isdecimal()):
            if not os.path.exists(value):
                raise UserError(f"{value}, which {path} names, is missing")
            continue
        first, last = places.get(archive, (int(text), int(text)))
        places[archive] = min(first, int(text)), max(last, int(text))
    if path.name == "feats.scp":
        _check_same_ids(path, path.with_name("utt2num_frames"))
    for archive, (first, last) in places.items():
        if not os.path.exists(archive):
            raise UserError(f"{archive}, which {path} names, is missing")
        for offset in {first, last}:
            _check_matrix(archive, offset)
    _check_end(path)


def _check_same_ids(path: Path, other: Path) -> None:
    pairs = itertools.zip_longest(read_entries(path), read_entries(other), fillvalue=(0, "", ""))
    for (_, key, _), (_, other_key, frames) in pairs if other.exists() else ():
        if key != other_key or not frames.isdecimal():
            raise UserError(f"{other} has no number of frames for {key or other_key} of {path}")


def _check_matrix(archive: str, offset: int) -> None:
    size = _size(archive)
    if size <= offset:
        raise UserError(f"{archive} ends at {size}, before its matrix at {offset}")
    with open(archive, "rb") as file:
        file.seek(offset)
        data = file.read(LONGEST_HEADER)
    header = parse_header(data)
    if header is None and data.lstrip()[:1] == b"[":  # as text
        return
    if header is None or min(header.rows, header.columns) < 0:
        raise UserError(f"{archive}:{offset} holds no matrix")
    if offset + header.size > size:
        raise UserError(f"{archive} ends within a matrix, at {offset}")


def _check_end(path: Path) -> None:
    """Check that a text file ends with a whole line."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        if size and file.read(1) != b"\n":
            raise UserError(f"{path} is cut: its last line has no end")


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.isfile(path) else 0


def _lines(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)
