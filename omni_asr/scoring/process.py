"""Word and character errors with jiwer's interface and return types, aligned as sclite aligns.

``process_words("the cat", "the hat")`` is a ``jiwer.WordOutput``; ``jiwer.visualize_alignment`` prints it.
"""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import jiwer

from omni_asr.scoring.align import CORRECT, DELETION, INSERTION, SUBSTITUTION, Counts, align_all
from omni_asr.scoring.markup import Markup, align_texts
from omni_asr.scoring.network import Alignment

Costs = Literal["sclite", "unit"]
CHUNKS = {CORRECT: "equal", SUBSTITUTION: "substitute", DELETION: "delete", INSERTION: "insert"}


def process_words(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Any = jiwer.transformations.wer_default,
    hypothesis_transform: Any = jiwer.transformations.wer_default,
    *,
    costs: Costs = "sclite",
    optional: bool = False,
    fragments: bool = False,
    case_sensitive: bool = False,
) -> jiwer.WordOutput:
    """Count and align word errors.

    ``costs="sclite"`` charges 4 for a substitution and 3 for an insertion or a deletion, settles ties as sclite does,
    and reads alternations, optional words and fragments as :mod:`omni_asr.scoring.markup` says (``optional`` is
    sclite's ``-D``, ``fragments`` its ``-F``, ``case_sensitive`` its ``-s``). The output holds the branches that were
    chosen; an optional word that was left out is a hit against an empty word. ``costs="unit"`` is plain jiwer, which
    knows none of that.

    Raises:
        ValueError: numbers of sentences differ, costs are unknown, or marks are asked for with costs that know none.
        UserError: braces are not in order; the message names the sentence, counted from 1 as jiwer prints them.
    """
    if costs == "unit":
        _refuse(optional=optional, fragments=fragments, case_sensitive=case_sensitive)
        return jiwer.process_words(reference, hypothesis, reference_transform, hypothesis_transform)
    references, hypotheses = _sentences(reference, reference_transform), _sentences(hypothesis, hypothesis_transform)
    _check(costs, references, hypotheses)
    markup = Markup(optional, fragments, case_sensitive)
    alignments = align_texts(
        [" ".join(words) for words in references],
        [" ".join(words) for words in hypotheses],
        markup,
        lambda side, index: f"sentence {index + 1}, {side}",
    )
    counts = Counts.of("".join(alignment.operations for alignment in alignments))
    wer, mer, wip = _measures(counts)
    return jiwer.WordOutput(wer=wer, mer=mer, wip=wip, wil=1 - wip, **_aligned(alignments, counts))


def process_characters(
    reference: str | list[str],
    hypothesis: str | list[str],
    reference_transform: Any = jiwer.transformations.cer_default,
    hypothesis_transform: Any = jiwer.transformations.cer_default,
    *,
    costs: Costs = "sclite",
    case_sensitive: bool = False,
) -> jiwer.CharacterOutput:
    """Count and align character errors, the blank between words being a character; marks have no meaning here.

    Raises:
        ValueError: numbers of sentences differ, costs are unknown, or ``case_sensitive`` is asked for with unit costs.
    """
    if costs == "unit":
        _refuse(case_sensitive=case_sensitive)
        return jiwer.process_characters(reference, hypothesis, reference_transform, hypothesis_transform)
    references, hypotheses = _sentences(reference, reference_transform), _sentences(hypothesis, hypothesis_transform)
    _check(costs, references, hypotheses)
    operations = align_all(references, hypotheses, case_sensitive)
    counts = Counts.of("".join(operations))
    alignments = list(map(Alignment, references, hypotheses, operations))
    return jiwer.CharacterOutput(cer=_measures(counts)[0], **_aligned(alignments, counts))


def _sentences(text: str | list[str], transform: Any) -> list[list[str]]:
    return transform([text] if isinstance(text, str) else text)


def _refuse(**marks: bool) -> None:
    """Raise for options that plain jiwer, which always minds case, does not have."""
    for name, on in marks.items():
        if on:
            raise ValueError(f"{name} has no meaning with costs='unit', which is plain jiwer; use costs='sclite'")


def _check(costs: str, references: Sequence[Any], hypotheses: Sequence[Any]) -> None:
    if costs != "sclite":
        raise ValueError(f"costs must be 'sclite' or 'unit', not {costs!r}")
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references and {len(hypotheses)} hypotheses; their numbers must be equal")


def _measures(counts: Counts) -> tuple[float, float, float]:
    """Word error rate, match error rate and word information preserved, as jiwer defines them."""
    hits, spoken = counts.correct, counts.words
    heard = hits + counts.substitutions + counts.insertions
    if not spoken:
        return float(counts.insertions), float(bool(heard)), float(not heard)
    wip = hits / spoken * hits / heard if heard else 0.0
    return counts.errors / spoken, counts.errors / (counts.errors + hits), wip


def _aligned(alignments: Sequence[Alignment], counts: Counts) -> dict[str, Any]:
    """What outputs for words and for characters have in common."""
    return {
        "references": [alignment.reference for alignment in alignments],
        "hypotheses": [alignment.hypothesis for alignment in alignments],
        "alignments": [_chunks(alignment.operations) for alignment in alignments],
        "hits": counts.correct,
        "substitutions": counts.substitutions,
        "insertions": counts.insertions,
        "deletions": counts.deletions,
    }


def _chunks(operations: str) -> list[jiwer.AlignmentChunk]:
    """Runs of equal letters."""
    chunks, row, column = [], 0, 0
    for letter, run in itertools.groupby(operations):
        length = len(list(run))
        down, right = length * (letter != INSERTION), length * (letter != DELETION)
        chunks.append(jiwer.AlignmentChunk(CHUNKS[letter], row, row + down, column, column + right))
        row, column = row + down, column + right
    return chunks
