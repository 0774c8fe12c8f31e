"""The alignment of a decoded set with its references: utterances by their ids, or words with times by segments."""

import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Alternation, Token, read_ctm
from omni_asr.kaldi.data_dir import DataDir
from omni_asr.kaldi.data_dir import Segment as Part
from omni_asr.kaldi.glm import read_glm
from omni_asr.kaldi.stm import Label, Segment, read_stm
from omni_asr.scoring.align import align_all, fold_case
from omni_asr.scoring.decoded import decoded_tokens, recordings_by_place, undecoded
from omni_asr.scoring.filters import Filter
from omni_asr.scoring.hypotheses import HYPOTHESIS_FILTERS
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.rewriting import joined, mapped, normalized
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.segments import Scored, by_time, score_segments
from omni_asr.scoring.transcripts import Transcripts, read_transcripts, split_words

log = logging.getLogger("score")

_NOT_IN_NAMES = re.compile(r"[^\w.+-]")


@dataclass(frozen=True)
class Aligned:
    """A scored set."""

    utterances: list[Utterance]
    subsets: dict[str, list[Utterance]]
    """Some of them each, by the name of the subset."""
    missing: list[str]
    dropped: list[str]
    """Utterances whose reference is empty after normalisation; they count nowhere."""
    timed: tuple[list[Segment], list[Label], list[Token | Alternation]] | None = None
    """What was aligned, where it has times: ``ref.stm`` and ``hyp.ctm``."""
    segments: Mapping[str, Part] = field(default_factory=dict)
    """Where utterances are in the recordings of the data directory, of an stm those whose recording it has."""


def align_set(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol) -> Aligned:
    """Read a decoding and its references, and align them as a protocol wants.

    Raises:
        UserError: a file is missing or malformed, named by file and line; ids do not fit.
    """
    return (_align_times if protocol.stm else _align_texts)(data_dir, decode_dir, protocol)


def align_words(transcripts: Transcripts) -> list[Utterance]:
    """Align every utterance in words, which mean nothing but themselves."""
    references, hypotheses = (
        [split_words(text) for text in side.values()] for side in (transcripts.references, transcripts.hypotheses)
    )
    operations = align_all(references, hypotheses)
    names = transcripts.references
    return [
        Utterance(name, transcripts.speakers[name], reference, hypothesis, letters)
        for name, reference, hypothesis, letters in zip(names, references, hypotheses, operations, strict=True)
    ]


def _align_texts(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol) -> Aligned:
    """Score utterances by their ids."""
    transcripts = read_transcripts(data_dir, decode_dir, protocol.regime)
    dropped: list[str] = []
    if protocol.regime == "whisper":
        transcripts, dropped = normalized(transcripts)
    if protocol.glm:
        transcripts = mapped(transcripts, protocol.glm, split_hyphens=not protocol.join_hyphens)
    if protocol.join_hyphens:
        transcripts = joined(transcripts)
    utterances = align_words(transcripts)
    subsets = {
        name: _subset(name, [u for u in utterances if u.id.startswith(prefix)])
        for name, prefix in protocol.subsets.items()
    }
    return Aligned(utterances, subsets, transcripts.missing, dropped)


def _align_times(data_dir: str | os.PathLike[str], decode_dir: Path, protocol: Protocol) -> Aligned:
    """Score recognised words by the segments they fall into."""
    assert protocol.stm
    segments, labels = read_stm(protocol.stm)
    segments = by_time(segments)
    tokens = by_time(read_ctm(protocol.ctm) if protocol.ctm else decoded_tokens(data_dir, decode_dir))
    if all(segment.is_ignored for segment in segments):
        raise UserError(f"{protocol.stm} has no segment to score")
    if protocol.hyp_filter:
        tokens = HYPOTHESIS_FILTERS[protocol.hyp_filter](tokens)
    if protocol.glm:
        segments = Filter(read_glm(protocol.glm, ("stm", "ref"))).segments(segments)
        tokens = Filter(read_glm(protocol.glm, ("ctm", "hyp"))).tokens(tokens)
    scored = score_segments(segments, tokens)
    missing = [f"{file} {channel}" for file, channel in scored.missing]
    if not protocol.ctm or (decode_dir / "text").exists():  # words with times may come without such a file
        missing += undecoded(data_dir, decode_dir)
    dropped: list[str] = []
    is_whisper = protocol.regime == "whisper"
    if is_whisper:
        scored, dropped = _normalized_segments(scored)
    timed = None if is_whisper else (segments, labels, tokens)
    parts = _parts(scored, data_dir)
    return Aligned(scored.utterances, _timed_subsets(scored, labels, protocol), missing, dropped, timed, parts)


def _parts(scored: Scored, data_dir: str | os.PathLike[str]) -> dict[str, Part]:
    """Where segments are in the recordings that the data directory has, by the ids of their utterances."""
    recordings, parts = recordings_by_place(DataDir(data_dir)), {}
    for utterance, segment in zip(scored.utterances, scored.segments, strict=True):
        recording = recordings.get((fold_case(segment.file), fold_case(segment.channel)))
        if recording is not None and segment.begin < segment.end:
            parts[utterance.id] = Part(recording, segment.begin, segment.end)
    return parts


def _timed_subsets(scored: Scored, labels: Sequence[Label], protocol: Protocol) -> dict[str, list[Utterance]]:
    """Segments by the labels that an stm declares, and by the names of files."""
    subsets: dict[str, list[Utterance]] = {}
    both = list(zip(scored.utterances, scored.segments, strict=True))
    for label in labels:
        group = [u for u, segment in both if fold_case(label.id) in map(fold_case, segment.labels)]
        name = _NOT_IN_NAMES.sub("_", label.id)
        if group and (name == "all" or fold_case(name) in map(fold_case, subsets)):
            log.warning("%s: the label %s has no row of its own: its name is taken", protocol.stm, label.id)
        elif group:
            subsets[name] = group
    for name, prefix in protocol.subsets.items():
        if fold_case(name) in map(fold_case, subsets):
            raise UserError(f"--subset {name}: the stm declares a label of this name; choose another")
        subsets[name] = _subset(name, [u for u, s in both if fold_case(s.file).startswith(fold_case(prefix))])
    return subsets


def _subset(name: str, utterances: list[Utterance]) -> list[Utterance]:
    if not utterances:
        raise UserError(f"--subset {name}: nothing begins like that")
    return utterances


def _normalized_segments(scored: Scored) -> tuple[Scored, list[str]]:
    """Segments as utterances, normalised."""
    texts = zip(scored.utterances, scored.segments, strict=True)
    transcripts, dropped = normalized(
        Transcripts(
            {u.id: segment.text for u, segment in texts},
            {u.id: " ".join(u.hypothesis) for u in scored.utterances},
            {u.id: u.speaker for u in scored.utterances},
            [],
        )
    )
    kept = [s for u, s in zip(scored.utterances, scored.segments, strict=True) if u.id in transcripts.references]
    return Scored(kept, align_words(transcripts), scored.missing), dropped
