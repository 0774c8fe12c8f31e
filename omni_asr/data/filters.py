"""Which utterances cannot be trained on, and why."""

import numpy as np

from omni_asr.config import DataConfig


def ctc_frames_needed(tokens: list[int]) -> int:
    """Encoder frames that CTC needs for these tokens: one each, and a blank between two equal neighbours."""
    repeats = sum(a == b for a, b in zip(tokens, tokens[1:], strict=False))
    return len(tokens) + repeats


def removal_reasons(frames: np.ndarray, tokens: list[list[int]], config: DataConfig, stack: int) -> list[str]:
    """Give each utterance the reason it must be removed for, or an empty string.

    Args:
        frames: filterbank frames of each utterance.
        tokens: unit ids of each utterance.
        config: bounds on the length.
        stack: filterbank frames in one encoder frame.
    """
    reasons = []
    for length, ids in zip(frames.tolist(), tokens, strict=True):
        needed, given = ctc_frames_needed(ids), -(-length // stack)
        if not ids:
            reasons.append("empty transcript")
        elif length < config.min_frames:
            reasons.append(f"{length} frames, fewer than data.min_frames {config.min_frames}")
        elif length > config.max_frames:
            reasons.append(f"{length} frames, more than data.max_frames {config.max_frames}")
        elif needed > given:
            reasons.append(f"{len(ids)} tokens need {needed} encoder frames for CTC, but there are {given}")
        else:
            reasons.append("")
    return reasons
