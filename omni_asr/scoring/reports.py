"""Files of results that people read: Kaldi's lines and tables, and Markdown."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_lines
from omni_asr.scoring.align import CORRECT, INSERTION, Counts, align_all, pairs
from omni_asr.scoring.bootstrap import Interval, intervals, unit_of
from omni_asr.scoring.regimes import regime_line
from omni_asr.scoring.sclite import SpeakerCounts, Utterance, by_speaker

LONGEST_CHARACTERS = 400_000_000  # cells; 20,000 characters on either side, some 3,500 words
PIECE = 1000  # characters of the longer side
Column = tuple[str | None, str | None]
MARKDOWN_COLUMNS = ["Snt", "Wrd", "Corr", "Sub", "Del", "Ins", "Err", "S.Err"]
INTERVAL_COLUMN, CHARACTER_COLUMN = "Err 95 %", "CER"
SPEAKER_REPLICATIONS = 1000
"""Fewer than of a set, since a set may have thousands of speakers."""


def summary_line(unit: str, counts: Counts) -> str:
    """Kaldi's line, e.g. ``%WER 6.60 [ 543 / 8234, 66 ins, 58 del, 419 sub ]``."""
    numbers = f"{counts.insertions} ins, {counts.deletions} del, {counts.substitutions} sub"
    return f"%{unit} {counts.percent:.2f} [ {counts.errors} / {counts.words}, {numbers} ]"


def count_characters(utterances: Sequence[Utterance]) -> dict[str, Counts]:
    """Errors of each utterance, by its id, in characters, the blank between words being one of them.

    A word that is right counts as it was recognised, however the reference writes it; an optional word left out not.
    Above 20,000 characters the alignment of words decides which characters may meet: it is cut, before right words
    where it can be, into pieces of some 1,000 characters, which hardly ever changes a count.
    """
    owners, references, hypotheses = [], [], []
    for utterance in utterances:
        steps = pairs(utterance.reference, utterance.hypothesis, utterance.operations)
        columns = [
            (None if letter == INSERTION else right if letter == CORRECT else left, right)
            for letter, left, right in steps
            if letter != CORRECT or (left and right)
        ]
        for piece in _pieces(columns):
            owners.append(utterance.id)
            references.append(" ".join(left for left, _ in piece if left is not None))
            hypotheses.append(" ".join(right for _, right in piece if right is not None))
    counts = {utterance.id: Counts() for utterance in utterances}
    for owner, letters in zip(owners, align_all(references, hypotheses), strict=True):
        counts[owner] += Counts.of(letters)
    return counts


def _pieces(columns: list[Column]) -> Iterator[list[Column]]:
    """One piece, or many if the characters are too many; an empty word at the start of a piece stands for its blank.

    Each piece but the first begins with a word on both sides, and none is empty on one side only, so that both texts
    keep all of their blanks.
    """
    sizes = [sum(len(word) + 1 for word in side if word is not None) for side in zip(*columns, strict=True)]
    if not columns or sizes[0] * sizes[1] <= LONGEST_CHARACTERS:
        yield columns
        return
    piece: list[Column] = []
    lengths = [0, 0]
    for left, right in columns:
        enough = PIECE if left == right else 4 * PIECE
        if left is not None and right is not None and min(lengths) > 0 and max(lengths) >= enough:
            yield piece
            piece, lengths = [("", "")], [0, 0]
        piece.append((left, right))
        lengths = [
            n + (len(word) + 1 if word is not None else 0) for n, word in zip(lengths, (left, right), strict=True)
        ]
    yield piece


def markdown(
    groups: Mapping[str, Sequence[Utterance]], regime: str, sure: Mapping[str, Interval | None]
) -> Iterator[str]:
    """Percentages of each group of utterances with its interval, and of each speaker of the first group.

    The interval of a speaker is over utterances: it says how sure the rate of this very speaker is.
    """
    yield regime_line(regime)
    yield from _markdown_table("set", {name: by_speaker(group)[1] for name, group in groups.items()}, sure)
    speakers: dict[str, list[Utterance]] = {}
    for utterance in next(iter(groups.values())):
        speakers.setdefault(utterance.speaker, []).append(utterance)
    own = intervals(speakers, "utterances", SPEAKER_REPLICATIONS)
    yield from _markdown_table("speaker", {name: by_speaker(group)[1] for name, group in speakers.items()}, own)
    yield f"\nIntervals of speakers are over their utterances, from {SPEAKER_REPLICATIONS:,} samples.\n"


