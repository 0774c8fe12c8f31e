"""Audio files of a corpus: what their headers say, and how ``wav.scp`` names them."""

import io
import os
from dataclasses import dataclass
from typing import Any

import soundfile
from numpy.typing import NDArray

from omni_asr.audio.source import AudioError, Recording
from omni_asr.corpora.sphere import Sphere, is_sphere, read_sphere, sphere_pipe
from omni_asr.files import open_to_write
from omni_asr.kaldi.speed import add_channel

TELEPHONE = (".sph", ".wav", ".flac")
"""Suffixes of the calls of LDC: as they are published, and as people convert them, with both sides in one file."""


@dataclass(frozen=True)
class AudioFile:
    """What the header of an audio file says."""

    path: str
    rate: int
    channels: int
    seconds: float
    sphere: Sphere | None = None

    def value(self, channel: int = 0, plain: bool = False) -> str:
        """The value of ``wav.scp`` for a channel (from 0): a path, or a pipe that selects or decodes the channel.

        Args:
            channel: of the file.
            plain: give the path of a file with several channels; its line in ``reco2file_and_channel`` then selects
                the channel, which only some readers heed.

        Raises:
            UserError: nothing that is installed reads the file.
        """
        pipe = sphere_pipe(self.path, self.sphere, channel) if self.sphere else None
        if pipe is None and self.channels > 1 and not plain:
            pipe = add_channel(self.path, channel)
        return pipe or self.path


def probe(path: str | os.PathLike[str]) -> AudioFile:
    """Read the header of a file: wav, flac, ogg, mp3, SPHERE.

    Raises:
        AudioError: it is missing, empty, no audio, or, as far as a header tells, truncated; in one line.
    """
    path = os.fspath(path)
    if is_sphere(path):
        sphere = read_sphere(path)
        if not sphere.samples:
            raise AudioError("the audio holds no samples")
        return AudioFile(path, sphere.rate, sphere.channels, sphere.seconds, sphere)
    recording = Recording(path)
    try:
        return AudioFile(path, recording.rate, recording.channels, recording.frames / recording.rate)
    finally:
        recording.close()


def write_audio(
    path: str | os.PathLike[str], samples: NDArray[Any], rate: int, format: str, subtype: str = "PCM_16"
) -> None:
    """Write an audio file; ``format`` and ``subtype`` are those of soundfile, such as ``"FLAC"``.

    Raises:
        OSError: the file cannot be written; libsndfile, which would write it in its place, hides the reason.
    """
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate, format=format, subtype=subtype)
    with open_to_write(path, "wb") as file:
        file.write(encoded.getbuffer())
