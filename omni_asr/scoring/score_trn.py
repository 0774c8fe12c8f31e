"""Score trn files of any system, with the marks that sclite knows in them."""

import logging
from collections.abc import Iterable
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.kaldi.trn import read_marked_trn
from omni_asr.scoring.align import fold_case
from omni_asr.scoring.bootstrap import interval, interval_line
from omni_asr.scoring.markup import Markup, align_texts
from omni_asr.scoring.per_utt import write_utterances
from omni_asr.scoring.regimes import regime_line
from omni_asr.scoring.reports import per_speaker, summary_line
from omni_asr.scoring.sclite import Utterance, by_speaker, report, speakers_of
from omni_asr.scoring.transcripts import without_hypothesis

log = logging.getLogger("score-trn")


def score_trn(reference: Path, hypothesis: Path, markup: Markup, out_dir: Path | None = None) -> str:
    """Score a file and write its tables into ``out_dir``, ``wer`` last; returns the ``%WER`` line.

    Raises:
        UserError: see :func:`align_trn`.
    """
    utterances, missing = align_trn(reference, hypothesis, markup)
    counts = by_speaker(utterances)[1].counts
    line = summary_line("WER", counts)
    if missing:
        log.warning(
            "references without a hypothesis, whose words count as deleted: %d (%s, ...)", len(missing), missing[0]
        )
    unnamed = [utterance.id for utterance in utterances if not set(utterance.id) & set("-_")]
    if unnamed:
        log.warning(
            "ids without a speaker, that of the line before: %d (%s, ...); write (speaker-utterance)",
            len(unnamed),
            unnamed[0],
        )
    if out_dir:
        _write(out_dir / "result.txt", report(utterances, f"{hypothesis.name} (verbatim)", markup.case_sensitive))
        write_utterances(out_dir, utterances)
        _write(out_dir / "per_spk", per_speaker(utterances))
        _write(out_dir / "ci", [interval_line("all", counts, interval(utterances)), regime_line("verbatim")])
        _write(out_dir / "missing_hyps", (f"{name}\n" for name in missing))
        _write(out_dir / "wer", [f"{line}\n", regime_line("verbatim")])
    return line


def align_trn(reference: Path, hypothesis: Path, markup: Markup) -> tuple[list[Utterance], list[str]]:
    """Utterances in the order of the hypotheses, and the ids of references without one, which come last.

    Case is that of sclite in ids too: lower, unless it counts. Speakers are those of :func:`speakers_of`.

    Raises:
        UserError: a file is missing or malformed or has no line, a hypothesis has no reference, or braces are not in
            order; named by file and id.
    """
    fold = str if markup.case_sensitive else fold_case
    references, hypotheses = (
        {fold(name): text for name, text in read_marked_trn(path).items()} for path in (reference, hypothesis)
    )
    if not references:
        raise UserError(f"{reference} is empty; nothing to score")
    missing = without_hypothesis(references, hypotheses, str(reference), str(hypothesis))
    names = [*hypotheses, *missing]
    alignments = align_texts(
        [references[name] for name in names],
        [hypotheses.get(name, "") for name in names],
        markup,
        lambda side, index: f"{reference if side == 'reference' else hypothesis}: utterance ({names[index]})",
    )
    utterances = [
        Utterance(name, speaker, found.reference, found.hypothesis, found.operations, text=references[name])
        for name, speaker, found in zip(names, speakers_of(names), alignments, strict=True)
    ]
    return utterances, missing


def _write(path: Path, pieces: Iterable[str]) -> None:
    with atomic_write(path) as file:
        file.writelines(pieces)
