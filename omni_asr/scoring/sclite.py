"""The report that sclite prints: percentages and counts by speaker, and the alignments (its ``-o all stdout``).

The text equals sclite's, with one deliberate difference: sclite pads words by bytes, this by characters, so rows of
non-ASCII words stand under each other. Where several speakers have no reference words, sclite's Mean, S.D. and Median
drop the wrong ones; here they drop those.
"""

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from omni_asr.scoring.align import CORRECT, Counts, fold_case, pairs, raise_case

PAGE_WIDTH = 80
LINE_WIDTH = 1000
COLUMNS = [" SPKR", " # Snt", "# Wrd", "Corr", " Sub", " Del", " Ins", " Err", "S.Err"]
NO_WORDS = """
* No Reference words for this/these speaker(s).  Word counts supplied
  rather than percents.
# No Reference words for this/these speaker(s).  NCE not computable.
+ Speaker(s) with no reference data is ignored
"""


@dataclass(frozen=True)
class Utterance:
    """One scored utterance: its names, both word sequences, and the letters of their alignment.

    An optional word that the other side left out stands against an empty word, as a ``C``.
    """

    id: str
    speaker: str
    reference: list[str]
    hypothesis: list[str]
    operations: str
    heading: str = ""
    """Further lines that stand under its id in the report."""
    text: str = ""
    """The reference as it was given, with its alternations; nothing where that is its words."""

    @property
    def counts(self) -> Counts:
        """Counts of the alignment."""
        return Counts.of(self.operations)

    @property
    def given(self) -> str:
        """The reference as it was given: other than ``reference`` the same for every hypothesis."""
        return self.text or " ".join(word for word in self.reference if word)


@dataclass
class SpeakerCounts:
    """Counts of one speaker, or of all."""

    name: str
    sentences: int = 0
    wrong_sentences: int = 0
    counts: Counts = Counts()

    def add(self, counts: Counts) -> None:
        """Count one more utterance."""
        self.sentences += 1
        self.wrong_sentences += counts.errors > 0
        self.counts += counts

    @property
    def raw(self) -> list[float]:
        """Corr, Sub, Del, Ins, Err, S.Err as numbers."""
        c = self.counts
        return [c.correct, c.substitutions, c.deletions, c.insertions, c.errors, self.wrong_sentences]

    @property
    def percents(self) -> list[float]:
        """The same in percent of words and, for S.Err, of sentences; 0 where there are none."""
        *words, sentences = self.raw
        return [_percent(count, self.counts.words) for count in words] + [_percent(sentences, self.sentences)]


def by_speaker(utterances: Sequence[Utterance]) -> tuple[list[SpeakerCounts], SpeakerCounts]:
    """Counts of each speaker in the order of first appearance, and of all."""
    speakers: dict[str, SpeakerCounts] = {}
    total = SpeakerCounts("SUM")
    for utterance in utterances:
        counts = utterance.counts
        speakers.setdefault(utterance.speaker, SpeakerCounts(utterance.speaker)).add(counts)
        total.add(counts)
    return list(speakers.values()), total


def speakers_of(trn_ids: Iterable[str]) -> list[str]:
    """The speaker of each id of a trn file by the rule of ``sclite -i rm``, the ids in its order: that of hypotheses.

    It is what stands before the first ``-``, else before the first ``_``. An id with neither belongs to the speaker of
    the id before it, as for sclite, which prints an error and goes on; the first of a file to no name.
    """
    speakers: list[str] = []
    for name in trn_ids:
        separator = next((mark for mark in "-_" if mark in name), "")
        speakers.append(name.partition(separator)[0] if separator else speakers[-1] if speakers else "")
    return speakers


