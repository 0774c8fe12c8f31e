"""Words of the Wall Street Journal's detailed transcripts (``.dot``).

Source: the transcription conventions on the discs (``wsj0/transcrp/doc/dot_spec.doc``) and what Kaldi's recipe makes of
them, whose word counts are the official ones.
"""

import re

from omni_asr.text.plain import hyphenated_words, plain_words

_EVENT = re.compile(r"\[[^\[\]\s]*\]")  # [loud_breath], [<door_slam], [door_slam>], [phone_ring/], [/phone_ring]
_UNSAID = re.compile(r"(?<=\w)\([\w']+\)(?=-)|(?<=-)\([\w']+\)(?=\w)")  # the rest of a word broken off
_MARKS = re.compile(r"[\\<>*:]")  # quoting; said although it was to be left out; mispronounced; drawn out
_DOT = re.compile(r"\.(?=s?(?:['\s]|$))")  # of an abbreviation: i. b. m., u. s.'s, c. d.s
_SPELLED = {
    "%PERCENT": "PERCENT",
    ".POINT": "POINT",
    "--DASH": "-DASH",
    "-HOLDER": "HOLDER",
    "COMPAIGN": "CAMPAIGN",
    "APPROACHES-": "APPROACHES",
    "RESEACHERS": "RESEARCHERS",
}
"""Three words of the prompts as their dictionary has them, and four known slips of the transcripts."""


def official_words(transcript: str) -> list[str]:
    r"""Words that are scored: upper case, abbreviations with their dots, no noises, pauses or marks of manner.

    ``Up .POINT five at I\. B\. M\. [door_slam>] ~`` gives ``UP POINT FIVE AT I. B. M.``
    """
    words = []
    for word in transcript.upper().split():
        word = _MARKS.sub("", _EVENT.sub("", word))
        if word not in ("", "~", "."):
            words.append(_SPELLED.get(word, word))
    return words


def training_words(words: list[str]) -> str:
    """The same words as all training texts have them: ``i b m``, ``twenty five``, ``comma`` for ``,COMMA``."""
    return plain_words(_without_dots(words))


def scored_words(words: list[str]) -> str:
    """The same words, but ``half-built`` is one, as in the counts of Kaldi and ESPnet."""
    return hyphenated_words(_without_dots(words))


def _without_dots(words: list[str]) -> str:
    text = _UNSAID.sub("", " ".join(words).lower()).replace("'single-quote", "single-quote")
    return _DOT.sub("", text)
