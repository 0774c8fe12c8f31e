"""Where it goes wrong: groups of utterances, words, single utterances and speakers."""

import math
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import kind_of
from omni_asr.kaldi.tables import read_table, to_number
from omni_asr.scoring.align import CORRECT, fold_case, pairs
from omni_asr.scoring.sclite import SpeakerCounts, Utterance, by_speaker

BINS = 5  # of numbers, each with about a fifth of the utterances
UNKNOWN = "unknown"

Groups = dict[str, list[Utterance]]


def by_length(utterances: Sequence[Utterance]) -> Groups:
    """Utterances by their number of reference words; see :func:`by_value`."""
    return by_value(utterances, [str(utterance.counts.words) for utterance in utterances])


def by_table(
    utterances: Sequence[Utterance], path: str | os.PathLike[str], names: Sequence[tuple[str, str]] | None = None
) -> Groups:
    """Utterances by a Kaldi table, of speakers if it is called ``spk2...``, else of utterances; see :func:`by_value`.

    ``names`` are the ids and speakers of the utterances in the table, by default their own; one without an id is in the
    group ``unknown`` of a table of utterances.

    Raises:
        UserError: the table is missing or malformed, or has no line for one of the utterances or speakers.
    """
    table = read_table(path) | {"": UNKNOWN}
    what, place = ("speaker", 1) if kind_of(Path(path).name) == "spk" else ("utterance", 0)
    keys = [both[place] for both in names or [(utterance.id, utterance.speaker) for utterance in utterances]]
    for key in keys:
        if key not in table:
            raise UserError(f"{path}: {what} {key!r} of the scored set has no line")
    return by_value(utterances, [table[key] for key in keys])


def by_value(utterances: Sequence[Utterance], values: Sequence[str]) -> Groups:
    """Every utterance in one group: finite numbers in bins of about equally many, any other value for itself.

    A bin is named by its least and largest value. Up to five different numbers have a bin each. Bins come first, in the
    order of numbers, then the others in that of their names: ``inf`` and ``nan`` are such, and so is ``unknown``.
    """
    numbers = [_number(value) for value in values]
    finite = np.array([number for number in numbers if math.isfinite(number)])
    edges = np.unique(finite)
    if len(edges) > BINS:
        edges = np.unique(np.quantile(finite, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    groups: dict[tuple[bool, int, str], list[tuple[float, str, Utterance]]] = {}
    for utterance, value, number in zip(utterances, values, numbers, strict=True):
        is_number = math.isfinite(number)
        key = (False, int(np.searchsorted(edges, number)), "") if is_number else (True, 0, value)
        groups.setdefault(key, []).append((number, value, utterance))  # a bin ends with its edge
    named: Groups = {}
    for (is_text, _, name), members in sorted(groups.items(), key=lambda item: item[0]):
        if not is_text:
            low, high = (end(members, key=lambda member: member[0]) for end in (min, max))
            name = low[1] if low[0] == high[0] else f"{low[1]} to {high[1]}"
        named.setdefault(name, []).extend(utterance for _, _, utterance in members)
    return named


def _number(text: str) -> float:
    try:
        return to_number(text, "")
    except UserError:
        return math.nan


@dataclass(frozen=True)
class FrequentErrors:
    """Errors with their counts, most frequent first."""

    confusions: list[tuple[tuple[str, str], int]]
    """(reference, hypothesis) words."""
    deletions: list[tuple[str, int]]
    insertions: list[tuple[str, int]]


def frequent_errors(utterances: Iterable[Utterance], most: int | None = None) -> FrequentErrors:
    """The ``most`` frequent confusions, deletions and insertions, or all; equal counts in the order of the words."""
    counters: dict[str, Counter] = {"S": Counter(), "D": Counter(), "I": Counter()}
    for utterance in utterances:
        for letter, reference, hypothesis in pairs(utterance.reference, utterance.hypothesis, utterance.operations):
            if letter != "C":
                words = tuple(fold_case(word) for word in (reference, hypothesis) if word is not None)
                counters[letter][words if letter == "S" else words[0]] += 1
    confusions, deletions, insertions = (
        sorted(counters[letter].items(), key=lambda item: (-item[1], item[0]))[:most] for letter in "SDI"
    )
    return FrequentErrors(confusions, deletions, insertions)


def error_lists(utterances: Iterable[Utterance]) -> Iterator[str]:
    """All confusions, deletions and insertions with their counts, as text."""
    found = frequent_errors(utterances)
    confusions = [(f"{reference} -> {hypothesis}", count) for (reference, hypothesis), count in found.confusions]
    for title, entries in (("Confusions", confusions), ("Deleted", found.deletions), ("Inserted", found.insertions)):
        yield f"\n{title}: {sum(count for _, count in entries)}, {len(entries)} different\n"
        yield from (f"{count:6d}  {words}\n" for words, count in entries)


@dataclass(frozen=True)
class UnknownWords:
    """Reference words that the training text does not have."""

    words: int
    """Words of the reference, known or not."""
    unknown: list[tuple[str, int, int]]
    """Word, how often it occurs, how often it was recognised; most frequent first."""

    def __str__(self) -> str:
        count, right = (sum(numbers) for numbers in ([n for _, n, _ in self.unknown], [n for _, _, n in self.unknown]))
        share = 100 * count / self.words if self.words else 0.0
        return f"%OOV {share:.2f} [ {count} / {self.words}, {len(self.unknown)} different, {right} recognised ]"


def unknown_words(utterances: Iterable[Utterance], vocabulary: Container[str]) -> UnknownWords:
    """Reference words outside a vocabulary, which is in lower case as :func:`fold_case` makes it.

    A word in parentheses, as an optional one of an stm, is known where it is known without them.
    """
    total, counts, right = 0, Counter[str](), Counter[str]()
    for utterance in utterances:
        for letter, reference, _ in pairs(utterance.reference, utterance.hypothesis, utterance.operations):
            word = fold_case(reference or "")
            total += bool(word)
            if word and word not in vocabulary and word.strip("()") not in vocabulary:
                counts[word] += 1
                right[word] += letter == CORRECT
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return UnknownWords(total, [(word, count, right[word]) for word, count in ordered])


def worst_utterances(utterances: Iterable[Utterance], most: int) -> list[Utterance]:
    """The ``most`` utterances with the most errors; among equals those with the higher rate come first."""
    wrong = [utterance for utterance in utterances if utterance.counts.errors]
    return sorted(wrong, key=lambda u: (-u.counts.errors, -u.counts.percent, u.id))[:most]


def worst_speakers(utterances: Sequence[Utterance], most: int) -> list[SpeakerCounts]:
    """The ``most`` speakers with the highest error rate; empty where speakers are not known."""
    speakers = by_speaker([utterance for utterance in utterances if utterance.speaker])[0]
    return sorted(speakers, key=lambda speaker: (-speaker.counts.percent, speaker.name))[:most]
