"""Cheap checks that files which a finished stage left can still be read.

Of an archive only the first and the last matrix are looked at, of other files their end.
"""

import itertools
import json
import os
import struct
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.features.cmvn import read_cmvn_stats
from omni_asr.kaldi.matrix import LONGEST_HEADER, parse_header
from omni_asr.kaldi.pipes import is_command
from omni_asr.kaldi.tables import read_entries
from omni_asr.text.tokenizer import load_tokenizer

DAMAGED = (ValueError, AssertionError, RuntimeError, LookupError, struct.error)
"""Exceptions of the libraries that read archives, units and JSON, on what is damaged."""
MISSING = (FileNotFoundError, NotADirectoryError)


def check_output(path: str | os.PathLike[str], audio: bool = False) -> None:
    """Check a file by its name; folders are only looked for.

    Args:
        audio: check as well that the first and the last recording of ``wav.scp`` are there.

    Raises:
        UserError: it is missing or damaged.
        OSError: it cannot be read at present, which says nothing about what is in it.
    """
    path = Path(path)
    if _size(path) is None:
        raise UserError(f"{path} is missing")
    try:
        _check_kind(path, audio)
    except UserError as error:
        reason = error.__context__
        if isinstance(reason, OSError) and not isinstance(reason, MISSING):  # readers make one line of it
            raise reason from None
        raise
    except MISSING as error:
        raise UserError(f"{error.filename} is missing") from None
    except DAMAGED as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split()) or type(error).__name__}") from None


def _check_kind(path: Path, audio: bool) -> None:
    if path.name == "wav.scp":
        if audio:
            _check_recordings(path)
        _check_end(path)
    elif path.suffix == ".scp":
        _check_archives(path)
    elif path.name == "cmvn.ark":
        read_cmvn_stats(path)
    elif path.name == "tokens.txt":
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
        if is_command(value) or _size(value) is not None:
            continue
        archive, colon, offset = value.rpartition(":")
        if not (colon and offset.isdecimal() and (_size(archive) or 0) > int(offset)):
            raise UserError(f"{value}, which {path} names, is missing")


def _check_archives(path: Path) -> None:
    """Check that archives are there, and their first and last matrices whole."""
    places: dict[str, tuple[int, int]] = {}
    for _, _, value in read_entries(path):
        archive, colon, text = value.rpartition(":")
        if is_command(value) or value.endswith("]"):
            continue
        if not (colon and text.isdecimal()):
            if _size(value) is None:
                raise UserError(f"{value}, which {path} names, is missing")
            continue
        first, last = places.get(archive, (int(text), int(text)))
        places[archive] = min(first, int(text)), max(last, int(text))
    if path.name == "feats.scp":
        _check_same_ids(path, path.with_name("utt2num_frames"))
    for archive, (first, last) in places.items():
        size = _size(archive)
        if size is None:
            raise UserError(f"{archive}, which {path} names, is missing")
        for offset in {first, last}:
            _check_matrix(archive, offset, size)
    _check_end(path)


def _check_same_ids(path: Path, other: Path) -> None:
    pairs = itertools.zip_longest(read_entries(path), read_entries(other), fillvalue=(0, "", ""))
    for (_, key, _), (_, other_key, frames) in pairs if _size(other) is not None else ():
        if key != other_key or not frames.isdecimal():
            raise UserError(f"{other} has no number of frames for {key or other_key} of {path}")


def _check_matrix(archive: str, offset: int, size: int) -> None:
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


def _size(path: str | os.PathLike[str]) -> int | None:
    """Bytes of a file; None where it is missing."""
    try:
        return os.stat(path).st_size
    except MISSING:
        return None


def _lines(path: Path) -> int:
    with open(path, "rb") as file:
        return sum(1 for _ in file)
