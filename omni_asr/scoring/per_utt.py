"""What scoring leaves of each utterance, for people and for the programs that read it back.

``per_utt`` is Kaldi's: both sides and the letters of their alignment in columns. Beside it lie tables as in a data
directory: ``utt2spk``; ``text``, the references as they were given, with the alternations of which ``per_utt`` has the
branches that fitted best; and ``segments``, where the utterances are segments of an stm, with the times of those whose
recording the data directory has.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.data_dir import Segment
from omni_asr.kaldi.tables import read_lines, read_table, write_table
from omni_asr.scoring.align import CORRECT, DELETION, INSERTION, pairs
from omni_asr.scoring.sclite import Utterance
from omni_asr.scoring.transcripts import split_words

GAP = "***"


def write_utterances(
    folder: Path, utterances: Sequence[Utterance], segments: Mapping[str, Segment] | None = None
) -> None:
    """Write ``per_utt``, ``utt2spk``, ``text`` and, where there are any, ``segments`` (by the ids of utterances)."""
    with atomic_write(folder / "per_utt") as file:
        file.writelines(per_utterance(utterances))
    write_table(folder / "utt2spk", ((u.id, u.speaker) for u in utterances))
    write_table(folder / "text", ((u.id, u.given) for u in utterances))
    if segments:
        times = ((name, f"{s.recording} {s.start:.10g} {s.end:.10g}") for name, s in segments.items())
        write_table(folder / "segments", times)


def read_utterances(folder: str | os.PathLike[str]) -> list[Utterance]:
    """The utterances that :func:`write_utterances` wrote, in their order.

    Raises:
        UserError: a file is missing or broken, or the tables lack an utterance.
    """
    speakers = read_table(Path(folder, "utt2spk"), may_be_empty=True)
    texts = read_table(Path(folder, "text"), may_be_empty=True)
    found = []
    for utterance in read_per_utterance(Path(folder, "per_utt")):
        name = utterance.id
        if name not in speakers or name not in texts:
            raise UserError(f"{folder}: utterance {name!r} is not in per_utt, utt2spk and text alike; score anew")
        given = "" if texts[name] == utterance.given else texts[name]
        found.append(replace(utterance, speaker=speakers[name], text=given))
    return found


def per_utterance(utterances: Iterable[Utterance]) -> Iterator[str]:
    """Kaldi's ``per_utt``: for each utterance the lines ref, hyp and op in columns, and ``#csid`` with the counts."""
    for utterance in utterances:
        rows: tuple[list[str], list[str], list[str]] = ([], [], [])
        for letter, reference, hypothesis in pairs(utterance.reference, utterance.hypothesis, utterance.operations):
            cells = (reference or GAP, hypothesis or GAP, letter)
            width = max(map(len, cells))
            for row, cell in zip(rows, cells, strict=True):
                row.append(cell.ljust(width))
        for name, row in zip(("ref ", "hyp ", "op  "), rows, strict=True):
            yield "  ".join([f"{utterance.id} {name}", *row]).rstrip() + "\n"
        c = utterance.counts
        yield f"{utterance.id} #csid {c.correct} {c.substitutions} {c.insertions} {c.deletions}\n"


def read_per_utterance(path: str | os.PathLike[str]) -> list[Utterance]:
    """Read ``per_utt`` back; speakers are not in it and are left empty.

    Raises:
        UserError: the file is missing, or is not what :func:`per_utterance` wrote.
    """
    lines = read_lines(path)
    utterances = []
    for number in range(0, len(lines), 4):
        rows = [split_words(line) for line in lines[number : number + 4]]
        if [row[1:2] for row in rows] != [["ref"], ["hyp"], ["op"], ["#csid"]]:
            raise UserError(f"{path}:{number + 1}: expected the lines ref, hyp, op and #csid of one utterance")
        (name, _, *reference), hypothesis, operations = rows[0], rows[1][2:], rows[2][2:]
        if not len(reference) == len(hypothesis) == len(operations):
            raise UserError(f"{path}:{number + 1}: the columns of ref, hyp and op differ in number")
        utterances.append(
            Utterance(
                name,
                "",
                list(_side(reference, hypothesis, operations, INSERTION)),
                list(_side(hypothesis, reference, operations, DELETION)),
                "".join(operations),
            )
        )
    return utterances


def _side(cells: list[str], others: list[str], operations: list[str], gap: str) -> Iterator[str]:
    """Words of a row without its gaps; where a word counts as right against a gap, it was optional."""
    for cell, other, letter in zip(cells, others, operations, strict=True):
        if letter != gap:
            yield "" if letter == CORRECT and cell == GAP != other else cell
