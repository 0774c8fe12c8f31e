"""Cutting segments out of the recording of a session."""

import os
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from omni_asr.audio.source import AudioError, Recording
from omni_asr.corpora.audio import probe


def cut(source: Path, chunks: Sequence[tuple[float, float]], target: Path) -> float:
    """Write chunks of a recording, start and end in seconds, one after the other to a FLAC file; returns its seconds.

    That is how the official tool cuts: the pauses between the chunks go, and times are truncated to samples. It writes
    Vorbis once more; FLAC loses nothing. A file that is there is left as it is; a new one appears by rename.

    Raises:
        AudioError: the recording cannot be read, or has nothing in these times.
    """
    if target.exists():
        return probe(target).seconds
    recording = Recording(str(source))
    try:
        spans = [(int(start * recording.rate), int(end * recording.rate)) for start, end in chunks]
        spans = [(max(0, start), min(stop, recording.frames)) for start, stop in spans]
        pieces = [recording.read(start, stop) for start, stop in spans if start < stop]
    finally:
        recording.close()
    if not pieces:
        raise AudioError("its recording has nothing between its times")
    samples = np.clip(np.rint(np.concatenate(pieces)), -32768, 32767).astype(np.int16)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = target.with_name(f".{target.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        soundfile.write(new, samples, recording.rate, format="FLAC", subtype="PCM_16")
        os.replace(new, target)
    finally:
        new.unlink(missing_ok=True)
    return len(samples) / recording.rate
