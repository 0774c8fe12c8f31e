"""Splitting a data directory into parts for parallel jobs."""

import itertools
import logging
import os
import shutil
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import DataDir, write_data_dir

log = logging.getLogger(__name__)


def split_data_dir(path: str | os.PathLike[str], parts: int, per_utt: bool = False) -> Path:
    """Write ``<path>/split<parts>/{1..parts}`` and return that folder; an older one is replaced.

    Speakers stay whole, as in Kaldi, unless ``per_utt`` is set or there are fewer speakers than parts. Then neighbours
    of one recording stay together, so that a job opens it once, where there are recordings enough.

    Raises:
        UserError: there are fewer utterances than parts.
    """
    data = DataDir(path)
    groups = [[utterance] for utterance in data.utterances]
    if parts < 1 or parts > len(groups):
        raise UserError(f"{path} has {len(groups)} utterances and cannot be split into {parts} parts")
    if not per_utt and data.has("utt2spk"):
        by_speaker: dict[str, list[str]] = {}
        for utterance, speaker in data.table("utt2spk").items():
            by_speaker.setdefault(speaker, []).append(utterance)
        if len(by_speaker) >= parts:
            groups = list(by_speaker.values())
        else:
            by_recording = _neighbours(data)
            if len(by_recording) >= parts:
                groups = by_recording
            what = "recording" if groups is by_recording else "utterance"
            log.info("%s: %d speakers, %d parts: split by %s", path, len(by_speaker), parts, what)
    out = data.path / f"split{parts}"
    temporary = out.with_name(f".{out.name}.tmp.{os.getpid()}")
    try:
        for number, group in enumerate(partition(groups, parts), 1):
            stm = data.stm_lines(data.recordings_of(group)) if data.has("stm") else None
            write_data_dir(temporary / str(number), data.restricted(group), data, stm)
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _neighbours(data: DataDir) -> list[list[str]]:
    """Utterances that follow each other and are parts of one recording."""
    segments = data.segments or {}
    recordings = ((segments[utt].recording if utt in segments else utt, utt) for utt in data.utterances)
    return [[utt for _, utt in run] for _, run in itertools.groupby(recordings, key=lambda pair: pair[0])]


def partition(groups: list[list[str]], parts: int) -> list[list[str]]:
    """Join neighbouring groups into ``parts`` lists of nearly equal length, none of them empty."""
    joined: list[list[str]] = []
    left = sum(map(len, groups))
    position = 0
    for remaining in range(parts, 0, -1):
        part = list(groups[position])
        position += 1
        target = left / remaining
        last = len(groups) - (remaining - 1)
        while position < last and (remaining == 1 or len(part) + len(groups[position]) / 2 <= target):
            part += groups[position]
            position += 1
        left -= len(part)
        joined.append(part)
    return joined
