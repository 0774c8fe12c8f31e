"""Mending a data directory: what cannot be used is taken out, listed, and backed up."""

import filecmp
import itertools
import logging
import os
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.data_dir import DataDir, Segment, kind_of, misplaced_speaker, stm_lines, write_data_dir
from omni_asr.kaldi.tables import sort_key, split_line
from omni_asr.kaldi.validate import FEATURE_TABLES, FORBIDDEN, PARTIAL, validate

log = logging.getLogger(__name__)

CORE = ("utt2spk", "segments", "wav.scp", "feats.scp", "text", "utt2lang")
"""Tables that an utterance must be in to stay, as in Kaldi's ``fix_data_dir.sh``; others are filtered."""
REMOVED_LIST = "removed_by_fix"
"""File that names what was taken out, with reasons."""
MANY = 0.05
"""Share of the utterances from which their going is a warning."""

Tables = dict[str, dict[str, str]]


@dataclass
class Fixed:
    """What :func:`fix` did."""

    kept: int = 0
    total: int = 0
    """Utterances of utt2spk before."""
    removed: dict[str, str] = field(default_factory=dict)
    """Reason by utterance; unused recordings and lines that cannot be used are named by what they are."""
    cleaned: int = 0
    """Lines in which odd white space and control characters became blanks."""


def fix(path: str | os.PathLike[str], remove_empty_text: bool = False) -> Fixed:
    """Sort every table and keep the utterances that all of :data:`CORE` know; write spk2utt anew.

    Other tables lose the lines of what goes; one that lacks something that stays is dropped, with a warning. The old
    files go to ``.backup``, or ``.backup.1`` and so on where an earlier fix has left one; what was removed is appended
    to ``removed_by_fix``. Where nothing changes, neither is written.

    Raises:
        UserError: nothing would be left, or its speakers are not in order; or, after that is written, a value breaks a
            rule, such as a length of 0 s.
    """
    folder, fixed = DataDir(path).path, Fixed()
    names = [name for name in DataDir(path).names if kind_of(name) != "stm" and name != "spk2utt"]
    if "utt2spk" not in names:
        raise UserError(f"{folder / 'utt2spk'} does not exist; write '<utt> <spk>' lines first")
    tables = {name: _read_lenient(folder / name, fixed) for name in names}
    fixed.total = len(tables["utt2spk"])
    if remove_empty_text and "text" in tables:
        for utterance in [key for key, value in tables["text"].items() if not value]:
            del tables["text"][utterance]
            fixed.removed[utterance] = "its text is empty"
    _keep_usable_segments(tables, fixed)
    utterances = _common_utterances(tables, fixed)
    if not utterances:
        first = next(iter(fixed.removed.items()), ("", "no table has a line"))
        raise UserError(f"{folder}: no utterance would be left; e.g. {first[0]}: {first[1]}")
    fixed.kept = len(utterances)
    _report(folder, set(tables["utt2spk"]) - utterances, fixed)
    if problem := misplaced_speaker({utterance: tables["utt2spk"][utterance] for utterance in utterances}):
        raise UserError(f"{folder / 'utt2spk'}: {problem}")
    recordings = _recordings(tables, utterances, fixed)
    kept = _restrict(folder, tables, utterances, recordings)
    stm = None
    if (folder / "stm").is_file():
        stm = stm_lines(folder / "stm", recordings, kept.get("reco2file_and_channel", {}))
    backup = _back_up(folder)
    write_data_dir(folder, kept, DataDir(path).copied, stm)
    if _same_tables(folder, backup):
        shutil.rmtree(backup)
    else:
        _append_removed(folder / REMOVED_LIST, fixed.removed)
    validate(folder, feats=False, text=False, wav=False)
    return fixed


def _back_up(folder: Path) -> Path:
    """Copy the tables into a new folder; what earlier fixes have left stays."""
    for number in itertools.count():
        backup = folder / (f".backup.{number}" if number else ".backup")
        try:
            backup.mkdir()
        except FileExistsError:
            continue
        for name in DataDir(folder).names:
            shutil.copy2(folder / name, backup / name)
        return backup
    raise AssertionError  # itertools.count does not end


def _same_tables(folder: Path, backup: Path) -> bool:
    names = DataDir(folder).names
    if names != DataDir(backup).names:
        return False
    return all(filecmp.cmp(folder / name, backup / name, shallow=False) for name in names)


