"""Make Kaldi data directories of the AMI meetings, on the headsets that the speakers wear.

--corpus-dir (perhaps several) holds <meeting>/audio/<meeting>.Headset-<n>.wav, in amicorpus/, wav_db/ or another
folder, and the manual annotations 1.6.1 or 1.6.2 as the zip is unpacked: corpusResources/meetings.xml, words/,
segments/.

Sets: train, dev, eval, by the partition full-corpus-ASR. Segments are cut, and utterances called, as in Kaldi's
recipe. text is for training. stm and glm are how Kaldi scores dev and eval, but letters have no point in them, and all
backchannels are one word; text_verbatim has Kaldi's words for scoring without times, text_whisper for Whisper's
normaliser.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from meetings import SETS
from nxt import Speaker, read_segments, read_speakers
from pieces import Piece, bounds, pieces
from spelling import joined, unpointed, unpointed_map

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import AudioFile, probe
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.tree import CorpusTree
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.stm import Segment, write_stm
from omni_asr.kaldi.tables import read_entries
from omni_asr.scoring.hypotheses import BACKCHANNELS
from omni_asr.text.plain import plain_words, unspoken

GLM = Path(__file__).parents[1] / "conf" / "ami.glm"
MEETINGS = "corpusResources/meetings.xml"


@dataclass(frozen=True)
class Annotations:
    """Where the annotations are, and who speaks in which meeting."""

    folder: Path
    speakers: dict[tuple[str, str], Speaker]


@dataclass(frozen=True)
class Utterance:
    """A piece of what a speaker said, with its id."""

    name: str
    piece: Piece


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all of which a headset is there."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    parser.add_argument("--glm", type=Path, default=GLM, help="global map that dev and eval are scored with")
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    annotations = find_annotations(preparation.tree)
    headsets = find_headsets(preparation.tree)
    if not headsets and options.sets is None:
        preparation.tree.need("<meeting>/audio/<meeting>.Headset-0.wav")  # which says that it is not there
    rules = list(unpointed_map(options.glm))  # before anything is written
    for name, meetings in SETS.items():
        if not preparation.wants(name):
            continue
        if options.sets is None and not any(f"{meeting}.headset-0".lower() in headsets for meeting in meetings):
            continue
        with preparation.writer(name) as writer:
            for meeting in meetings:
                write_meeting(preparation, name, meeting, annotations, headsets, writer)
        if name != "train":
            write_stm(writer.path / "stm", stm_segments(writer.path))
            with atomic_write(writer.path / "glm") as file:
                file.writelines(f"{line}\n" for line in rules)


def find_annotations(tree: CorpusTree) -> Annotations:
    """The unpacked annotations.

    Raises:
        UserError: they are not there, or still packed.
    """
    found = tree.find(MEETINGS)
    packed = tree.find("ami_public_manual_1.6*.zip")
    if found is None and packed:
        raise UserError(f"{packed} is not unpacked; unzip it where it is, e.g. into the folder annotations")
    folder = (found or tree.need(MEETINGS)).parents[1]
    return Annotations(folder, read_speakers(folder / MEETINGS))


def find_headsets(tree: CorpusTree) -> dict[str, Path]:
    """Recordings of headsets by their names in lower case, such as ``es2011a.headset-0``."""
    found: dict[str, Path] = {}
    for path in tree.find_all("*/audio/*.headset-*.wav"):
        found.setdefault(path.stem.lower(), path)
    return found


def write_meeting(
    preparation: Preparation,
    name: str,
    meeting: str,
    annotations: Annotations,
    headsets: dict[str, Path],
    writer: SetWriter,
) -> None:
    """Add the recordings and utterances of everybody in a meeting."""
    letters = {
        file.name.split(".")[1] for file in preparation.tree.files(annotations.folder / "segments", f"{meeting}.*")
    }
    if not letters:
        writer.remove(f"AMI_{meeting}", f"has no {annotations.folder}/segments/{meeting}.*.segments.xml")
    known = [letter for letter in sorted(letters) if (meeting, letter) in annotations.speakers]
    for letter in sorted(letters.difference(known)):
        writer.remove(f"AMI_{meeting}_{letter}", f"is no speaker of {MEETINGS}")
    speakers = [annotations.speakers[meeting, letter] for letter in known]
    paths = [headsets.get(f"{meeting}.headset-{speaker.channel}".lower()) for speaker in speakers]
    audio = preparation.in_parallel(_probe, paths)
    for letter, speaker, found in zip(known, speakers, audio, strict=True):
        recording = f"AMI_{meeting}_H{int(speaker.channel):02d}"
        file = f"{meeting}.Headset-{speaker.channel}"
        if isinstance(found, AudioFile):
            writer.channel(recording, found, file)
            reason = ""
        else:
            reason = found or f"has no audio file {file}.wav"
        said = utterances(annotations.folder, meeting, letter, f"{recording}_{speaker.name}", writer)
        for utterance in said if name == "train" else trimmed(said, writer):
            write_utterance(name, utterance, recording, f"{recording}_{speaker.name}", reason, writer)


def _probe(path: Path | None) -> AudioFile | str:
    """What the header of a recording says, or why it cannot be read; nothing for one that is not there."""
    try:
        return probe(path) if path else ""
    except AudioError as error:
        return f"has audio that cannot be read: {error}"


def utterances(folder: Path, meeting: str, letter: str, speaker: str, writer: SetWriter) -> list[Utterance]:
    """What a speaker says in a meeting, without exact repeats, in the order of the ids."""
    files = (folder / kind / f"{meeting}.{letter}.{kind}.xml" for kind in ("segments", "words"))
    found: dict[str, str] = {}
    said = []
    for segment in read_segments(*files):
        if segment.problem:
            writer.remove(f"{speaker}-{segment.id}", segment.problem)
            continue
        parts = list(pieces(segment))
        if not parts:
            writer.exclude(f"{speaker}-{segment.id}", "holds no words")
        elif not bounds(segment):
            writer.notes["segments whose words have no times took those of the transcriber"] += 1
        for part in parts:
            begin, end = (int(100 * time) for time in (part.start, part.end))  # 4.35 s is 434, as perl's %d says
            name = f"{speaker}_{begin:07d}_{end:07d}"
            if begin >= end:
                writer.exclude(name, f"ends at {part.end:g} s, which is not after its start at {part.start:g} s")
            elif found.get(name) == part.words:
                writer.exclude(name, "is an exact repeat; the first is kept")
            else:
                found.setdefault(name, part.words)
                said.append(Utterance(name, part))
    return sorted(said, key=lambda utterance: utterance.name)


def trimmed(said: Iterable[Utterance], writer: SetWriter) -> Iterator[Utterance]:
    """Utterances of a speaker of which none begins before the last one ended: a later start is moved, as in Kaldi."""
    last = 0.0
    for utterance in said:
        piece = utterance.piece
        if piece.start < last < piece.end:
            writer.notes["starts before the end of the speaker's last utterance were moved there"] += 1
            utterance = replace(utterance, piece=replace(piece, start=last))
        last = piece.end
        yield utterance


def write_utterance(
    name: str, utterance: Utterance, recording: str, speaker: str, reason: str, writer: SetWriter
) -> None:
    """Add an utterance, unless there is a reason to leave it out."""
    words = utterance.piece.words
    if reason:
        return writer.remove(utterance.name, reason)
    if name == "train" and unspoken(words):
        return writer.exclude(utterance.name, f"has {unspoken(words)!r}, which does not tell what was said")
    tables: dict[str, Any] = {"text_verbatim": unpointed(words), "text_whisper": words} if name != "train" else {}
    segment = recording, utterance.piece.start, utterance.piece.end
    return writer.utterance(utterance.name, speaker, plain_words(words), segment=segment, **tables)


def stm_segments(path: Path) -> Iterator[Segment]:
    """Segments of an stm, from a finished data directory."""
    data = DataDir(path)
    files = data.table("reco2file_and_channel")
    speakers, segments = data.table("utt2spk"), data.segments or {}
    for _, name, words in read_entries(path / "text_whisper"):
        where = segments[name]
        file, channel = files[where.recording].split()
        spelt = joined(unpointed(words), BACKCHANNELS)
        yield Segment(file, channel, speakers[name], where.start, where.end, spelt)


if __name__ == "__main__":
    sys.exit(run_program(main))
