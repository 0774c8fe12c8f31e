"""Make Kaldi data directories of TED-LIUM release 3, legacy split.

--corpus-dir is the folder with legacy/{train,dev,test}/{sph,stm}, or legacy itself; audio that was converted may lie
beside the sph files or in folders wav or flac. Segments that the stm files mark
ignore_time_segment_in_scoring are left out of `text` and kept in `stm`; clitics are joined in both. Segments of train
begin 0.15 s earlier and end 0.10 s later than their stm says, because its automatic alignment is tight; where two of
them then overlap, both are cut at the midpoint.

Sets: train, dev, test.
"""

import logging
import re
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from transcripts import Line, declared, read_lines_of

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import AudioFile, probe
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.kaldi.stm import Segment, write_stm

log = logging.getLogger("prepare")

TALKS = {"train": 2351, "dev": 8, "test": 11}
BEFORE, AFTER = 0.15, 0.10
"""Seconds by which segments of train are longer than their stm says, as in Kaldi; see :func:`padded`."""
AUDIO = ("sph", "wav", "flac")
"""Folders and suffixes of audio, those of the corpus first."""
SLACK = 1.0
"""Seconds that an stm may go beyond its audio before the two seem not to belong together."""
OTHER_RELEASE = re.compile(r"ted-?lium[-_ ]?release[-_ ]?[12]\b", re.IGNORECASE)
WRONG_AUDIO = "use the audio of release 3 only: release 2 has the same talks, but its files do not fit these stm files"


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all that are there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, TALKS)
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    found = 0
    for name in TALKS:
        folder = find_split(preparation.tree, name) if preparation.wants(name) else None
        if folder:
            write_set(preparation, name, folder, options.max_removed)
            found += 1
        elif options.sets and preparation.wants(name):
            raise not_there(preparation, f"legacy/{name}")
    if not found:
        raise not_there(preparation, "legacy/*")


def not_there(preparation: Preparation, folder: str) -> UserError:
    """That the corpus lacks something."""
    where = ", ".join(map(str, preparation.tree.roots))
    return UserError(f"{folder}/stm with {folder}/sph is not in {where}; is --corpus_dir the folder of this corpus?")


def find_split(tree: CorpusTree, name: str) -> Path | None:
    """The folder of a split, with ``stm`` and audio; dev and test of earlier releases are the same.

    Raises:
        UserError: only an earlier release has it.
    """
    others = []
    for stm in tree.find_all(f"{name}/stm"):
        distribution = stm.parent.parent.name.lower()
        if distribution == "speaker-adaptation" or not find_audio(tree, stm.parent):  # another split of the same talks
            continue
        if distribution == "legacy":
            return stm.parent
        others.append(stm.parent)
    if name == "train":
        for stm in tree.find_all("data/stm"):  # the same talks as legacy/train
            if find_audio(tree, stm.parent):
                return stm.parent
        if others:
            raise UserError(f"{others[0]} is not in a folder legacy, so it is of release 1 or 2; {WRONG_AUDIO}")
    return others[0] if others else None


def find_audio(tree: CorpusTree, folder: Path) -> dict[str, Path]:
    """The audio files of a split by talk, in lower case; never of another folder than its stm files."""
    audio = audio_in(tree, folder)
    if not audio and folder.name.lower() == "train":  # copies in which links from legacy to data were lost
        audio = audio_in(tree, folder.parent.parent / "data")
    for path in audio.values():
        if OTHER_RELEASE.search(str(path.resolve())) and not OTHER_RELEASE.search(str(folder.resolve())):
            raise UserError(f"{path} leads to {path.resolve()}, which is of another release; {WRONG_AUDIO}")
    return audio


def audio_in(tree: CorpusTree, folder: Path) -> dict[str, Path]:
    """The audio files in ``sph``, or converted in it or beside it, by talk in lower case; the first of a talk."""
    audio: dict[str, Path] = {}
    for name, suffix in product(AUDIO, AUDIO):
        for path in files_of(tree, folder / name, suffix):
            audio.setdefault(path.stem.lower(), path)
    return audio


def files_of(tree: CorpusTree, folder: Path, suffix: str) -> list[Path]:
    """The files of a folder with a suffix; none where there is no folder."""
    found = tree.inside(folder.parent, folder.name)
    return tree.files(found, f"*.{suffix}") if found else []


