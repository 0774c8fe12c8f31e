r"""What sclite reads into a transcript, and the alignment of transcripts that use it.

* ``{ a / b c / @ }`` is an alternation: either branch counts, ``@`` is the empty one. Branches may hold several words
  and further alternations. Both sides may use it. An empty branch between two slashes is no branch.
* ``(word)`` may be left out without an error, on either side, with ``optional`` (sclite ``-D``). Blanks make words:
  ``(a b)`` is the word ``(a`` and the word ``b)``.
* ``word-`` and ``-word`` are fragments with ``fragments`` (sclite ``-F``): right against any word that begins, or ends,
  like that, on either side. Between parentheses only ``(word-)`` is one.
* ``word;tag`` is ``word``; ``\`` is dropped; so is one ``*`` at the end of a longer word.
* Upper and lower case are alike, which means A to Z: sclite folds no other letter, not even with ``-e utf-8``
  (measured on all 2,906 pairs of Unicode; its localizations such as ``babel_turkish`` do, and are not had here).

What surprises in sclite 2.4.10, and is done alike here:

* An ``@`` is worth 0.001, in single precision. Costs that should be equal differ in the last bit by the order of their
  terms, and that decides ties. So the table is single precision here too.
* An optional word left out costs 2, more than a match and less than a deletion. It counts as correct, and as a word.
* ``@`` outside of an alternation is nothing, not a word.

What crashes it, or makes it lose words without a message, is a UserError here: braces that do not pair, a brace inside
a word, an alternation without a branch.
"""

import re
import struct
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from omni_asr.errors import UserError
from omni_asr.scoring.align import CORRECT, DELETION, INSERTION, SUBSTITUTION, align_all, fold_case

NULL = "@"
SUBSTITUTION_COST, GAP_COST, OPTIONAL_COST, BOTH_NULL_COST = 4.0, 3.0, 2.0, 1.0
NULL_COST = struct.unpack("f", struct.pack("f", 0.001))[0]
LARGEST_TABLE = 100_000_000  # cells, 12 bytes each

_BLANKS = " \t\n\v\f\r"
_TAG = re.compile(r"(?<!\\);(?=.)", re.DOTALL)


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


@dataclass(frozen=True)
class Alignment:
    """The branches that fit best, word by word: ``operations`` as of :func:`omni_asr.scoring.align.align_all`.

    An optional word that the other side leaves out stands against an empty word there, as a ``C``.
    """

    reference: list[str]
    hypothesis: list[str]
    operations: str


@dataclass(frozen=True)
class Word:
    """A word as it is written, and as it is compared."""

    text: str
    key: str
    optional: bool
    fragment: bool

    @property
    def gap_cost(self) -> float:
        """What it costs against nothing."""
        return NULL_COST if self.text == NULL else OPTIONAL_COST if self.optional else GAP_COST

    def equals(self, other: "Word") -> bool:
        """Whether it is right against another word."""
        if self.fragment or other.fragment:
            for fragment, whole in ((self.key, other.key), (other.key, self.key)):
                if len(fragment) > 1 and fragment[0] == "-":
                    return whole.endswith(fragment[1:])
                if len(fragment) > 1 and fragment[-1] == "-":
                    return whole.startswith(fragment[:-1])
        return self.key == other.key

    def cost(self, other: "Word") -> float:
        """What it costs against another word."""
        if self.text == other.text == NULL:
            return BOTH_NULL_COST
        return 0.0 if self.equals(other) else SUBSTITUTION_COST


@dataclass
class Network:
    """Words and which may follow which; word 0 stands before the first.

    ``before[n]`` lists the words that may precede word n, and ``ends`` those that may be last, in sclite's order, which
    decides between equal branches.
    """

    words: list[Word] = field(default_factory=lambda: [Word("", "", False, False)])
    before: list[list[int]] = field(default_factory=lambda: [[]])
    ends: list[int] = field(default_factory=lambda: [0])

    @property
    def has_null(self) -> bool:
        """Whether a branch is empty."""
        return any(word.text == NULL for word in self.words)

    def add(self, word: Word) -> None:
        """Let a word follow the present ends."""
        self.words.append(word)
        self.before.append(self.ends)
        self.ends = [len(self.words) - 1]

    def add_branches(self, branches: Sequence["Network"]) -> None:
        """Let one of several networks follow the present ends."""
        start, ends = self.ends, []
        for branch in branches:
            offset = len(self.words) - 1
            self.words += branch.words[1:]
            self.before += [
                start if before == [0] else [index + offset for index in before] for before in branch.before[1:]
            ]
            ends += [index + offset for index in branch.ends]
        self.ends = ends


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


def parse_word(token: str, markup: Markup) -> Word:
    """A word without braces, its tag and escapes removed."""
    tag = _TAG.search(token)
    return make_word((token[: tag.start()] if tag else token).replace("\\", ""), markup)


