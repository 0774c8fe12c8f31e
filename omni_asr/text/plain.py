"""One convention for the text of training, so that corpora can be combined: lower case, ``a`` to ``z`` and ``'``."""

import re
import unicodedata

_SINGLE = dict.fromkeys(map(ord, "‘’‛`´ʼ′＇"), "'")
_DOUBLE = dict.fromkeys(map(ord, "“”„‟«»″＂"), '"')
_SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"})
_OTHER = re.compile(r"[^a-z' ]+")
_SHORTENED = {
    "'bout",
    "'cause",
    "'em",
    "'er",
    "'im",
    "'kay",
    "'n",
    "'n'",
    "'neath",
    "'round",
    "'til",
    "'till",
    "'tis",
    "'twas",
}
"""Words that begin with an apostrophe of their own."""


def straight_quotes(text: str) -> str:
    """Text with ``'`` and ``"`` in the place of all other quotes, which normalisers do not know."""
    return text.translate(_SINGLE | _DOUBLE)


def plain_words(text: str) -> str:
    """Words as training texts have them: ``“Well,” he said, it’s café time.`` gives ``well he said it's cafe time``.

    Accents are dropped, and everything but letters and apostrophes separates words; digits too, so a text with
    :func:`unspoken` characters is better left out of training. Apostrophes are kept where they belong to a word, and go
    where they are quotes.
    """
    text = _letters(straight_quotes(text).lower())
    return " ".join(_without_quotes(_OTHER.sub(" ", text).split()))


def unspoken(text: str) -> str:
    """Letters and digits of a text that :func:`plain_words` would lose, and with them what was said; sorted."""
    return "".join(
        sorted({letter for letter in _letters(text.lower()) if letter.isalnum() and not "a" <= letter <= "z"})
    )


def _letters(text: str) -> str:
    """Letters without accents."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _without_quotes(tokens: list[str]) -> list[str]:
    """Tokens without the apostrophes that open or close a quotation."""
    words, is_open = [], False
    for token in tokens:
        if token.startswith("'") and token not in _SHORTENED:
            token, is_open = token.lstrip("'"), True
        if token.endswith("'") and token not in _SHORTENED:
            bare = token.rstrip("'")
            if is_open or not bare.endswith(("s", "n")):  # "dogs'" and "goin'" keep theirs outside of a quotation
                token, is_open = bare, False
            else:
                token = bare + "'"
        if token:
            words.append(token)
    return words
