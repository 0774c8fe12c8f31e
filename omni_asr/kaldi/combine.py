"""Several data directories joined into one."""

import logging
import os
from collections.abc import Callable, Sequence

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import COPIED, DataDir, kind_of, misplaced_speaker, write_data_dir
from omni_asr.kaldi.tables import read_lines
from omni_asr.kaldi.validate import PARTIAL

log = logging.getLogger(__name__)

Seconds = Callable[[str], float]


def combine(
    out: str | os.PathLike[str], sources: Sequence[str | os.PathLike[str]], seconds_of: Seconds | None = None
) -> int:
    """Join directories with different utterances; return how many utterances there are.

    A table that some directory lacks is left out, with a note. Where only some have segments, whole recordings of the
    others become segments; ``seconds_of`` then gives the length of a wav.scp value, unless utt2dur does.

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
            log.info("%s is left out: %s lacks it", name, lacking[0])
            continue
        joined[name] = _join(name, [(data, part) for data, part in parts if part is not None])
    stm = _join_stm(directories)
    if "feats.scp" in joined:
        _check_options(directories)
    carrier = next((data for data in directories if any(data.has(name) for name in COPIED)), None)
    if problem := misplaced_speaker(joined.get("utt2spk", {})):
        log.warning("%s: %s", out, problem)
    write_data_dir(out, joined, carrier.copied if carrier else (), stm)
    return len(joined.get("utt2spk") or joined["wav.scp"])


def _table(data: DataDir, name: str, seconds_of: Seconds | None) -> dict[str, str] | None:
    if data.has(name):
        return data.table(name)
    if name == "segments":
        durations = data.table("utt2dur") if data.has("utt2dur") else None
        if durations is None and seconds_of is None:
            raise UserError(f"{data.path} has neither segments nor utt2dur, and another directory has segments")
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
    if not all(data.has("stm") for data in directories):
        return None
    lines = [line for data in directories for line in read_lines(data.path / "stm")]
    comments = [line for line in dict.fromkeys(lines) if line.startswith(";;")]
    return comments + [line for line in lines if not line.startswith(";;")]


def _check_options(directories: Sequence[DataDir]) -> None:
    """Features made with different options must not meet in one directory."""
    known = [(data, read_lines(data.path / "fbank.conf")) for data in directories if data.has("fbank.conf")]
    for data, options in known[1:]:
        if options != known[0][1]:
            raise UserError(f"{data.path}/fbank.conf differs from {known[0][0].path}/fbank.conf; make features anew")
