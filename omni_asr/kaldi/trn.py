r"""NIST's trn files: one utterance a line, its words and then ``(<speaker>-<utterance>)``.

sclite gives ``( ) { } / @ ; \`` a meaning inside words, and ``*`` at their end, and its own escapes cover only some of
them; a control character ends a word, or the line. Such a character is therefore written as ``%`` and two hexadecimal
digits (``(uh)`` becomes ``%28uh%29``) and read back. Transcripts that mean their markup are read by
:func:`read_marked_trn`.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines

SPECIAL = r"(){}/@;" + "\\" + "".join(map(chr, [*range(32), 127]))
_CODES = "|".join(f"{ord(character):02x}" for character in SPECIAL + "%*")
_MUST_ESCAPE = re.compile(rf"[{re.escape(SPECIAL)}]|%(?={_CODES})|(?<=.)\*$", re.IGNORECASE | re.DOTALL)
_ESCAPED = re.compile(rf"%({_CODES})", re.IGNORECASE)
_LINE = re.compile(r"^(.*)\(([^()]*[^() \t][^()]*)\)[ \t\r]*$", re.DOTALL)


def escape(word: str) -> str:
    """A word that sclite takes as it is; different words stay different."""
    return _MUST_ESCAPE.sub(lambda match: f"%{ord(match[0]):02x}", word)


def unescape(word: str) -> str:
    """The inverse of :func:`escape`."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 16)), word)


def utterance_ids(utt2spk: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The trn id ``<speaker>-<utterance>`` of each utterance id.

    ``sclite -i rm`` takes for the speaker what stands before the first ``-``, and ignores case. So ``-`` becomes ``_``
    in speakers, and of names that would then be the same, all but the first get a number.
    """
    speakers: dict[str, str] = {}
    taken_speakers: set[str] = set()
    taken_ids: set[str] = set()
    ids = {}
    for utterance, speaker in utt2spk:
        if speaker not in speakers:
            speakers[speaker] = _unique(escape(speaker).replace("-", "_"), "_", taken_speakers)
        ids[utterance] = _unique(f"{speakers[speaker]}-{escape(utterance)}", "~", taken_ids)
    return ids


def _unique(name: str, separator: str, taken: set[str]) -> str:
    candidate, number = name, 2
    while candidate.lower() in taken:
        candidate, number = f"{name}{separator}{number}", number + 1
    taken.add(candidate.lower())
    return candidate


def write_trn(path: str | os.PathLike[str], utterances: Iterable[tuple[str, Sequence[str]]]) -> None:
    """Write ``(trn id, words)`` pairs in their order; words are escaped."""
    with atomic_write(path) as file:
        for name, words in utterances:
            file.write(f"{' '.join(map(escape, words))} ({name})\n")


def read_trn(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Words of each trn id, in the order of the file. Comment lines (``;;``) and empty lines are passed over.

    Raises:
        UserError: as :func:`read_marked_trn`; or markup that means more than the word it stands on: alternations
            ``{ a / b }``, ``@``, and optionally deletable ``(word)``.
    """
    utterances = {}
    for number, name, text in _entries(path):
        words = [word for word in re.split("[ \t]+", text) if word]
        for word in words:
            if word[0] in "{}@;" or word == "/" or (word[0] == "(" and word[-1] == ")"):
                raise UserError(f"{path}:{number}: {word!r} is markup; write one plain transcript per utterance")
        utterances[name] = [unescape(word) for word in words]
    return utterances


def read_marked_trn(path: str | os.PathLike[str]) -> dict[str, str]:
    """The transcript of each trn id as it stands, for :func:`omni_asr.scoring.markup.align_texts`.

    Raises:
        UserError: a line without ``(id)`` at its end, or an id that occurs twice, in whatever case.
    """
    return {name: text for _, name, text in _entries(path)}


def _entries(path: str | os.PathLike[str]) -> Iterator[tuple[int, str, str]]:
    """Line number, id and transcript. Ids are compared as sclite does: A to Z like a to z."""
    seen: dict[bytes, str] = {}
    for number, line in enumerate(read_lines(path), 1):
        if line.startswith(";;") or not line.strip():
            continue
        match = _LINE.match(line)
        if not match:
            raise UserError(f"{path}:{number}: no (utterance id) at the end of the line")
        text, name = match.groups()
        folded = name.encode("utf-8").lower()
        if folded in seen:
            earlier = "" if seen[folded] == name else f" after ({seen[folded]}), where case does not count"
            raise UserError(f"{path}:{number}: utterance ({name}) occurs a second time{earlier}; ids must be unique")
        seen[folded] = name
        yield number, name, text
