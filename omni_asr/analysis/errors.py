"""Which words and utterances go wrong."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from omni_asr.scoring.align import fold_case, pairs
from omni_asr.scoring.sclite import SpeakerCounts, Utterance, by_speaker


@dataclass(frozen=True)
class FrequentErrors:
    """Errors with their counts, most frequent first."""

    confusions: list[tuple[tuple[str, str], int]]
    """(reference, hypothesis) words."""
    deletions: list[tuple[str, int]]
    insertions: list[tuple[str, int]]


def frequent_errors(utterances: Iterable[Utterance], most: int) -> FrequentErrors:
    """The ``most`` frequent confusions, deletions and insertions; equal counts in the order of the words."""
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


def worst_utterances(utterances: Iterable[Utterance], most: int) -> list[Utterance]:
    """The ``most`` utterances with the most errors; among equals those with the higher rate come first."""
    wrong = [utterance for utterance in utterances if utterance.counts.errors]
    return sorted(wrong, key=lambda u: (-u.counts.errors, -u.counts.percent, u.id))[:most]


def worst_speakers(utterances: Sequence[Utterance], most: int) -> list[SpeakerCounts]:
    """The ``most`` speakers with the highest error rate; empty where speakers are not known."""
    speakers = by_speaker([utterance for utterance in utterances if utterance.speaker])[0]
    return sorted(speakers, key=lambda speaker: (-speaker.counts.percent, speaker.name))[:most]
