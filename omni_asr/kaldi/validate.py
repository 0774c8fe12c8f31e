"""Checks of a data directory: every rule of Kaldi's ``validate_data_dir.sh``, with the line that breaks it.

Tables are sorted, so they are walked side by side, and no table is in memory. Where several rules are broken, a table's
own rules come before those between tables, and lower lines before higher ones.
"""

import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import MAY_BE_EMPTY, DataDir, kind_of, unordered
from omni_asr.kaldi.pipes import check_pipes
from omni_asr.kaldi.sorted_tables import Key, differences, keys_of, read_keys, sort_keys
from omni_asr.kaldi.tables import read_entries, sort_key, split_line, stream_lines

log = logging.getLogger(__name__)

FORBIDDEN = re.compile("[^\\S \t\n]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
"""Control characters, byte order marks, and every white space but blank and tab."""
FEATURE_TABLES = ("feats.scp", "utt2num_frames", "vad.scp", "cmvn.scp")
"""Tables that only utterances or speakers with features are in."""
PARTIAL = "removed_utts"
"""The utterances that have no features, each with its reason."""


def validate(path: str | os.PathLike[str], feats: bool = True, text: bool = True, wav: bool = True) -> dict[str, int]:
    """Check a data directory; return the number of its utterances, speakers and recordings.

    ``feats``, ``text`` and ``wav`` say whether feats.scp, text and wav.scp must be there; where they are, they are
    checked in any case. Utterances listed in ``removed_utts`` may lack features. In memory are the utterances of one
    speaker at a time.

    Raises:
        UserError: names the first violation as ``file:line``.
    """
    data = DataDir(path)
    required = {"utt2spk": True, "spk2utt": True, "wav.scp": wav, "text": text, "feats.scp": feats}
    for name, needed in required.items():
        if needed and not data.has(name):
            hints = {"utt2spk": "", "spk2utt": f"; omni-asr fix {data.path} makes it"}
            hint = hints.get(name, f"; make it, or check without it: --no-{name.partition('.')[0]}")
            raise UserError(f"{data.path / name} does not exist{hint}")
    tables = [name for name in data.names if kind_of(name) != "stm"]
    counts = {name: check_table(data.path / name) for name in tables}
    unlike = _check_speakers(data)
    with tempfile.TemporaryDirectory(prefix="omni_asr.") as folder:
        recordings, counted = Path(folder, "recordings"), counts["utt2spk"] if data.has("wav.scp") else 0
        if data.has("segments"):
            counted = _check_recordings(data, recordings)
        for name in tables:
            if kind_of(name) != "reco" or counted:
                _check_ids(data, name, recordings)
    _check_values(data)
    if unlike:
        first = f"{unlike[0].name} in line {unlike[0].line}"
        what = "utterances do not begin with their speaker, which keeps both in one order; the first is"
        log.warning("%s: %d of %d %s %s", data.path / "utt2spk", unlike[1], counts["utt2spk"], what, first)
    return {"utt": counts["utt2spk"], "spk": counts["spk2utt"], "reco": counted}


def check_table(path: Path) -> int:
    """Number of ids of a table that is UTF-8, sorted, unique, and free of odd white space.

    Raises:
        UserError: names the first line that is not.
    """
    wrong, previous, number = "", "", 0
    for number, line in enumerate(stream_lines(path), 1):
        check_characters(path, number, line)
        if not wrong:
            key, value = split_line(line)
            wrong = _wrong(path, number, key, value, previous)
            previous = key
    if wrong:  # now that every line is known to be of clean text
        raise UserError(wrong)
    return number


def _wrong(path: Path, number: int, key: str, value: str, previous: str) -> str:
    """What is wrong with a line after another, or nothing."""
    if not key:
        return f"{path}:{number}: the line is empty or starts with a blank"
    if not value and not path.name.startswith(MAY_BE_EMPTY):
        return f"{path}:{number}: nothing follows {key!r}"
    if sort_key(key) > sort_key(previous):
        return ""
    first = next((found.line for found in keys_of(path) if found.name == key), number)
    if first < number:
        return f"{path}:{number}: {key!r} occurs a second time, first in line {first}"
    return f"{path}:{number}: {key!r} comes after {previous!r}; sort by LC_ALL=C (omni-asr fix does)"


def check_characters(path: Path, number: int, line: str) -> None:
    """Raise UserError where a line has a control character or white space other than blank and tab."""
    found = FORBIDDEN.search(line)
    if found:
        code = f"U+{ord(found[0]):04X}"
        kind = "Windows line end" if found[0] == "\r" else "control character or non-ASCII white space"
        raise UserError(f"{path}:{number}: {kind} {code} at column {found.start() + 1}; omni-asr fix takes it out")


def _check_speakers(data: DataDir) -> tuple[Key, int] | None:
    """Check utt2spk, and spk2utt against it, speaker by speaker.

    Returns the first utterance that does not begin with its speaker, and how many there are.
    """
    path, previous = data.path / "utt2spk", ""
    first, unlike = None, 0
    for number, utterance, speaker in read_entries(path):
        where = f"{path}:{number}"
        if len(speaker.split()) != 1:
            raise UserError(f"{where}: expected '<utt> <spk>', found {len(speaker.split()) + 1} fields")
        if not utterance.startswith(speaker):
            first = first or Key(utterance, number)
            unlike += 1
        if sort_key(speaker) < sort_key(previous):
            raise UserError(f"{where}: {unordered(utterance, speaker, previous)}")
        previous = speaker
    lacking: Key | None = None
    speakers = _speakers(path)
    name, mine = next(speakers, ("", {}))
    for number, speaker, listed in read_entries(data.path / "spk2utt"):
        while mine and sort_key(name) < sort_key(speaker):
            lacking = lacking or Key(*next(iter(mine.items())))
            name, mine = next(speakers, ("", {}))
        left = dict(mine) if name == speaker else {}
        for utterance in listed.split():
            where = f"{data.path / 'spk2utt'}:{number}"
            if name != speaker or utterance not in mine:
                raise UserError(f"{where}: {utterance!r} is not an utterance of {speaker!r} in utt2spk")
            if left.pop(utterance, None) is None:
                raise UserError(f"{where}: {utterance!r} is listed a second time")
        if name == speaker:
            lacking = lacking or (Key(*next(iter(left.items()))) if left else None)
            name, mine = next(speakers, ("", {}))
    if lacking is None and mine:
        lacking = Key(*next(iter(mine.items())))
    if lacking is not None:
        raise UserError(f"{data.path / 'spk2utt'}: lacks {lacking.name!r} of utt2spk:{lacking.line}")
    return (first, unlike) if first else None


def _speakers(path: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Speakers of a utt2spk that is sorted by them too, each with its utterances and their lines."""
    name, mine = "", dict[str, int]()
    for number, utterance, speaker in read_entries(path):
        if speaker != name and mine:
            yield name, mine
            mine = {}
        name, mine[utterance] = speaker, number
    if mine:
        yield name, mine


def _check_recordings(data: DataDir, recordings: Path) -> int:
    """Check segments against wav.scp; write the recordings that they name, with the line that says so, into a file.

    Returns how many there are.
    """
    wrong: dict[int, str] = {}

    def read() -> Iterator[Key]:
        for number, _, segment in data.read_segments():
            if not segment.is_possible and not wrong:
                wrong[number] = f"the segment from {segment.start:g} to {segment.end:g} s has no length"
            yield Key(segment.recording, number)

    count = sort_keys(read(), recordings)
    if data.has("wav.scp"):
        for key, lacks in differences(keys_of(data.path / "wav.scp"), read_keys(recordings)):
            if lacks and key.line < min(wrong, default=key.line + 1):
                wrong[key.line] = f"recording {key.name!r} is not in wav.scp"
    if wrong:
        raise UserError(f"{data.path / 'segments'}:{min(wrong)}: {wrong[min(wrong)]}")
    return count


def _check_ids(data: DataDir, name: str, recordings: Path) -> None:
    """Check that a table has the ids that it must have, and no others."""
    kind, segmented = str(kind_of(name)), data.has("segments")
    source = {"utt": "utt2spk", "spk": "spk2utt", "reco": "segments" if segmented else "utt2spk"}[kind]
    if name == source:
        return
    path, first = data.path / name, None
    expected = read_keys(recordings) if kind == "reco" and segmented else keys_of(data.path / source)
    excused = keys_of(data.path / PARTIAL) if name in FEATURE_TABLES and data.has(PARTIAL) else iter(())
    excuse = next(excused, None)
    for key, lacks in differences(keys_of(path), expected):
        if not lacks:
            raise UserError(f"{path}:{key.line}: {key.name!r} is not in {source}")
        while excuse is not None and sort_key(excuse.name) < sort_key(key.name):
            excuse = next(excused, None)
        if excuse is not None and excuse.name == key.name:
            continue
        first = key if first is None or key.line < first.line else first
    if first is not None and name != PARTIAL:
        raise UserError(f"{path}: lacks {first.name!r} of {source}:{first.line}")


def _check_values(data: DataDir) -> None:
    """Values whose form is fixed."""
    forms: dict[str, tuple[Callable[[str], object], str]] = {
        "utt2num_frames": (_positive(int), "a whole number above 0"),
        "utt2dur": (_positive(float), "seconds above 0"),
        "reco2dur": (_positive(float), "seconds above 0"),
        "spk2gender": (lambda value: len(value.split()) == 1, "one word, such as m or f"),
        "wav.scp": (lambda value: value.strip("| \t") != "", "a path, or a command and '|'"),
    }
    for name, (holds, form) in forms.items():
        for number, key, value in read_entries(data.path / name) if data.has(name) else ():
            if not holds(value):
                raise UserError(f"{data.path / name}:{number}: {key!r} has {value!r}; expected {form}")
    for _ in data.read_places():
        pass
    for name in ("wav.scp", "feats.scp"):
        check_pipes(data.path / name)


def _positive(kind: Callable[[str], float]) -> Callable[[str], bool]:
    def holds(value: str) -> bool:
        try:
            return 0 < kind(value) < float("inf")
        except ValueError:
            return False

    return holds