def _append_removed(path: Path, removed: dict[str, str]) -> None:
    """Append what was removed, sorted, to the lines of earlier fixes."""
    earlier = path.read_text(encoding="utf-8") if path.exists() else ""
    with atomic_write(path) as file:
        file.write(earlier)
        file.writelines(f"{name} {removed[name]}\n" for name in sorted(removed, key=sort_key))


def _read_lenient(path: Path, fixed: Fixed) -> dict[str, str]:
    """A table without the lines that cannot be read; the first of several lines for one id stays."""
    table: dict[str, str] = {}
    for number, raw in enumerate(path.read_bytes().split(b"\n"), 1):
        if not raw.strip():
            continue
        line = raw.decode("utf-8", "replace").rstrip("\r")
        if FORBIDDEN.search(line):
            line = FORBIDDEN.sub(" ", line)
            fixed.cleaned += 1
        key, value = split_line(line.strip(" \t"))
        where = f"{path.name}:{number}"
        if "\ufffd" in line and b"\xef\xbf\xbd" not in raw:
            problem = "is not UTF-8"
        elif not value and not path.name.startswith("text"):
            problem = "has no value"
        elif key in table and table[key] != value:
            fixed.removed[where] = f"a second, different line for {key}"
            continue
        else:
            table.setdefault(key, value)
            continue
        if path.name in CORE:
            fixed.removed[key] = f"{where} {problem}"
        else:
            fixed.removed[where] = f"it {problem}"
    return table


def _keep_usable_segments(tables: Tables, fixed: Fixed) -> None:
    recordings = tables.get("wav.scp")
    for utterance, value in list(tables.get("segments", {}).items()):
        try:
            recording, start, end = value.split()
            segment = Segment(recording, float(start), float(end))
        except ValueError:
            reason = "its line in segments does not have four fields with two numbers"
        else:
            if not segment.is_possible:
                reason = f"its segment from {start} to {end} s has no length"
            elif recordings is not None and segment.recording not in recordings:
                reason = f"its recording {segment.recording} is not in wav.scp"
            else:
                continue
        del tables["segments"][utterance]
        fixed.removed[utterance] = reason


def _common_utterances(tables: Tables, fixed: Fixed) -> set[str]:
    """Utterances that every table of :data:`CORE` knows; features may lack those of removed_utts."""
    needed = {name: set(tables[name]) for name in CORE if name in tables}
    if "segments" in needed:
        needed.pop("wav.scp", None)  # then of recordings
    if "feats.scp" in needed:
        needed["feats.scp"] |= set(tables.get(PARTIAL, {}))
    common = set.intersection(*needed.values())
    for utterances in needed.values():
        for other in utterances - common:
            lacking = next(table for table in needed if other not in needed[table])
            fixed.removed.setdefault(other, f"{lacking} has no line for it")
    return common


def _report(folder: Path, lost: set[str], fixed: Fixed) -> None:
    """Say how many utterances go, and why most of them do."""
    if not lost:
        return
    (reason, count), *_ = Counter(fixed.removed[utterance] for utterance in lost).most_common()
    message = f"{folder}: {len(lost)} of {fixed.total} utterances go ({len(lost) / fixed.total:.1%}), {count} of them "
    log.log(logging.WARNING if len(lost) > MANY * fixed.total else logging.INFO, "%sbecause %s", message, reason)


def _recordings(tables: Tables, utterances: set[str], fixed: Fixed) -> set[str]:
    """Recordings that utterances are parts of."""
    recordings = utterances
    if "segments" in tables:
        recordings = {tables["segments"][utterance].split()[0] for utterance in utterances}
    for recording in sorted(set(tables.get("wav.scp", {})) - recordings, key=sort_key):
        fixed.removed.setdefault(recording, "a recording without an utterance")
    return recordings


def _restrict(folder: Path, tables: Tables, utterances: set[str], recordings: set[str]) -> Tables:
    """Tables with what stays; those that lack some of it are dropped."""
    speakers = {tables["utt2spk"][utterance] for utterance in utterances}
    keep = {"utt": utterances, "spk": speakers, "reco": recordings}
    kept = {}
    for name, table in tables.items():
        wanted = keep[str(kind_of(name))]
        kept[name] = {key: value for key, value in table.items() if key in wanted}
        missing = wanted - set(table) - set(tables.get(PARTIAL, {}) if name in FEATURE_TABLES else ())
        if missing and name != PARTIAL:
            lacks = f"lacks {len(missing)} of {len(wanted)} ids, e.g. {min(missing)}"
            log.warning("%s %s; it is dropped, and stays in the backup", folder / name, lacks)
            del kept[name]
    return kept
