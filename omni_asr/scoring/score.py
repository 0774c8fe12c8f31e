"""Score one decoded set: count errors and write the tables that people and sclite read."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.tables import read_lines, read_table
from omni_asr.kaldi.trn import utterance_ids, write_trn
from omni_asr.scoring.align import Counts, align_all, pairs
from omni_asr.scoring.sclite import SpeakerCounts, Utterance, by_speaker, report

log = logging.getLogger("score")

GAP = "***"


@dataclass(frozen=True)
class Transcripts:
    """References of a set, in the order of its ``text``, with the hypothesis and speaker of each."""

    references: dict[str, list[str]]
    hypotheses: dict[str, list[str]]
    speakers: dict[str, str]
    missing: list[str]
    """Utterances without a hypothesis: their words count as deleted."""


def split_words(text: str) -> list[str]:
    """Words between blanks; only space and tab are blanks, as in Kaldi's tables."""
    return [word for word in text.replace("\t", " ").split(" ") if word]


def read_transcripts(data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str]) -> Transcripts:
    """Read ``text`` and ``utt2spk`` of the data directory and ``text`` of the decoding.

    Raises:
        UserError: a file is missing or malformed, an id occurs twice, a hypothesis belongs to no reference, or an
            utterance has no speaker.
    """
    references = read_table(Path(data_dir, "text"), may_be_empty=True)
    hypotheses = read_table(Path(decode_dir, "text"), may_be_empty=True)
    speakers = read_table(Path(data_dir, "utt2spk"))
    if not references:
        raise UserError(f"{data_dir}/text is empty; nothing to score")
    unknown = [utterance for utterance in hypotheses if utterance not in references]
    if unknown:
        more = f" (nor are {len(unknown) - 1} others)" if len(unknown) > 1 else ""
        raise UserError(f"{decode_dir}/text: utterance {unknown[0]!r} is not in {data_dir}/text{more}; decode this set")
    for utterance in references:
        if utterance not in speakers:
            raise UserError(f"{data_dir}/utt2spk: utterance {utterance!r} of text has no speaker")
    return Transcripts(
        {utterance: split_words(text) for utterance, text in references.items()},
        {utterance: split_words(hypotheses.get(utterance, "")) for utterance in references},
        speakers,
        [utterance for utterance in references if utterance not in hypotheses],
    )


def align_words(transcripts: Transcripts) -> list[Utterance]:
    """Align every utterance in words."""
    references, hypotheses = transcripts.references, transcripts.hypotheses
    operations = align_all(list(references.values()), list(hypotheses.values()))
    return [
        Utterance(utterance, transcripts.speakers[utterance], words, hypotheses[utterance], letters)
        for (utterance, words), letters in zip(references.items(), operations, strict=True)
    ]


def count_characters(utterances: Sequence[Utterance]) -> Counts:
    """Errors in characters, the blank between words being one of them."""
    references = [" ".join(utterance.reference) for utterance in utterances]
    hypotheses = [" ".join(utterance.hypothesis) for utterance in utterances]
    return Counts.of("".join(align_all(references, hypotheses)))


def summary_line(unit: str, counts: Counts) -> str:
    """Kaldi's line, e.g. ``%WER 6.60 [ 543 / 8234, 66 ins, 58 del, 419 sub ]``."""
    numbers = f"{counts.insertions} ins, {counts.deletions} del, {counts.substitutions} sub"
    return f"%{unit} {counts.percent:.2f} [ {counts.errors} / {counts.words}, {numbers} ]"


def score(data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str]) -> str:
    """Score ``decode_dir/text`` against the data directory and write all tables; returns the ``%WER`` line.

    Writes into ``decode_dir``: ``wer`` (last, so it stands for a complete result), ``cer`` and ``scoring/``.

    Raises:
        UserError: see :func:`read_transcripts`.
    """
    for name in ("wer", "cer"):  # an error must not leave the rates of an earlier scoring
        Path(decode_dir, name).unlink(missing_ok=True)
    transcripts = read_transcripts(data_dir, decode_dir)
    utterances = align_words(transcripts)
    folder = Path(decode_dir, "scoring")
    _write_sclite_files(folder, utterances)
    _write(folder / "per_utt", per_utterance(utterances))
    _write(folder / "per_spk", per_speaker(utterances))
    _write(folder / "missing_hyps", (f"{utterance}\n" for utterance in transcripts.missing))
    if transcripts.missing:
        log.warning(
            "%d of %d utterances have no hypothesis; their words count as deleted (ids in %s)",
            len(transcripts.missing),
            len(utterances),
            folder / "missing_hyps",
        )
    total = by_speaker(utterances)[1]
    line = summary_line("WER", total.counts)
    _write(Path(decode_dir, "cer"), [summary_line("CER", count_characters(utterances)) + "\n"])
    sentences = f"%SER {total.percents[-1]:.2f} [ {total.wrong_sentences} / {total.sentences} ]"
    scored = f"Scored {total.sentences} sentences, {len(transcripts.missing)} not present in hyp."
    _write(Path(decode_dir, "wer"), [f"{line}\n{sentences}\n{scored}\n"])
    return line


def _write_sclite_files(folder: Path, utterances: Sequence[Utterance]) -> None:
    """``ref.trn``, ``hyp.trn`` and what sclite prints for them (``sclite -i rm -o all stdout``)."""
    names = utterance_ids((utterance.id, utterance.speaker) for utterance in utterances)
    write_trn(folder / "ref.trn", ((names[u.id], u.reference) for u in utterances))
    write_trn(folder / "hyp.trn", ((names[u.id], u.hypothesis) for u in utterances))
    renamed = [replace(u, id=names[u.id], speaker=names[u.id].split("-")[0]) for u in utterances]
    _write(folder / "result.txt", report(renamed, "hyp.trn"))


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
    for number in range(0, len(lines) - 3, 4):
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
                [word for word, letter in zip(reference, operations, strict=True) if letter != "I"],
                [word for word, letter in zip(hypothesis, operations, strict=True) if letter != "D"],
                "".join(operations),
            )
        )
    return utterances


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


def _write(path: Path, pieces: Iterable[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(pieces)
