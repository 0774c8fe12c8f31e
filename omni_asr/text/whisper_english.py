"""Whisper's English normaliser, for numbers that are compared with papers that use it.

It works in place on plain words only; what corpora write beside them is removed first, the same on both sides:

* curly quotes, primes and the like become straight quotes (``don’t`` would become ``don t``),
* ``[laughter-really]`` becomes ``really``,
* events go: ``[noise]``, ``<unk>``, ``{breath}``, ``%HESITATION``, and of other words with a ``%`` such as ``%uh`` the
  ``%``,
* of ``{ you're / you are }`` the first branch stays that says something.

What the normaliser then does itself: it deletes ``(...)`` and the words hmm, mm, mhm, mmm, uh and um, expands
contractions, writes numbers as digits and English as American.
"""

import functools
import re
from collections.abc import Callable

from omni_asr.errors import UserError
from omni_asr.text.plain import straight_quotes

_LAUGHED = re.compile(r"\[laughter-([^\]\s]+)\]", re.IGNORECASE)
_EVENT = re.compile(r"\[[^\[\]]*\]|<[^<>]*>|%(?:hesitation|bcn?ack)\b", re.IGNORECASE)
_FILLER = re.compile(r"(?<![^\s(])%(?=[a-z])", re.IGNORECASE)
_EMPTY = re.compile(r"\(\s*\)")
_BRACES = re.compile(r"\{([^{}]*)\}")


@functools.cache
def whisper_normalizer() -> Callable[[str], str]:
    """The normaliser: a transcript in, words between single blanks out.

    Raises:
        UserError: the package whisper-normalizer is not installed.
    """
    try:
        from whisper_normalizer.english import EnglishTextNormalizer
    except ImportError as error:
        what = f"the regime whisper needs the package whisper-normalizer ({error})"
        raise UserError(f"{what}; pip install 'omni-asr[normalize]'") from None
    normalize = EnglishTextNormalizer()
    return lambda text: " ".join(normalize(without_markup(text)).split())


def without_markup(text: str) -> str:
    """A transcript of words alone, with straight quotes; ``(...)`` is left to the normaliser."""
    text = _LAUGHED.sub(r"\1", straight_quotes(text))
    text = _EMPTY.sub(" ", _FILLER.sub("", _EVENT.sub(" ", text)))
    while _BRACES.search(text):  # the innermost first
        text = _BRACES.sub(_branch, text)
    return " ".join(text.split())


def _branch(braces: re.Match[str]) -> str:
    branches = [branch.strip() for branch in braces[1].split("/")]
    if len(branches) == 1 and len(braces[1].split()) < 2:
        return " "  # an event such as {laugh}
    return f" {next((branch for branch in branches if branch not in ('', '@')), ' ')} "
