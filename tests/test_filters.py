"""What CTC cannot train on is found before training."""

import numpy as np

from omni_asr.config import DataConfig
from omni_asr.data.filters import ctc_frames_needed, removal_reasons


def test_frames_needed_counts_repeats():
    assert ctc_frames_needed([]) == 0
    assert ctc_frames_needed([3, 4, 5]) == 3
    assert ctc_frames_needed([3, 3, 4, 4, 4]) == 8


def test_reasons():
    config = DataConfig(min_frames=10, max_frames=100)
    frames = np.array([50, 9, 101, 12, 13, 40])
    tokens = [[1, 2], [1], [1], [1, 2, 2], [1, 2, 2], []]
    reasons = removal_reasons(frames, tokens, config, stack=4)
    assert reasons[0] == ""
    assert "min_frames" in reasons[1]
    assert "max_frames" in reasons[2]
    assert reasons[3] == "3 tokens need 4 encoder frames for CTC, but there are 3"
    assert reasons[4] == ""  # 13 frames make ceil(13 / 4) = 4 encoder frames, just enough
    assert reasons[5] == "empty transcript"
