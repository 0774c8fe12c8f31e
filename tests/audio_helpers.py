"""Audio files for tests, as bytes."""

import io

import numpy as np
import soundfile


def bursts(*levels: float, rate: int = 16000, channels: int = 1) -> np.ndarray:
    """One second of noise at each level."""
    noise = np.random.default_rng(len(levels)).standard_normal((len(levels), rate, channels))
    samples = (noise * np.reshape(levels, (-1, 1, 1))).reshape(-1, channels).astype(np.float32)
    return samples if channels > 1 else samples[:, 0]


def encode(samples: np.ndarray, rate: int = 16000, **options) -> bytes:
    """A file of any format of libsndfile."""
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, **options)
    return buffer.getvalue()


def mp3(samples: np.ndarray, rate: int = 16000, mode: str = "VARIABLE") -> bytes:
    """An MP3 whose first frame, without sound, gives the number of the others."""
    kind = {"format": "MP3", "subtype": "MPEG_LAYER_III", "bitrate_mode": mode, "compression_level": 0.5}
    return encode(samples, rate, **kind)


def without_first_frame(data: bytes) -> bytes:
    """An MP3 as encoders leave it that write to a pipe."""
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    return data[data.index(data[:2], tag) :]
