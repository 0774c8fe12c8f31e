"""Copies of VoxPopuli as they are found: cut by the official tool, from the dataset hub, or recordings to be cut."""

import csv
import gzip
import os
import re
import zlib
from ast import literal_eval
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TextIO

from cutting import cut

from omni_asr.audio.source import AudioError
from omni_asr.corpora.download import unpack
from omni_asr.corpora.preparing import Preparation
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import TWICE
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import stream_lines

SUFFIXES = (".ogg", ".wav", ".flac", ".mp3")
FIELD_LIMIT = 1 << 30
"""Characters of a field of the annotation; a list of chunks is longer than the csv module expects."""
_YEAR = re.compile(r"\d{4}")


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


class CutCopy:
    """Segments in files of their own, with ``asr_<split>.tsv``.

    The official tool leaves them in ``<year>/<id>.ogg``, the dataset hub has ``<split>/<id>.wav``, or tar files of
    that, which are unpacked into ``audio_dir`` once.
    """

    def __init__(self, table: Path, split: str, audio_dir: Path) -> None:
        self._table, self._split, self._audio_dir = table, split, audio_dir / table.parent.name

    def rows(self, preparation: Preparation) -> Iterator[Row]:
        """Segments with their files, in the order of the table."""
        files = self._files(preparation.tree)
        for row in read_table(self._table, self._split):
            path = files.get(row.id, "")
            missing = row.missing or ("" if path else f"has no audio file in {self._table.parent}")
            yield replace(row, audio=path, missing=missing)

    def _files(self, tree: CorpusTree) -> dict[str, str]:
        """Audio files by the ids of their segments; what only tar files hold is unpacked."""
        folder, unpacked = self._table.parent, self._audio_dir / self._split
        places = [path for path in folder.iterdir() if path.is_dir() and self._may_hold_audio(path)]
        files = audio_files([folder], deep=False) | audio_files(places)
        archives = self._archives(tree)
        if archives and any(row.id not in files for row in read_table(self._table, self._split) if not row.missing):
            for archive in archives:
                unpack(archive, unpacked)
            files |= audio_files([unpacked])
        return files

    def _may_hold_audio(self, folder: Path) -> bool:
        return bool(_YEAR.fullmatch(folder.name)) or folder.name.lower().startswith(self._split)

    def _archives(self, tree: CorpusTree) -> list[Path]:
        """Tar files of the split, beside the table or in a folder of their own."""
        folders = filter(None, (self._table.parent, tree.inside(self._table.parent, self._split)))
        patterns = [f"{self._split}{end}" for end in ("*.tar", "*.tar.gz", "*.tgz")]
        return sorted(path for folder in folders for pattern in patterns for path in tree.files(folder, pattern))


class RawCopy:
    """Recordings of whole sessions, of which segments are cut into ``audio_dir`` once, by the annotation."""

    def __init__(self, annotation: Path, split: str, audio_dir: Path) -> None:
        self.annotation, self._split = annotation, split
        self._audio_dir = audio_dir / ("en_accented" if "accented" in annotation.name.lower() else "en")

    def rows(self, preparation: Preparation) -> Iterator[Row]:
        """Segments with the files that they are cut into, in the order of the annotation."""
        sessions = Sessions(preparation.tree)
        yield from preparation.in_parallel(lambda entry: self._row(sessions, *entry), self._entries())

    def _entries(self) -> Iterator[tuple[Mapping[str, str], bool]]:
        """Rows of the annotation that belong to the split, and whether an earlier one has the same id."""
        seen = set()
        for entry in read_annotation(self.annotation):
            if entry["split"] == self._split:
                name = f"{entry['session_id']}-{entry['id_']}"
                yield entry, name in seen
                seen.add(name)

    def _row(self, sessions: "Sessions", entry: Mapping[str, str], is_again: bool) -> Row:
        session = entry["session_id"]
        name = f"{session}-{entry['id_']}"
        row = Row(name, entry["original_text"], entry["normed_text"], entry["speaker_id"], entry["split"])
        source = sessions.find(session)
        if is_again:
            return replace(row, missing=TWICE)
        if not source:
            return replace(row, missing=f"has no recording {session}_original.ogg")
        if not row.normalized.strip():
            return row  # it is not used
        target = self._audio_dir / session[:4] / f"{safe_name(name)}.flac"
        try:
            chunks = [(float(chunk[0]), float(chunk[1])) for chunk in literal_eval(entry["vad"])]
        except (ValueError, SyntaxError, TypeError, IndexError):
            return replace(row, missing="has no list of times in the annotation")
        try:
            return replace(row, audio=str(target.absolute()), seconds=cut(source, chunks, target))
        except AudioError as error:
            return replace(row, missing=f"cannot be cut: {error}")


class Sessions:
    """Recordings of sessions, ``raw_audios/original/<year>/<session>_original.ogg``."""

    def __init__(self, tree: CorpusTree) -> None:
        self._tree = tree

    @cached_property
    def _folders(self) -> list[Path]:
        return [*self._tree.find_all("raw_audios/original"), *self._tree.find_all("original")]

    def has_year(self, year: str) -> bool:
        """Whether there are recordings of a year."""
        return any(self._tree.inside(folder, year) for folder in self._folders)

    def find(self, session: str) -> Path | None:
        """The recording of a session."""
        found = (self._tree.inside(folder, f"{session[:4]}/{session}_original.ogg") for folder in self._folders)
        return next(filter(None, found), None)


def find_copy(tree: CorpusTree, language: str, split: str, audio_dir: Path) -> CutCopy | RawCopy | None:
    """The copy that has a split: cut segments where there are some, else recordings; None where there is neither."""
    table = tree.find(f"{language}/asr_{split}.tsv")
    for root in tree.roots:  # the folder of the language may be named itself
        if not table and root.name.lower() == language:
            table = tree.inside(root, f"asr_{split}.tsv")
    if table:
        return CutCopy(table, split, audio_dir)
    annotation = tree.find(f"asr_{language}.tsv.gz", f"asr_{language}.tsv")
    return RawCopy(annotation, split, audio_dir) if annotation else None


def audio_files(folders: Iterable[Path], deep: bool = True) -> dict[str, str]:
    """Audio files by their names without suffix, in folders and, if ``deep``, in those below; the first of a name."""
    files: dict[str, str] = {}
    for folder in sorted(folder for folder in folders if folder.is_dir()):
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in SUFFIXES and not stem.startswith("."):
                files.setdefault(stem, entry.path)
        if deep:
            files = audio_files(Path(entry.path) for entry in entries if entry.is_dir()) | files
    return files


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
            yield Row(*(fields[columns[name]] for name in names))
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
