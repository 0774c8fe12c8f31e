"""The alignment of networks of words, in which branches stand for each other, by sclite's costs and ties.

What surprises in sclite 2.4.10, and is done alike here:

* An empty branch, the word ``@``, is worth 0.001, in single precision. Costs that should be equal differ in the last
  bit by the order of their terms, and that decides ties. So the table is single precision here too.
* An optional word left out costs 2, more than a match and less than a deletion. It counts as correct, and as a word.
"""

import struct
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field

from omni_asr.errors import UserError
from omni_asr.scoring.align import CORRECT, DELETION, INSERTION, SUBSTITUTION

NULL = "@"
SUBSTITUTION_COST, GAP_COST, OPTIONAL_COST, BOTH_NULL_COST = 4.0, 3.0, 2.0, 1.0
NULL_COST = struct.unpack("f", struct.pack("f", 0.001))[0]
LARGEST_TABLE = 100_000_000  # cells, 12 bytes each


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
