"""Recognised words with times, from what ``omni-asr decode`` writes."""

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Token
from omni_asr.kaldi.data_dir import DataDir, Segment
from omni_asr.kaldi.tables import read_lines, read_table, to_number
from omni_asr.scoring.align import fold_case
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.transcripts import without_hypothesis

SPACE = "\u2581"  # what units write for the blank between words
TimedWord = tuple[float, float, str]


def decoded_tokens(data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str]) -> list[Token]:
    """The words of ``decode_dir/text`` in the time of their recordings, in seconds.

    Times are those of the units in ``tokens.jsonl``; without that file the words share their segment evenly.
    Files and channels are those of :func:`files_and_channels`.

    Raises:
        UserError: a file is missing or broken, an utterance is unknown, or text and tokens.jsonl disagree.
    """
    data, path = DataDir(data_dir), Path(decode_dir, "tokens.jsonl")
    text_path = Path(decode_dir, "text")
    texts = read_table(text_path, may_be_empty=True)
    timed = timed_words(path) if path.exists() else None
    segments = parts_of_recordings(data)
    places = files_and_channels(data, {segment.recording for segment in segments.values()})
    found = []
    for utterance, text in texts.items():
        if utterance not in segments:
            raise UserError(f"{text_path}: utterance {utterance!r} is not in {data_dir}; decode this set")
        segment, words, where = segments[utterance], text.split(), f"{text_path}: utterance {utterance!r}"
        if timed is None:
            spread = _spread(words, segment, f"{data_dir}: utterance {utterance!r}")
        else:
            spread = timed.get(utterance, [])
            if [word for _, _, word in spread] != words:
                raise UserError(f"{path} and text disagree about utterance {utterance!r}; decode this set again")
        file, channel = places[segment.recording]
        found += [
            Token(file, channel, round(segment.start + start, 3), round(end - start, 3), word, None, where)
            for start, end, word in spread
        ]
    return found


def undecoded(data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str]) -> list[str]:
    """Utterances of the data directory that ``decode_dir/text`` has no line of.

    Raises:
        UserError: a file is missing or broken, or an utterance is unknown.
    """
    data, path = DataDir(data_dir), Path(decode_dir, "text")
    known = dict.fromkeys(data.segments or data.utterances)
    return without_hypothesis(known, read_table(path, may_be_empty=True), str(data.path), str(path))


def parts_of_recordings(data: DataDir) -> dict[str, Segment]:
    """What of its recording each utterance is: its segment, else the whole."""
    return data.segments or {utterance: Segment(utterance, 0.0, -1.0) for utterance in data.utterances}


def recordings_by_place(data: DataDir) -> dict[tuple[str, str], str]:
    """The recordings of a data directory by their file and channel, upper and lower case of which are alike.

    Raises:
        UserError: a table is broken.
    """
    recordings = dict(data.table("wav.scp")) if data.has("wav.scp") else {}
    if data.has("segments") or data.has("utt2spk"):
        recordings |= dict.fromkeys((segment.recording for segment in parts_of_recordings(data).values()), "")
    places = files_and_channels(data, recordings)
    return {(fold_case(file), fold_case(channel)): recording for recording, (file, channel) in places.items()}


def names_in_data(
    utterances: Iterable[Utterance], parts: Mapping[str, Segment], data: DataDir
) -> list[tuple[str, str]]:
    """The utterance of the data directory and the speaker that segments of an stm are, in the names that it has there.

    A segment is the utterance with which it shares the most time of its recording (``parts``, by the segment's id), and
    none, an empty id, where it shares none. Its speaker is its own by any case, else that utterance's, else as it says.

    Raises:
        UserError: a table is broken.
    """
    spoken: dict[str, list[tuple[str, Segment]]] = {}
    for name, segment in parts_of_recordings(data).items() if parts else ():
        spoken.setdefault(segment.recording, []).append((name, segment))
    speakers = data.table("utt2spk") if data.has("utt2spk") else {}
    folded = {fold_case(speaker): speaker for speaker in speakers.values()}
    found = []
    for utterance in utterances:
        part = parts.get(utterance.id)
        shared = [(_shared(part, own), name) for name, own in spoken.get(part.recording, ())] if part else []
        longest, name = max(shared, key=lambda one: one[0], default=(0.0, ""))
        name = name if longest > 0 else ""
        speaker = folded.get(fold_case(utterance.speaker)) or speakers.get(name) or utterance.speaker
        found.append((name, speaker))
    return found


def _shared(part: Segment, other: Segment) -> float:
    """Seconds that two parts of a recording share."""
    ends = [math.inf if segment.is_open else segment.end for segment in (part, other)]
    return min(ends) - max(part.start, other.start)


def files_and_channels(data: DataDir, recordings: Iterable[str]) -> dict[str, tuple[str, str]]:
    """What an stm and a ctm call recordings; without ``reco2file_and_channel`` their names and ``A``, as in Kaldi.

    Raises:
        UserError: a line of that file has not one file and one channel.
    """
    return {recording: data.places.get(recording, (recording, "A")) for recording in recordings}


def _spread(words: list[str], segment: Segment, where: str) -> list[TimedWord]:
    if words and segment.is_open:
        raise UserError(f"{where}: neither tokens.jsonl nor the end of a segment says when its words are; decode again")
    share = (segment.end - segment.start) / max(1, len(words))
    return [(share * index, share * (index + 1), word) for index, word in enumerate(words)]


def timed_words(path: str | os.PathLike[str]) -> dict[str, list[TimedWord]]:
    """Words of each utterance with start and end in seconds from its start, from ``tokens.jsonl``.

    Raises:
        UserError: the file is missing, a line is broken, or an utterance occurs twice.
    """
    utterances: dict[str, list[TimedWord]] = {}
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
            start, end = ([to_number(str(time), where) for time in row[side]] for side in ("start", "end"))
            name, words = str(row["utt"]), list(_words(list(zip(row["tokens"], start, end, strict=True))))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(f"{where}: expected utt, tokens, start and end as omni-asr decode writes") from None
        if name in utterances:
            raise UserError(f"{where}: utterance {name!r} occurs a second time; decode this set again")
        utterances[name] = words
    return utterances


def _words(units: list[tuple[str, float, float]]) -> Iterator[TimedWord]:
    """Join units to words at their blanks."""
    word, first, last = "", 0.0, 0.0
    for unit, start, end in units:
        for part, piece in enumerate(unit.split(SPACE)):
            if part and word:
                yield first, last, word
                word = ""
            if piece:
                first, last = (start if not word else first), end
                word += piece
    if word:
        yield first, last, word
