"""Checks of a data directory: every rule of Kaldi's ``validate_data_dir.sh``, with the lines that break it.

Tables are sorted, so they are walked side by side, and no table is in memory; one that is not in order is sorted on the
disk first. A table's own rules come before those between tables.
"""

import logging
import os
import re
import tempfile
from collections.abc import Callable, Collection, Generator, Iterator
from pathlib import Path
from typing import NamedTuple

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import MAY_BE_EMPTY, DataDir, kind_of, parse_place, parse_segment, unordered
from omni_asr.kaldi.pipes import check_pipes
from omni_asr.kaldi.sorted_tables import Key, SortedKeys, differences, keys_of, read_keys, sort_keys
from omni_asr.kaldi.tables import sort_key, split_line

log = logging.getLogger(__name__)

FORBIDDEN = re.compile("[^\\S \t\n]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
"""Control characters, byte order marks, and every white space but blank and tab."""
FEATURE_TABLES = ("feats.scp", "utt2num_frames", "vad.scp", "cmvn.scp")
"""Tables that only utterances or speakers with features are in."""
PARTIAL = "removed_utts"
"""The utterances that have no features, each with its reason."""
MOST_SEARCHED = 10
"""Repeated lines of a table whose first occurrence is searched for."""


class Violation(NamedTuple):
    """A rule that a line or a table breaks."""

    kind: str
    """The same for lines of one table that break one rule: ``<path>: <plural of such lines>``."""
    message: str


def validate(path: str | os.PathLike[str], feats: bool = False, text: bool = True, wav: bool = True) -> dict[str, int]:
    """Check a data directory as :class:`Validation` does; return the number of utterances, speakers and recordings.

    Raises:
        UserError: names the first violation as ``file:line``.
    """
    validation = Validation(path, feats, text, wav)
    for violation in validation.violations():
        raise UserError(violation.message)
    return validation.counts


class Validation:
    """All violations of a data directory, one after the other.

    Utterances listed in ``removed_utts`` may lack features.

    Args:
        path: the directory.
        feats: feats.scp must be there; where it is, it is checked in any case.
        text: text must be there.
        wav: wav.scp must be there.
        without: tables that are left out.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        feats: bool = False,
        text: bool = True,
        wav: bool = True,
        without: Collection[str] = (),
    ) -> None:
        self.data = DataDir(path)
        self.tables = [name for name in self.data.names if kind_of(name) != "stm" and name not in without]
        self.required = {"utt2spk": True, "spk2utt": True, "wav.scp": wav, "text": text, "feats.scp": feats}
        self.counts = {"utt": 0, "spk": 0, "reco": 0}
        """Utterances, speakers and recordings, once :meth:`violations` has ended."""
        self.broken: set[str] = set()
        """Tables that break one of their own rules, or are missing, once :meth:`violations` has ended."""
        self._folder = Path()

    def violations(self) -> Iterator[Violation]:
        """Check, and yield what breaks a rule."""
        yield from self._missing_tables()
        yield from self._refused_commands()
        lines: dict[str, int] = {}
        for name in self.tables:
            lines[name] = yield from self._own_rules(name)
        self.counts |= {"utt": lines.get("utt2spk", 0), "spk": lines.get("spk2utt", 0)}
        with tempfile.TemporaryDirectory(prefix="omni_asr.") as folder:
            self._folder = Path(folder)
            unlike, first = yield from self._speakers()
            if self.data.has("segments"):
                self.counts["reco"] = yield from self._segments()
            elif self.data.has("wav.scp"):
                self.counts["reco"] = self.counts["utt"]
            for name in self.tables:
                yield from self._ids(name)
        yield from self._values()
        if unlike:
            what = "utterances do not begin with their speaker, which keeps both in one order; the first is"
            log.warning("%s: %d of %d %s %s", self.data.path / "utt2spk", unlike, self.counts["utt"], what, first)

    def _missing_tables(self) -> Iterator[Violation]:
        for name, needed in self.required.items():
            if needed and not self.data.has(name):
                hints = {
                    "utt2spk": "; write '<utt> <spk>' lines first",
                    "spk2utt": f"; omni-asr fix {self.data.path} makes it",
                    "feats.scp": "; stage 2 of a recipe makes it",
                }
                self.broken.add(name)
                hint = hints.get(name, f"; make it, or check without it: --no-{name.partition('.')[0]}")
                yield Violation(f"{self.data.path}: missing tables", f"{self.data.path / name} does not exist{hint}")

    def _refused_commands(self) -> Iterator[Violation]:
        for name in {"wav.scp", "feats.scp"}.intersection(self.tables):
            try:
                check_pipes(self.data.path / name)
            except UserError as error:
                self.broken.add(name)
                yield Violation(f"{self.data.path / name}: commands", str(error))

    # --- one table ----------------------------------------------------------------------------------------------------

    def _own_rules(self, name: str) -> Generator[Violation, None, int]:
        """Check that a table is UTF-8, sorted, unique, and free of odd white space; return its number of lines."""
        path, largest, number, searched = self.data.path / name, "", 0, 0
        for number, line, problem in _lines(path):
            key, value = split_line(line)
            broken: dict[str, str] = {}
            if problem:
                broken["not UTF-8"] = problem
            elif odd := _odd_character(line):
                broken["with odd characters"] = odd
            if not key:
                broken["without an id"] = "the line is empty or starts with a blank"
            elif not value and not name.startswith(MAY_BE_EMPTY):
                broken["without a value"] = f"nothing follows {key!r}"
            if key and sort_key(key) <= sort_key(largest):
                searched += 1
                broken["out of order or repeated"] = _misplaced(path, number, key, largest, searched <= MOST_SEARCHED)
            largest = max(largest, key, key=sort_key)
            for kind, message in broken.items():
                self.broken.add(name)
                yield Violation(f"{path}: lines {kind}", f"{path}:{number}: {message}")
        return number

    def _keys(self, name: str) -> Iterator[Key]:
        """Ids of a table in order."""
        if name not in self.broken:
            return keys_of(self.data.path / name)
        path = self._folder / f"keys.{name}"
        if not path.exists():
            sort_keys((Key(key, number) for number, key, _ in self._rows(name)), path)
        return read_keys(path)

    def _rows(self, name: str) -> Iterator[tuple[int, str, str]]:
        """Line, id and value of the lines that have an id."""
        for number, line, _ in _lines(self.data.path / name) if self.data.has(name) else ():
            key, value = split_line(line)
            if key:
                yield number, key, value

    def _values(self) -> Iterator[Violation]:
        """Check values whose form is fixed."""
        forms: dict[str, tuple[Callable[[str], object], str]] = {
            "utt2num_frames": (_positive(int), "a whole number above 0"),
            "utt2dur": (_positive(float), "seconds above 0"),
            "reco2dur": (_positive(float), "seconds above 0"),
            "spk2gender": (lambda value: len(value.split()) == 1, "one word, such as m or f"),
            "wav.scp": (lambda value: value.strip("| \t") != "", "a path, or a command and '|'"),
        }
        for name, (holds, form) in forms.items():
            if name not in self.tables:
                continue
            for number, key, value in self._rows(name):
                if value and not holds(value):
                    where = f"{self.data.path / name}:{number}"
                    yield self._of_another_form(name, f"{where}: {key!r} has {value!r}; expected {form}")
        for number, _, value in self._rows("reco2file_and_channel"):
            try:
                parse_place(value, f"{self.data.path / 'reco2file_and_channel'}:{number}")
            except UserError as error:
                yield self._of_another_form("reco2file_and_channel", str(error))

    def _of_another_form(self, name: str, message: str) -> Violation:
        self.broken.add(name)
        return Violation(f"{self.data.path / name}: lines of another form", message)

    # --- several tables -----------------------------------------------------------------------------------------------

    def _speakers(self) -> Generator[Violation, None, tuple[int, str]]:
        """Check utt2spk, and spk2utt against it.

        Returns how many utterances do not begin with their speaker, and the first of them.
        """
        path, previous, unlike, first = self.data.path / "utt2spk", "", 0, ""
        is_sorted = "utt2spk" not in self.broken
        for number, utterance, speaker in self._rows("utt2spk"):
            where, fields = f"{path}:{number}", len(speaker.split())
            if fields > 1:
                yield self._of_another_form("utt2spk", f"{where}: expected '<utt> <spk>', found {fields + 1} fields")
            if fields != 1:
                continue
            if not utterance.startswith(speaker):
                unlike += 1
                first = first or f"{utterance} in line {number}"
            if sort_key(speaker) < sort_key(previous) and is_sorted:
                yield Violation(f"{path}: speakers out of order", f"{where}: {unordered(utterance, speaker, previous)}")
            previous = speaker
        if self.data.has("utt2spk") and self.data.has("spk2utt"):
            yield from self._utterances_of_speakers()
        return unlike, first

    def _utterances_of_speakers(self) -> Iterator[Violation]:
        """Compare the pairs of speaker and utterance that both tables have."""
        path = self.data.path / "spk2utt"
        listed, expected = SortedKeys(self._folder / "listed"), SortedKeys(self._folder / "expected")
        with expected:
            for number, utterance, speaker in self._rows("utt2spk"):
                if len(speaker.split()) == 1:
                    expected.add(Key(f"{speaker} {utterance}", number))
        with listed:
            for number, speaker, value in self._rows("spk2utt"):
                seen = set[str]()
                for utterance in value.split():
                    if utterance in seen:
                        message = f"{path}:{number}: {utterance!r} is listed a second time"
                        yield Violation(f"{path}: repeated utterances", message)
                    seen.add(utterance)
                    listed.add(Key(f"{speaker} {utterance}", number))
        for key, lacks in differences(read_keys(listed.path), read_keys(expected.path)):
            speaker, _, utterance = key.name.rpartition(" ")
            if lacks:
                message = f"{path}: lacks {utterance!r} of utt2spk:{key.line}"
                yield Violation(f"{path}: utterances of utt2spk that it lacks", message)
            else:
                message = f"{path}:{key.line}: {utterance!r} is not an utterance of {speaker!r} in utt2spk"
                yield Violation(f"{path}: utterances that utt2spk does not have", message)

    def _segments(self) -> Generator[Violation, None, int]:
        """Check segments against wav.scp; write the recordings that they name, with the line that names them first.

        Returns how many there are.
        """
        path, recordings = self.data.path / "segments", SortedKeys(self._folder / "recordings")
        with recordings:
            for number, _, value in self._rows("segments"):
                try:
                    segment = parse_segment(value, f"{path}:{number}")
                except UserError as error:
                    yield self._of_another_form("segments", str(error))
                    continue
                if not segment.is_possible:
                    what = f"the segment from {segment.start:g} to {segment.end:g} s has no length"
                    yield Violation(f"{path}: segments without a length", f"{path}:{number}: {what}")
                recordings.add(Key(segment.recording, number))
        if self.data.has("wav.scp"):
            for key, lacks in differences(self._keys("wav.scp"), read_keys(recordings.path)):
                if lacks:
                    message = f"{path}:{key.line}: recording {key.name!r} is not in wav.scp"
                    yield Violation(f"{path}: recordings that wav.scp lacks", message)
        return recordings.count

    def _ids(self, name: str) -> Iterator[Violation]:
        """Check that a table has the ids that it must have, and no others."""
        kind, segmented = str(kind_of(name)), self.data.has("segments")
        source = {"utt": "utt2spk", "spk": "spk2utt", "reco": "segments" if segmented else "utt2spk"}[kind]
        if name == source or not self.data.has(source):
            return
        path = self.data.path / name
        recordings = kind == "reco" and segmented
        expected = read_keys(self._folder / "recordings") if recordings else self._keys(source)
        partial = name in FEATURE_TABLES and self.data.has(PARTIAL)
        excused = self._keys(PARTIAL) if partial else iter(())
        excuse = next(excused, None)
        for key, lacks in differences(self._keys(name), expected):
            if not lacks:
                message = f"{path}:{key.line}: {key.name!r} is not in {source}"
                yield Violation(f"{path}: ids that {source} does not have", message)
                continue
            while excuse is not None and sort_key(excuse.name) < sort_key(key.name):
                excuse = next(excused, None)
            if name != PARTIAL and (excuse is None or excuse.name != key.name):
                message = f"{path}: lacks {key.name!r} of {source}:{key.line}"
                yield Violation(f"{path}: ids of {source} that it lacks", message)


def _lines(path: Path) -> Iterator[tuple[int, str, str]]:
    """Number and text of each line, and what is wrong with its bytes, if anything is."""
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                problem = ""
                if number == 1 and raw.startswith(b"\xef\xbb\xbf"):
                    raw = raw[3:]
                    problem = "begins with a byte order mark; remove it: sed -i '1s/^\\xEF\\xBB\\xBF//'"
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    problem = f"not UTF-8 (byte 0x{raw[error.start]:02x}); convert the file"
                    line = raw.decode("utf-8", "replace")
                yield number, line.removesuffix("\n"), problem
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _odd_character(line: str) -> str:
    """The first control character or white space other than blank and tab, in words; nothing where there is none."""
    found = FORBIDDEN.search(line)
    if not found:
        return ""
    kind = "Windows line end" if found[0] == "\r" else "control character or non-ASCII white space"
    return f"{kind} U+{ord(found[0]):04X} at column {found.start() + 1}; omni-asr fix takes it out"


def _misplaced(path: Path, number: int, key: str, largest: str, search: bool) -> str:
    """Reason why a line cannot follow another; ``search`` looks for an earlier line of the same id."""
    rows = ((place, split_line(line)[0]) for place, line, _ in _lines(path)) if search else iter(())
    first = next((place for place, other in rows if other == key), number)
    if first < number:
        return f"{key!r} occurs a second time, first in line {first}"
    return f"{key!r} comes after {largest!r}; sort by LC_ALL=C (omni-asr fix does)"


def _positive(kind: Callable[[str], float]) -> Callable[[str], bool]:
    def holds(value: str) -> bool:
        try:
            return 0 < kind(value) < float("inf")
        except ValueError:
            return False

    return holds
