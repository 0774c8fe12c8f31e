"""Greedy CTC decoding by hand."""

import math

import pytest
import torch

from omni_asr.decoding.greedy import greedy_decode
from omni_asr.errors import UserError


def path(*units: int, vocabulary: int = 4, probability: float = 0.7) -> torch.Tensor:
    """Log-probabilities whose best path is the given one."""
    other = (1 - probability) / (vocabulary - 1)
    rows = torch.full((len(units), vocabulary), math.log(other))
    for frame, unit in enumerate(units):
        rows[frame, unit] = math.log(probability)
    return rows


def test_repetitions_merge_and_blanks_go():
    hypothesis = greedy_decode(path(0, 2, 2, 0, 2, 3, 3, 0)[None], torch.tensor([8]), ["a"])[0]
    assert hypothesis.ids == [2, 2, 3]
    assert hypothesis.starts == [1, 4, 5]
    assert hypothesis.ends == [3, 5, 7]
    assert hypothesis.score == pytest.approx(math.log(0.7), rel=1e-5)


def test_frames_past_the_end_do_not_count():
    batch = torch.stack([path(1, 1, 2, 3), path(3, 0, 3, 3)])
    hypotheses = greedy_decode(batch, torch.tensor([2, 4]), ["a", "b"])
    assert [h.ids for h in hypotheses] == [[1], [3, 3]]


def test_silence_is_empty():
    assert greedy_decode(path(0, 0)[None], torch.tensor([2]), ["a"])[0].ids == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_log_probabilities_that_are_not_finite_name_the_utterance(value):
    """Of nan the best unit would be the blank: an empty hypothesis that looks like silence."""
    batch = torch.stack([path(1, 2), path(1, 2)])
    batch[1, 1] = value
    with pytest.raises(UserError, match="log-probabilities of b are not finite"):
        greedy_decode(batch, torch.tensor([2, 2]), ["a", "b"])
