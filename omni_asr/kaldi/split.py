"""Splitting a data directory into parts for parallel jobs."""

import itertools
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import AppendedFiles, open_to_write, temporary_folder
from omni_asr.kaldi.data_dir import DERIVED, MAY_BE_EMPTY, DataDir, kind_of, write_data_dir
from omni_asr.kaldi.sorted_tables import sort_lines
from omni_asr.kaldi.tables import read_entries

log = logging.getLogger(__name__)

Wanted = Iterator[tuple[str, int]]
"""Ids that parts want, and the part, sorted."""


class _Unsorted(Exception):
    """A table cannot be split line by line."""


def split_data_dir(path: str | os.PathLike[str], parts: int, per_utt: bool = False) -> Path:
    """Write ``<path>/split<parts>/{1..parts}`` and return that folder; an older one is replaced.

    Speakers stay whole, as in Kaldi, unless ``per_utt`` is set or there are fewer speakers than parts. Then neighbours
    of one recording stay together, so that a job opens it once, where there are recordings enough. Sorted tables are
    split line by line; unsorted ones are read into memory.

    Raises:
        UserError: there are fewer utterances than parts.
    """
    data = DataDir(path)
    sizes = _sizes(data, parts, per_utt)
    out = data.path / f"split{parts}"
    with temporary_folder(out) as temporary:
        try:
            if data.has("stm"):
                raise _Unsorted
            _Splitter(data, cut(sizes, parts), temporary).write()
        except _Unsorted:
            for part in temporary.iterdir():
                shutil.rmtree(part)
            _split_in_memory(data, sizes, parts, temporary)
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    return out


def _sizes(data: DataDir, parts: int, per_utt: bool) -> list[int]:
    """Utterances of each group of neighbours that stays together."""
    source = _source(data)
    total = sum(1 for _ in read_entries(data.path / source))
    if parts < 1 or parts > total:
        raise UserError(f"{data.path} has {total} utterances and cannot be split into {parts} parts")
    if per_utt or source != "utt2spk":
        return [1] * total
    speakers = _runs(speaker for _, _, speaker in read_entries(data.path / source))
    if len(speakers) >= parts:
        return speakers
    groups, what = [1] * total, "utterance"
    if data.has("segments"):
        recordings = _runs(segment.recording for _, _, segment in data.read_segments())
        if len(recordings) >= parts and sum(recordings) == total:
            groups, what = recordings, "recording"
    log.info("%s: %d speakers, %d parts: split by %s", data.path, len(speakers), parts, what)
    return groups


def _source(data: DataDir) -> str:
    """The table that says which utterances there are."""
    return next((name for name in ("utt2spk", "segments") if data.has(name)), "wav.scp")


def _runs(names: Iterable[str]) -> list[int]:
    return [sum(1 for _ in run) for _, run in itertools.groupby(names)]


def cut(sizes: list[int], parts: int) -> list[int]:
    """Sizes of ``parts`` parts of nearly equal size, each of neighbouring groups, none of them empty."""
    joined: list[int] = []
    left, position = sum(sizes), 0
    for remaining in range(parts, 0, -1):
        part = sizes[position]
        position += 1
        target = left / remaining
        last = len(sizes) - (remaining - 1)
        while position < last and (remaining == 1 or part + sizes[position] / 2 <= target):
            part += sizes[position]
            position += 1
        left -= part
        joined.append(part)
    return joined


