"""Log-mel filterbanks by Kaldi's definition (``compute-fbank-feats``), in PyTorch.

Per frame: remove the mean, pre-emphasise (the first sample against itself), multiply by the window, pad with zeros to
a power of two, take the power spectrum, weight it by triangles on Kaldi's mel scale 1127 ln(1 + f/700), take the log.
"""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omni_asr.audio.fbank_conf import check_options
from omni_asr.config import FeaturesConfig

BLOCK = 256
"""Frames computed at once: their spectra then stay in the processor's cache."""


class Fbank:
    """Computes filterbanks; the window and the mel triangles are made once.

    Raises:
        UserError: the options leave no features, see :func:`check_options`.
    """

    def __init__(self, config: FeaturesConfig) -> None:
        check_options(config, "features")
        self.config = config
        self.length = int(config.sample_rate * 0.001 * config.frame_length_ms)
        self.shift = int(config.sample_rate * 0.001 * config.frame_shift_ms)
        self.padded = 1 << (self.length - 1).bit_length()
        self.window = make_window(config.window_type, self.length)
        self.mel = make_mel(config, self.padded)
        self._buffer = torch.zeros(BLOCK, self.padded)

    def num_frames(self, samples: int) -> int:
        """Frames that ``samples`` samples give."""
        if not self.config.snip_edges:
            return (samples + self.shift // 2) // self.shift
        return 0 if samples < self.length else 1 + (samples - self.length) // self.shift

    def __call__(self, waveform: NDArray[Any] | Tensor) -> NDArray[np.float32]:
        """Filterbanks (T, F) of a waveform (samples,), scaled as 16-bit integers, at the configured rate."""
        waveform = torch.as_tensor(waveform, dtype=torch.float32)
        if waveform.dim() != 1:
            raise ValueError(f"expected a waveform of one dimension, not of shape {tuple(waveform.shape)}")
        frames = self._frames(waveform)
        features = torch.empty(len(frames), self.config.num_mel_bins)
        for start in range(0, len(frames), BLOCK):
            block = frames[start : start + BLOCK]
            torch.mm(self._power_spectrum(block), self.mel, out=features[start : start + BLOCK])
        return features.clamp_(min=torch.finfo(torch.float32).eps).log_().numpy()

    def _frames(self, waveform: Tensor) -> Tensor:
        """Overlapping frames (T, length) as a view where possible."""
        count = self.num_frames(len(waveform))
        if count == 0:
            return torch.empty(0, self.length)
        if self.config.snip_edges:
            return waveform.unfold(0, self.length, self.shift)[:count]
        first = self.shift // 2 - self.length // 2
        index = torch.arange(first, first + (count - 1) * self.shift + self.length)
        index = index.remainder(2 * len(waveform))  # reflection at both ends, as often as needed
        index = torch.where(index < len(waveform), index, 2 * len(waveform) - 1 - index)
        return waveform[index].unfold(0, self.length, self.shift)

    def _power_spectrum(self, frames: Tensor) -> Tensor:
        if self.config.dither:
            frames = frames + self.config.dither * torch.randn(frames.shape)
        centred = frames - frames.mean(1, keepdim=True)
        emphasis = self.config.preemphasis_coefficient
        padded = self._buffer[: len(frames)]
        torch.sub(centred[:, 1:], centred[:, :-1], alpha=emphasis, out=padded[:, 1 : self.length])
        torch.mul(centred[:, 0], 1 - emphasis, out=padded[:, 0])
        padded[:, : self.length].mul_(self.window)
        spectrum = torch.fft.rfft(padded)
        return spectrum.real.square() + spectrum.imag.square()


def make_window(kind: str, length: int) -> Tensor:
    """Window (length,) by Kaldi's definition; ``povey`` is a Hann window to the power 0.85."""
    phase = 2 * math.pi * torch.arange(length, dtype=torch.float64) / (length - 1)
    windows = {
        "povey": lambda: (0.5 - 0.5 * phase.cos()).pow(0.85),
        "hanning": lambda: 0.5 - 0.5 * phase.cos(),
        "hamming": lambda: 0.54 - 0.46 * phase.cos(),
        "blackman": lambda: 0.42 - 0.5 * phase.cos() + 0.08 * (2 * phase).cos(),
        "rectangular": lambda: torch.ones(length, dtype=torch.float64),
    }
    return windows[kind]().float()


def make_mel(config: FeaturesConfig, padded: int) -> Tensor:
    """Mel weights (padded // 2 + 1, F): triangles that rise and fall linearly on the mel scale."""
    nyquist = config.sample_rate / 2
    high = config.high_freq if config.high_freq > 0 else nyquist + config.high_freq
    low_mel, high_mel = (1127 * math.log1p(hertz / 700) for hertz in (config.low_freq, high))
    step = (high_mel - low_mel) / (config.num_mel_bins + 1)
    left = low_mel + step * torch.arange(config.num_mel_bins, dtype=torch.float64)
    hertz = torch.arange(padded // 2 + 1, dtype=torch.float64) * config.sample_rate / padded
    mel = 1127 * torch.log1p(hertz / 700)
    rise = (mel[:, None] - left) / step
    weights = torch.minimum(rise, 2 - rise).clamp_(min=0)
    weights[-1] = 0  # Kaldi leaves the bin at half the sample rate out
    return weights.float()
