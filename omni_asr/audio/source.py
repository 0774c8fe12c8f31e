"""One recording of wav.scp: a file, a place in an archive, or the output of a command."""

import contextlib
import mmap
import os
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.containers import streams
from omni_asr.audio.containers.content import Content
from omni_asr.audio.decoder import Decoder
from omni_asr.audio.errors import AudioError
from omni_asr.kaldi.pipes import PipeError, is_command, run_pipe
from omni_asr.kaldi.speed import is_ark_value, split_stages

LARGEST_SAMPLE = 2.0**31
"""Largest magnitude in a float file, which has samples within 1, or integers of up to 32 bits as they are. The power
of a frame of such samples, scaled as 16-bit integers, is still a finite float32."""


class Recording:
    """An open recording, parts of which can be read; ``speed`` is applied by the caller.

    ``frames`` is the number of samples that the file holds, whatever its header says: see
    :mod:`omni_asr.audio.containers`.

    Raises:
        AudioError: the file is missing, empty, truncated or not audio, or the command fails.
    """

    def __init__(self, value: str) -> None:
        location, self.speed, self._selected = split_stages(value)
        source = _open(location)
        with _content(source) as content:
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


@contextlib.contextmanager
def _content(source: str | bytes) -> Iterator[Content]:
    """Bytes of a source; those of a file are read when they are looked at."""
    if isinstance(source, bytes):
        yield source
        return
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _open(location: str) -> str | bytes:
    """Find what libsndfile is to read: a path, or the bytes of a file."""
    if is_command(location):
        return _run(location)
    try:
        if is_ark_value(location) and not os.path.exists(location):
            return _read_ark_entry(location)
        if os.path.getsize(location) == 0:
            raise AudioError("the file is empty (0 bytes)")
        with open(location, "rb"):
            return location
    except OSError as error:
        raise AudioError(f"{error.strerror}: {error.filename}") from None


def _run(location: str) -> bytes:
    try:
        return run_pipe(location)
    except PipeError as error:
        raise AudioError(str(error)) from None


def _read_ark_entry(value: str) -> bytes:
    """The audio file at ``ark:offset``: WAV as Kaldi's wav-copy writes it, or kaldiio's ``AUDIO`` with a length."""
    path, _, offset = value.rpartition(":")
    with open(path, "rb") as file:
        file.seek(int(offset))
        head = file.read(8)
        if head[:5] == b"AUDIO":
            width = head[5]
            file.seek(int(offset) + 6)
            return file.read(int.from_bytes(file.read(width), "little"))
        size = int.from_bytes(head[4:], "little") if head[:4] == b"RIFF" else -1
        return head + file.read(size)


def _check_samples(samples: NDArray[np.float32]) -> None:
    low, high = (float(samples.min()), float(samples.max())) if len(samples) else (0.0, 0.0)
    if not (np.isfinite(low) and np.isfinite(high)):
        raise AudioError("a sample is not a finite number")
    largest = max(low, high, key=abs)
    if abs(largest) > LARGEST_SAMPLE:
        raise AudioError(f"a sample of {largest:g}, where audio in floats lies within -1 and 1: the file is damaged")
