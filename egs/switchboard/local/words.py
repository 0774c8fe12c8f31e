"""Words of the MS-State transcripts of Switchboard, as training texts have them."""

import functools
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from omni_asr.kaldi.tables import split_line, stream_lines
from omni_asr.text.plain import plain_words

LETTERS = {
    "a": "ey", "b": "b iy", "c": "s iy", "d": "d iy", "e": "iy", "f": "eh f", "g": "jh iy", "h": "ey ch", "i": "ay",
    "j": "jh ey", "k": "k ey", "l": "eh l", "m": "eh m", "n": "eh n", "o": "ow", "p": "p iy", "q": "k y uw",
    "r": "aa r", "s": "eh s", "t": "t iy", "u": "y uw", "v": "v iy", "w": "d ah b ax l y uw", "x": "eh k s",
    "y": "w ay", "z": "z iy",
}  # fmt: skip
"""How the names of letters are pronounced, in the phones of the dictionary, which may know further ways."""

_MARKS = {"[silence]", "<b_aside>", "<e_aside>"}
_RULES = [
    (re.compile(r"^(-?)\[laughter-(.+)\](-?)$", re.IGNORECASE), r"\1\2\3"),  # said laughing: [laughter-maybe]
    (re.compile(r"^\[(.+)/.+\](-?)$"), r"\1\2"),  # as pronounced: [rowin'/rowing]
    (re.compile(r"^-?\[[^][]+\](?=.)"), "-"),  # the beginning is missing: -[a]cross
    (re.compile(r"(?<=.)\[[^][]+\]-?$"), "-"),  # the end is missing: to[morrow]-
    (re.compile(r"^\{(.+)\}$"), r"\1"),  # coined: {glimmed}
    (re.compile(r"_\d+"), ""),  # another pronunciation: them_1
]
_EVENT = re.compile(r"^-?\[[^][]*\]-?$")
_ACRONYM = re.compile(r"[A-Za-z]+(?:'s)?")


@functools.lru_cache(maxsize=1 << 16)
def bare_word(token: str) -> str:
    """The word of a token; a fragment begins or ends with ``-``."""
    for pattern, replacement in _RULES:
        token = pattern.sub(replacement, token)
    return token


def spoken_words(text: str, acronyms: Mapping[str, str]) -> str:
    """The words of a transcript.

    Noises and asides go, and so do words that break off (``to-``): optional to the test, they are better not learnt.
    A word whose beginning is swallowed stays with what is heard of it (``-[be]cause`` is ``cause``). ``acronyms`` say
    how those are spelt.
    """
    words = []
    for token in text.split():
        word = bare_word(token)
        if not _is_mark(token) and not word.endswith("-") and "[" not in word:
            words.append(acronyms.get(word, word).lstrip("-"))
    return plain_words(" ".join(words))


def gaps(text: str) -> int:
    """How many words of a transcript lack their middle (``so[me]thing``) or are miswritten; they are left out, too."""
    return sum("[" in bare_word(token) for token in text.split() if not _is_mark(token))


def _is_mark(token: str) -> bool:
    """Whether a token is a noise, an aside or silence."""
    return token.lower() in _MARKS or bool(
        _EVENT.match(token) and "/" not in token and "laughter-" not in token.lower()
    )


def read_acronyms(dictionary: Path) -> dict[str, str]:
    """Words of the dictionary that are pronounced as their letters, spelt so: ``IBM`` is ``i b m``, ``CDs`` ``c d's``.

    Case matters, since ``US`` is not ``us``. The names of letters are those of LETTERS and of the dictionary, but for
    names of one phone: ``a`` is also the article.

    Raises:
        UserError: the file is missing.
    """
    words, names = [], {letter: {phones} for letter, phones in LETTERS.items()}
    for line in stream_lines(dictionary):
        word, phones = split_line(line)
        if word.lower() in names and " " in phones:
            names[word.lower()].add(" ".join(phones.split()))
        elif _ACRONYM.fullmatch(word):
            words.append((word, phones.split()))
    return {word: spelt for word, phones in words if (spelt := spelt_out(word, phones, names))}


def spelt_out(word: str, phones: list[str], names: Mapping[str, Collection[str]]) -> str | None:
    """The letters of a word that is pronounced like them, perhaps with ``'s`` or ``s``; None for another word.

    ``names`` are the pronunciations of each letter's name.
    """
    candidates = [(word, "", phones)]
    if phones and phones[-1] in ("s", "z"):
        candidates += [(word.removesuffix(end), "'s", phones[:-1]) for end in ("'s", "s") if word.endswith(end)]
    for stem, ending, heard in candidates:
        letters = stem.lower()
        if len(letters) + len(ending) > 1 and _spells(letters, "".join(f"{phone} " for phone in heard), names):
            return " ".join(letters) + ending
    return None


def _spells(letters: str, heard: str, names: Mapping[str, Collection[str]]) -> bool:
    """Whether what is heard, phones with a blank behind each, are the names of some letters."""
    if not letters:
        return not heard
    return any(
        heard.startswith(f"{name} ") and _spells(letters[1:], heard[len(name) + 1 :], names)
        for name in names.get(letters[0], ())
    )
