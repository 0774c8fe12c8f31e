"""The glm's rules applied to references and hypotheses, as NIST's csrfilt and hubscr.pl do (``-l english``).

Text is raised to upper case (A to Z), the rules are applied, and hyphens inside of words become blanks. ``(a b)``
becomes ``(a) (b)``.

In a ctm file each word is filtered for itself, so a rule of several words never meets a neighbour. When a word becomes
several they share its time. What becomes an alternation becomes ``<ALT_BEGIN>`` rows; there, whatever stands around
the braces is taken into the first and last branch, and times are rounded to milliseconds.

One thing csrfilt does is not done here: a word with a confidence that the rules delete becomes a word that is spelt
like its confidence. Here it is gone, as it is there without a confidence.
"""

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace

from omni_asr.errors import UserError
from omni_asr.kaldi.ctm import Alternation, Token
from omni_asr.kaldi.glm import GlobalMap, Rule
from omni_asr.kaldi.stm import Segment
from omni_asr.scoring.align import raise_case
from omni_asr.scoring.markup import split_blanks

_HYPHEN = re.compile(r"([^( ])-(?=[^) ])")
_SPREAD = re.compile(r"(\(\s+[^()\s]+\s+)([^()\s]+)")
_OPTIONAL = re.compile(r"\s\([^()]+\)")
KEY_LENGTH = 3  # rules are looked up by so many first letters


class Filter:
    """A glm ready to be applied.

    ``upper`` raises everything to upper case first, ``split_hyphens`` (csrfilt ``-dh``) parts ``well-known``.
    """

    def __init__(self, glm: GlobalMap, upper: bool = True, split_hyphens: bool = True) -> None:
        self._glm, self._upper, self._split_hyphens = glm, upper, split_hyphens
        self._fold = str if glm.case_sensitive else raise_case
        self._rules: dict[str, list[tuple[int, Rule]]] = defaultdict(list)
        for order, rule in enumerate(glm.rules):
            folded = Rule(self._fold(rule.source), rule.target, self._fold(rule.left), self._fold(rule.right))
            self._rules[folded.source[:KEY_LENGTH]].append((order, folded))
        self._word = functools.cache(functools.partial(self.text, margin=" "))

    def text(self, text: str, margin: str = "  ") -> str:
        """Filter one line of words, to which rules see a margin on either side (csrfilt gives ctm words a blank less).

        Raises:
            UserError: parentheses do not pair, or stand inside each other.
        """
        text = f"{margin}{' '.join(split_blanks(text))}{margin}".replace("(", "( ").replace(")", " )")
        if set("()") & set(_OPTIONAL.sub("", text.replace("(", "   (").replace(")", ")  "))):
            raise UserError(f"{text.strip()!r}: parentheses must pair and not stand inside each other")
        text = self._rewrite(raise_case(text) if self._upper else text)
        if self._split_hyphens:
            text = _HYPHEN.sub(r"\1 ", text)
        while True:
            text, changes = _SPREAD.subn(r"\1) ( \2", text)
            if not changes:
                break
        return " ".join(re.sub(r"\s+\)", ")", re.sub(r"\(\s+", "(", text)).split())

    def segments(self, segments: Iterable[Segment]) -> list[Segment]:
        """Filter the texts of an stm file; what is not scored stays as it is.

        Raises:
            UserError: as :meth:`text`, with the segment's file and line.
        """
        filtered = []
        for segment in segments:
            try:
                text = segment.text if segment.is_ignored else self.text(segment.text)
            except UserError as error:
                raise UserError(f"{segment.where}: {error}") from None
            filtered.append(replace(segment, text=text))
        return filtered

    def tokens(self, tokens: Iterable[Token | Alternation]) -> list[Token | Alternation]:
        """Filter the words of a ctm file one by one.

        Raises:
            UserError: as :meth:`text`, with the word's file and line.
        """
        filtered: list[Token | Alternation] = []
        for token in tokens:
            if isinstance(token, Token):
                filtered += self._token(token)
            else:
                branches = [[word for inner in branch for word in self._words(inner)] for branch in token.branches]
                filtered.append(replace(token, branches=branches))
        return filtered

    def _token(self, token: Token) -> Iterator[Token | Alternation]:
        branches = self._branches(token)
        if len(branches) == 1:
            yield from branches[0]
        elif branches:
            yield Alternation(token.file, token.channel, branches, token.where)

    def _words(self, token: Token) -> list[Token]:
        branches = self._branches(token)
        if len(branches) > 1:
            raise UserError(f"{token.where}: {token.word!r} becomes an alternation inside an alternation")
        return branches[0] if branches else []

    def _branches(self, token: Token) -> list[list[Token]]:
        """What a word becomes: branches of words, which share its time."""
        try:
            text = self._word(token.word)
        except UserError as error:
            raise UserError(f"{token.where}: {error}") from None
        if text == token.word or not text:
            return [[token]] if text else []
        if " " not in text and not set(text) & set("{}/") and token.confidence is None:
            return [[replace(token, word=text)]]
        parts = text.split("/")
        while parts and not parts[-1]:
            parts.pop()
        branches = []
        for part in parts:
            words = part.replace("{", " ").replace("}", " ").split()
            if not words:
                raise UserError(
                    f"{token.where}: {token.word!r} becomes {text!r}, where a branch is empty; write @ in it"
                )
            share = token.duration / len(words)
            branches.append(
                [
                    replace(token, word=word, begin=round(token.begin + share * index, 3), duration=round(share, 3))
                    for index, word in enumerate(words)
                ]
            )
        return branches

    def _rewrite(self, text: str) -> str:
        """Apply the first rule that fits at each place, from the left; contexts are those of the input."""
        folded, rules = self._fold(text), self._rules
        pieces, at = [], 0
        while at < len(text):
            candidates = [
                rule for length in range(1, KEY_LENGTH + 1) for rule in rules.get(folded[at : at + length], ())
            ]
            if len(candidates) > 1:
                candidates.sort(key=lambda item: item[0])
            for _, rule in candidates:
                end = at + len(rule.source)
                if (
                    folded.startswith(rule.source, at)
                    and folded.startswith(rule.right, end)
                    and folded.endswith(rule.left, 0, at)
                ):
                    pieces.append(rule.target)
                    at = end
                    break
            else:
                if self._glm.copy_no_hit:
                    pieces.append(text[at])
                at += 1
        return "".join(pieces)
