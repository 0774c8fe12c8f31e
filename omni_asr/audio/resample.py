"""Change of sample rate and of speed, by torchaudio's windowed sinc."""

import functools
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from omni_asr.audio.torchaudio_import import import_torchaudio

LARGEST_TERM = 1000
"""Ratios of rates are rounded to fractions with denominators up to this: exact for every usual pair of rates, and
within 2e-6 for odd ones, whose exact kernels would take megabytes and seconds."""


def resample(samples: NDArray[np.float32], source: int, target: int, speed: float = 1.0) -> NDArray[np.float32]:
    """Bring samples from rate ``source`` to ``target`` (Hz), played ``speed`` times as fast: pitch moves with it.

    The result has ``ceil(len(samples) * target / (source * speed))`` samples.
    """
    ratio = (Fraction(source) * Fraction(str(speed)) / target).limit_denominator(LARGEST_TERM)
    if ratio == 1 or not len(samples):
        return samples
    resampler = _resampler(ratio.numerator, ratio.denominator)
    with torch.inference_mode():
        resampled: NDArray[np.float32] = resampler(torch.from_numpy(samples)).numpy()
    return resampled


@functools.lru_cache(maxsize=32)
def _resampler(source: int, target: int) -> Any:
    """The module that holds the kernel of one ratio."""
    return import_torchaudio().transforms.Resample(source, target)
