"""Word alignment by the rules of NIST's sclite.

sclite charges 4 for a substitution and 3 for an insertion or a deletion. Among equal costs its trace, followed from the
end, prefers the diagonal, then an insertion, then a deletion. The costs make the S/D/I split, and sometimes the total,
differ from plain Levenshtein distance.

An alignment of R reference and H hypothesis words has R = C + S + D and H = C + S + I, so its cost
4S + 3D + 3I = 3(R + H) - (6C + 2S): least cost is the largest 3C + S. In that form gaps weigh nothing, a row of the
table is a running maximum, and many utterances of similar length are aligned at once.

The table of a pair too long for that (a recording of 50,000 words as one utterance) is made twice: once keeping a row
here and there, then piece by piece from the last to the first while the trace walks through it. The result is the same
to the last tie.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

CORRECT, SUBSTITUTION, DELETION, INSERTION = "C", "S", "D", "I"

MATCH_SCORE, SUBSTITUTION_SCORE = 3, 1
CELLS_PER_BATCH = 4_000_000  # table cells aligned at once, 8 MB: more calls of numpy below, more cache misses above
LONGEST_INT16 = 32767 // MATCH_SCORE
CELLS_OF_ONE_PAIR = 16_000_000  # a pair with more is aligned piece by piece

Words = Sequence[str]
Matrix = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Counts:
    """What an alignment counts. Add two to count both."""

    correct: int = 0
    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0

    @classmethod
    def of(cls, operations: str) -> "Counts":
        """Count the letters of an alignment made by :func:`align_all`."""
        return cls(*(operations.count(letter) for letter in (CORRECT, SUBSTITUTION, DELETION, INSERTION)))

    @property
    def words(self) -> int:
        """Words of the reference."""
        return self.correct + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        """Substitutions, deletions and insertions together."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def percent(self) -> float:
        """Errors per 100 reference words; for a reference without words 0 when there is no error, else infinite."""
        if self.words:
            return 100.0 * self.errors / self.words
        return float("inf") if self.errors else 0.0

    def __add__(self, other: "Counts") -> "Counts":
        """Count both."""
        return Counts(
            self.correct + other.correct,
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
        )


