"""SpecAugment (Park et al. 2019), seeded per epoch, utterance, and how often the epoch has had that utterance before.

torchaudio's transforms draw from the global generator and know one length per batch, so they can neither be seeded by
utterance nor bound a mask by each utterance's own length; this is the same policy with both.

Shapes: T frames, F features.
"""

import numpy as np

from omni_asr.config import DataConfig


class SpecAugment:
    """Time masks bounded by a share of the length, and frequency masks; masked values become the bin's mean.

    The masks depend on (seed, epoch, utterance index, times before) alone, so workers and order do not change them.
    """

    def __init__(self, config: DataConfig, seed: int) -> None:
        self.config = config
        self.seed = seed

    def __call__(self, x_TF: np.ndarray, epoch: int, index: int, time: int = 0) -> np.ndarray:
        """Return a masked copy of the features (T, F); ``time``: how often the epoch has had them before."""
        config = self.config
        frames, bins = x_TF.shape
        random = np.random.default_rng((self.seed, epoch, index, time))
        masked_TF, mean_F = x_TF.copy(), x_TF.mean(0)
        widest = min(config.time_mask_frames, int(config.time_mask_share * frames))
        for _ in range(config.time_masks):
            start, stop = _span(random, frames, widest)
            masked_TF[start:stop] = mean_F
        for _ in range(config.frequency_masks):
            start, stop = _span(random, bins, min(config.frequency_mask_bins, bins))
            masked_TF[:, start:stop] = mean_F[start:stop]
        return masked_TF


def _span(random: np.random.Generator, length: int, widest: int) -> tuple[int, int]:
    """A span of uniform width up to ``widest`` at a uniform place."""
    width = int(random.integers(0, widest + 1))
    start = int(random.integers(0, length - width + 1))
    return start, start + width
