"""Pieces of segments, as Kaldi's recipe cuts them, and the words in them.

A segment is cut at full stops and question marks; what is then longer than 30 tokens is cut again at the comma nearest
to its middle in time, and so on. Pieces begin and end where the punctuation does; Kaldi counts commas as tokens.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from nxt import Segment, Token
from spelling import KALDIS, joined

from omni_asr.text.plain import straight_quotes

LONGEST = 30
"""Tokens of a piece, commas included."""
STOPS, COMMA = (".", "?"), ","
_OTHER = re.compile(r"[^A-Z0-9'_-]+")


@dataclass(frozen=True)
class Piece:
    """A part of a segment that is an utterance; times in seconds."""

    start: float
    end: float
    words: str


def bounds(segment: Segment) -> tuple[float, float] | None:
    """Start of the first and end of the last word that have times; None where none has."""
    starts = [token.start for token in segment.tokens if token.start is not None]
    ends = [token.end for token in segment.tokens if token.end is not None]
    return (starts[0], ends[-1]) if starts and ends else None


def pieces(segment: Segment) -> Iterator[Piece]:
    """Pieces of a segment with words, in order; of one without times, the transcriber's times are taken."""
    start, end = bounds(segment) or (segment.start, segment.end)
    tokens = _timed(segment.tokens, start)
    cuts = [place for place, (token, _) in enumerate(tokens) if token.is_punctuation and token.text in STOPS]
    first = 0
    for cut in [*cuts, len(tokens)]:
        until = tokens[cut][1] if cut < len(tokens) else end
        yield from _shortened(tokens[first:cut], start, until)
        first, start = cut + 1, until


def _timed(tokens: Sequence[Token], start: float) -> list[tuple[Token, float]]:
    """Tokens with the time at which each begins; one without times begins where the one before it ends."""
    timed = []
    for token in tokens:
        start = start if token.start is None else token.start
        timed.append((token, start))
        start = start if token.end is None else token.end
    return timed


def _shortened(tokens: Sequence[tuple[Token, float]], start: float, end: float) -> Iterator[Piece]:
    """A sentence, cut at commas while it is too long and has one inside."""
    middle = (start + end) / 2
    commas = [
        (abs(time - middle), place)
        for place, (token, time) in enumerate(tokens)
        if token.is_punctuation and token.text == COMMA and start < time < end
    ]
    if len(tokens) > LONGEST and commas:
        _, place = min(commas)
        yield from _shortened(tokens[:place], start, tokens[place][1])
        yield from _shortened(tokens[place + 1 :], tokens[place][1], end)
        return
    words = spoken(token.text for token, _ in tokens if not token.is_punctuation)
    if words:
        yield Piece(start, end, words)


def spoken(words: Iterable[str]) -> str:
    """Words as Kaldi scores them: upper case, no punctuation, ``X_M_L`` as ``X. M. L.``, ``MM-HMM`` and ``UH-HUH``."""
    text = unicodedata.normalize("NFKD", straight_quotes(" ".join(words)).upper())
    text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = _OTHER.sub(" ", text).replace("-", " ")
    text = " ".join(_letters(word) for word in text.split())
    return joined(" ".join(text.split()), KALDIS)


def _letters(word: str) -> str:
    """``X_M_L`` as ``X. M. L.``."""
    if "_" not in word:
        return word
    parts = [part for part in word.split("_") if part]
    return " ".join(f"{part}." if len(part) == 1 else part for part in parts)
