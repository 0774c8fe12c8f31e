"""Which utterances cannot be trained on, and why.

Shapes: N utterances.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omni_asr.config import DataConfig

BLOCK = 1 << 20
"""Utterances that are looked at together."""


def removal_reasons(
    frames_N: NDArray, tokens_N: NDArray, needed_N: NDArray, config: DataConfig, stack: int
) -> Iterator[tuple[int, str]]:
    """Give the number of each utterance that must be removed, in order, with the reason.

    Args:
        frames_N: filterbank frames of each utterance.
        tokens_N: how many units its text has.
        needed_N: encoder frames that CTC needs for them: one each, and a blank between two equal neighbours.
        config: bounds on the length.
        stack: filterbank frames in one encoder frame.
    """
    for start in range(0, len(frames_N), BLOCK):
        part = slice(start, start + BLOCK)
        frames, given = frames_N[part], -(-frames_N[part] // stack)
        bad = (tokens_N[part] == 0) | (frames < config.min_frames) | (frames > config.max_frames)
        for number in np.flatnonzero(bad | (needed_N[part] > given)).tolist():
            length, tokens = int(frames[number]), int(tokens_N[start + number])
            if not tokens:
                reason = "empty transcript"
            elif length < config.min_frames:
                reason = f"{length} frames, fewer than data.min_frames {config.min_frames}"
            elif length > config.max_frames:
                reason = f"{length} frames, more than data.max_frames {config.max_frames}"
            else:
                needed = f"{tokens} tokens need {needed_N[start + number]} encoder frames for CTC"
                reason = f"{needed}, but there are {given[number]}"
            yield start + number, reason
