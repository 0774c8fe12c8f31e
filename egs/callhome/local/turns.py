"""Turns of LDC's CallHome transcripts, and their words as training texts have them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_lines
from omni_asr.text.plain import plain_words, unspoken

_TIMES = r"(\d+(?:\.\d*)?)\s+(-?\d+(?:\.\d*)?)"
_TURN = re.compile(rf"{_TIMES}\s+([ABab])(\d*)\s*:\s*(.*)")
_TIMED = re.compile(rf"{_TIMES}(?!\S)")
_COMMENT = re.compile(r"#(\s|$)")
_CONTRACTION = re.compile(r'<contraction\s+e_form\s*=\s*"[^"]*"\s*>', re.IGNORECASE)
_GUESS = re.compile(r"\(\([^()]*[^()\s][^()]*\)\)")
_REMOVED = [
    re.compile(r"\(\(\s*\)\)"),  # nobody understands it
    re.compile(r"\[\[[^][]*\]\]"),  # comment
    re.compile(r"\[[^][]*\]"),  # sound: [static], [static/] ... [/static]
    re.compile(r"\{[^{}]*\}"),  # sound of the talker: {laugh}
    re.compile(r"</?[BE]_?ASIDE>|</?aside>", re.IGNORECASE),
]
_FOREIGN = re.compile(r"<[^<>]*>")
_LETTERS = re.compile(r"~([A-Za-z]+)")


@dataclass(frozen=True)
class Turn:
    """What somebody says at a time, in seconds, on a side of a call (``?`` where it is not known).

    ``number`` is that of the person there, or "".
    """

    start: float
    end: float
    side: str
    number: str
    text: str
    problem: str = ""
    """Why it is none, though a line begins with two times."""

    @property
    def is_guess(self) -> bool:
        """Whether some of its words are guessed: ``((perhaps))``."""
        return bool(_GUESS.search(self.text))

    @property
    def is_foreign(self) -> bool:
        """Whether something is said in another language: ``<French oui>``."""
        return bool(_FOREIGN.search(_marks_removed(self.text)))

    @property
    def unspoken(self) -> str:
        """Digits and letters of other scripts in its words, which do not say how they were spoken."""
        return unspoken(_marks_removed(self.text))


def read_turns(path: Path) -> Iterator[Turn]:
    """Turns of a transcript, which is in UTF-8, or in Latin-1 as older copies are.

    Lines without times go on with the turn before them; one that begins with times and is no turn has a ``problem``.

    Raises:
        UserError: the first line that is no comment belongs to no turn, or the file cannot be read.
    """
    turn = None
    for number, line in enumerate(read_lines(path, "latin-1"), 1):
        line = line.strip()
        if not line or _COMMENT.match(line):
            continue
        if line.startswith("#") and (turn is None or line.count("#") == 1):  # but not "#both# of us"
            continue
        if timed := _TIMED.match(line):
            if turn:
                yield turn
            turn = _turn(line, timed, f"{path.name}:{number}")
        elif turn:
            turn = replace(turn, text=f"{turn.text} {line}")
        else:
            raise UserError(f"{path}:{number}: expected '<start> <end> A: words', not {line!r}")
    if turn:
        yield turn


def _turn(line: str, timed: re.Match[str], where: str) -> Turn:
    """What a line says that begins with times."""
    match = _TURN.fullmatch(line)
    if not match:
        problem = f"is no turn '<start> <end> A: words', at {where}"
        return Turn(float(timed[1]), float(timed[2]), "?", "", line, problem)
    start, end, side, person, text = match.groups()
    return Turn(float(start), float(end), side.upper(), person, text)


def spoken_words(text: str) -> str:
    """The words of a turn in the convention of training texts.

    Guesses stay, sounds, comments and what nobody understands go, and so do words that break off (``th-``); of a word
    whose beginning is missing (``-cause``) what is heard stays. ``~FBI`` is spelt.
    """
    text = _LETTERS.sub(lambda match: " ".join(match[1]), _marks_removed(text))
    text = re.sub(r"--+|//|\(\(|\)\)|[%&#*+]", " ", text)
    words = (word.strip(",.?!;:") for word in text.split())
    return plain_words(" ".join(word for word in words if not word.endswith("-")))


def _marks_removed(text: str) -> str:
    text = _CONTRACTION.sub("", text)
    for pattern in _REMOVED:
        text = pattern.sub(" ", text)
    return text
