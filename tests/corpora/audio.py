"""Audio of fake corpora: tones, deterministic, in the formats of the real ones."""

from pathlib import Path

import numpy as np
import soundfile

from omni_asr.corpora.audio import probe


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


def convert(path: Path, suffix: str) -> None:
    """Turn a SPHERE file of mu-law samples into ``.wav`` or ``.flac``, as people do."""
    audio = probe(path)
    codes = 0xFF - np.frombuffer(path.read_bytes()[1024:], np.uint8).astype(np.int16).reshape(-1, audio.channels)
    loudness = ((((codes & 0x0F) << 3) + 132) << ((codes >> 4) & 7)) - 132
    soundfile.write(path.with_suffix(suffix), np.where(codes & 0x80, -loudness, loudness), audio.rate)
    path.unlink()


def write_sphere(path: Path, seconds: float, rate: int = 16000, channels: int = 1, coding: str = "pcm") -> None:
    """Write a tone as NIST SPHERE: ``pcm`` or ``ulaw``, perhaps compressed: ``ulaw,embedded-shorten-v2.00``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.round(tone(seconds, rate, channels) * 32767).astype("<i2")
    if coding.startswith("ulaw"):
        samples = ulaw(samples)
    width = samples.itemsize
    data = samples.tobytes() if "shorten" not in coding else shorten(samples)
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


class _Bits:
    """Bits of a shorten stream, most significant first."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def rice(self, value: int, low: int) -> None:
        """A value of 0 or more: zeros for its high bits, a one, then its ``low`` bits."""
        ones = bin(value & ((1 << low) - 1) | 1 << low)[3:]
        self._bits.append("0" * (value >> low) + "1" + ones)

    def number(self, value: int) -> None:
        """A number of a header, after the number of its low bits."""
        low = value.bit_length()
        self.rice(low, 2)
        self.rice(value, low)

    def signed(self, value: int, low: int) -> None:
        """A residual; its sign is the lowest bit."""
        self.rice(2 * value if value >= 0 else -2 * value - 1, low + 1)

    def to_bytes(self) -> bytes:
        """The bits, filled up to whole words of 32."""
        bits = "".join(self._bits)
        bits += "0" * (-len(bits) % 32)
        return bytes(int(bits[start : start + 8], 2) for start in range(0, len(bits), 8))


def shorten(samples: np.ndarray, big_endian: bool = False, block: int = 256) -> bytes:
    """Samples (n, channels) compressed as shorten 2.00 does, in its simplest form: first differences in Rice codes.

    Source: T. Robinson, "SHORTEN: simple lossless and near-lossless waveform compression", CUED/F-INFENG/TR.156, 1994.

    Args:
        samples: 16-bit integers, or mu-law codes (unsigned bytes), which are put into the order of their loudness.
        big_endian: what the stream says of the bytes that were compressed; the stream itself stays the same.
        block: samples of each channel that share a Rice parameter.
    """
    bits = _Bits()
    # the kind of sample, channels, block, order of linear prediction, blocks in a running mean, bytes to skip
    is_ulaw = samples.dtype == np.uint8
    for value in (8 if is_ulaw else 3 if big_endian else 5, samples.shape[1], block, 0, 0, 0):
        bits.number(value)
    values = samples.astype(np.int64)
    if is_ulaw:  # 0xff to 0x80 are 0 to 127, 0x7f (the negative zero) to 0x00 are -1 to -128
        values = np.where(values >= 0x80, 0xFF - values, values - 0x80)
    residuals = np.diff(values, axis=0, prepend=np.zeros((1, samples.shape[1]), np.int64))
    for start in range(0, len(samples), block):
        part = residuals[start : start + block]
        if len(part) < block:
            bits.rice(5, 2)  # another size of block
            bits.number(len(part))
        for channel in range(samples.shape[1]):
            low = max(1, int(np.abs(part[:, channel]).mean())).bit_length() - 1
            bits.rice(1, 2)  # first differences
            bits.rice(low, 3)
            for value in part[:, channel].tolist():
                bits.signed(value, low)
    bits.rice(4, 2)  # the end
    return b"ajkg\x02" + bits.to_bytes()