def make_word(text: str, markup: Markup) -> Word:
    """A word as it stands in a ctm file."""
    if len(text) > 1 and text[-1] == "*":
        text = text[:-1]
    optional = markup.optional and len(text) > 1 and text[0] == "(" and text[-1] == ")"
    fragment = bool(text) and (text[0] == "-" or text[-1] == "-" or (optional and text[-2] == "-"))
    key = text[1:-1] if optional else text
    return Word(text, key if markup.case_sensitive else fold_case(key), optional, markup.fragments and fragment)


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


def align_networks(reference: Network, hypothesis: Network) -> Alignment:
    """The cheapest way through both networks, by sclite's costs and its choice among equals.

    The cell (r, h) is the least cost of a pair of paths that end in word r and word h. From equals it takes the
    substitution, then the insertion, then the deletion; from equal predecessors the first pair, the reference's going
    round slower. Costs are of single precision where there is an ``@``, whole numbers else.

    Raises:
        UserError: the table would have more than 100 million cells.
    """
    rows, columns = len(reference.words), len(hypothesis.words)
    if rows * columns > LARGEST_TABLE:
        size = f"{rows - 1} against {columns - 1} words"
        raise UserError(f"an utterance of {size} is too long to align with alternations or (optional) words; cut it up")
    exact = not (reference.has_null or hypothesis.has_null)
    across = hypothesis.words
    gaps = [word.gap_cost for word in across]
    single = [before[0] if len(before) == 1 else -1 for before in hypothesis.before]
    table = [array("f", [0.0])]  # which also rounds what is stored in it
    from_row, from_column = [array("i", [-1])], [array("i", [-1])]
    for h in range(1, columns):
        best = min(hypothesis.before[h], key=table[0].__getitem__)
        table[0].append(table[0][best] + gaps[h])
        from_row[0].append(0)
        from_column[0].append(best)
    for r in range(1, rows):
        word, before = reference.words[r], reference.before[r]
        above, above_row = _best_rows([table[index] for index in before], before)
        gap = word.gap_cost
        costs = {key: word.cost(other) for key, other in enumerate(across)} if word.fragment else None
        row, back_row, back_column = (
            array("f", [above[0] + gap]),
            array("i", [before[above_row[0]]]),
            array("i", [0]),
        )
        for h in range(1, columns):
            p = single[h]
            if p >= 0:
                i = p
            else:
                p = min(hypothesis.before[h], key=lambda index: (above[index], above_row[index]))
                i = min(hypothesis.before[h], key=row.__getitem__)
            substitution = above[p] + (costs[h] if costs else word.cost(across[h]))
            deletion, insertion = above[h] + gap, row[i] + gaps[h]
            if not exact:
                substitution, deletion, insertion = _SINGLES.unpack(_SINGLES.pack(substitution, deletion, insertion))
            if substitution <= deletion and substitution <= insertion:
                row.append(substitution)
                back_row.append(before[above_row[p]])
                back_column.append(p)
            elif deletion < insertion:
                row.append(deletion)
                back_row.append(before[above_row[h]])
                back_column.append(h)
            else:
                row.append(insertion)
                back_row.append(r)
                back_column.append(i)
        table.append(row)
        from_row.append(back_row)
        from_column.append(back_column)
    end = min(((r, h) for r in reference.ends for h in hypothesis.ends), key=lambda cell: table[cell[0]][cell[1]])
    return _walk(reference, hypothesis, end, from_row, from_column)


_SINGLES = struct.Struct("3f")


def _best_rows(rows: list["array[float]"], before: list[int]) -> tuple["array[float]", Sequence[int]]:
    """The least of several rows, cell by cell, and which of them holds it: the first among equals."""
    if len(rows) == 1:
        return rows[0], bytes(len(rows[0]))
    which = [min(range(len(rows)), key=column.__getitem__) for column in zip(*rows, strict=True)]
    return array("f", [rows[index][h] for h, index in enumerate(which)]), which


def _walk(
    reference: Network,
    hypothesis: Network,
    end: tuple[int, int],
    from_row: list["array[int]"],
    from_column: list["array[int]"],
) -> Alignment:
    """Follow the table back from its end; nothing is written for an ``@``."""
    steps: list[tuple[str, str, str]] = []
    r, h = end
    while r or h:
        before, across = from_row[r][h], from_column[r][h]
        left, right = reference.words[r], hypothesis.words[h]
        if before == r:
            if right.text != NULL:
                steps.append((CORRECT if right.optional else INSERTION, "", right.text))
        elif across == h:
            if left.text != NULL:
                steps.append((CORRECT if left.optional else DELETION, left.text, ""))
        elif not left.text == right.text == NULL:
            steps.append((CORRECT if left.equals(right) else SUBSTITUTION, left.text, right.text))
        r, h = before, across
    steps.reverse()
    return Alignment(
        [left for letter, left, _ in steps if letter != INSERTION],
        [right for letter, _, right in steps if letter != DELETION],
        "".join(letter for letter, _, _ in steps),
    )
