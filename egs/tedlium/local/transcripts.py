"""Lines of TED-LIUM's stm files, and the words in them."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.stm import IGNORED, Label, is_ignored
from omni_asr.kaldi.tables import stream_lines, to_number
from omni_asr.text.plain import lost_in_plain, plain_words, straight_quotes

UNKNOWN = "<unk>"
"""A word that the aligner did not know; Kaldi leaves it in references, where it counts as a word."""
OVERALL = "o"
TITLES = {
    OVERALL: Label(OVERALL, "Overall", "Overall results"),
    "f0": Label("f0", "f0", "Wideband channel"),
    "f2": Label("f2", "f2", "Telephone channel"),
    "male": Label("male", "Male", "Male talkers"),
    "female": Label("female", "Female", "Female talkers"),
    "unknown": Label("unknown", "Unknown", "Between talkers"),
}
_LINE = re.compile(r"\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s+(\S+)(?:\s+(<(?!unk>|sil>)\S*>)(?=\s|$))?(?:\s+(.*))?$")
_CONDITION = re.compile(r"(f\w)_([mf])")
_NAME_AT_END = re.compile(r"\([^\s()]*\)\s*$")
_VARIANT = re.compile(r"\(\d+\)$")
_EVENT = re.compile(r"\{.*\}|\[.*\]|<.*>")


@dataclass(frozen=True)
class Line:
    """A segment of a talk; times in seconds."""

    talk: str
    speaker: str
    start: float
    end: float
    labels: tuple[str, ...]
    words: list[str]
    is_ignored: bool

    @property
    def id(self) -> str:
        """``<talk>-<start>-<end>`` in hundredths of a second, truncated as Kaldi does."""
        return f"{self.talk}-{int(self.start * 100):07d}-{int(self.end * 100):07d}"

    @property
    def reference(self) -> str:
        """What is scored: all words, the unknown included."""
        return IGNORED.lower() if self.is_ignored else " ".join(self.words)

    @property
    def text(self) -> str:
        """What training uses; nothing where words would be lost."""
        return "" if self.lost else plain_words(self.known)

    @property
    def lost(self) -> str:
        """Digits and signs in the words, which do not tell what was said."""
        return lost_in_plain(self.known)

    @property
    def known(self) -> str:
        """The words but those that are unknown."""
        return " ".join(word for word in self.words if not word.startswith(UNKNOWN))


def read_lines_of(path: Path) -> Iterator[Line]:
    """Segments of an stm file in its order.

    Raises:
        UserError: a line is no line of an stm file, or a time is no number; names file and line.
    """
    for number, text in enumerate(stream_lines(path), 1):
        text = text.rstrip()
        if not text or text.lstrip().startswith(";;"):
            continue
        match = _LINE.match(text)
        if not match:
            raise UserError(f"{path}:{number}: expected '<talk> <channel> <speaker> <start> <end> <labels> words'")
        talk, _, speaker, start, end, labels, words = match.groups()
        where = f"{path}:{number}"
        yield Line(
            talk,
            speaker,
            to_number(start, where),
            to_number(end, where),
            labels_of(labels or ""),
            words_of(words or ""),
            is_ignored(words or ""),
        )


def labels_of(field: str) -> tuple[str, ...]:
    """Labels as release 3 has them: older ``<F0_M>`` is ``<o,f0,male>``; every segment has at least ``o``."""
    field = field.strip("<>").lower()
    if match := _CONDITION.fullmatch(field):
        return (OVERALL, match[1], "male" if match[2] == "m" else "female")
    return tuple(filter(None, field.split(","))) or (OVERALL,)


def declared(used: Iterable[str]) -> list[Label]:
    """Declarations of labels, without which scorers refuse them."""
    return [TITLES.get(name, Label(name, name, name)) for name in sorted(set(used), key=_rank)]


def _rank(label: str) -> tuple[int, str]:
    known = list(TITLES)
    return (known.index(label) if label in known else len(known), label)


def words_of(transcript: str) -> list[str]:
    """Words of a transcript, of which only :data:`UNKNOWN` is none: without the name of the utterance at the end of
    some lines, variants of pronunciation, ``<sil>`` and noises, and with clitics joined.
    """
    text = _NAME_AT_END.sub("", straight_quotes(transcript).lower())
    tokens = [_VARIANT.sub("", token) for token in text.split()]
    return join_clitics([token for token in tokens if token and (token == UNKNOWN or not _EVENT.fullmatch(token))])


def join_clitics(tokens: Iterable[str]) -> list[str]:
    """``we 're`` as ``we're``; an apostrophe alone belongs to the next word: ``' cause`` is ``'cause``."""
    words: list[str] = []
    opening = ""
    for token in tokens:
        if token == "'":
            opening = token
        elif token.startswith("'") and words:
            words[-1] += token
            opening = ""
        else:
            words.append(opening + token)
            opening = ""
    return words
