"""References and hypotheses of a data directory and its decoding, joined by utterance id."""

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.tables import read_table


@dataclass(frozen=True)
class Transcripts:
    """References of a set, in the order of its ``text``, with the hypothesis and speaker of each."""

    references: dict[str, str]
    hypotheses: dict[str, str]
    speakers: dict[str, str]
    missing: list[str]
    """Utterances without a hypothesis: their words count as deleted."""


def split_words(text: str) -> list[str]:
    """Words between blanks; only space and tab are blanks, as in Kaldi's tables."""
    return [word for word in text.replace("\t", " ").split(" ") if word]


def reference_file(data_dir: str | os.PathLike[str], regime: str) -> Path:
    """``text_<regime>`` of a data directory where it has one, else ``text``.

    A protocol may compare with other words than training uses: with case and punctuation for Whisper's normaliser, say.
    """
    own = Path(data_dir, f"text_{regime}")
    return own if own.exists() else Path(data_dir, "text")


def read_transcripts(
    data_dir: str | os.PathLike[str], decode_dir: str | os.PathLike[str], regime: str = "verbatim"
) -> Transcripts:
    """Read references (:func:`reference_file`) and ``utt2spk`` of the data directory and ``text`` of the decoding.

    Raises:
        UserError: a file is missing or malformed, an id occurs twice, a hypothesis belongs to no reference, or an
            utterance has no speaker.
    """
    source = reference_file(data_dir, regime)
    references = read_table(source, may_be_empty=True)
    hypotheses = read_table(Path(decode_dir, "text"), may_be_empty=True)
    speakers = read_table(Path(data_dir, "utt2spk"))
    if not references:
        raise UserError(f"{source} is empty; nothing to score")
    missing = without_hypothesis(references, hypotheses, str(source), f"{decode_dir}/text")
    for utterance in references:
        if utterance not in speakers:
            raise UserError(f"{data_dir}/utt2spk: utterance {utterance!r} of {source.name} has no speaker")
    return Transcripts(
        references, {utterance: hypotheses.get(utterance, "") for utterance in references}, speakers, missing
    )


def check_ids_meet(ids: Collection[str], name: str, others: Collection[str], other_name: str) -> None:
    """Check that two sets have an id in common.

    Raises:
        UserError: they have none, naming one of each.
    """
    if ids and others and set(ids).isdisjoint(others):
        one, other = next(iter(ids)), next(iter(others))
        raise UserError(
            f"{name} and {other_name} are of different sets: none of the {len(ids)} ids, such as {one!r}, is among the "
            f"{len(others)} there, such as {other!r}"
        )


def without_hypothesis(
    references: Mapping[str, object], hypotheses: Mapping[str, object], reference_name: str, hypothesis_name: str
) -> list[str]:
    """Ids of references that have no hypothesis.

    Raises:
        UserError: a hypothesis has no reference, or no reference a hypothesis.
    """
    if references and not hypotheses:
        raise UserError(
            f"{hypothesis_name} is empty, but {reference_name} has {len(references)} utterances such as "
            f"{next(iter(references))!r}; decode this set"
        )
    unknown = [utterance for utterance in hypotheses if utterance not in references]
    if unknown:
        more = f" (nor are {len(unknown) - 1} others)" if len(unknown) > 1 else ""
        raise UserError(
            f"{hypothesis_name}: utterance {unknown[0]!r} is not in {reference_name}{more}; "
            f"this is the text of another set, or it has lost lines (omni-asr validate)"
        )
    return [utterance for utterance in references if utterance not in hypotheses]
