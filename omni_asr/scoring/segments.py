"""References with times (stm) against recognised words with times (ctm), as ``sclite -r stm -h ctm -D -F`` scores them.

Within a file and channel a segment gets the words that no earlier one has and whose middle lies before its end; the
last one gets all that is left. So a word in a gap counts in the segment after it. sclite keeps a segment's times in
single precision and a word's in double, which decides where they are equal: the end 15.67 lies a little behind a middle
of 15.67, 2.3 a little before.

Words in a segment that is to be ignored do not count. A file or channel without any word counts as deleted; words of a
file or channel that the references lack are an error. Names of files, channels and speakers are compared as words are:
A to Z like a to z.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Alternation, Token
from omni_asr.kaldi.stm import Segment
from omni_asr.scoring.align import fold_case
from omni_asr.scoring.markup import Markup, align_texts, parse_word, split_blanks
from omni_asr.scoring.network import NULL, Network
from omni_asr.scoring.sclite import Utterance

HUB = Markup(optional=True, fragments=True)  # what hubscr.pl asks of sclite
Place = tuple[str, str]
Timed = TypeVar("Timed", bound=Segment | Token | Alternation)


@dataclass(frozen=True)
class Scored:
    """Segments that count, each with its alignment, and files and channels without a single recognised word."""

    segments: list[Segment]
    utterances: list[Utterance]
    missing: list[Place]


def score_segments(segments: Iterable[Segment], tokens: Iterable[Token | Alternation], markup: Markup = HUB) -> Scored:
    """Align recognised words with the segments they fall into, both in the order given, see :func:`by_time`.

    Utterances are named ``<speaker>-<number>`` and count from 0 for each speaker.

    Raises:
        UserError: a word's file and channel has no segment, or markup is not in order; names file and line.
    """
    places = _by_place(tokens)
    counted: list[Segment] = []
    heard: list[list[Token | Alternation]] = []
    missing = []
    for place, group in _by_place(segments).items():
        words = places.pop(place, [])
        if not words:
            missing.append(place)
        for segment, own in assign(group, words):
            if not segment.is_ignored:
                counted.append(segment)
                heard.append(own)
    if places:
        first = next(iter(places.values()))[0]
        raise UserError(f"{first.where}: the references have no file {first.file!r} with channel {first.channel!r}")
    alignments = align_texts(
        [segment.text for segment in counted],
        [_hypothesis(own, markup) for own in heard],
        markup,
        lambda side, index: f"{counted[index].where}: {side}",
    )
    utterances = [
        Utterance(
            name,
            fold_case(segment.speaker),
            alignment.reference,
            alignment.hypothesis,
            alignment.operations,
            _heading(segment),
            " ".join(split_blanks(segment.text)),
        )
        for name, segment, alignment in zip(_names(counted), counted, alignments, strict=True)
    ]
    return Scored(counted, utterances, missing)


def _names(counted: Iterable[Segment]) -> Iterator[str]:
    """Speaker and number of each segment."""
    numbers: dict[str, int] = {}
    for segment in counted:
        speaker = fold_case(segment.speaker)
        number = numbers[speaker] = numbers.get(speaker, -1) + 1
        yield f"{speaker}-{number:03d}"


def by_time(items: Iterable[Timed]) -> list[Timed]:
    """Sorted by file, channel and begin. hubscr.pl sorts before it filters; what a glm makes of a word stays there."""
    return sorted(items, key=lambda item: (item.file, item.channel, item.begin))


def assign(
    segments: Sequence[Segment], tokens: Sequence[Token | Alternation]
) -> list[tuple[Segment, list[Token | Alternation]]]:
    """The words of each segment of one file and channel, both in order of time."""
    assigned, at = [], 0
    for number, segment in enumerate(segments, 1):
        start, end = at, float(np.float32(segment.end))
        while at < len(tokens) and (number == len(segments) or tokens[at].middle < end):
            at += 1
        assigned.append((segment, list(tokens[start:at])))
    return assigned


def _heading(segment: Segment) -> str:
    """What sclite prints of a segment."""
    labels = f"Labels: <{fold_case(','.join(segment.labels))}>\n" if segment.labels else ""
    return f"{labels}File: {fold_case(segment.file)}\nChannel: {fold_case(segment.channel)}\n"


def _place(item: Segment | Token | Alternation) -> Place:
    return fold_case(item.file), fold_case(item.channel)


def _by_place(items: Iterable[Timed]) -> dict[Place, list[Timed]]:
    places: dict[Place, list[Timed]] = {}
    for item in items:
        places.setdefault(_place(item), []).append(item)
    return places


def _hypothesis(tokens: Sequence[Token | Alternation], markup: Markup) -> str | Network:
    """Words as text where that says it all; in a ctm braces and slashes mean nothing, the other marks what they do."""
    text = " ".join(token.word for token in tokens if isinstance(token, Token))
    if not markup.is_used(text) and all(isinstance(token, Token) for token in tokens):
        return text
    network = Network()
    for token in tokens:
        if isinstance(token, Token):
            network.add(parse_word(token.word, markup))
        else:
            network.add_branches([_branch(branch, markup) for branch in token.branches])
    return network


def _branch(tokens: Sequence[Token], markup: Markup) -> Network:
    network = Network()
    for word in [token.word for token in tokens] or [NULL]:
        network.add(parse_word(word, markup))
    return network