def report(utterances: Sequence[Utterance], title: str, case_sensitive: bool = False) -> Iterator[str]:
    """Pieces of the whole report; ids are trn ids, and speakers those of :func:`speakers_of`.

    With ``case_sensitive`` (its ``-s``) words and names keep their case.
    """
    speakers, total = by_speaker(utterances)
    for speaker in [] if case_sensitive else speakers:
        speaker.name = fold_case(speaker.name)
    yield summary_table(speakers, total, title, raw=False)
    yield summary_table(speakers, total, title, raw=True)
    yield from _alignments(utterances, speakers, title, case_sensitive)


def summary_table(speakers: Sequence[SpeakerCounts], total: SpeakerCounts, title: str, raw: bool) -> str:
    """The summary by speaker in counts (``raw``) or percentages."""
    wordless = not raw and any(not speaker.counts.words for speaker in speakers)
    rows = [COLUMNS]
    for speaker in speakers:
        cells = [f"{_round(value, 0):5.0f} " for value in speaker.raw]
        if not raw and speaker.counts.words:
            cells = [f"{_round(value, 1):5.1f} " for value in speaker.percents]
        elif not raw:
            cells = [f"{_round(v, 0):5.0f}*" for v in speaker.raw[:-1]] + [f"{_round(speaker.percents[-1], 1):5.1f} "]
        rows.append([f" {speaker.name} ", f"{speaker.sentences:5d}", f"{speaker.counts.words:5d}", *cells])
    cells = [f"{value:5.0f} " for value in total.raw] if raw else [f"{_round(v, 1):5.1f} " for v in total.percents]
    sum_row = [" Sum" if raw else " Sum/Avg", f"{total.sentences:5d}", f"{total.counts.words:5d}", *cells]
    statistics_rows = _statistics(speakers, raw, "+" if wordless else " ")
    return _draw(title, rows, sum_row, statistics_rows) + (NO_WORDS if wordless else "")


def _statistics(speakers: Sequence[SpeakerCounts], raw: bool, mark: str) -> list[list[str]]:
    """Mean, S.D. and Median over speakers; percentages only over speakers with reference words."""
    measured = [speaker for speaker in speakers if raw or speaker.counts.words]
    columns: list[list[float]] = [[s.sentences for s in speakers], [s.counts.words for s in speakers]]
    columns += [[(s.raw if raw else s.percents)[index] for s in measured] for index in range(5)]
    columns += [[(s.raw if raw else s.percents)[5] for s in speakers]]
    marks = [" ", " ", *(mark * 5), " "]
    rows = []
    for name, function in [(" Mean ", _mean), (" S.D. ", _deviation), ("Median", _median)]:
        values = [_round(function(column), 1) for column in columns]
        rows.append([name] + [f"{value:5.1f}{end}" for value, end in zip(values, marks, strict=True)])
    return rows


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else 0.0


def _percent(count: float, words: int) -> float:
    return count / words * 100.0 if words else 0.0  # in this order, which decides how halves are rounded


def _round(value: float, digits: int) -> float:
    """Round half up, as sclite does; Python's formatting alone rounds half to even."""
    return math.floor(value * 10**digits + 0.5) / 10**digits


