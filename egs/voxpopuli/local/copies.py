"""Copies of VoxPopuli as they are found: cut by the official tool, from the dataset hub, or recordings to be cut."""

import json
import os
import re
from ast import literal_eval
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

from cutting import Decoded, cut, decoded
from rows import Row, read_annotation, read_table, safe_name

from omni_asr.audio.source import AudioError
from omni_asr.corpora.audio import probe
from omni_asr.corpora.download import unpack
from omni_asr.corpora.preparing import Preparation
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import TWICE
from omni_asr.files import open_to_write, temporary_folder
from omni_asr.kaldi.sorted_tables import sort_by_id

SUFFIXES = (".ogg", ".wav", ".flac", ".mp3")
_YEAR = re.compile(r"\d{4}")


class CutCopy:
    """Segments in files of their own, with ``asr_<split>.tsv``.

    The official tool leaves them in ``<year>/<id>.ogg``, the dataset hub has ``<split>/<id>.wav``, or tar files of
    that, which are unpacked into ``audio_dir`` once.
    """

    def __init__(self, table: Path, split: str, audio_dir: Path) -> None:
        self._table, self._split = table, split
        self._unpacked = audio_dir / table.parent.name / split

    def rows(self, preparation: Preparation) -> Iterator[Row]:
        """Segments with their files, in the order of the table."""
        files = self._files(preparation.tree)
        for row in read_table(self._table, self._split):
            path = files.get(row.id, "")
            missing = row.missing or ("" if path else f"has no audio file in {self._table.parent}")
            yield replace(row, audio=path, missing=missing)

    def has_audio(self, tree: CorpusTree) -> bool:
        """Whether there is any audio, or a tar file of it, beside the table."""
        return bool(self._archives(tree)) or any(True for _ in each_audio_file(self._places()))

    def _files(self, tree: CorpusTree) -> dict[str, str]:
        """Audio files by the ids of their segments; what only tar files hold is unpacked."""
        files = audio_files(self._places())
        archives = self._archives(tree)
        if archives and any(row.id not in files for row in read_table(self._table, self._split) if not row.missing):
            for archive in archives:
                unpack(archive, self._unpacked)
            files = audio_files(self._places())
        return files

    def _places(self) -> list[tuple[Path, bool]]:
        """Folders of audio, and whether folders in them count: of years, of the split, and of what was unpacked."""
        folder = self._table.parent
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and self._may_hold_audio(path))
        return [*((path, True) for path in inside), (folder, False), (self._unpacked, True)]

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
        """Segments with the files that they are cut into, by session."""
        sessions = Sessions(preparation.tree)
        with temporary_folder(preparation.data_dir / "sessions") as folder:
            groups = self._by_session(folder / "entries")
            for rows in preparation.in_parallel(lambda group: list(self._cut(sessions, *group)), groups):
                yield from rows

    def _by_session(self, path: Path) -> Iterator[tuple[str, list[dict[str, str]]]]:
        """The entries of the split, brought together on the disk, since every recording is decoded once."""
        with open_to_write(path) as file:
            for entry in read_annotation(self.annotation, self._split):
                file.write(f"{entry['session_id']}\t{json.dumps(entry, ensure_ascii=False)}\n")
        sort_by_id(path)
        with open(path, encoding="utf-8") as file:
            for session, lines in groupby(file, lambda line: line.partition("\t")[0]):
                yield session, [json.loads(line.partition("\t")[2]) for line in lines]

    def _cut(self, sessions: "Sessions", session: str, entries: Iterable[Mapping[str, str]]) -> Iterator[Row]:
        """The segments of a session, which is decoded if one of them is not cut yet."""
        seen: set[str] = set()
        source = sessions.find(session)
        with ExitStack() as stack:
            recording: Decoded | str = ""  # or why there is none
            for entry in entries:
                name = f"{session}-{entry['id_']}" if session else entry["id_"]
                row = Row(name, entry["original_text"], entry["normed_text"], entry["speaker_id"], entry["split"])
                target = self._audio_dir / session[:4] / f"{safe_name(name)}.flac"
                if entry["problem"]:
                    yield replace(row, missing=entry["problem"])
                elif name in seen:
                    yield replace(row, missing=TWICE)
                elif not source:
                    yield replace(row, missing=f"has no recording {session}_original.ogg")
                elif not row.normalized.strip():
                    yield row  # it is not used
                else:
                    if not target.exists() and recording == "":
                        recording = self._decode(source, stack)
                    yield with_audio(row, entry["vad"], recording, target)
                seen.add(name)

    def _decode(self, source: Path, stack: ExitStack) -> Decoded | str:
        try:
            return stack.enter_context(decoded(source, self._audio_dir))
        except AudioError as error:
            return f"cannot be cut: {error}"


def with_audio(row: Row, times: str, recording: Decoded | str, target: Path) -> Row:
    """A segment with its file, which is cut where it is not there."""
    try:
        if not target.exists():
            if isinstance(recording, str):
                return replace(row, missing=recording)
            cut(recording, [(float(chunk[0]), float(chunk[1])) for chunk in literal_eval(times)], target)
        return replace(row, audio=str(target.absolute()), seconds=probe(target).seconds)
    except AudioError as error:
        return replace(row, missing=f"cannot be cut: {error}")
    except (ValueError, SyntaxError, TypeError, IndexError):
        return replace(row, missing="has no list of times in the annotation")


class Sessions:
    """Recordings of sessions, ``raw_audios/original/<year>/<session>_original.ogg``."""

    def __init__(self, tree: CorpusTree) -> None:
        self._tree = tree

    @cached_property
    def _folders(self) -> list[Path]:
        return [*self._tree.find_all("raw_audios/original"), *self._tree.find_all("original")]

    def has_year(self, year: str) -> bool:
        """Whether there are recordings of a year."""
        return any(self._tree.inside(folder, f"{year}/*_original.ogg") for folder in self._folders)

    def find(self, session: str) -> Path | None:
        """The recording of a session."""
        found = (self._tree.inside(folder, f"{session[:4]}/{session}_original.ogg") for folder in self._folders)
        return next(filter(None, found), None)


def find_copy(tree: CorpusTree, language: str, split: str, audio_dir: Path) -> CutCopy | RawCopy | None:
    """The copy that has a split: cut segments where there are some, else recordings; None where there is neither.

    A table without audio is no copy: people also fetch the tables alone.
    """
    for table in tree.find_all(f"{language}/asr_{split}.tsv"):
        copy = CutCopy(table, split, audio_dir)
        if copy.has_audio(tree):
            return copy
    annotation = tree.find(f"asr_{language}.tsv.gz", f"asr_{language}.tsv")
    return RawCopy(annotation, split, audio_dir) if annotation else None


def audio_files(places: Iterable[tuple[Path, bool]]) -> dict[str, str]:
    """Audio files by their names without suffix; the first of a name."""
    files: dict[str, str] = {}
    for path in each_audio_file(places):
        files.setdefault(os.path.splitext(os.path.basename(path))[0], path)
    return files


def each_audio_file(places: Iterable[tuple[Path, bool]]) -> Iterator[str]:
    """Audio files of folders and, where that is said beside them, of the folders below; in the order of their names."""
    for folder, is_deep in places:
        if not folder.is_dir():
            continue
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)
            if suffix.lower() in SUFFIXES and not stem.startswith("."):
                yield entry.path
        if is_deep:
            yield from each_audio_file((Path(entry.path), True) for entry in entries if entry.is_dir())
