"""Kaldi data directories: reading one, and writing one whole."""

import functools
import math
import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import open_to_write, temporary_folder
from omni_asr.kaldi.tables import read_entries, read_lines, read_table, sort_key, split_line

MAY_BE_EMPTY = "text"
"""Start of the names of tables in which an id may stand alone."""
COPIED = ("glm", "fbank.conf", "frame_shift", "release")
"""Files that hold for the whole directory and are carried as they are."""
DERIVED = {"spk2utt"}
"""Tables that are made from others."""
_NO_TABLE = re.compile(r"~$|\.(bak|backup|gz|json|kept|new|old|orig|save|tmp|\d+)$")
"""Ends of the names of what editors, programs and people leave beside a table."""


@dataclass(frozen=True)
class Segment:
    """Part of a recording, in seconds; an end of -1 is the end of the recording, as in Kaldi's extract-segments."""

    recording: str
    start: float
    end: float

    @property
    def is_open(self) -> bool:
        """Whether it goes to the end of the recording."""
        return self.end == -1

    @property
    def is_possible(self) -> bool:
        """Whether it starts at 0 or later and has a length."""
        return 0 <= self.start < (float("inf") if self.is_open else self.end) and self.end < float("inf")


def channel_index(name: str) -> int:
    """Number of a channel, from 0, by its name in tables and stm files: A, B, ... or 1, 2, ..., as for NIST's programs.

    Raises:
        ValueError: the name is another one; 0 among them, since the second channel of such a table may be 1 or 2.
    """
    if re.fullmatch("[A-Za-z]", name):
        return ord(name.upper()) - ord("A")
    if re.fullmatch("[1-9][0-9]*", name):
        return int(name) - 1
    raise ValueError(f"{name!r} does not name a channel; the first is 'A' or '1', the second 'B' or '2'")


def kind_of(name: str) -> str | None:
    """What the ids of a file are: ``utt``, ``spk``, ``reco`` or ``stm``; None for a file that is no such table.

    ``text.old`` or ``utt2spk.bak`` is no table: what it holds need not be true of the directory any more.
    """
    if _NO_TABLE.search(name):
        return None
    if name in ("text", "feats.scp", "vad.scp", "segments", "removed_utts") or name.startswith(
        ("utt2", "text.", "text_")
    ):
        return "utt"
    if name in ("spk2utt", "cmvn.scp") or name.startswith("spk2"):
        return "spk"
    if name == "wav.scp" or name.startswith("reco2"):
        return "reco"
    return "stm" if name == "stm" else None