def _draw(title: str, rows: list[list[str]], sum_row: list[str], statistics_rows: list[list[str]]) -> str:
    """The frame: heading and speakers, their sum, the statistics over speakers."""
    everything = [*rows, sum_row, *statistics_rows]
    widths = [max(len(row[index]) for row in everything) for index in range(len(COLUMNS))]
    width = max(sum(widths) + len(widths) - 1, len(title))
    widths[-1] += width - (sum(widths) + len(widths) - 1)
    groups = [widths[0], sum(widths[1:3]) + 1, sum(widths[3:]) + 5]
    thin = "+".join("-" * group for group in groups)
    lines = [f",{'-' * width}.", f"|{_center(title, width)}|", f"|{'-' * width}|"]
    for row in rows:
        lines += [f"|{_row(row, widths, center_name=False)}|", f"|{thin}|"]
    lines[-1] = f"|{'=' * width}|"
    lines += [f"|{_row(sum_row, widths, center_name=False)}|", f"|{'=' * width}|"]
    lines += [f"|{_row(row, widths, center_name=True)}|" for row in statistics_rows]
    lines.append(f"`{'-' * width}'")
    margin = " " * max(0, (PAGE_WIDTH - width - 2) // 2)
    heading = _center("SYSTEM SUMMARY PERCENTAGES by SPEAKER", PAGE_WIDTH)
    return f"\n\n\n{heading}\n\n" + "".join(f"{margin}{line}\n" for line in lines)


def _row(cells: list[str], widths: list[int], center_name: bool) -> str:
    name = _center(cells[0], widths[0]) if center_name else cells[0].ljust(widths[0])
    centered = [_center(cell, width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return f"{name}|{' '.join(centered[:2])}|{' '.join(centered[2:])}"


def _center(text: str, width: int) -> str:
    """Centred, with the odd blank on the right (str.center puts it on either side)."""
    left = (width - len(text)) // 2
    return (" " * left + text).ljust(width)


def _alignments(
    utterances: Sequence[Utterance], speakers: Sequence[SpeakerCounts], title: str, case_sensitive: bool
) -> Iterator[str]:
    """The dump of alignments, speaker by speaker."""
    yield f"\n\n\t\tDUMP OF SYSTEM ALIGNMENT STRUCTURE\n\nSystem name:   {title}\n\nSpeakers: \n"
    yield "".join(f"   {index:2d}:  {speaker.name}\n" for index, speaker in enumerate(speakers))
    yield "\n"
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.speaker, []).append(utterance)
    for index, (speaker, group) in enumerate(zip(speakers, groups.values(), strict=True)):
        yield f"Speaker sentences{index:4d}:  {speaker.name}   #utts: {len(group)}\n"
        for utterance in group:
            yield _alignment(utterance, case_sensitive)
    yield "\n"


def _alignment(utterance: Utterance, case_sensitive: bool) -> str:
    """One utterance: counts, then reference, hypothesis and marks in columns, wrapped after about 1000 characters."""
    counts = utterance.counts
    numbers = f"{counts.correct} {counts.substitutions} {counts.deletions} {counts.insertions}"
    name = utterance.id if case_sensitive else fold_case(utterance.id)
    lines = [f"id: ({name})\n{utterance.heading}Scores: (#C #S #D #I) {numbers}"]
    lines += ["Attributes: Case_sensitve "] if case_sensitive else []  # spelt so by sclite
    columns = list(_columns(utterance, case_sensitive))
    start = 0
    while start < len(columns):
        prefix, length = (">> ", 9) if start else ("", 6)
        end = start
        while length < LINE_WIDTH and end < len(columns):
            length += 1 + len(columns[end][0])
            end += 1
        end = max(start + 1, end - (end < len(columns)))
        if start:
            lines.append("")
        for heading, row in zip(("REF:  ", "HYP:  ", "Eval: "), zip(*columns[start:end], strict=True), strict=True):
            lines.append(prefix + heading + "".join(f"{cell} " for cell in row))
        start = end
    return "\n".join(lines) + "\n\n"


def _columns(utterance: Utterance, case_sensitive: bool) -> Iterator[tuple[str, str, str]]:
    """Reference, hypothesis and mark of each step, of equal width: errors in capitals, gaps as asterisks."""
    for letter, reference, hypothesis in pairs(utterance.reference, utterance.hypothesis, utterance.operations):
        change = str if case_sensitive else fold_case if letter == CORRECT else raise_case
        width = max(len(reference or ""), len(hypothesis or ""))
        upper = "*" * width if reference is None else change(reference)
        lower = "*" * width if hypothesis is None else change(hypothesis)
        mark = "" if letter == CORRECT else letter
        width = max(width, len(mark))  # a word without letters still has room for its mark
        yield upper.ljust(width), lower.ljust(width), mark.ljust(width)
