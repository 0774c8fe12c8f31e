"""Greedy CTC decoding.

Shapes: B utterances, S encoder frames, V vocabulary.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from omni_asr.errors import UserError
from omni_asr.models.asr_model import BLANK


@dataclass
class Hypothesis:
    """The best path of one utterance."""

    ids: list[int]
    """Unit ids, repetitions merged and blanks removed."""
    starts: list[int]
    """First encoder frame of each unit."""
    ends: list[int]
    """Encoder frame after the last one of each unit."""
    score: float
    """Log-probability of the best path per encoder frame."""


def finite_paths(score_BS: Tensor) -> Tensor:
    """Mask (B) of utterances whose best log-probabilities are all finite; of nan the best unit would be the blank."""
    return score_BS.isfinite().all(-1)


def greedy_decode(logp_BSV: Tensor, lengths_B: Tensor, utts: Sequence[str]) -> list[Hypothesis]:
    """Take the best unit of every frame, merge repetitions, drop blanks; ``utts`` are the ids of the utterances.

    Raises:
        UserError: log-probabilities of an utterance are not finite.
    """
    score_BS, best_BS = (tensor.cpu() for tensor in logp_BSV.max(-1))
    broken = (~finite_paths(score_BS)).nonzero()
    if len(broken):
        utt = utts[int(broken[0])]
        raise UserError(f"log-probabilities of {utt} are not finite; train the model again, with a lower optim.lr")
    hypotheses = []
    for best_S, score_S, length in zip(best_BS, score_BS, lengths_B.tolist(), strict=True):
        ids, counts = torch.unique_consecutive(best_S[:length], return_counts=True)
        ends = counts.cumsum(0)
        spoken = ids != BLANK
        hypotheses.append(
            Hypothesis(
                ids[spoken].tolist(),
                (ends - counts)[spoken].tolist(),
                ends[spoken].tolist(),
                float(score_S[:length].mean()) if length else 0.0,
            )
        )
    return hypotheses
