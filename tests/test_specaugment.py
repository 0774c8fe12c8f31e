"""SpecAugment: bounded widths, seeded by epoch and utterance."""

import numpy as np

from omni_asr.config import DataConfig
from omni_asr.data.specaugment import SpecAugment

X_TF = np.random.default_rng(0).normal(size=(200, 80)).astype(np.float32)


def changed(masked_TF: np.ndarray) -> tuple[int, int]:
    """Rows and columns that are masked from end to end."""
    different = masked_TF != X_TF
    return int(different.all(1).sum()), int(different.all(0).sum())


def test_the_mask_depends_on_seed_epoch_and_utterance_only():
    augment = SpecAugment(DataConfig(), seed=1)
    assert np.array_equal(augment(X_TF, 3, 7), SpecAugment(DataConfig(), seed=1)(X_TF, 3, 7))
    others = [
        augment(X_TF, 4, 7),
        augment(X_TF, 3, 8),
        augment(X_TF, 3, 7, 1),
        SpecAugment(DataConfig(), seed=2)(X_TF, 3, 7),
    ]
    assert not any(np.array_equal(augment(X_TF, 3, 7), other) for other in others)


def test_widths_are_bounded():
    config = DataConfig(
        time_masks=1, time_mask_frames=40, time_mask_share=0.05, frequency_masks=1, frequency_mask_bins=15
    )
    augment = SpecAugment(config, seed=1)
    sizes = [changed(augment(X_TF, 0, index)) for index in range(300)]
    assert max(rows for rows, _ in sizes) == 10  # 5 % of 200 frames, below 40
    assert max(bins for _, bins in sizes) == 15
    assert min(rows for rows, _ in sizes) == 0


def test_masked_values_are_the_bin_s_mean_and_the_input_is_kept():
    config = DataConfig(time_masks=1, time_mask_frames=40, time_mask_share=1.0, frequency_masks=0)
    before = X_TF.copy()
    masked_TF = SpecAugment(config, seed=1)(X_TF, 0, 0)
    rows = (masked_TF != X_TF).any(1)
    assert rows.any()
    assert np.allclose(masked_TF[rows], X_TF.mean(0))
    assert np.array_equal(before, X_TF)


def test_short_utterances_and_narrow_features_pass():
    augment = SpecAugment(DataConfig(), seed=1)
    assert augment(X_TF[:1], 0, 0).shape == (1, 80)
    assert augment(X_TF[:, :4], 0, 0).shape == (200, 4)
