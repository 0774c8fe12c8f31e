"""One recording of wav.scp: a file, a place in an archive, or the output of a command."""

import contextlib
import mmap
import os
import signal
import subprocess
import threading
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.containers import streams
from omni_asr.audio.containers.content import Content
from omni_asr.audio.decoder import Decoder
from omni_asr.audio.errors import AudioError
from omni_asr.kaldi.speed import is_ark_value, split_speed


class Recording:
    """An open recording, parts of which can be read; ``speed`` is applied by the caller.

    ``frames`` is the number of samples that the file holds, whatever its header says: see
    :mod:`omni_asr.audio.containers`.

    Raises:
        AudioError: the file is missing, empty, truncated or not audio, or the command fails.
    """

    def __init__(self, value: str) -> None:
        location, self.speed = split_speed(value)
        source = _open(location)
        with _content(source) as content:
            self._decoder = Decoder(streams(content) or [source])
        self.rate = self._decoder.rate
        self.channels = self._decoder.channels
        self.frames = self._decoder.frames

    def read(self, start: int, stop: int, channel: int = 0) -> NDArray[np.float32]:
        """Samples [start, stop) of one channel (from 0; float32, scaled as 16-bit integers).

        Raises:
            AudioError: decoding fails or ends early, a sample is not finite, or the channel does not exist.
        """
        if not 0 <= channel < self.channels:
            raise AudioError(f"channel {channel} asked for, but there are {self.channels}")
        samples = self._decoder.read(start, stop)[:, channel]
        if not np.isfinite(samples).all():
            raise AudioError("a sample is not a finite number")
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
    if location.endswith("|"):
        return run_pipe(location.removesuffix("|").strip())
    try:
        if is_ark_value(location) and not os.path.exists(location):
            return _read_ark_entry(location)
        if os.path.getsize(location) == 0:
            raise AudioError("the file is empty (0 bytes)")
        with open(location, "rb"):
            return location
    except OSError as error:
        raise AudioError(f"{error.strerror}: {error.filename}") from None


def run_pipe(command: str) -> bytes:
    """Standard output of a command line run by bash; the command dies with us.

    Raises:
        AudioError: the command, or a stage of it, fails or prints nothing; with the last line of its stderr.
    """
    process = None
    try:
        with _interrupted_later():
            process = subprocess.Popen(
                ["bash", "-o", "pipefail", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        output, errors = process.communicate()
    except BaseException:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    tail = f": {lines[-1].strip()[:300]}" if lines else ""
    if process.returncode:
        raise AudioError(f"the pipe fails with status {process.returncode}{tail}")
    if not output:
        raise AudioError(f"the pipe gives no output{tail}")
    return output


@contextlib.contextmanager
def _interrupted_later() -> Iterator[None]:
    """Let signals whose handlers raise an exception come after the block, which would lose what it has started.

    A child would inherit a mask that blocks them. Threads other than the main one are not interrupted.
    """
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    on_main_thread = threading.current_thread() is threading.main_thread()
    raising = {number: handler for number, handler in handlers.items() if on_main_thread and callable(handler)}
    try:
        for number in raising:
            signal.signal(number, lambda number, _: received.append(number))
        yield
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)


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
