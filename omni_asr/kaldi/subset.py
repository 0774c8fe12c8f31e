"""Choosing utterances of a data directory."""

import os
import random
from collections.abc import Collection

from omni_asr.errors import UserError
from omni_asr.kaldi.ark import num_frames
from omni_asr.kaldi.data_dir import DataDir, write_data_dir
from omni_asr.kaldi.pipes import check_pipes
from omni_asr.kaldi.tables import sort_key, to_number


def write_subset(data: DataDir, utterances: Collection[str], out: str | os.PathLike[str]) -> None:
    """Write a data directory with some of the utterances, and the speakers and recordings they need.

    Raises:
        UserError: there is no such utterance, or ``out`` is the directory itself.
    """
    chosen = set(utterances)
    if not chosen:
        raise UserError(f"no utterance of {data.path} is chosen; the subset would be empty")
    if os.path.realpath(out) == os.path.realpath(data.path):
        raise UserError(f"{out} is the source itself; name another directory")
    stm = data.stm_lines(data.recordings_of(chosen)) if data.has("stm") else None
    write_data_dir(out, data.restricted(chosen), data.copied, stm)


def at_random(data: DataDir, count: int, seed: int) -> list[str]:
    """``count`` utterances drawn at random."""
    return random.Random(seed).sample(_enough(data, count), count)


def first(data: DataDir, count: int) -> list[str]:
    """The first ``count`` utterances."""
    return _enough(data, count)[:count]


def last(data: DataDir, count: int) -> list[str]:
    """The last ``count`` utterances."""
    return _enough(data, count)[-count:]


def shortest(data: DataDir, count: int) -> list[str]:
    """The ``count`` shortest utterances."""
    lengths = utterance_lengths(data)
    return sorted(_enough(data, count), key=lambda key: (lengths[key], sort_key(key)))[:count]


def per_speaker(data: DataDir, count: int, seed: int) -> list[str]:
    """At most ``count`` utterances of each speaker, drawn at random."""
    generator = random.Random(seed)
    groups = _speakers(data).values()
    return [key for group in groups for key in generator.sample(group, min(count, len(group)))]


def whole_speakers(data: DataDir, count: int, seed: int) -> list[str]:
    """Utterances of speakers drawn at random, all of each, until there are at least ``count``."""
    _enough(data, count)
    groups = list(_speakers(data).values())
    random.Random(seed).shuffle(groups)
    chosen: list[str] = []
    for group in groups:
        if len(chosen) >= count:
            break
        chosen += group
    return chosen


def of_speakers(data: DataDir, speakers: Collection[str]) -> list[str]:
    """Utterances of the speakers named."""
    wanted = set(speakers)
    return [key for key, speaker in data.table("utt2spk").items() if speaker in wanted]


def utterance_lengths(data: DataDir) -> dict[str, float]:
    """Length of each utterance, in frames or in seconds, from the first source that there is.

    Raises:
        UserError: there is none, or it lacks an utterance.
    """
    if data.has("utt2num_frames") or data.has("utt2dur"):
        name = "utt2num_frames" if data.has("utt2num_frames") else "utt2dur"
        table, path = data.table(name), data.path / name
        lengths = {key: to_number(value, f"{path}: {key}", "length") for key, value in table.items()}
    elif data.segments is not None:
        closed = {key: segment for key, segment in data.segments.items() if not segment.is_open}
        lengths = {key: segment.end - segment.start for key, segment in closed.items()}
    elif data.has("feats.scp"):
        check_pipes(data.path / "feats.scp")
        lengths = {key: float(num_frames(value)) for key, value in data.table("feats.scp").items()}
    else:
        raise UserError(f"{data.path} has no utt2num_frames, utt2dur, segments or feats.scp to take lengths from")
    return {key: lengths.get(key, float("inf")) for key in data.utterances}


def _speakers(data: DataDir) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for utterance, speaker in data.table("utt2spk").items():
        groups.setdefault(speaker, []).append(utterance)
    return groups


def _enough(data: DataDir, count: int) -> list[str]:
    if not 0 < count <= len(data.utterances):
        raise UserError(f"{data.path} has {len(data.utterances)} utterances; {count} cannot be chosen")
    return data.utterances
