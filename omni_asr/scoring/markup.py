r"""What sclite reads into a transcript, and the alignment of transcripts that use it.

* ``{ a / b c / @ }`` is an alternation: either branch counts, ``@`` is the empty one. Branches may hold several words
  and further alternations. Both sides may use it. An empty branch between two slashes is no branch.
* ``(word)`` may be left out without an error, on either side, with ``optional`` (sclite ``-D``). Blanks make words:
  ``(a b)`` is the word ``(a`` and the word ``b)``.
* ``word-`` and ``-word`` are fragments with ``fragments`` (sclite ``-F``): right against any word that begins, or ends,
  like that, on either side. Between parentheses only ``(word-)`` is one.
* ``word;tag`` and ``word;`` are ``word``, ``;tag`` is a word without letters; ``\`` is dropped, but ``\;`` keeps its
  ``;``; so is one ``*`` at the end of a longer word.
* Upper and lower case are alike, which means A to Z: sclite folds no other letter, not even with ``-e utf-8``
  (measured on all 2,906 pairs of Unicode; its localizations such as ``babel_turkish`` do, and are not had here).

``@`` outside of an alternation is nothing, not a word. What crashes sclite, or makes it lose words without a message,
is a UserError here: braces that do not pair, a brace inside a word, an alternation without a branch.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from omni_asr.errors import UserError
from omni_asr.scoring.align import align_all, fold_case
from omni_asr.scoring.network import NULL, Alignment, Network, Word, align_networks

_BLANKS = " \t\n\v\f\r"
_TAG = re.compile(r"(?<!\\);")


@dataclass(frozen=True)
class Markup:
    """Which marks count: sclite's options ``-D``, ``-F`` and ``-s``."""

    optional: bool = False
    fragments: bool = False
    case_sensitive: bool = False

    def is_used(self, text: str) -> bool:
        """Whether a transcript is more than words between blanks."""
        return bool(
            not _PLAIN.isdisjoint(text)
            or (self.optional and "(" in text)
            or (self.fragments and "-" in text and _FRAGMENT.search(text))
        )


_PLAIN = frozenset("{}@;\\*")
_FRAGMENT = re.compile(r"(?:^|[ \t\n\v\f\r(])-|-(?:[ \t\n\v\f\r)]|$)")


def align_texts(
    references: Sequence[str],
    hypotheses: Sequence[str | Network],
    markup: Markup | None = None,
    where: Callable[[str, int], str] = "{} {}".format,
) -> list[Alignment]:
    """Align pairs of transcripts as sclite does; those without any mark in one go, which is fast.

    A hypothesis that does not come from text may be a network.

    Raises:
        ValueError: the two lists differ in length.
        UserError: braces are not in order; the message begins with ``where("reference" or "hypothesis", index)``.
    """
    markup = markup or Markup()
    alignments: dict[int, Alignment] = {}
    plain: dict[int, tuple[str, str]] = {}
    for index, (reference, hypothesis) in enumerate(zip(references, hypotheses, strict=True)):
        if isinstance(hypothesis, str) and not (markup.is_used(reference) or markup.is_used(hypothesis)):
            plain[index] = reference, hypothesis
            continue
        networks = []
        for side, text in (("reference", reference), ("hypothesis", hypothesis)):
            try:
                networks.append(parse(text, markup) if isinstance(text, str) else text)
            except UserError as error:
                raise UserError(f"{where(side, index)}: {error}") from None
        alignments[index] = align_networks(*networks)
    reference_words, hypothesis_words = ([split_blanks(pair[side]) for pair in plain.values()] for side in (0, 1))
    operations = align_all(reference_words, hypothesis_words, markup.case_sensitive)
    alignments.update(zip(plain, map(Alignment, reference_words, hypothesis_words, operations), strict=True))
    return [alignments[index] for index in range(len(references))]


def split_blanks(text: str) -> list[str]:
    """Words between blanks; blanks are the ASCII ones, as for sclite."""
    return text.split() if text.isascii() and _CONTROLS.isdisjoint(text) else [w for w in _SPLIT.split(text) if w]


_CONTROLS = frozenset("\x1c\x1d\x1e\x1f")  # blanks for str.split, not for C
_SPLIT = re.compile(f"[{_BLANKS}]+")


