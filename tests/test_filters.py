"""What CTC cannot train on is found before training."""

import numpy as np

from omni_asr.config import DataConfig
from omni_asr.data import filters
from omni_asr.data.filters import removal_reasons


def test_reasons(monkeypatch):
    monkeypatch.setattr(filters, "BLOCK", 2)
    config = DataConfig(min_frames=10, max_frames=100)
    frames = np.array([50, 9, 101, 12, 13, 40])
    tokens, needed = np.array([2, 1, 1, 3, 3, 0]), np.array([2, 1, 1, 4, 4, 0])
    reasons = dict(removal_reasons(frames, tokens, needed, config, stack=4))
    assert list(reasons) == [1, 2, 3, 5]  # 13 frames make ceil(13 / 4) = 4 encoder frames, just enough
    assert "min_frames" in reasons[1]
    assert "max_frames" in reasons[2]
    assert reasons[3] == "3 tokens need 4 encoder frames for CTC, but there are 3"
    assert reasons[5] == "empty transcript"
