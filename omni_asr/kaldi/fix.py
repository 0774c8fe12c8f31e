"""Mending a data directory: what cannot be used is taken out, listed, and backed up."""

import logging
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import DataDir, Segment, kind_of, write_data_dir
from omni_asr.kaldi.tables import sort_key, split_line, write_table
from omni_asr.kaldi.validate import FEATURE_TABLES, FORBIDDEN, PARTIAL, validate

log = logging.getLogger(__name__)

REMOVED_LIST = "removed_by_fix"
"""File that names what was taken out, with reasons."""


@dataclass
class Fixed:
    """What :func:`fix` did."""

    kept: int
    removed: dict[str, str] = field(default_factory=dict)
    """Reason by utterance; unused recordings and repeated lines are named by what they are."""
    cleaned: int = 0
    """Lines in which odd white space and control characters became blanks."""


def fix(path: str | os.PathLike[str], remove_empty_text: bool = False) -> Fixed:
    """Sort every table and keep the utterances that all of them know; write spk2utt anew.

    The old files go to ``.backup``, what was removed to ``removed_by_fix``.

    Raises:
        UserError: nothing would be left, or what is left still breaks a rule, such as the speaker prefix.
    """
    folder = DataDir(path).path
    fixed = Fixed(0)
    names = [name for name in DataDir(path).names if kind_of(name) != "stm" and name != "spk2utt"]
    if "utt2spk" not in names:
        raise UserError(f"{folder / 'utt2spk'} does not exist; write '<utt> <spk>' lines first")
    tables = {name: _read_lenient(folder / name, fixed) for name in names}
    if remove_empty_text and "text" in tables:
        for utterance in [key for key, value in tables["text"].items() if not value]:
            del tables["text"][utterance]
            fixed.removed[utterance] = "its text is empty"
    _keep_usable_segments(tables, fixed)
    utterances = _common_utterances(tables, fixed)
    if not utterances:
        first = next(iter(fixed.removed.items()), ("", "no table has a line"))
        raise UserError(f"{folder}: no utterance would be left; e.g. {first[0]}: {first[1]}")
    kept = _restrict(tables, utterances, fixed)
    fixed.kept = len(utterances)
    backup = folder / ".backup"
    backup.mkdir(exist_ok=True)
    for name in DataDir(path).names:
        shutil.copy2(folder / name, backup / name)
    stm = DataDir(path).stm_lines(kept["wav.scp"]) if (folder / "stm").is_file() and "wav.scp" in kept else None
    write_data_dir(folder, kept, DataDir(path), stm)
    write_table(folder / REMOVED_LIST, fixed.removed)
    validate(folder, feats=False, text=False, wav=False)
    return fixed


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
        if "\ufffd" in line and b"\xef\xbf\xbd" not in raw:
            fixed.removed[key] = f"{path.name}:{number} is not UTF-8"
        elif not value and not path.name.startswith("text"):
            fixed.removed[key] = f"{path.name}:{number} has no value"
        elif key in table and table[key] != value:
            fixed.removed[f"{path.name}:{number}"] = f"a second, different line for {key}"
        else:
            table.setdefault(key, value)
    return table


def _keep_usable_segments(tables: dict[str, dict[str, str]], fixed: Fixed) -> None:
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


def _common_utterances(tables: dict[str, dict[str, str]], fixed: Fixed) -> set[str]:
    """Utterances that every table of utterances knows; feature tables may lack those of removed_utts."""
    needed = {name: set(table) for name, table in tables.items() if kind_of(name) == "utt" and name != PARTIAL}
    if "segments" not in tables and "wav.scp" in tables:
        needed["wav.scp"] = set(tables["wav.scp"])
    for name in FEATURE_TABLES:
        if name in needed:
            needed[name] |= set(tables.get(PARTIAL, {}))
    common = set.intersection(*needed.values())
    for name, utterances in needed.items():
        for other in utterances - common:
            lacking = next((table for table in needed if other not in needed[table]), name)
            fixed.removed.setdefault(other, f"{lacking} has no line for it")
    return common


def _restrict(tables: dict[str, dict[str, str]], utterances: set[str], fixed: Fixed) -> dict[str, dict[str, str]]:
    speakers = {tables["utt2spk"][utterance] for utterance in utterances}
    recordings = utterances
    if "segments" in tables:
        recordings = {tables["segments"][utterance].split()[0] for utterance in utterances}
    keep = {"utt": utterances, "spk": speakers, "reco": recordings}
    for recording in sorted(set(tables.get("wav.scp", {})) - recordings, key=sort_key):
        fixed.removed.setdefault(recording, "a recording without an utterance")
    kept = {}
    for name, table in tables.items():
        wanted = keep[str(kind_of(name))]
        kept[name] = {key: value for key, value in table.items() if key in wanted}
        missing = wanted - set(table)
        if kind_of(name) != "utt" and missing:
            log.info("%s lacks %d of %d ids and is dropped, e.g. %s", name, len(missing), len(wanted), min(missing))
            del kept[name]
    return kept
