"""Make Kaldi data directories of CHiME-6: the microphones that the speakers wear (S02_P05.wav, two channels).

--corpus-dir holds audio/<set>/<session>_<speaker>.wav and transcriptions/<set>/<session>.json, as the synchronisation
scripts leave them or as the archives of OpenSLR 150 are unpacked. Transcripts in the form of CHiME-5, whose times are
objects with one entry for each device, are read by the entry of the speaker's own.

Sets: train (both channels, without four recordings with faulty microphones), dev, eval (left channel only), with the
sessions of CHiME-6: S19 and S20 are of train wherever they lie, though CHiME-7 made them a part of eval.

text is for training; text_glm is what the challenge scores, text_whisper what Whisper's normaliser gets.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from words import REDACTED, said_words, scored_words, whisper_words

from omni_asr.audio.source import AudioError
from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import AudioFile, probe
from omni_asr.corpora.preparing import Preparation, add_options
from omni_asr.corpora.writer import SetWriter
from omni_asr.errors import UserError
from omni_asr.kaldi.tables import to_number
from omni_asr.read_files import read_json
from omni_asr.text.plain import plain_words, unspoken

SETS = {
    "train": "S03 S04 S05 S06 S07 S08 S12 S13 S16 S17 S18 S19 S20 S22 S23 S24".split(),
    "dev": ["S02", "S09"],
    "eval": ["S01", "S21"],
}
FAULTY = {"P11_S03", "P52_S19", "P53_S24", "P54_S24"}
"""Recordings that training leaves out, because the microphone failed (data page of the challenge)."""
OWN_DEVICE = "times in the form of CHiME-5, of each speaker's own device: right for audio that was not synchronised"
Worn = dict[str, AudioFile | str]
"""Worn recordings of a session by speaker, or why one cannot be read."""


def main(argv: Sequence[str] | None = None) -> None:
    """Prepare the sets that are asked for, or all that have transcripts."""
    parser = ArgumentParser(__doc__)
    add_options(parser, SETS)
    options = parser.parse_args(argv)
    preparation = Preparation(options)
    if options.sets is None:
        preparation.tree.need("transcriptions/*/S*.json")
    for name, sessions in SETS.items():
        if not preparation.wants(name):
            continue
        if options.sets is None and not any(find(preparation, name, session) for session in sessions):
            continue
        with preparation.writer(name, keep_empty=name != "train") as writer:
            for session in sessions:
                write_session(preparation, name, session, writer)


def find(preparation: Preparation, name: str, session: str) -> Path | None:
    """The transcript of a session, in the folder of its set or, as in CHiME-7, of another."""
    return preparation.tree.find(f"transcriptions/{name}/{session}.json", f"transcriptions/*/{session}.json")


def write_session(preparation: Preparation, name: str, session: str, writer: SetWriter) -> None:
    """Add the recordings and utterances of a session."""
    transcript = find(preparation, name, session) or preparation.tree.need(f"transcriptions/{name}/{session}.json")
    worn = worn_recordings(preparation, name, session)
    for speaker, audio in worn.items():
        for channel in channels(name, audio):
            assert isinstance(audio, AudioFile)
            writer.channel(f"{speaker}_{session}.{'LR'[channel]}", audio, f"{session}_{speaker}", channel)
    for number, utterance in read_transcript(transcript):
        write_utterance(name, session, number, utterance, worn, f"{transcript}: utterance {number}", writer)


def worn_recordings(preparation: Preparation, name: str, session: str) -> Worn:
    """What the headers of the worn microphones' files say."""
    paths: dict[str, Path] = {}
    for folder in (name, "*"):
        for path in preparation.tree.find_all(f"audio/{folder}/{session}_P*.wav"):
            paths.setdefault(path.stem.upper().partition("_")[2], path)
    return dict(zip(paths, preparation.in_parallel(_probe, paths.values()), strict=True))


def _probe(path: Path) -> AudioFile | str:
    try:
        return probe(path)
    except AudioError as error:
        return f"has audio that cannot be read: {error}"


def channels(name: str, audio: AudioFile | str) -> range:
    """Channels of a recording that a set uses: both in training, the left one in tests."""
    if isinstance(audio, str):
        return range(0)
    return range(min(audio.channels, 2) if name == "train" else 1)


def read_transcript(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Utterances of a session with their numbers, from 1."""
    utterances = read_json(path, "fetch the file again")
    if not isinstance(utterances, list) or not all(isinstance(row, dict) for row in utterances):
        raise UserError(f"{path}: expected a list of utterances, each with words, speaker, start_time and end_time")
    yield from enumerate(utterances, 1)


def write_utterance(
    name: str, session: str, number: int, row: dict[str, Any], worn: Worn, where: str, writer: SetWriter
) -> None:
    """Add an utterance, in training once for each channel."""
    speaker, words = row.get("speaker"), str(row.get("words") or "")
    if REDACTED in words.lower():  # placeholders may have neither speaker nor times
        return writer.exclude(f"{session}-{number:05d}", "is redacted")
    if not speaker:
        return writer.remove(f"{session}-{number:05d}", "names no speaker")
    start, end = (seconds(row.get(f"{side}_time"), speaker, where) for side in ("start", "end"))
    if isinstance(row.get("start_time"), dict):
        writer.notes[OWN_DEVICE] += 1
    location = re.sub("[^A-Z]", "", str(row.get("location") or "").upper()) or "NOLOCATION"
    begins, times = f"{speaker}_{session}_{location}", f"{hundredths(start):07d}-{hundredths(end):07d}"
    audio = worn.get(speaker, f"has no audio file {session}_{speaker}.wav")
    excluded = why_not(name, f"{speaker}_{session}", words, start, end)
    if excluded:
        return writer.exclude(f"{begins}.L-{times}", excluded)
    if isinstance(audio, str):
        return writer.remove(f"{begins}.L-{times}", audio)
    text = plain_words(said_words(words))
    tables = {} if name == "train" else {"text_glm": scored_words(words), "text_whisper": whisper_words(words)}
    for channel in channels(name, audio):
        side = "LR"[channel]
        segment = (f"{speaker}_{session}.{side}", start, end)
        writer.utterance(f"{begins}.{side}-{times}", speaker, text, segment=segment, **tables)
    return None


def why_not(name: str, recording: str, words: str, start: float, end: float) -> str | None:
    """Why the protocol leaves an utterance out; None where it does not."""
    if end <= start:
        return f"ends at {end:g} s, which is not after its start at {start:g} s"
    if name == "train" and recording in FAULTY:
        return "was recorded by a faulty microphone"
    if name == "train" and not plain_words(said_words(words)):
        return "holds no words, or only events"
    if name == "train" and unspoken(said_words(words)):
        return f"has {unspoken(said_words(words))!r}, which does not tell what was said"
    return None


def hundredths(time: float) -> int:
    """Hundredths of a second, rounded, as ids have them."""
    return int(100 * time + 0.5)


def seconds(time: Any, device: str, where: str) -> float:
    """A time in seconds: ``1:02:03.45``, or an object with such a time for each device (CHiME-5).

    The fraction is a number, not digits: some tools write three decimals.
    """
    if isinstance(time, dict):
        time = time.get(device, time.get("original"))
    value = 0.0
    for part in str(time).split(":"):
        value = 60 * value + to_number(part, where)
    return value


if __name__ == "__main__":
    sys.exit(run_program(main))