class _Splitter:
    """Splits the tables of a directory one after the other, each line by line.

    Args:
        data: the directory; ``sizes`` are those of the parts, in the order of its utterances.
        folder: where the parts are written.
    """

    def __init__(self, data: DataDir, sizes: list[int], folder: Path) -> None:
        self.data, self.sizes, self.folder = data, sizes, folder

    def write(self) -> None:
        """Write all parts."""
        for number in range(len(self.sizes)):
            self._part(number).mkdir(parents=True)
            for file in self.data.copied:
                shutil.copyfile(file, self._part(number) / file.name)
        wanted = {"utt": self._utterances, "spk": self._speakers, "reco": self._recordings}
        for name in self.data.names:
            if name not in DERIVED:
                self._split(name, wanted[str(kind_of(name))]())
        if self.data.has("utt2spk"):
            self._write_speakers()

    def _part(self, number: int) -> Path:
        return self.folder / str(number + 1)

    def _split(self, name: str, wanted: Wanted) -> None:
        want, previous = next(wanted, None), ""
        with self._files(name) as files:
            for _, key, value in read_entries(self.data.path / name, name.startswith(MAY_BE_EMPTY)):
                if key <= previous:
                    raise _Unsorted
                previous = key
                while want is not None and want[0] < key:
                    want = next(wanted, None)
                while want is not None and want[0] == key:
                    files.write(want[1], f"{key} {value}\n" if value else f"{key}\n")
                    want = next(wanted, None)

    def _files(self, name: str) -> AppendedFiles:
        """A table of every part."""
        return AppendedFiles(self._part(number) / name for number in range(len(self.sizes)))

    def _rows(self, name: str) -> Iterator[tuple[str, str, int]]:
        """Id, value and part of each utterance of a table that has all of them."""
        numbers = itertools.chain.from_iterable(itertools.repeat(n, size) for n, size in enumerate(self.sizes))
        for (_, key, value), number in zip(read_entries(self.data.path / name), numbers, strict=True):
            yield key, value, number

    def _utterances(self) -> Wanted:
        return ((key, number) for key, _, number in self._rows(_source(self.data)))

    def _speakers(self) -> Wanted:
        previous = ("", -1)
        for _, speaker, number in self._rows("utt2spk") if self.data.has("utt2spk") else ():
            if (speaker, number) < previous:
                raise _Unsorted
            if (speaker, number) != previous:
                yield speaker, number
            previous = speaker, number

    def _recordings(self) -> Wanted:
        """Recordings are not sorted as utterances are, so ``sort`` does that."""
        if not self.data.has("segments"):
            yield from self._utterances()
            return
        path, segments = self.folder / "recordings", self.data.read_segments()
        with open_to_write(path) as file:
            for (utterance, number), (_, key, segment) in zip(self._utterances(), segments, strict=False):
                if utterance != key:  # an utterance without a segment: the slow way knows what to do
                    raise _Unsorted
                file.write(f"{segment.recording}\t{number}\n")
        sort_lines(path, "-u", "-k1,1", "-k2,2n")
        with open(path, encoding="utf-8", newline="\n") as file:
            for line in file:
                recording, _, part = line.rstrip("\n").partition("\t")
                yield recording, int(part)
        path.unlink()

    def _write_speakers(self) -> None:
        with self._files("spk2utt") as files:
            for (speaker, number), rows in itertools.groupby(self._rows("utt2spk"), key=lambda row: row[1:]):
                files.write(number, f"{speaker} {' '.join(key for key, _, _ in rows)}\n")


def _split_in_memory(data: DataDir, sizes: list[int], parts: int, folder: Path) -> None:
    """Split a directory whose tables are not sorted, or that has an stm."""
    utterances = iter(data.utterances)
    groups = [list(itertools.islice(utterances, size)) for size in sizes]
    if data.has("utt2spk") and len(sizes) < len(data.utterances):  # speakers may come again
        by_speaker: dict[str, list[str]] = {}
        for group in groups:
            by_speaker.setdefault(data.table("utt2spk")[group[0]], []).extend(group)
        groups = list(by_speaker.values()) if len(by_speaker) >= parts else groups
    for number, group in enumerate(partition(groups, parts), 1):
        stm = data.stm_lines(data.recordings_of(group)) if data.has("stm") else None
        write_data_dir(folder / str(number), data.restricted(group), data.copied, stm)


def partition(groups: list[list[str]], parts: int) -> list[list[str]]:
    """Join neighbouring groups into ``parts`` lists of nearly equal length, none of them empty."""
    members = itertools.chain.from_iterable(groups)
    return [list(itertools.islice(members, size)) for size in cut([len(group) for group in groups], parts)]