class DataDir:
    """A data directory; tables are read when asked for and kept.

    Raises:
        UserError: the directory does not exist; any table, when read, is missing or broken.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"{path} is not a directory; a Kaldi data directory was expected")
        self._tables: dict[str, dict[str, str]] = {}

    def has(self, name: str) -> bool:
        """Whether a file exists."""
        return (self.path / name).is_file()

    def table(self, name: str) -> dict[str, str]:
        """A table as a dictionary from id to the rest of the line."""
        if name not in self._tables:
            self._tables[name] = read_table(self.path / name, name.startswith(MAY_BE_EMPTY))
        return self._tables[name]

    @functools.cached_property
    def names(self) -> list[str]:
        """Names of the tables that are there, in order."""
        return sorted(file.name for file in self.path.iterdir() if file.is_file() and kind_of(file.name))

    @property
    def copied(self) -> list[Path]:
        """Files that are carried as they are."""
        return [self.path / name for name in COPIED if self.has(name)]

    @functools.cached_property
    def utterances(self) -> list[str]:
        """Ids of utterances, from the first of utt2spk, segments and wav.scp that exists."""
        name = next((name for name in ("utt2spk", "segments") if self.has(name)), "wav.scp")
        return list(self.table(name))

    @functools.cached_property
    def segments(self) -> dict[str, Segment] | None:
        """Segments by utterance; None where utterances are whole recordings.

        Raises:
            UserError: a line does not have four fields with two numbers, or an id occurs twice.
        """
        if not self.has("segments"):
            return None
        segments: dict[str, Segment] = {}
        for number, utterance, segment in self.read_segments():
            if utterance in segments:
                where = f"{self.path / 'segments'}:{number}"
                raise UserError(f"{where}: {utterance!r} occurs a second time; ids must be unique")
            segments[utterance] = segment
        return segments

    def read_segments(self) -> Iterator[tuple[int, str, Segment]]:
        """Line, utterance and segment of each line of segments, one after the other.

        Raises:
            UserError: a line does not have four fields with two numbers.
        """
        path = self.path / "segments"
        for number, utterance, value in read_entries(path):
            yield number, utterance, parse_segment(value, f"{path}:{number}")

    @functools.cached_property
    def places(self) -> dict[str, tuple[str, str]]:
        """File and channel of each recording by reco2file_and_channel; empty without that file."""
        return {recording: (file, channel) for recording, file, channel in self.read_places()}

    @functools.cached_property
    def channels(self) -> dict[str, int]:
        """Channel of each recording by reco2file_and_channel, from 0; empty without that file."""
        return {recording: channel_index(channel) for recording, (_, channel) in self.places.items()}

    def read_places(self) -> Iterator[tuple[str, str, str]]:
        """Recording, file and channel of each line of reco2file_and_channel, one after the other.

        Raises:
            UserError: a line is malformed, or its channel is none; names the line.
        """
        path = self.path / "reco2file_and_channel"
        for number, recording, value in read_entries(path) if path.is_file() else ():
            yield recording, *parse_place(value, f"{path}:{number}")

    def recordings_of(self, utterances: Collection[str]) -> set[str]:
        """Recordings that utterances are parts of."""
        if self.segments is None:
            return set(utterances)
        return {self.segments[utterance].recording for utterance in utterances if utterance in self.segments}

    def restricted(self, utterances: Collection[str]) -> dict[str, dict[str, str]]:
        """Every table with only what some utterances need; spk2utt is made again."""
        keep = {"utt": set(utterances), "reco": self.recordings_of(utterances)}
        tables = {}
        speakers: set[str] = set()
        if self.has("utt2spk"):
            utt2spk = self.table("utt2spk")
            speakers = {utt2spk[utterance] for utterance in keep["utt"] if utterance in utt2spk}
        keep["spk"] = speakers
        for name in self.names:
            kind = kind_of(name)
            if kind in keep and name not in DERIVED:
                tables[name] = {key: value for key, value in self.table(name).items() if key in keep[str(kind)]}
        return tables

    def stm_lines(self, recordings: Collection[str]) -> list[str]:
        """Lines of stm for some recordings, with its comments."""
        table = self.table("reco2file_and_channel") if self.has("reco2file_and_channel") else {}
        return stm_lines(self.path / "stm", recordings, table)


def parse_segment(value: str, where: str) -> Segment:
    """Segment of a line of segments.

    Raises:
        UserError: the line, at ``where``, does not have four fields with two numbers.
    """
    try:
        recording, start, end = value.split()
        segment = Segment(recording, float(start), float(end))
        if math.isnan(segment.start + segment.end):
            raise ValueError
    except ValueError:
        raise UserError(f"{where}: expected '<utt> <recording> <start> <end>' in seconds") from None
    return segment


def parse_place(value: str, where: str) -> tuple[str, str]:
    """File and channel of a line of reco2file_and_channel.

    Raises:
        UserError: the line, at ``where``, is malformed, or its channel is none.
    """
    fields = value.split()
    if len(fields) != 2:
        raise UserError(f"{where}: expected '<recording> <file> <channel>' such as 'A' or '1'")
    try:
        channel_index(fields[1])
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None
    return fields[0], fields[1]


def stm_lines(path: Path, recordings: Collection[str], reco2file_and_channel: Mapping[str, str]) -> list[str]:
    """Lines of an stm for some recordings, or for the files that these are of, with its comments."""
    files = {reco2file_and_channel.get(recording, recording).split()[0] for recording in recordings}.union(recordings)
    return [line for line in read_lines(path) if line.startswith(";;") or split_line(line)[0] in files]


def invert(utt2spk: Mapping[str, str]) -> dict[str, str]:
    """spk2utt of a utt2spk."""
    spk2utt: dict[str, list[str]] = {}
    for utterance in sorted(utt2spk, key=sort_key):
        spk2utt.setdefault(utt2spk[utterance], []).append(utterance)
    return {speaker: " ".join(utterances) for speaker, utterances in spk2utt.items()}


def misplaced_speaker(utt2spk: Mapping[str, str]) -> str:
    """What :func:`omni_asr.kaldi.validate.validate` will say of the order of speakers; nothing where that is right."""
    previous = ""
    for utterance in sorted(utt2spk, key=sort_key):
        speaker = utt2spk[utterance]
        if sort_key(speaker) < sort_key(previous):
            return unordered(utterance, speaker, previous)
        previous = speaker
    return ""


def unordered(utterance: str, speaker: str, previous: str) -> str:
    """How a speaker is out of order, and what to do about it."""
    hint = "call utterances <spk>-<rest>, in every file"
    return f"sorted by utterance, speaker {speaker!r} of {utterance!r} comes after {previous!r}; {hint}"


def write_data_dir(
    out: str | os.PathLike[str],
    tables: Mapping[str, Mapping[str, str]],
    copied: Iterable[Path] = (),
    stm: Collection[str] | None = None,
) -> None:
    """Write a directory beside its final place and move it there, with spk2utt made from utt2spk.

    Where the directory exists, its data files are replaced one by one, stale ones are removed, and files that are no
    part of a data directory stay.
    """
    out = Path(out)
    with temporary_folder(out) as temporary:
        complete = {name: table for name, table in tables.items() if name not in DERIVED}
        if "utt2spk" in complete:
            complete["spk2utt"] = invert(complete["utt2spk"])
        for name, table in complete.items():
            _write_plain(temporary / name, table)
        if stm is not None:
            with open_to_write(temporary / "stm") as stm_file:
                stm_file.writelines(f"{line}\n" for line in stm)
        for file in copied:
            shutil.copyfile(file, temporary / file.name)
        _move(temporary, out)


def _write_plain(path: Path, table: Mapping[str, str]) -> None:
    with open_to_write(path) as file:
        for key in sorted(table, key=sort_key):
            file.write(f"{key} {table[key]}\n" if table[key] else f"{key}\n")


def _move(temporary: Path, out: Path) -> None:
    if not out.exists():
        temporary.rename(out)
        return
    new = {file.name for file in temporary.iterdir()}
    for file in out.iterdir():
        if file.is_file() and file.name not in new and (kind_of(file.name) or file.name in COPIED):
            file.unlink()
    for name in sorted(new):
        os.replace(temporary / name, out / name)
