"""The corpora of a joined data directory: where the utterances of each are, and how often training sees them.

``<data_dir>/corpora`` names the corpora; the utterances of one begin with ``<name>-`` and, because tables are sorted,
follow each other. So a corpus is a range of utterances, found by bisection, whatever their number.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omni_asr.data.dataset import UtteranceSet
from omni_asr.data.sampler import Weights
from omni_asr.errors import UserError
from omni_asr.kaldi.join import CORPORA
from omni_asr.kaldi.tables import read_table


@dataclass(frozen=True)
class Corpus:
    """A corpus of a set: its utterances from ``start`` to ``end``, seen ``weight`` times in an epoch."""

    name: str
    start: int
    end: int
    weight: float


def corpora_of(utterances: UtteranceSet, weights: str) -> list[Corpus]:
    """The corpora of a set in the order of its utterances; none where it was not joined from several.

    Args:
        utterances: the set, filtered or not.
        weights: ``data.weights``.

    Raises:
        UserError: ``data.weights`` is malformed or names no corpus of the set; utterances are of none.
    """
    path = utterances.data_dir / CORPORA
    if not path.exists():
        if weights:
            raise UserError(f"data.weights is {weights!r}, but {path} does not exist: nothing was joined there")
        return []
    names, factors = read_table(path), read_weights(weights)
    unknown = next((name for name in factors if name not in names), None)
    if unknown is not None:
        raise UserError(f"data.weights names {unknown}; {path} has {', '.join(names)}")
    corpora, position = [], 0
    for name in sorted(names, key=lambda name: f"{name}-"):
        start, end = (bisect_left(utterances.utts, f"{name}{sign}") for sign in ("-", "."))  # "." follows "-"
        if start != position:
            break
        corpora.append(Corpus(name, start, end, factors.get(name, 1.0)))
        position = end
    if position != len(utterances):
        raise UserError(f"{utterances.data_dir}: {utterances.utts[position]} is of none of the corpora in {path}")
    return corpora


def read_weights(text: str) -> dict[str, float]:
    """Weights by name from ``librispeech=1 commonvoice=0.5``.

    Raises:
        UserError: it is written otherwise, a weight is not above 0, or a name comes twice.
    """
    weights: dict[str, float] = {}
    for item in text.split():
        name, equals, value = item.partition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = 0.0
        if not (name and equals) or name in weights or not 0 < weight <= 1000:
            raise UserError(f"data.weights: {item!r} is not <corpus>=<weight above 0>, as in 'librispeech=1 ami=2'")
        weights[name] = weight
    return weights


def as_weights(corpora: Sequence[Corpus]) -> Weights | None:
    """What the plan of an epoch needs; None where every utterance is seen once."""
    if all(corpus.weight == 1 for corpus in corpora):
        return None
    bounds = np.array([0, *(corpus.end for corpus in corpora)], np.int64)
    return Weights(bounds, tuple(corpus.weight for corpus in corpora))


def describe(utterances: UtteranceSet, corpora: Sequence[Corpus], frame_shift_ms: float) -> list[str]:
    """For each corpus the hours that it has and that an epoch has of it."""
    lines = []
    for corpus in corpora:
        frames = int(utterances.frames[corpus.start : corpus.end].sum(dtype=np.int64))
        hours, count = frames * frame_shift_ms / 3.6e6, corpus.end - corpus.start
        lines.append(
            f"an epoch has {hours * corpus.weight:.2f} h of {corpus.name}: "
            f"{count} utterances, {hours:.2f} h, weight {corpus.weight:g}"
        )
    return lines
