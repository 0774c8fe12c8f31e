"""What the transcripts of CHiME-6 become: for the challenge's scoring, for Whisper's, and for training."""

import re

from omni_asr.text.plain import straight_quotes

_EVENT = re.compile(r"\[[^\[\]]*\]")
_DOTS = re.compile(r"\.{2,}")
_PUNCTUATION = str.maketrans("", "", '".?,:;!')
REDACTED = "[redacted]"


def without_events(words: str) -> str:
    """A transcript without ``[laughs]``, ``[inaudible 0:12]`` and the like, its quotes straight."""
    return " ".join(_EVENT.sub(" ", straight_quotes(words)).split())


def whisper_words(words: str) -> str:
    """What Whisper's normaliser gets: no events, and no ``...``, of which it would make a word."""
    return " ".join(_DOTS.sub(" ", without_events(words)).split())


def said_words(words: str) -> str:
    """Lower case, no punctuation and no events; a lone ``-`` goes.

    A word that was broken off (``kitch-``) loses its hyphen, since recognised words have none; it stays one word.
    """
    text = without_events(words).translate(_PUNCTUATION).lower()
    return " ".join(filter(None, (word.rstrip("-") for word in text.split())))


def scored_words(words: str) -> str:
    """What Kaldi's recipe scores: :func:`said_words`, but ``mm-hmm`` is ``mmhmm``."""
    return said_words(words).replace("mm-", "mm")
