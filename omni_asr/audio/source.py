"""One recording of wav.scp: a file, a place in an archive, or the output of a command."""

import contextlib
import io
import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.containers import streams
from omni_asr.audio.containers.content import Content
from omni_asr.audio.decoder import Decoder, header_rate
from omni_asr.audio.errors import AudioError
from omni_asr.kaldi.pipes import PipeError, is_command, run_pipe
from omni_asr.kaldi.speed import is_ark_value, split_stages

LARGEST_SAMPLE = 2.0**31
"""Largest magnitude in a float file, which has samples within 1, or integers of up to 32 bits as they are. The power
of a frame of such samples, scaled as 16-bit integers, is still a finite float32."""

HEADER = 1 << 16
"""Bytes of an entry of an archive that hold its header."""


class Recording:
    """An open recording, parts of which can be read; ``speed`` is applied by the caller.

    ``frames`` is the number of samples that the file holds, whatever its header says: see
    :mod:`omni_asr.audio.containers`.

    Raises:
        AudioError: the file is missing, empty, truncated or not audio, or the command fails.
    """

    def __init__(self, value: str) -> None:
        location, self.speed, self._selected = split_stages(value)
        with _errors_of_files():
            source = _open(location)
            with _content(source, location) as content:
                self._decoder = Decoder(streams(content) or [source])
        self.rate = self._decoder.rate
        self.channels = 1 if self._selected is not None else self._decoder.channels
        self.frames = self._decoder.frames

    def read(self, start: int, stop: int, channel: int = 0) -> NDArray[np.float32]:
        """Samples [start, stop) of one channel (from 0; float32, scaled as 16-bit integers).

        Raises:
            AudioError: decoding fails or ends early, a sample is not finite or absurd, or the channel does not exist.
        """
        channel = channel if self._selected is None else self._selected
        if not 0 <= channel < self._decoder.channels:
            raise AudioError(f"channel {channel} asked for, but there are {self._decoder.channels}")
        samples = self._decoder.read(start, stop)[:, channel]
        _check_samples(samples)
        if len(samples) < stop - start or not len(samples):
            raise AudioError(f"decoding ends after {len(samples)} of {stop - start} samples; the file is truncated")
        return samples * np.float32(32768)

    def close(self) -> None:
        """Close the file."""
        self._decoder.close()


def rate_of(value: str) -> int:
    """Rate of a recording by its header alone; a command runs, though.

    Raises:
        AudioError: the file is missing or empty, or its header cannot be read.
    """
    location = split_stages(value)[0]
    with _errors_of_files():
        return header_rate(_open(location, HEADER))


@contextlib.contextmanager
def _errors_of_files() -> Iterator[None]:
    """Turn an OSError into an AudioError."""
    try:
        yield
    except OSError as error:
        raise AudioError(": ".join(filter(None, (error.strerror, error.filename)))) from None


@contextlib.contextmanager
def _content(source: str | bytes, name: str) -> Iterator[Content]:
    """Open the bytes of a source."""
    with open(source, "rb") if isinstance(source, str) else io.BytesIO(source) as file:
        yield Content(file, name, isinstance(source, str))


def _open(location: str, most: int | None = None) -> str | bytes:
    """Return the source that libsndfile reads: a path, or the bytes of a file, of an archive's ``most`` at most."""
    if is_command(location):
        return _run(location)
    if is_ark_value(location) and not os.path.exists(location):
        return _read_ark_entry(location, most)
    if os.path.getsize(location) == 0:
        raise AudioError("the file is empty (0 bytes)")
    with open(location, "rb"):
        return location


def _run(location: str) -> bytes:
    try:
        return run_pipe(location)
    except PipeError as error:
        raise AudioError(str(error)) from None


def _read_ark_entry(value: str, most: int | None = None) -> bytes:
    """The audio file at ``ark:offset``, or its first bytes: WAV of Kaldi's wav-copy, or kaldiio's ``AUDIO``, a length
    and a file.
    """
    path, _, offset = value.rpartition(":")
    with open(path, "rb") as file:
        file.seek(int(offset))
        head = file.read(8)
        if head[:5] == b"AUDIO":
            width = head[5]
            file.seek(int(offset) + 6)
            return file.read(_limited(int.from_bytes(file.read(width), "little"), most))
        size = int.from_bytes(head[4:], "little") if head[:4] == b"RIFF" else -1
        return head + file.read(_limited(size, most))


def _limited(size: int, most: int | None) -> int:
    """Bytes to read of ``size``, which is -1 for all."""
    if most is None:
        return size
    return most if size < 0 else min(size, most)


def _check_samples(samples: NDArray[np.float32]) -> None:
    low, high = (float(samples.min()), float(samples.max())) if len(samples) else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AudioError("a sample is not a finite number")
    largest = max(low, high, key=abs)
    if abs(largest) > LARGEST_SAMPLE:
        raise AudioError(f"a sample of {largest:g}, where audio in floats lies within -1 and 1: the file is damaged")
