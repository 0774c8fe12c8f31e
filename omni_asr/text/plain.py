"""One convention for the text of training, so that corpora can be combined: lower case, ``a`` to ``z`` and ``'``."""

import re
import unicodedata

_SINGLE = dict.fromkeys(map(ord, "‘’‛`´ʼ′＇"), "'")
_DOUBLE = dict.fromkeys(map(ord, "“”„‟«»″＂"), '"')
_SPELLED = str.maketrans({"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l", "ı": "i"})
_UNSEEN = dict.fromkeys(map(ord, "\u200b™℠"), " ")
_BRACKETS = dict.fromkeys(map(ord, "()[]{}<>"), " ")
_OTHER = re.compile(r"[^a-z' ]+")
_OTHER_THAN_HYPHENS = re.compile(r"[^a-z' -]+")
SPOKEN_SYMBOLS = "#$%&+=@£¥°§€±×÷"
"""Signs that are read aloud."""
_UNWRITTEN = re.compile(rf"[^\w'.,:{re.escape(SPOKEN_SYMBOLS)}]|_|[.,:](?!\d)|(?<!\d)[.,:]")
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

    Accents are dropped, and everything but letters and apostrophes separates words; digits too, so a text of which
    something is :func:`lost_in_plain` is better left out of training. Apostrophes are kept where they belong to a word,
    and go where they are quotes.
    """
    text = _letters(straight_quotes(text).lower())
    return " ".join(_without_quotes(_OTHER.sub(" ", text).split()))


def hyphenated_words(text: str) -> str:
    """What :func:`plain_words` gives, but ``half-built`` stays one word, for protocols that count it as one.

    A word that was broken off (``reve-``) loses its hyphen: recognised words have none.
    """
    tokens = _OTHER_THAN_HYPHENS.sub(" ", _letters(straight_quotes(text).lower())).split()
    return " ".join(_without_quotes([bare for token in tokens if (bare := token.strip("-"))]))


def unspoken(text: str) -> str:
    """Letters and digits of a text that :func:`plain_words` would lose, and with them what was said; sorted."""
    return _lost(text, "")


def written_words(text: str) -> str:
    """Words as they are written, for scoring: what :func:`plain_words` gives, and beside it all that it would lose.

    Digits, the point, comma or colon between two of them, signs that are read aloud and other alphabets stay:
    ``“It’s 2.5 km,” he said.`` gives ``it's 2.5 km he said``.
    """
    text = _letters(straight_quotes(text).lower()).lower()  # a compatibility letter may decompose to a capital
    return " ".join(_without_quotes(_UNWRITTEN.sub(" ", text).split()))


def lost_in_plain(text: str) -> str:
    """What of a text is said and :func:`plain_words` loses: :func:`unspoken` and signs that are read aloud; sorted."""
    return _lost(text, SPOKEN_SYMBOLS)


def _lost(text: str, signs: str) -> str:
    letters = set(_letters(straight_quotes(text).lower()))
    return "".join(sorted(sign for sign in letters if sign in signs or sign.isalnum() and not "a" <= sign <= "z"))


def without_brackets(text: str) -> str:
    """A sentence that was read aloud, for normalisers that take brackets for remarks: what they hold stays.

    Quotes are straightened, and signs that are not seen go; case, punctuation and digits are left to the normaliser.
    """
    return straight_quotes(_visible(text)).translate(_BRACKETS)


def _letters(text: str) -> str:
    """Letters without accents."""
    if text.isascii():  # most texts, and what follows is slow
        return text
    decomposed = unicodedata.normalize("NFKD", _visible(text).translate(_SPELLED))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


def _visible(text: str) -> str:
    """Text without soft hyphens, marks of direction and other signs without a width; the blank among them is one.

    Nor with the signs of trademarks, which nobody says and which decompose to letters: ``Velux™`` is not ``veluxtm``.
    """
    text = text.translate(_UNSEEN)
    return text if text.isascii() else "".join(letter for letter in text if unicodedata.category(letter) != "Cf")


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
