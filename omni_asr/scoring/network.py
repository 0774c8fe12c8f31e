"""The alignment of networks of words, in which branches stand for each other, by sclite's costs and ties.

What surprises in sclite 2.4.10, and is done alike here:

* An empty branch, the word ``@``, is worth 0.001, in single precision. Costs that should be equal differ in the last
  bit by the order of their terms, and that decides ties. So the table is single precision here too.
* An optional word left out costs 2, more than a match and less than a deletion. It counts as correct, and as a word.
"""

import itertools
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from omni_asr.errors import UserError
from omni_asr.scoring.align import CORRECT, DELETION, INSERTION, SUBSTITUTION

NULL = "@"
SUBSTITUTION_COST, GAP_COST, OPTIONAL_COST, BOTH_NULL_COST = 4.0, 3.0, 2.0, 1.0
NULL_COST = struct.unpack("f", struct.pack("f", 0.001))[0]
LARGEST_TABLE = 10_000_000_000  # cells, some minutes
LEAST_ROWS = 64  # that are kept together; less saves no memory worth the time

Row = npt.NDArray[np.float32]


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


def align_networks(reference: Network, hypothesis: Network) -> Alignment:
    """The cheapest way through both networks, by sclite's costs and its choice among equals.

    The cell (r, h) is the least cost of a pair of paths that end in word r and word h. From equals it takes the
    substitution, then the insertion, then the deletion; from equal predecessors the first pair, the reference's going
    round slower. Costs are of single precision where there is an ``@``, whole numbers else.

    Only some rows are kept, at words that all paths of the reference go through; those between them are made again
    while the trace walks from the end. That takes the memory of about 2 sqrt(R) rows, and costs as much time again.

    Raises:
        UserError: the table would have more than 10,000 million cells.
    """
    rows, columns = len(reference.words), len(hypothesis.words)
    if rows * columns > LARGEST_TABLE:
        size = f"{rows - 1} against {columns - 1} words"
        raise UserError(f"an utterance of {size} is too long to align with alternations or (optional) words; cut it up")
    across = _Across(hypothesis, exact=not (reference.has_null or hypothesis.has_null))
    cuts = _cuts(reference)
    kept = {0: across.first_row()}
    table = kept.copy()
    for start, stop in itertools.pairwise(cuts):
        table = across.fill(reference, start, stop, kept[start])
        kept[stop] = table[stop]
    end = min(((r, h) for r in reference.ends for h in hypothesis.ends), key=lambda cell: table[cell[0]][cell[1]])
    return _walk(reference, across, cuts, kept, table, end)


def _cuts(reference: Network) -> list[int]:
    """Rows to keep, the first and the last among them: nothing after them goes back beyond them."""
    last, height = len(reference.words) - 1, max(LEAST_ROWS, math.isqrt(len(reference.words)))
    least, crossed = min(reference.ends), [last]
    for r in range(last, 0, -1):
        if r <= least and crossed[-1] - r >= height:
            crossed.append(r)
        least = min(least, *reference.before[r])
    return [*([0] if last else []), *reversed(crossed)]