def write_set(preparation: Preparation, name: str, folder: Path, max_removed: float) -> None:
    """Write the data directory of a set; of those that are scored, with their stm."""
    audio = find_audio(preparation.tree, folder)
    files = files_of(preparation.tree, folder / "stm", "stm")
    scored: dict[str, Segment] = {}
    talks, wrong = set(), []
    is_train = name == "train"
    with preparation.writer(name, keep_empty=not is_train) as writer:
        for lines, recordings in preparation.in_parallel(partial(open_talks, audio), files):
            for talk, recording in recordings.items():
                if isinstance(recording, AudioFile) and talk not in talks:
                    writer.channel(talk, recording, talk)
                    if max(line.end for line in lines if line.talk == talk) > recording.seconds + SLACK:
                        wrong.append(talk)
                talks.add(talk)
            times = padded(lines) if is_train else {}
            for line in lines:
                used = times.get(line.id, (line.start, line.end))
                write_line(writer, line, recordings[line.talk], is_train, used)
                if not is_train and line.start < line.end:
                    scored.setdefault(line.id, segment_of(line))
        for talk in sorted(audio.keys() - {talk.lower() for talk in talks}):  # not one utterance that is lost
            writer.exclude(audio[talk].stem, "is a talk with audio, but without a line in an stm file")
        if len(talks) != TALKS[name]:
            log.warning("%s: %d talks, where release 3 has %d; is the copy complete?", name, len(talks), TALKS[name])
        if wrong:
            told = f"{folder}: {len(wrong)} of {len(talks)} talks are shorter than their stm says, first {wrong[0]}"
            if len(wrong) > max_removed * len(talks):
                raise UserError(f"{told}; {WRONG_AUDIO}")
            log.warning("%s; %s", told, WRONG_AUDIO)
    if scored:
        segments = sorted(scored.values(), key=lambda segment: (segment.file, segment.channel, segment.begin))
        labels = declared(label for segment in segments for label in segment.labels)
        write_stm(preparation.data_dir / name / "stm", segments, labels)


def open_talks(audio: dict[str, Path], stm: Path) -> tuple[list[Line], dict[str, AudioFile | str]]:
    """Lines of an stm file, and the recording of each talk in it (there is one), or why there is none."""
    lines = list(read_lines_of(stm))
    recordings: dict[str, AudioFile | str] = {}
    for talk in dict.fromkeys(line.talk for line in lines):
        path = audio.get(talk.lower())
        try:
            recordings[talk] = probe(path) if path else f"has no audio file {talk}.sph"
        except AudioError as error:
            recordings[talk] = f"has audio that cannot be read: {error}"
    return lines, recordings


def padded(lines: Iterable[Line]) -> dict[str, tuple[float, float]]:
    """Starts and ends of the segments of train by id: padded, but never into each other.

    Two neighbours that overlap, after padding or already in the stm, are cut at the midpoint of what they share, as by
    Kaldi's ``extend_segment_times.py``. Lines that training leaves out are neighbours too, since somebody speaks there.
    """
    talks: dict[str, dict[str, Line]] = {}
    for line in lines:
        if line.start < line.end and not line.is_ignored:
            talks.setdefault(line.talk, {}).setdefault(line.id, line)
    times: dict[str, tuple[float, float]] = {}
    for talk in talks.values():
        ordered = sorted(talk.values(), key=lambda line: line.start + line.end)
        starts = [max(0.0, line.start - BEFORE) for line in ordered]
        ends = [line.end + AFTER for line in ordered]
        for index in range(len(ordered) - 1):
            if ends[index] > starts[index + 1]:
                ends[index] = starts[index + 1] = (ends[index] + starts[index + 1]) / 2
        for line, start, end in zip(ordered, starts, ends, strict=True):
            times[line.id] = start, end
    return times


def write_line(
    writer: SetWriter, line: Line, recording: AudioFile | str, is_train: bool, times: tuple[float, float]
) -> None:
    """Add a segment of a talk with the times that it is used with, or list why not."""
    if line.is_ignored:
        writer.exclude(line.id, "is marked ignore_time_segment_in_scoring")
    elif isinstance(recording, str):
        writer.remove(line.id, recording)
    elif is_train and not line.start < line.end:  # padding would make something of it
        writer.remove(line.id, f"ends at {line.end:g} s, which is not after its start at {line.start:g} s")
    elif is_train and line.start >= recording.seconds:
        writer.remove(line.id, f"starts at {line.start:g} s, after the end of the audio at {recording.seconds:g} s")
    elif is_train and line.lost:
        writer.exclude(line.id, f"has '{line.lost}' in its words, which training text does not have")
    elif is_train:
        writer.utterance(line.id, line.talk, line.text, segment=(line.talk, *times))
    else:
        tables = {"text_verbatim": line.reference, "text_whisper": line.known}
        writer.utterance(line.id, line.talk, line.text, segment=(line.talk, *times), **tables)


def segment_of(line: Line) -> Segment:
    """A line as it is scored."""
    return Segment(line.talk, "A", line.speaker, line.start, line.end, line.reference, line.labels)


if __name__ == "__main__":
    sys.exit(run_program(main))