def parse(text: str, markup: Markup) -> Network:
    """A transcript as a network.

    Raises:
        UserError: braces are not in order.
    """
    network = Network()
    for token in _tokens(text):
        if token[0] != "{":
            network.add(parse_word(token, markup))
            continue
        branches = [parse(branch, markup) for branch in _branches(token[1:-1])]
        if not branches:
            raise UserError(f"{token!r} has no branch; write @ for nothing")
        network.add_branches(branches)
    return network


def sizes(text: str, words: Sequence[str]) -> list[int] | None:
    """How many of the words that an alignment chose come from each word or alternation of a transcript.

    Where the words fit in several ways, earlier alternations have the fewest. None where they are no way through it.

    Raises:
        UserError: braces are not in order.
    """
    tokens = list(_tokens(text))
    reached = [{0}]
    for token in tokens:
        reached.append({end for start in reached[-1] for end in _ends(token, words, start)})
    if len(words) not in reached[-1]:
        return None
    found, end = [], len(words)
    for token, starts in zip(reversed(tokens), reversed(reached[:-1]), strict=True):
        start = min(start for start in starts if end in _ends(token, words, start))
        found.append(end - start)
        end = start
    return found[::-1]


def _ends(token: str, words: Sequence[str], start: int) -> set[int]:
    """Where a word or alternation may end that begins at a place among the words."""
    if token[0] != "{":
        text = parse_word(token, Markup()).text
        if text == NULL:
            return {start}
        return {start + 1} if words[start : start + 1] == [text] else set()
    ends = set()
    for branch in _branches(token[1:-1]):
        reached = {start}
        for inner in _tokens(branch):
            reached = {end for place in reached for end in _ends(inner, words, place)}
        ends |= reached
    return ends


def parse_word(token: str, markup: Markup) -> Word:
    """A word of a transcript or a ctm file, its tag and escapes removed."""
    text = _TAG.split(token, maxsplit=1)[0].replace("\\", "")
    if len(text) > 1 and text[-1] == "*":
        text = text[:-1]
    optional = markup.optional and len(text) > 1 and text[0] == "(" and text[-1] == ")"
    fragment = bool(text) and (text[0] == "-" or text[-1] == "-" or (optional and text[-2] == "-"))
    key = text[1:-1] if optional else text
    return Word(text, key if markup.case_sensitive else fold_case(key), optional, markup.fragments and fragment)


def bare_words(text: str) -> Iterator[str]:
    """Words of a transcript without marks and events, to look at their spelling; of an alternation all branches.

    Left out are ``<...>``, ``[...]`` and words that begin with ``%``; parentheses and hyphens at the ends go.
    """
    if "{" in text:
        text = text.replace("/", " ")
    for token in split_blanks(_EVENT_OR_BRACE.sub(" ", text)):
        if token == NULL or token.startswith(("%", "(%")):
            continue
        word = parse_word(token, Markup()).text.strip("()-")
        if word:
            yield word


_EVENT_OR_BRACE = re.compile(r"<[^<>]*>|\[[^\[\]]*\]|[{}]")


def _tokens(text: str) -> Iterator[str]:
    """Words, and whole alternations from brace to brace."""
    at = 0
    while at < len(text):
        if text[at] in _BLANKS:
            at += 1
            continue
        end = at
        if text[at] == "{":
            depth = 0
            while end < len(text) and (depth or end == at):
                depth += (text[end] == "{") - (text[end] == "}")
                end += 1
            if depth:
                raise UserError(f"{text[at : at + 20]!r}: the brace is never closed; write {{ a / b }}")
        else:
            while end < len(text) and text[end] not in _BLANKS:
                end += 1
            if "{" in text[at:end]:
                raise UserError(f"{text[at:end]!r}: a brace inside a word; put a blank before it")
        yield text[at:end]
        at = end


def _branches(text: str) -> Iterator[str]:
    """Branches of the inside of an alternation, those without a word left out."""
    start = depth = 0
    for at, character in enumerate(text):
        depth += (character == "{") - (character == "}")
        if character == "/" and not depth:
            yield from filter(None, [text[start:at].strip(_BLANKS)])
            start = at + 1
    yield from filter(None, [text[start:].strip(_BLANKS)])
