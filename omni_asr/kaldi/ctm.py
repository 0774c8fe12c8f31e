"""NIST's conversation time mark files (ctm): recognised words with times.

``<file> <channel> <begin> <duration> <word> [<confidence> [<type> [<speaker>]]]``, in seconds, with comments after
``;;``. Type and speaker, as in evaluations of NIST, are passed over whatever they say, as by sclite. Rows whose word is
``<ALT_BEGIN>``, ``<ALT>`` and ``<ALT_END>`` (times ``*``) stand around and between the branches of an alternation.
"""

import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines, to_number

log = logging.getLogger(__name__)

BEGIN, BETWEEN, END = "<ALT_BEGIN>", "<ALT>", "<ALT_END>"


@dataclass(frozen=True)
class Token:
    """A word and its time in seconds."""

    file: str
    channel: str
    begin: float
    duration: float
    word: str
    confidence: float | None = None
    where: str = field(default="", compare=False)
    """File and line it was read from."""

    @property
    def middle(self) -> float:
        """The time that decides to which segment it belongs."""
        return self.begin + self.duration / 2


@dataclass(frozen=True)
class Alternation:
    """Branches of words, any of which may be right; one without words stands for nothing."""

    file: str
    channel: str
    branches: list[list[Token]]
    where: str = field(default="", compare=False)

    @property
    def begin(self) -> float:
        """When its first word begins."""
        return min((token.begin for branch in self.branches for token in branch), default=0.0)

    @property
    def middle(self) -> float:
        """The latest middle of its words, which decides to which segment all of them belong."""
        return max([0.0, *(token.middle for branch in self.branches for token in branch)])


def read_ctm(path: str | os.PathLike[str]) -> list[Token | Alternation]:
    """Read words and alternations in the order of the file.

    sclite loses the first word of a branch that follows an empty one; here an empty branch is one without words.

    Raises:
        UserError: a line does not have five to eight fields, times or confidence are no numbers, or the rows of an
            alternation are not in order. Named by file and line.
    """
    found: list[Token | Alternation] = []
    opened: Alternation | None = None
    for number, line in enumerate(read_lines(path), 1):
        where, fields = f"{path}:{number}", line.replace("\t", " ").strip(" \r").split(" ")
        fields = [part for part in fields if part]
        if not fields or line.startswith(";"):
            if fields and not line.startswith(";;"):
                log.warning(
                    "%s: a line that begins with ';' is no row, for sclite neither; comments begin with ';;'", where
                )
            continue
        if not 5 <= len(fields) <= 8:
            form = "<file> <channel> <begin> <duration> <word> [<confidence> [<type> [<speaker>]]]"
            raise UserError(f"{where}: expected '{form}'")
        file, channel, begin, duration, word, *confidence = fields[:6]
        mark = word.upper()
        if mark in (BEGIN, BETWEEN, END):
            if (mark == BEGIN) == (opened is not None):
                raise UserError(f"{where}: {word} {'inside an' if opened else 'without an open'} alternation")
            if mark == BEGIN:
                opened = Alternation(file, channel, [[]], where)
            elif opened and mark == BETWEEN:
                opened.branches.append([])
            elif opened:
                found.append(_closed(opened))
                opened = None
            continue
        token = Token(
            file,
            channel,
            to_number(begin, where),
            to_number(duration, where),
            word,
            None if not confidence or confidence[0].upper() == "NA" else to_number(confidence[0], where, "confidence"),
            where,
        )
        if token.duration < 0:
            raise UserError(f"{where}: the duration {duration} is negative")
        if opened is None:
            found.append(token)
        elif (opened.file, opened.channel) != (file, channel):
            raise UserError(f"{where}: another file or channel inside an alternation")
        else:
            opened.branches[-1].append(token)
    if opened:
        raise UserError(f"{opened.where}: the alternation has no {END}")
    return found


def write_ctm(path: str | os.PathLike[str], tokens: Iterable[Token | Alternation]) -> None:
    """Write words and alternations in the given order."""
    with atomic_write(path) as file:
        for token in tokens:
            if isinstance(token, Token):
                file.write(_row(token))
                continue
            mark = BEGIN
            for branch in token.branches:
                file.write(f"{token.file} {token.channel} * * {mark}\n")
                file.writelines(map(_row, branch))
                mark = BETWEEN
            file.write(f"{token.file} {token.channel} * * {END}\n")


def _row(token: Token) -> str:
    fields = [token.file, token.channel, repr(token.begin), repr(token.duration), token.word]
    return " ".join(fields if token.confidence is None else [*fields, repr(token.confidence)]) + "\n"


def _closed(alternation: Alternation) -> Alternation:
    if not any(alternation.branches):
        raise UserError(f"{alternation.where}: an alternation without words")
    return alternation