def breakdown(
    title: str, groups: Mapping[str, Sequence[Utterance]], regime: str, characters: Mapping[str, Counts], unit: str = ""
) -> Iterator[str]:
    """Percentages of groups of utterances, each with its interval and its character error rate.

    ``characters`` are the counts of each utterance by its id, as :func:`count_characters` makes them. For the intervals
    of all groups the same is drawn, ``unit``; by default what :func:`unit_of` says of all utterances.
    """
    yield regime_line(regime)
    rows = {name: by_speaker(group)[1] for name, group in groups.items()}
    sums = {name: sum((characters[u.id] for u in group), Counts()) for name, group in groups.items()}
    unit = unit or unit_of([utterance for group in groups.values() for utterance in group])
    yield from _markdown_table(title, rows, intervals(groups, unit), sums)
    yield f"\n95 %: over {unit}; - for a group of fewer than two, or without a reference word\n"


def _markdown_table(
    title: str,
    rows: Mapping[str, SpeakerCounts],
    sure: Mapping[str, Interval | None] | None = None,
    characters: Mapping[str, Counts] | None = None,
) -> Iterator[str]:
    """Sentences, words, percentages and, where given, the interval of the error rate and that of characters."""
    columns = [*MARKDOWN_COLUMNS, *([INTERVAL_COLUMN] if sure is not None else [])]
    columns += [CHARACTER_COLUMN] if characters else []
    yield f"\n| {title} | {' | '.join(columns)} |\n|---{'|---:' * len(columns)}|\n"
    for name, counted in rows.items():
        cells = [str(counted.sentences), str(counted.counts.words), *_percentages(counted)]
        cells += [str(sure[name] or "-")] if sure is not None else []
        cells += [_rate(characters[name])] if characters else []
        yield f"| {name.replace('|', chr(92) + '|')} | {' | '.join(cells)} |\n"
    if not all(counted.counts.words for counted in rows.values()):
        yield "\n\\* counts, since there is no reference word\n"


def _percentages(counted: SpeakerCounts) -> list[str]:
    """Corr to S.Err; without reference words counts with a star, as in sclite's table."""
    *words, sentences = counted.percents
    if counted.counts.words:
        return [f"{percent:.1f}" for percent in (*words, sentences)]
    return [*(f"{count:.0f}\\*" for count in counted.raw[:-1]), f"{sentences:.1f}"]


def _rate(counts: Counts) -> str:
    return f"{counts.percent:.1f}" if counts.words else f"{counts.errors}\\*"


def read_breakdown(path: str | os.PathLike[str]) -> tuple[list[str], list[list[str]]]:
    """Heads and rows of the table that :func:`breakdown` wrote, as text.

    Raises:
        UserError: the file cannot be read, or has no such table.
    """
    lines = [line for line in read_lines(path) if line.startswith("|")]
    table = [[_unescaped(cell.strip()) for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    heads = [*MARKDOWN_COLUMNS, INTERVAL_COLUMN, CHARACTER_COLUMN]
    if len(table) < 2 or table[0][1:] != heads or any(len(row) != len(table[0]) for row in table):
        raise UserError(f"{path} is no table of results; score this set again (stage 5)")
    return table[0], table[2:]


def _unescaped(cell: str) -> str:
    return cell.replace("\\|", "|").replace("\\*", "*")


def per_speaker(utterances: Sequence[Utterance]) -> Iterator[str]:
    """Kaldi's ``per_spk``: counts (``raw``) and percentages (``sys``) of each speaker, sorted, then of all."""
    speakers, total = by_speaker(utterances)
    width = max(len("SPEAKER"), *(len(speaker.name) for speaker in speakers))
    heads = "".join(f"{head:>10}" for head in ("#SENT", "#WORD", "Corr", "Sub", "Ins", "Del", "Err", "S.Err"))
    yield f"{'SPEAKER':<{width}}  id {heads}\n"
    for speaker in [*sorted(speakers, key=lambda speaker: speaker.name), total]:
        yield f"{speaker.name:<{width}}  raw{_speaker_row(speaker, speaker.raw, 0)}\n"
        yield f"{speaker.name:<{width}}  sys{_speaker_row(speaker, speaker.percents, 2)}\n"


def _speaker_row(speaker: SpeakerCounts, values: Sequence[float], digits: int) -> str:
    correct, substitutions, deletions, insertions, errors, sentences = values
    ordered = (correct, substitutions, insertions, deletions, errors, sentences)
    numbers = "".join(f"{value:10.{digits}f}" for value in ordered)
    return f"{speaker.sentences:10d}{speaker.counts.words:10d}{numbers}"
