"""Make Kaldi data directories of Common Voice, English, of any release from 5.1 on.

--corpus-dir is cv-corpus-<release>-<date>, its folder en, or what the former is in. Clips are MP3 and are read as they
are. Text for training has a to z and ' only; sentences with digits, signs or letters that it cannot hold are left out
of training and listed. dev and test keep every sentence: text_verbatim has all that is written, without punctuation and
case, text_whisper the sentence as it is, for Whisper's normaliser, and text nothing where training text would lose
something: validation leaves these out.

Sets: train, dev, test, and validated, a larger training set: validated.tsv without the clips of dev and test.
"""

import logging
import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from release import Release, need_release

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.delimited import read_tsv
from omni_asr.corpora.disk_table import DiskTable
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.text.plain import lost_in_plain, plain_words, without_brackets, written_words

log = logging.getLogger("prepare")

TRAINING = ("train", "validated")
SCORED = ("dev", "test")
SETS = (*TRAINING, *SCORED)
PREFIX = 12
"""Digits of the 128 of a speaker's id that are used, where no other speaker has the same."""
CLIP = re.compile(r"common_voice_\w+")


@dataclass(frozen=True)
class Row:
    """A row of a TSV file, or as much of it as is there."""

    client: str
    clip: str
    """Name of the clip without ``.mp3``, which some releases leave out; empty where it is not known."""
    sentence: str
    gender: str
    age: str
    line: int
    problem: str
    """Reason to leave it out, as far as the file tells."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all whose lists are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    parser.add_argument(
        "--release", type=version, help="number of the release, such as 17.0, where its folder has none"
    )
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    release = need_release(preparation.tree, options.release)
    log.info("Common Voice, release %s: %s", release.version or "unknown", release.folder)
    if release.version is None:
        log.warning("its name tells no release, so counts are not compared with official ones; --release 17.0 tells it")
    if options.sets is None and not any((release.folder / f"{name}.tsv").exists() for name in SETS):
        raise UserError(f"{release.folder} has no list of Common Voice: {', '.join(f'{name}.tsv' for name in SETS)}")
    with ExitStack() as stack:
        lengths = stack.enter_context(DiskTable(preparation.data_dir))
        lengths.add(read_lengths(release.folder / "clip_durations.tsv"))
        for name in SETS:
            path = release.folder / f"{name}.tsv"
            if preparation.wants(name) and (path.exists() or options.sets is not None):
                write_set(preparation, release, name, lengths)


def version(text: str) -> str:
    """The number of a release as official counts name it.

    Raises:
        ArgumentTypeError: it is none.
    """
    if not re.fullmatch(r"\d+\.\d+", text):
        raise ArgumentTypeError(f"{text!r} is no release; they are such as 5.1 and 17.0")
    return text


def write_set(preparation: Preparation, release: Release, name: str, lengths: DiskTable) -> None:
    """Write the set of a TSV file."""
    path, held_out = release.folder / f"{name}.tsv", set[str]()
    shared = shared_prefixes(path, preparation.data_dir)
    if name == "validated":
        held_out = {row.clip for other in SCORED for row in read_rows(release.folder / f"{other}.tsv")}
    with preparation.writer(name, keep_empty=name in SCORED) as writer:
        writer.release = release.version
        look = preparation.in_parallel(lambda row: (row, what_is_wrong(release, row)), read_rows(path))
        for row, problem in look:
            speaker = row.client if row.client[:PREFIX] in shared else row.client[:PREFIX] or row.clip
            utterance = f"{speaker}-{row.clip}" if row.clip else f"line{row.line}"
            milliseconds = lengths.get(row.clip)
            if row.clip and row.clip in held_out:
                writer.exclude(utterance, "is of dev or test")
            elif problem or milliseconds == "0":
                writer.remove(utterance, problem or "has no samples, says clip_durations.tsv")
            else:
                seconds = None if milliseconds is None else int(milliseconds) / 1000
                add = add_scored if name in SCORED else add_training
                add(writer, utterance, speaker, row, str(release.clips / f"{row.clip}.mp3"), seconds)


def what_is_wrong(release: Release, row: Row) -> str | None:
    """Why a clip cannot be used, as far as its size tells."""
    if row.problem:
        return row.problem
    try:
        empty = not os.path.getsize(release.clips / f"{row.clip}.mp3")
    except OSError:
        return f"has no clip {release.clips}/{row.clip}.mp3"
    return "has a clip of 0 bytes" if empty else None


def add_training(writer: SetWriter, utterance: str, speaker: str, row: Row, audio: str, seconds: float | None) -> None:
    """Add an utterance whose sentence can be spelt with a to z."""
    lost = lost_in_plain(row.sentence)
    if lost:
        writer.exclude(utterance, f"has '{lost}', which text for training cannot hold")
    else:
        writer.utterance(utterance, speaker, plain_words(row.sentence), audio=audio, seconds=seconds)


def add_scored(writer: SetWriter, utterance: str, speaker: str, row: Row, audio: str, seconds: float | None) -> None:
    """Add an utterance of dev or test, whatever its sentence is."""
    writer.utterance(
        utterance,
        speaker,
        "" if lost_in_plain(row.sentence) else plain_words(row.sentence),
        audio=audio,
        seconds=seconds,
        text_verbatim=written_words(row.sentence),
        text_whisper=without_brackets(row.sentence),
        utt2gender=row.gender or "unknown",
        utt2age=row.age or "unknown",
    )


def read_rows(path: Path) -> Iterator[Row]:
    """Rows of a TSV file, whose columns are found by name: releases differ.

    Of a row with another number of columns, speaker and clip are known where they stand before the fault.

    Raises:
        UserError: the file does not exist, or its first line lacks a column.
    """
    for row in read_tsv(path, ("client_id", "path", "sentence")):
        client, clip, sentence, gender, age = (
            row.fields.get(name, "").strip() for name in ("client_id", "path", "sentence", "gender", "age")
        )
        clip = clip.rsplit("/", 1)[-1].removesuffix(".mp3")
        problem = row.problem or ("" if clip else f"names no clip ({path.name}:{row.line})")
        if row.problem and not CLIP.fullmatch(clip):
            client = clip = ""
        yield Row(client, clip, sentence, gender, age, row.line, problem)


def shared_prefixes(path: Path, folder: Path) -> set[str]:
    """Beginnings of ids that several speakers of a file have; these speakers keep their whole ids."""
    shared, previous = set(), ""
    with DiskTable(folder) as first:
        for row in read_rows(path):
            if row.client and row.client != previous:  # rows of a speaker mostly stand together
                prefix, previous = row.client[:PREFIX], row.client
                first.add([(prefix, row.client)])
                if first.get(prefix) != row.client:
                    shared.add(prefix)
    return shared


def read_lengths(path: Path) -> Iterator[tuple[str, str]]:
    """Clip and milliseconds of each line of clip_durations.tsv; nothing where it is not there (before 16.1)."""
    if not path.exists():
        return
    broken: list[int] = []
    for row in read_tsv(path, (), ("clip", "duration[ms]")):
        milliseconds = row.fields.get("duration[ms]", "").strip()
        if not row.problem and milliseconds.isdecimal():
            yield row.fields["clip"].strip().removesuffix(".mp3"), str(int(milliseconds))
        elif row.line > 1:
            broken.append(row.line)
    if broken:
        log.warning("%s:%d: expected '<clip> <milliseconds>'; %d such lines are not used", path, broken[0], len(broken))


if __name__ == "__main__":
    sys.exit(run_program(main))
