"""Checks of a data directory: every rule of Kaldi's ``validate_data_dir.sh``, with the line that breaks it."""

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import MAY_BE_EMPTY, DataDir, kind_of
from omni_asr.kaldi.tables import read_lines, sort_key, split_line

FORBIDDEN = re.compile("[^\\S \t\n]|[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff]")
"""Control characters, byte order marks, and every white space but blank and tab."""
FEATURE_TABLES = ("feats.scp", "utt2num_frames", "vad.scp", "cmvn.scp")
"""Tables that only utterances or speakers with features are in."""
PARTIAL = "removed_utts"
"""The utterances that have no features, each with its reason."""

Lines = dict[str, int]


def validate(path: str | os.PathLike[str], feats: bool = True, text: bool = True, wav: bool = True) -> dict[str, int]:
    """Check a data directory; return the number of its utterances, speakers and recordings.

    ``feats``, ``text`` and ``wav`` say whether feats.scp, text and wav.scp must be there; where they are, they are
    checked in any case. Utterances listed in ``removed_utts`` may lack features.

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
    lines = {name: check_table(data.path / name) for name in data.names if kind_of(name) != "stm"}
    _check_speakers(data, lines)
    recordings = _check_recordings(data, lines)
    expected = {"utt": lines["utt2spk"], "spk": lines["spk2utt"], "reco": recordings}
    sources = {"utt": "utt2spk", "spk": "spk2utt", "reco": "segments" if data.has("segments") else "utt2spk"}
    removed = lines.get(PARTIAL, {})
    for name, found in lines.items():
        kind = str(kind_of(name))
        if kind == "reco" and not recordings:
            continue
        _check_known(data.path, name, found, sources[kind], expected[kind])
        if name != PARTIAL:
            may_lack = removed if name in FEATURE_TABLES else {}
            _check_complete(data.path, name, found.keys() | may_lack.keys(), sources[kind], expected[kind])
    _check_values(data)
    return {kind: len(table) for kind, table in expected.items()}


def check_table(path: Path) -> Lines:
    """Line number of each id of a table that is UTF-8, sorted, unique, and free of odd white space.

    Raises:
        UserError: names the first line that is not.
    """
    content = read_lines(path)
    check_characters(path, content)
    numbers: Lines = {}
    previous = ""
    for number, line in enumerate(content, 1):
        key, value = split_line(line)
        if not key:
            raise UserError(f"{path}:{number}: the line is empty or starts with a blank")
        if not value and not path.name.startswith(MAY_BE_EMPTY):
            raise UserError(f"{path}:{number}: nothing follows {key!r}")
        if key in numbers:
            raise UserError(f"{path}:{number}: {key!r} occurs a second time, first in line {numbers[key]}")
        if sort_key(key) < sort_key(previous):
            raise UserError(f"{path}:{number}: {key!r} comes after {previous!r}; sort by LC_ALL=C (omni-asr fix does)")
        numbers[key] = number
        previous = key
    return numbers


def check_characters(path: Path, content: Iterable[str]) -> None:
    """Raise UserError at the first line with a control character or white space other than blank and tab."""
    for number, line in enumerate(content, 1):
        found = FORBIDDEN.search(line)
        if found:
            code = f"U+{ord(found[0]):04X}"
            kind = "Windows line end" if found[0] == "\r" else "control character or non-ASCII white space"
            raise UserError(f"{path}:{number}: {kind} {code} at column {found.start() + 1}")


def _check_speakers(data: DataDir, lines: Mapping[str, Lines]) -> None:
    utt2spk, path = data.table("utt2spk"), data.path / "utt2spk"
    previous = ""
    for utterance, speaker in utt2spk.items():
        where = f"{path}:{lines['utt2spk'][utterance]}"
        if len(speaker.split()) != 1:
            raise UserError(f"{where}: expected '<utt> <spk>', found {len(speaker.split()) + 1} fields")
        if not utterance.startswith(speaker):
            hint = f"call it {speaker}-{utterance}, in every file"
            raise UserError(f"{where}: speaker {speaker!r} is not the start of utterance {utterance!r}; {hint}")
        if sort_key(speaker) < sort_key(previous):
            hint = "use speakers of one length, or <spk>-<rest> as utterance"
            raise UserError(f"{where}: sorted by utterance, speaker {speaker!r} comes after {previous!r}; {hint}")
        previous = speaker
    spk2utt, listed = data.table("spk2utt"), dict[str, str]()
    for speaker, utterances in spk2utt.items():
        where = f"{data.path / 'spk2utt'}:{lines['spk2utt'][speaker]}"
        for utterance in utterances.split():
            if utt2spk.get(utterance) != speaker:
                raise UserError(f"{where}: {utterance!r} is not an utterance of {speaker!r} in utt2spk")
            if utterance in listed:
                raise UserError(f"{where}: {utterance!r} is listed a second time")
            listed[utterance] = speaker
    for utterance, number in lines["utt2spk"].items():
        if utterance not in listed:
            raise UserError(f"{data.path / 'spk2utt'}: lacks {utterance!r} of utt2spk:{number}")


def _check_recordings(data: DataDir, lines: Mapping[str, Lines]) -> Lines:
    """Check segments against wav.scp; return the recordings that there must be, with the line that says so."""
    if data.segments is None:
        return lines["utt2spk"] if "wav.scp" in lines else {}
    recordings: Lines = {}
    for utterance, segment in data.segments.items():
        number = lines["segments"][utterance]
        where = f"{data.path / 'segments'}:{number}"
        if not segment.is_possible:
            raise UserError(f"{where}: the segment from {segment.start:g} to {segment.end:g} s has no length")
        if "wav.scp" in lines and segment.recording not in lines["wav.scp"]:
            raise UserError(f"{where}: recording {segment.recording!r} is not in wav.scp")
        recordings.setdefault(segment.recording, number)
    return recordings


def _check_known(folder: Path, name: str, found: Lines, source: str, expected: Lines) -> None:
    for key, number in found.items():
        if key not in expected:
            raise UserError(f"{folder / name}:{number}: {key!r} is not in {source}")


def _check_complete(folder: Path, name: str, found: Collection[str], source: str, expected: Lines) -> None:
    for key, number in expected.items():
        if key not in found:
            raise UserError(f"{folder / name}: lacks {key!r} of {source}:{number}")


def _check_values(data: DataDir) -> None:
    """Values whose form is fixed."""
    forms: dict[str, tuple[Callable[[str], object], str]] = {
        "utt2num_frames": (_positive(int), "a whole number above 0"),
        "utt2dur": (_positive(float), "seconds above 0"),
        "reco2dur": (_positive(float), "seconds above 0"),
        "spk2gender": (lambda value: value in ("m", "f"), "m or f"),
        "wav.scp": (lambda value: value.strip("| \t") != "", "a path, or a command and '|'"),
    }
    for name in set(forms) & set(data.names):
        holds, form = forms[name]
        for number, (key, value) in enumerate(data.table(name).items(), 1):
            if not holds(value):
                raise UserError(f"{data.path / name}:{number}: {key!r} has {value!r}; expected {form}")
    _ = data.channels


def _positive(kind: Callable[[str], float]) -> Callable[[str], bool]:
    def holds(value: str) -> bool:
        try:
            return kind(value) > 0
        except ValueError:
            return False

    return holds
