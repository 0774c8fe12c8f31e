"""Global statistics: what compute_cmvn writes, read_cmvn_stats reads."""

import numpy as np
import pytest

from omni_asr.errors import UserError
from omni_asr.features.cmvn import LEAST_DEVIATION, compute_cmvn, read_cmvn_stats
from omni_asr.kaldi.ark import ArkWriter


def test_mean_and_scale_are_those_of_the_features(tmp_path):
    rng = np.random.default_rng(1)
    matrices = [rng.normal([3, -2, 5], [1, 4, 0], (frames, 3)).astype(np.float32) for frames in (50, 70)]
    with ArkWriter(tmp_path / "feats.ark", tmp_path / "feats.scp", compression_method=None) as write:
        for number, matrix in enumerate(matrices):
            write(f"u{number}", matrix)
    assert compute_cmvn(tmp_path, tmp_path / "cmvn.ark") == (2, 120)
    mean_F, scale_F = read_cmvn_stats(tmp_path / "cmvn.ark")
    frames = np.concatenate(matrices).astype(np.float64)
    np.testing.assert_allclose(mean_F, frames.mean(0))
    np.testing.assert_allclose(scale_F[:2], 1 / frames[:, :2].std(0))
    assert scale_F[2] == pytest.approx(1 / LEAST_DEVIATION), "a constant bin is not blown up"


def test_what_is_missing_or_something_else_is_one_line(tmp_path):
    with pytest.raises(UserError, match="is missing; stage 2 makes it"):
        read_cmvn_stats(tmp_path / "cmvn.ark")
    with ArkWriter(tmp_path / "cmvn.ark", compression_method=None) as write:
        write("global", np.ones((3, 4)))
    with pytest.raises(UserError, match="does not hold global CMVN statistics"):
        read_cmvn_stats(tmp_path / "cmvn.ark")