class _Across:
    """The words of the hypothesis as columns, and the rows of the table over them."""

    def __init__(self, network: Network, exact: bool) -> None:
        self.network, self._exact = network, exact
        words, before = network.words, network.before
        self.gaps = np.array([word.gap_cost for word in words], dtype=np.float32)
        self.gaps[0] = 0
        self._sums: npt.NDArray[np.floating] = np.cumsum(self.gaps, dtype=np.float32 if exact else np.float64)
        self._single = np.array([0, *(b[0] for b in before[1:])])
        self._several = [h for h in range(1, len(words)) if len(before[h]) > 1]
        starts = [h for h in range(1, len(words)) if before[h] != [h - 1]]
        self._runs = list(itertools.pairwise([0, *starts, len(words)]))  # columns of which each follows the one before
        kinds = {word: number for number, word in enumerate(dict.fromkeys(words))}
        self._kinds, self._kind = list(kinds), np.array([kinds[word] for word in words])
        self._special = [n for n, word in enumerate(kinds) if word.fragment or word.text == NULL]
        self._by_key: dict[str, list[int]] = {}
        for number, word in enumerate(kinds):
            self._by_key.setdefault(word.key, []).append(number)

    def first_row(self) -> Row:
        """The costs of insertions alone."""
        return self._insert(np.array([0, *[np.inf] * (len(self.gaps) - 1)], dtype=np.float32))

    def fill(self, reference: Network, start: int, stop: int, row: Row) -> dict[int, Row]:
        """The rows ``start`` (given) to ``stop``."""
        table = {start: row}
        for r in range(start + 1, stop + 1):
            before = [table[index] for index in reference.before[r]]
            above = before[0] if len(before) == 1 else np.minimum.reduce(before)
            diagonal = above[self._single]
            for h in self._several:
                diagonal[h] = min(above[b] for b in self.network.before[h])
            diagonal += self._costs(reference.words[r])
            diagonal[0] = np.inf
            table[r] = self._insert(np.minimum(diagonal, above + np.float32(reference.words[r].gap_cost)))
        return table

    def _costs(self, word: Word) -> Row:
        """What a word costs against each of the columns."""
        costs = np.full(len(self._kinds), SUBSTITUTION_COST, dtype=np.float32)
        if word.fragment:
            costs[:] = [word.cost(other) for other in self._kinds]
        else:
            costs[self._by_key.get(word.key, [])] = 0
            for number in self._special:
                costs[number] = word.cost(self._kinds[number])
        return costs[self._kind]

    def _insert(self, own: Row) -> Row:
        """Let words be inserted where that is cheaper than what they cost without, ``own``."""
        row = own.copy()
        for start, stop in self._runs:
            if start:
                row[start] = min(own[start], min(row[b] for b in self.network.before[start]) + self.gaps[start])
            at = start
            while at < stop - 1:
                at = self._insert_after(at, stop, own, row)
        return row

    def _insert_after(self, at: int, stop: int, own: Row, row: Row) -> int:
        """The same for columns that follow each other, the first of which is done; returns the last that is right.

        The least of all sums so far is a running minimum as long as sums are exact. Those of single precision are,
        but where they pass a power of two; so all are checked.
        """
        behind, sums = slice(at + 1, stop), self._sums[at:stop]
        row[behind] = own[behind]
        row[at:stop] = np.minimum.accumulate(row[at:stop] - sums) + sums
        if self._exact:
            return stop
        right = np.minimum(own[behind], row[at : stop - 1] + self.gaps[behind])
        wrong = np.flatnonzero(right != row[behind])
        if not len(wrong):
            return stop
        row[at + 1 + wrong[0]] = right[wrong[0]]
        return at + 1 + int(wrong[0])


def _step(reference: Network, across: _Across, table: dict[int, Row], r: int, h: int) -> tuple[int, int]:
    """The cell before a cell: the rule by which the table was made, for one cell, and its choice among equals."""
    word, before, columns = reference.words[r], reference.before[r], across.network.before[h]
    row = table[r]
    if not r:
        return 0, min(columns, key=row.__getitem__)

    def above(column: int) -> tuple[np.float32, int]:
        return min((table[index][column], order) for order, index in enumerate(before))

    deletion, order = above(h)
    deletion += np.float32(word.gap_cost)
    if not h:
        return before[order], 0
    p = min(columns, key=above)
    substitution, p_order = above(p)
    substitution += np.float32(word.cost(across.network.words[h]))
    i = min(columns, key=row.__getitem__)
    insertion = row[i] + across.gaps[h]
    if substitution <= deletion and substitution <= insertion:
        return before[p_order], p
    return (before[order], h) if deletion < insertion else (r, i)


def _walk(
    reference: Network,
    across: _Across,
    cuts: list[int],
    kept: dict[int, Row],
    table: dict[int, Row],
    end: tuple[int, int],
) -> Alignment:
    """Follow the table, of which the last piece is given, back from its end; nothing is written for an ``@``."""
    steps: list[tuple[str, str, str]] = []
    r, h = end
    piece = len(cuts) - 2
    while r or h:
        if piece > 0 and r == cuts[piece]:
            piece -= 1
            table = across.fill(reference, cuts[piece], cuts[piece + 1], kept[cuts[piece]])
        before, column = _step(reference, across, table, r, h)
        left, right = reference.words[r], across.network.words[h]
        if before == r:
            if right.text != NULL:
                steps.append((CORRECT if right.optional else INSERTION, "", right.text))
        elif column == h:
            if left.text != NULL:
                steps.append((CORRECT if left.optional else DELETION, left.text, ""))
        elif not left.text == right.text == NULL:
            steps.append((CORRECT if left.equals(right) else SUBSTITUTION, left.text, right.text))
        r, h = before, column
    steps.reverse()
    return Alignment(
        [left for letter, left, _ in steps if letter != INSERTION],
        [right for letter, _, right in steps if letter != DELETION],
        "".join(letter for letter, _, _ in steps),
    )
