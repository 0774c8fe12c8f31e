"""Cutting segments out of the recordings of sessions."""

import os
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.source import AudioError, Recording
from omni_asr.corpora.audio import write_audio
from omni_asr.files import naming

BLOCK = 1 << 20
"""Samples that are decoded at a time."""


@dataclass(frozen=True)
class Decoded:
    """A recording whose samples are in a file."""

    samples: NDArray[np.int16]
    rate: int


@contextmanager
def decoded(source: Path, folder: Path) -> Iterator[Decoded]:
    """A recording, decoded once from beginning to end, since seeking in Vorbis is not exact; it may last for hours, so
    its samples go into a file in ``folder``, which no longer exists afterwards.

    Raises:
        AudioError: the recording cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recording = Recording(str(source))
    with tempfile.TemporaryFile(dir=folder) as file:
        try:
            for start in range(0, recording.frames, BLOCK):
                block = recording.read(start, min(start + BLOCK, recording.frames))
                samples = np.clip(np.rint(block), -32768, 32767).astype(np.int16)
                with naming(folder):
                    file.write(samples.tobytes())
                    file.flush()
        finally:
            recording.close()
        yield Decoded(np.memmap(file, np.int16, "r"), recording.rate)


def cut(recording: Decoded, chunks: Sequence[tuple[float, float]], target: Path) -> None:
    """Write chunks of a recording, start and end in seconds, one after the other to a FLAC file.

    That is how the official tool cuts: the pauses between the chunks go, and times are truncated to samples. It writes
    Vorbis once more; FLAC loses nothing. The file appears by rename.

    Raises:
        AudioError: the recording has nothing in these times.
    """
    spans = [(max(0, int(start * recording.rate)), max(0, int(end * recording.rate))) for start, end in chunks]
    pieces = [recording.samples[start:stop] for start, stop in spans]
    if not sum(map(len, pieces)):
        raise AudioError("its recording has nothing between its times")
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        write_audio(new, np.concatenate(pieces), recording.rate, "FLAC")
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)
