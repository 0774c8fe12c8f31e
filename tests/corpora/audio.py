"""Audio of fake corpora: tones, deterministic, in the formats of the real ones."""

from pathlib import Path

import numpy as np
import soundfile


def tone(seconds: float, rate: int = 16000, channels: int = 1, pitch: float = 220.0) -> np.ndarray:
    """Samples (n, channels) in [-1, 1]: a tone that changes its pitch every 0.2 s; each channel has its own."""
    time = np.arange(round(seconds * rate)) / rate
    steps = np.floor(time / 0.2) % 5
    return np.stack(
        [0.3 * np.sin(2 * np.pi * (pitch + 60 * channel + 40 * steps) * time) for channel in range(channels)], 1
    )


def write_audio(path: Path, seconds: float, rate: int = 16000, channels: int = 1, **options: str) -> None:
    """Write a tone in the format of the name's suffix (wav, flac, ogg, mp3); ``options`` are those of soundfile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, tone(seconds, rate, channels), rate, **options)


def write_sphere(path: Path, seconds: float, rate: int = 16000, channels: int = 1, coding: str = "pcm") -> None:
    """Write a tone as NIST SPHERE: ``pcm``, ``ulaw``, or ``pcm,embedded-shorten-v2.00`` (compressed by shorten)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.round(tone(seconds, rate, channels) * 32767).astype(np.int16)
    if coding == "ulaw":
        data, width = ulaw(samples).tobytes(), 1
    elif coding == "pcm":
        data, width = samples.astype("<i2").tobytes(), 2
    else:
        data, width = shorten(samples), 2
    fields = {
        "channel_count -i": channels,
        "sample_count -i": len(samples),
        "sample_rate -i": rate,
        "sample_n_bytes -i": width,
        "sample_sig_bits -i": 8 * width,
        **({"sample_byte_format -s2": "01"} if width == 2 else {"sample_byte_format -s1": "1"}),
        f"sample_coding -s{len(coding)}": coding,
    }
    header = "NIST_1A\n   1024\n" + "".join(f"{name} {value}\n" for name, value in fields.items()) + "end_head\n"
    path.write_bytes(header.encode().ljust(1024, b"\n") + data)


def ulaw(samples: np.ndarray) -> np.ndarray:
    """G.711 mu-law codes of 16-bit samples."""
    values = samples.astype(np.int32)
    sign = np.where(values < 0, 0x80, 0)
    magnitude = np.minimum(np.abs(values), 32635) + 132
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    return (~(sign | (exponent << 4) | mantissa) & 0xFF).astype(np.uint8)


def shorten(samples: np.ndarray) -> bytes:
    """Samples compressed as shorten 2.00 does, in its simplest form: differences of first order, Rice codes.

    Source: T. Robinson, "SHORTEN: simple lossless and near-lossless waveform compression", CUED/F-INFENG/TR.156, 1994.
    """
    raise NotImplementedError
