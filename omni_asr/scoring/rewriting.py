"""What a protocol makes of the texts on both sides before their words are compared."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.glm import read_glm
from omni_asr.scoring.filters import Filter
from omni_asr.scoring.hyphens import join_hyphens
from omni_asr.scoring.transcripts import Transcripts, split_words
from omni_asr.text.whisper_english import whisper_normalizer


def normalized(transcripts: Transcripts) -> tuple[Transcripts, list[str]]:
    """Both sides normalised; utterances of which no reference is left are taken out on both sides.

    Returns the texts and the utterances that are left out.

    Raises:
        UserError: no reference has a word left, or Whisper's package is not installed.
    """
    normalize = whisper_normalizer()
    references = {name: normalize(text) for name, text in transcripts.references.items()}
    kept = [name for name, text in references.items() if text]
    dropped = [name for name, text in references.items() if not text]
    if not kept:
        raise UserError("no reference has a word left after normalisation")
    return Transcripts(
        {name: references[name] for name in kept},
        {name: normalize(transcripts.hypotheses[name]) for name in kept},
        transcripts.speakers,
        [name for name in transcripts.missing if references[name]],
    ), dropped


def joined(transcripts: Transcripts) -> Transcripts:
    """Hypotheses in which ``so called`` is ``so-called`` where the reference has that."""
    hypotheses = {
        name: " ".join(join_hyphens(split_words(text), split_words(transcripts.hypotheses[name])))
        for name, text in transcripts.references.items()
    }
    return replace(transcripts, hypotheses=hypotheses)


def mapped(transcripts: Transcripts, glm: Path, split_hyphens: bool) -> Transcripts:
    """Both sides rewritten by a global map, each utterance as one line.

    Words mean themselves, so parentheses and braces of theirs go round the rules, to which they would be marks.

    Raises:
        UserError: the map is malformed, or makes an alternation of a word.
    """

    def rewrite(texts: Mapping[str, str], kinds: tuple[str, str]) -> dict[str, str]:
        rules, rewritten = Filter(read_glm(glm, kinds), split_hyphens=split_hyphens), {}
        for name, text in texts.items():
            changed = rules.text(text.translate(_HIDDEN))
            if "{" in changed:
                alternation = changed.translate(_SHOWN)
                raise UserError(f"{glm}: alternatives need --stm; utterance {name} becomes {alternation!r}")
            rewritten[name] = changed.translate(_SHOWN)
        return rewritten

    references = rewrite(transcripts.references, ("trn", "ref"))
    return replace(transcripts, references=references, hypotheses=rewrite(transcripts.hypotheses, ("trn", "hyp")))


_HIDDEN = {ord(mark): 0xFDD0 + number for number, mark in enumerate("(){}")}  # code points that no text may hold
_SHOWN = {code: mark for mark, code in _HIDDEN.items()}
