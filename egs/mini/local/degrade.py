"""Signal processing of the mini corpus: rates, levels, silence, noise, telephone. Samples are floats within +-1."""

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]


def resample(signal: Signal, old_rate: int, new_rate: int) -> Signal:
    """Band-limited resampling of a whole utterance in the frequency domain."""
    divisor = int(np.gcd(old_rate, new_rate))
    old, new = old_rate // divisor, new_rate // divisor
    blocks = -(-len(signal) // old)
    padded = np.zeros(blocks * old)
    padded[: len(signal)] = signal
    spectrum = np.fft.rfft(padded)
    wanted = np.zeros(blocks * new // 2 + 1, complex)
    kept = min(len(wanted), len(spectrum))
    wanted[:kept] = spectrum[:kept]
    return np.fft.irfft(wanted, blocks * new) * (new / old)


def trim(signal: Signal, rate: int, before: float, after: float) -> Signal:
    """Cut silence at both ends and leave ``before`` and ``after`` seconds of it. Empty when nothing is heard."""
    hop = rate // 100
    frames = signal[: len(signal) // hop * hop].reshape(-1, hop)
    energy = (frames**2).sum(axis=1)
    heard = np.flatnonzero(energy > 1e-4 * energy.max(initial=1e-9))
    if not len(heard):
        return signal[:0]
    speech = signal[heard[0] * hop : (heard[-1] + 1) * hop]
    return np.concatenate([np.zeros(round(before * rate)), speech, np.zeros(round(after * rate))])


def rms(signal: Signal) -> float:
    """Root of the mean square."""
    return float(np.sqrt(np.mean(signal**2)))


def set_level(signal: Signal, decibel: float) -> Signal:
    """Scale to an RMS of ``decibel`` dB relative to full scale, less where a peak would pass 0.95."""
    gain = 10 ** (decibel / 20) / rms(signal)
    return signal * min(gain, 0.95 / float(np.abs(signal).max()))


def add_noise(signal: Signal, noise: Signal, snr: float) -> Signal:
    """Add ``noise`` (repeated or cut to fit) ``snr`` dB below the signal; scaled down where a peak would pass 0.95."""
    noise = np.resize(noise, len(signal))
    mixed = signal + noise * (rms(signal) / rms(noise) * 10 ** (-snr / 20))
    return mixed * min(1.0, 0.95 / float(np.abs(mixed).max()))


def coloured_noise(generator: np.random.Generator, length: int, slope: float) -> Signal:
    """Gaussian noise whose power falls with frequency as ``1 / f**slope``: 0 white, 1 pink, 2 brown."""
    spectrum = np.fft.rfft(generator.standard_normal(length))
    shape = np.maximum(np.arange(len(spectrum)), 0.003 * len(spectrum)) ** (-slope / 2)
    return np.fft.irfft(spectrum * shape, length)


def babble(generator: np.random.Generator, voices: list[Signal], length: int) -> Signal:
    """Several people talking at once without a pause, all equally loud, each joined at a random place."""
    turned = (np.roll(voice / rms(voice), generator.integers(len(voice))) for voice in voices)
    return sum((np.resize(voice, length) for voice in turned), np.zeros(length))


def band_pass(signal: Signal, rate: int, low: float, high: float) -> Signal:
    """Keep ``low`` to ``high`` Hz, with flanks 50 Hz wide below and 200 Hz wide above."""
    frequency = np.fft.rfftfreq(len(signal), 1 / rate)
    gain = np.clip((frequency - low) / 50 + 1, 0, 1) * np.clip((high - frequency) / 200 + 1, 0, 1)
    return np.fft.irfft(np.fft.rfft(signal) * gain, len(signal))
