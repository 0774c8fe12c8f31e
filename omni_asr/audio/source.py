"""One recording of wav.scp: a file, a place in an archive, or the output of a command."""

import contextlib
import io
import os
import re
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
from numpy.typing import NDArray

from omni_asr.kaldi.pipes import PipeError, is_command, run_pipe
from omni_asr.kaldi.speed import is_ark_value, split_stages

MP3_SLACK = 0.5
"""Seconds that the length in an MP3 header may be wrong: some encoders only estimate it."""
LARGEST_SAMPLE = 2.0**31
"""Largest magnitude in a float file, which has samples within 1, or integers of up to 32 bits as they are. The power
of a frame of such samples, scaled as 16-bit integers, is still a finite float32."""
UNKNOWN = 1 << 40
"""libsndfile gives lengths above this where a header, written before the end was known, holds none."""


class AudioError(Exception):
    """Audio that cannot be read, with the reason in one line."""


class _Decoder(soundfile.SoundFile):
    """Reads on without the seek to its own position that soundfile does after each read."""

    def seekable(self) -> bool:
        return False


class Recording:
    """An open recording, parts of which can be read; ``speed`` is applied by the caller.

    Raises:
        AudioError: the file is missing, empty, truncated or not audio, or the command fails.
    """

    def __init__(self, value: str) -> None:
        location, self.speed, self._selected = split_stages(value)
        self._source = _open(location)
        self._file = self._decode()
        self.rate: int = self._file.samplerate
        self.channels: int = 1 if self._selected is not None else self._file.channels
        self.frames: int = self._file.frames
        self._is_mp3 = self._file.format in ("MP3", "MPEG")
        self._can_seek = not self._is_mp3 and self._file.subtype != "VORBIS"
        _check_header(self._file)
        if self._file.format == "OGG":
            _check_ogg_end(self._source)

    def read(self, start: int, stop: int, channel: int = 0) -> NDArray[np.float32]:
        """Samples [start, stop) of one channel (float32, scaled as 16-bit integers).

        Raises:
            AudioError: decoding fails or ends early, a sample is not finite or absurd, or the channel does not exist.
        """
        channel = channel if self._selected is None else self._selected
        if channel >= self._file.channels:
            raise AudioError(f"channel {channel} asked for, but there are {self._file.channels}")
        samples = self._read(start, stop)[:, channel]
        _check_samples(samples)
        missing = stop - start - len(samples)
        if missing > (MP3_SLACK * self.rate if self._is_mp3 else 0) or not len(samples):
            raise AudioError(f"decoding ends after {len(samples)} of {stop - start} samples; the file is truncated")
        return samples * np.float32(32768)

    def _decode(self) -> "_Decoder":
        """Start decoding at the beginning."""
        self._position = 0
        if not isinstance(self._source, str):
            self._source.seek(0)
        try:
            return _Decoder(self._source)
        except soundfile.LibsndfileError as error:
            hint = ""
            if isinstance(self._source, str) and _starts_with(self._source, b"NIST_1A"):
                hint = " (compressed SPHERE? read it by 'sph2pipe -f wav -p -c 1 FILE |')"
            raise AudioError(f"not audio that libsndfile reads: {error.error_string.rstrip('.')}{hint}") from None
        except TypeError:  # soundfile goes by the name of a .raw file, and wants to be told its rate
            hint = "sox -t raw -r 16000 -e signed -b 16 -c 1 FILE -t wav - |"
            raise AudioError(
                f"a .raw file has no header that says its rate; read it by a pipe such as '{hint}'"
            ) from None

    def _read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of all channels (samples, channels) in [-1, 1]."""
        try:
            if not self._can_seek:
                self._skip_to(start)
            elif self._position != start:
                self._file.seek(start)
            samples = self._file.read(stop - start, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            self._file = self._decode()  # a decoder that lost its way does not find it again
            raise AudioError(f"decoding fails: {error.error_string.rstrip('.')}") from None
        self._position = start + len(samples)
        return samples

    def _skip_to(self, start: int) -> None:
        """Decode up to ``start``, from the beginning if need be.

        An MP3 frame borrows bits from the frames before it; after a seek libsndfile gives silence for some time. Within
        Vorbis it seeks to places nearby, and what follows has traces of what was read before (found in 1.2.2).
        """
        if start < self._position:
            self._file.close()
            self._file = self._decode()
        while self._position < start:
            skipped = len(self._file.read(min(start - self._position, 1 << 20), dtype="float32"))
            if not skipped:
                break
            self._position += skipped

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open(location: str) -> str | BinaryIO:
    """What libsndfile is to read: a path, or a file in memory."""
    if is_command(location):
        return io.BytesIO(_run(location))
    try:
        if is_ark_value(location) and not os.path.exists(location):
            return io.BytesIO(_read_ark_entry(location))
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


def _check_header(file: soundfile.SoundFile) -> None:
    """Find files without samples, and WAV files cut short: of those libsndfile speaks only in its log."""
    if file.frames == 0:
        raise AudioError("the audio holds no samples")
    if file.frames > UNKNOWN:
        raise AudioError(f"the {file.format} header holds no length; write WAV to a pipe, as with ffmpeg's '-f wav -'")
    if file.format in ("WAV", "WAVEX", "RF64"):
        found = re.search(r"^data : (\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
        # Programs that write to a pipe promise about 2 GiB or 4 GiB, because they do not know the length yet.
        if found and int(found[2]) < int(found[1]) < 0x7F000000:
            raise AudioError(f"truncated: the header promises {found[1]} bytes of samples, {found[2]} are there")


def _check_ogg_end(file: str | BinaryIO) -> None:
    """Find Ogg files that are cut: the last page of a complete stream carries its end mark, and all of its segments."""
    with open(file, "rb") if isinstance(file, str) else contextlib.nullcontext(file) as opened:
        position, size = opened.tell(), opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - (1 << 17)))  # a page is at most 64 KiB
        tail = opened.read()
        opened.seek(position)
    start = tail.rfind(b"OggS")
    if start < 0:
        return
    page = tail[start:]
    if len(page) > 5 and not page[5] & 4:
        raise AudioError("truncated: the last page of the Ogg stream is missing")
    table = page[27 : 27 + page[26]] if len(page) > 26 else b""  # lengths of its segments
    if len(page) < 27 or len(page) < 27 + page[26] + sum(table):
        raise AudioError("truncated: the last page of the Ogg stream is not whole")


def _starts_with(path: str, magic: bytes) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(magic)) == magic
