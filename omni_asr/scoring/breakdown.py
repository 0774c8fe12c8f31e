"""Where it goes wrong: groups of utterances, words, single utterances and speakers."""

import math
import os
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_table
from omni_asr.scoring.align import CORRECT, fold_case, pairs
from omni_asr.scoring.sclite import SpeakerCounts, Utterance, by_speaker

BINS = 5  # of numbers: each holds about a fifth of the utterances

Groups = dict[str, list[Utterance]]


def by_length(utterances: Sequence[Utterance]) -> Groups:
    """Utterances by their number of reference words, in bins of about equal many utterances."""
    return _by_number(utterances, [float(utterance.counts.words) for utterance in utterances])


def by_table(utterances: Sequence[Utterance], path: str | os.PathLike[str]) -> Groups:
    """Utterances by the values of a Kaldi table such as ``utt2snr``: numbers in bins, anything else as it is.

    Raises:
        UserError: the table is missing or malformed, or has no line for one of the utterances.
    """
    table = read_table(path)
    for utterance in utterances:
        if utterance.id not in table:
            raise UserError(f"{path}: utterance {utterance.id!r} of the scored set has no line")
    values = [table[utterance.id] for utterance in utterances]
    numbers = [_number(value) for value in values]
    if all(map(math.isfinite, numbers)):
        return _by_number(utterances, numbers)
    return _grouped(utterances, values)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _by_number(utterances: Sequence[Utterance], numbers: Sequence[float]) -> Groups:
    """Utterances in bins between quantiles, named by the least and the largest number in them."""
    values = np.array(numbers)
    edges = np.unique(values)
    if len(edges) > BINS:
        edges = np.unique(np.quantile(values, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    bins = np.searchsorted(edges, values)  # a bin ends with its edge
    names = {}
    for one in np.unique(bins):
        low, high = values[bins == one].min(), values[bins == one].max()
        names[one] = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    groups = _grouped(utterances, list(bins))
    return {names[one]: group for one, group in groups.items()}


def _grouped(utterances: Sequence[Utterance], keys: Sequence) -> dict:
    """Utterances by their keys, in the order of the keys."""
    groups: dict = {key: [] for key in sorted(set(keys))}
    for key, utterance in zip(keys, utterances, strict=True):
        groups[key].append(utterance)
    return groups


@dataclass(frozen=True)
class FrequentErrors:
    """Errors with their counts, most frequent first."""

    confusions: list[tuple[tuple[str, str], int]]
    """(reference, hypothesis) words."""
    deletions: list[tuple[str, int]]
    insertions: list[tuple[str, int]]


def frequent_errors(utterances: Iterable[Utterance], most: int | None = None) -> FrequentErrors:
    """The ``most`` (by default all) frequent confusions, deletions and insertions; equal counts in the order of the words."""
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
        count, right = (sum(entry[column] for entry in self.unknown) for column in (1, 2))
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