def fold_case(text: str) -> str:
    """Lower-case A to Z and nothing else, which is what sclite does to compare words."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def raise_case(text: str) -> str:
    """Upper-case a to z and nothing else."""
    return text.upper() if text.isascii() else text.translate(_ASCII_UPPER)


def both_cases(text: str) -> tuple[str, str, str]:
    """A text as it is, in lower and in upper case: alike in scoring."""
    return text, fold_case(text), raise_case(text)


_ASCII_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}
_ASCII_UPPER = {code + 32: code for code in _ASCII_LOWER}


def align(reference: Words, hypothesis: Words) -> str:
    """Align one pair; see :func:`align_all`."""
    return align_all([reference], [hypothesis])[0]


def align_all(references: Sequence[Words], hypotheses: Sequence[Words], case_sensitive: bool = False) -> list[str]:
    """Align pairs of word sequences, upper and lower case of A to Z alike unless ``case_sensitive``.

    Words are what they are: what sclite reads into braces, parentheses and the like is
    :func:`omni_asr.scoring.markup.align_texts`'s.

    Returns one string per pair with a letter for each step from the start: ``C`` correct and ``S`` substitution take a
    word of both sides, ``D`` deletion one of the reference, ``I`` insertion one of the hypothesis.

    Raises:
        ValueError: the two lists differ in length.
    """
    number = _Numbers(case_sensitive).__getitem__
    references_ids = [list(map(number, words)) for words in references]
    hypotheses_ids = [list(map(number, words)) for words in hypotheses]
    operations = [""] * len(references)
    unequal = []
    for index, (reference, hypothesis) in enumerate(zip(references_ids, hypotheses_ids, strict=True)):
        if reference == hypothesis:
            operations[index] = CORRECT * len(reference)
        elif not reference or not hypothesis:
            operations[index] = DELETION * len(reference) + INSERTION * len(hypothesis)
        elif len(reference) * len(hypothesis) > CELLS_OF_ONE_PAIR:
            operations[index] = _align_long(reference, hypothesis)
        else:
            unequal.append(index)
    unequal.sort(key=lambda index: (len(references_ids[index]), len(hypotheses_ids[index])))
    for batch in _batches(unequal, references_ids, hypotheses_ids):
        traces = _align_batch([references_ids[index] for index in batch], [hypotheses_ids[index] for index in batch])
        for index, trace in zip(batch, traces, strict=True):
            operations[index] = trace
    return operations


def pairs(reference: Words, hypothesis: Words, operations: str) -> Iterator[tuple[str, str | None, str | None]]:
    """Walk an alignment: ``(letter, reference word, hypothesis word)``, with None for the side that has a gap."""
    reference_words, hypothesis_words = iter(reference), iter(hypothesis)
    for letter in operations:
        yield (
            letter,
            None if letter == INSERTION else next(reference_words),
            None if letter == DELETION else next(hypothesis_words),
        )


class _Numbers(dict[str, int]):
    """A number for each word, the same for upper and lower case unless ``case_sensitive``."""

    def __init__(self, case_sensitive: bool) -> None:
        super().__init__()
        self._fold = str if case_sensitive else fold_case

    def __missing__(self, word: str) -> int:
        folded = self._fold(word)
        self[word] = number = len(self) if folded == word else self[folded]
        return number


def _batches(order: list[int], references: list[list[int]], hypotheses: list[list[int]]) -> Iterator[list[int]]:
    """Cut pairs sorted by length into batches whose padded tables keep to the budget of cells."""
    batch: list[int] = []
    rows = columns = 0
    for index in order:
        rows_with = max(rows, len(references[index]) + 1)
        columns_with = max(columns, len(hypotheses[index]) + 1)
        if batch and rows_with * columns_with * (len(batch) + 1) > CELLS_PER_BATCH:
            yield batch
            batch, rows_with, columns_with = [], len(references[index]) + 1, len(hypotheses[index]) + 1
        batch.append(index)
        rows, columns = rows_with, columns_with
    if batch:
        yield batch


def _align_batch(references: list[list[int]], hypotheses: list[list[int]]) -> list[str]:
    """Align pairs of numbered words, none of them empty, in one table."""
    reference, hypothesis = _pad(references, -1), _pad(hypotheses, -2)
    lengths = np.array([list(map(len, references)), list(map(len, hypotheses))])
    return _trace(_fill(reference, hypothesis), reference, hypothesis, lengths)


def _pad(sequences: list[list[int]], value: int) -> Matrix:
    """Sequences as the columns of one matrix, padded below with ``value``."""
    padded = np.full((max(map(len, sequences)), len(sequences)), value, dtype=np.int32)
    for column, sequence in enumerate(sequences):
        padded[: len(sequence), column] = sequence
    return padded


def _fill(reference: Matrix, hypothesis: Matrix) -> npt.NDArray[np.integer]:
    """Best score 3C + S of every pair of prefixes: (R, B) and (H, B) numbers give a (R+1, H+1, B) table.

    Padding lies behind the ends of both sequences, and no cell looks forward, so it changes nothing before them.
    """
    rows, batch = reference.shape
    columns = hypothesis.shape[0]
    dtype = np.int16 if min(rows, columns) <= LONGEST_INT16 else np.int32
    table = np.zeros((rows + 1, columns + 1, batch), dtype=dtype)
    gain = np.empty((columns, batch), dtype=dtype)
    for row in range(rows):
        _next_row(table[row], reference[row], hypothesis, gain, table[row + 1])
    return table


def _next_row(
    above: npt.NDArray[np.integer],
    word: npt.NDArray[np.int32] | np.int32,
    hypothesis: Matrix,
    gain: npt.NDArray[np.integer],
    row: npt.NDArray[np.integer],
) -> None:
    """Write the row (H+1, B) of one more reference word; ``gain`` (H, B) is scratch. The first cell stays as it is."""
    np.multiply(hypothesis == word, row.dtype.type(MATCH_SCORE - SUBSTITUTION_SCORE), out=gain)
    gain += row.dtype.type(SUBSTITUTION_SCORE)
    gain += above[:-1]
    np.maximum(gain, above[1:], out=gain)
    np.maximum.accumulate(gain, axis=0, out=row[1:])


def _align_long(reference: list[int], hypothesis: list[int]) -> str:
    """Align one pair of numbered words in the memory of a few rows of its table: about 2 sqrt(R) of H + 1 cells."""
    across = np.array(hypothesis, dtype=np.int32)
    height = math.isqrt(len(reference)) + 1
    row = np.zeros(len(hypothesis) + 1, dtype=np.int32)
    gain, above, kept = np.empty(len(hypothesis), dtype=np.int32), row.copy(), []
    for index, word in enumerate(reference):
        if index % height == 0:
            kept.append(row.copy())
        row, above = above, row
        _next_row(above, np.int32(word), across, gain, row)
    pieces, column = [], len(hypothesis)
    for number in reversed(range(len(kept))):
        piece = reference[number * height : (number + 1) * height]
        table = np.zeros((len(piece) + 1, column + 1), dtype=np.int32)
        table[0] = kept[number][: column + 1]
        for index, word in enumerate(piece):
            _next_row(table[index], np.int32(word), across[:column], gain[:column], table[index + 1])
        letters, column = _trace_piece(table, piece, hypothesis)
        pieces.append(letters)
    return INSERTION * column + "".join(reversed(pieces))


def _trace_piece(table: npt.NDArray[np.int32], reference: list[int], hypothesis: list[int]) -> tuple[str, int]:
    """Follow one pair back from the last cell of a piece of its table to the piece's first row, by the same rule.

    Returns the letters and the column where the trace left the piece.
    """
    letters = []
    row, column = len(reference), table.shape[1] - 1
    while row:
        equal = bool(column) and reference[row - 1] == hypothesis[column - 1]
        if column and table[row, column] == table[row - 1, column - 1] + (MATCH_SCORE if equal else SUBSTITUTION_SCORE):
            letters.append(CORRECT if equal else SUBSTITUTION)
            row, column = row - 1, column - 1
        elif column and table[row, column] == table[row, column - 1]:
            letters.append(INSERTION)
            column -= 1
        else:
            letters.append(DELETION)
            row -= 1
    return "".join(reversed(letters)), column


def _trace(
    table: npt.NDArray[np.integer],
    reference: Matrix,
    hypothesis: Matrix,
    lengths: npt.NDArray[np.int64],
) -> list[str]:
    """Follow all pairs of a batch back from their ends (``lengths``, (2, B)), step by step; returns their letters."""
    rows, columns = lengths
    items = np.arange(len(rows))
    steps = np.zeros((int((rows + columns).max()), len(rows)), dtype=np.uint8)
    for step in steps:
        before_row, before_column = np.maximum(rows - 1, 0), np.maximum(columns - 1, 0)
        score = table[rows, columns, items]
        equal = reference[before_row, items] == hypothesis[before_column, items]
        diagonal = score == table[before_row, before_column, items] + np.where(equal, MATCH_SCORE, SUBSTITUTION_SCORE)
        diagonal &= (rows > 0) & (columns > 0)
        insertion = ~diagonal & (columns > 0) & ((rows == 0) | (score == table[rows, before_column, items]))
        deletion = ~diagonal & ~insertion & (rows > 0)
        step[diagonal] = ord(SUBSTITUTION)
        step[diagonal & equal] = ord(CORRECT)
        step[insertion] = ord(INSERTION)
        step[deletion] = ord(DELETION)
        rows -= diagonal | deletion
        columns -= diagonal | insertion
        if not (rows.any() or columns.any()):
            break
    letters = np.ascontiguousarray(steps[::-1].T)
    return [row.tobytes().lstrip(b"\0").decode("ascii") for row in letters]
