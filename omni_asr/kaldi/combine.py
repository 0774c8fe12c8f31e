"""Several data directories joined into one."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import COPIED, DataDir, kind_of, misplaced_speaker, write_data_dir
from omni_asr.kaldi.pipes import check_pipes
from omni_asr.kaldi.tables import read_lines
from omni_asr.kaldi.validate import PARTIAL

log = logging.getLogger(__name__)

OPTIONS = ("fbank.conf", "frame_shift")
"""Files that say how features were made."""

Seconds = Callable[[str], float]


def combine(
    out: str | os.PathLike[str], sources: Sequence[str | os.PathLike[str]], seconds_of: Seconds | None = None
) -> int:
    """Join directories with different utterances; return how many utterances there are.

    A table or stm that some directory lacks is left out, with a note, and so is a glm, release, or other file of
    :data:`COPIED` that is not the same in all. Where only some have segments, whole recordings of the others become
    segments; ``seconds_of`` then gives the length of a wav.scp value, unless utt2dur does.

    Raises:
        UserError: an utterance occurs twice, an id has two different lines, or features were made by other options.
    """
    directories = [DataDir(source) for source in sources]
    if os.path.realpath(out) in map(os.path.realpath, sources):
        raise UserError(f"{out} is one of the sources; name another directory")
    joined: dict[str, dict[str, str]] = {}
    names = set.union(*(set(data.names) for data in directories)) - {"spk2utt", "stm"}
    for name in sorted(names):
        parts = [(data, _table(data, name, seconds_of)) for data in directories]
        lacking = [str(data.path) for data, part in parts if part is None]
        if lacking and name != PARTIAL:
            log.warning("%s is left out: %s lacks it", name, lacking[0])
            continue
        joined[name] = _join(name, [(data, part) for data, part in parts if part is not None])
    stm = _join_stm(directories)
    copied = _common_files(directories, with_features="feats.scp" in joined)
    if problem := misplaced_speaker(joined.get("utt2spk", {})):
        log.warning("%s: %s", out, problem)
    write_data_dir(out, joined, copied, stm)
    return len(joined.get("utt2spk") or joined["wav.scp"])


def _table(data: DataDir, name: str, seconds_of: Seconds | None) -> dict[str, str] | None:
    if data.has(name):
        return data.table(name)
    if name == "segments":
        durations = data.table("utt2dur") if data.has("utt2dur") else None
        if durations is None and seconds_of is None:
            raise UserError(f"{data.path} has neither segments nor utt2dur, and another directory has segments")
        if durations is None:
            check_pipes(data.path / "wav.scp")
        table = {}
        for utterance, value in data.table("wav.scp").items():
            seconds = durations[utterance] if durations else f"{seconds_of(value):.6f}" if seconds_of else ""
            table[utterance] = f"{utterance} 0 {seconds}"
        return table
    if name == "utt2uniq":
        return {utterance: utterance for utterance in data.utterances}
    return None


def _join(name: str, parts: Sequence[tuple[DataDir, dict[str, str]]]) -> dict[str, str]:
    table: dict[str, str] = {}
    for data, part in parts:
        for key in table.keys() & part.keys():
            if kind_of(name) == "utt" or table[key] != part[key]:
                raise UserError(f"{data.path / name}: {key!r} is in an earlier directory too; copy with a prefix first")
        table.update(part)
    return table


def _join_stm(directories: Sequence[DataDir]) -> list[str] | None:
    lacking = [data.path for data in directories if not data.has("stm")]
    if lacking:
        if len(lacking) < len(directories):
            log.warning("stm is left out: %s lacks it", lacking[0])
        return None
    lines = [line for data in directories for line in read_lines(data.path / "stm")]
    comments = [line for line in dict.fromkeys(lines) if line.startswith(";;")]
    return comments + [line for line in lines if not line.startswith(";;")]


def _common_files(directories: Sequence[DataDir], with_features: bool) -> list[Path]:
    """Files of :data:`COPIED` that are the same in all directories.

    Raises:
        UserError: features made with different options would meet in one directory.
    """
    common = []
    for name in COPIED:
        files = [data.path / name for data in directories if data.has(name)]
        other = next((file for file in files[1:] if read_lines(file) != read_lines(files[0])), None)
        if other is not None and with_features and name in OPTIONS:
            raise UserError(f"{other} differs from {files[0]}; make features anew")
        if other is not None:
            log.warning("%s is left out: %s differs from %s", name, other, files[0])
        elif files and len(files) < len(directories):
            lacking = next(data.path for data in directories if not data.has(name))
            log.warning("%s is left out: %s lacks it", name, lacking)
        else:
            common += files[:1]
    return common
