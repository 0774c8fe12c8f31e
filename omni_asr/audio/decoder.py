"""Decoding by libsndfile: the streams of a recording, one after the other, from any sample on."""

import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from omni_asr.audio.errors import AudioError

FORMATS = "AIFF AU CAF FLAC HTK MP3 MPEG NIST OGG RF64 W64 WAV WAVEX".split()
"""Formats, by libsndfile's names, of which truncated files are recognized; those of others are refused."""
ESTIMATED = ("MPEG_LAYER_I", "MPEG_LAYER_II")
"""Subtypes whose number of samples libsndfile may overestimate, so that decoding must tell it."""
UNKNOWN = 1 << 40
"""libsndfile gives lengths above this where a header holds none."""
BLOCK = 1 << 20
"""Samples that are skipped at once."""


class _SoundFile(soundfile.SoundFile):
    """Reads on without the seek to its own position that soundfile does after each read."""

    def seekable(self) -> bool:
        return False


class Decoder:
    """Decodes streams of one rate and number of channels, given as paths or as the bytes of files.

    Raises:
        AudioError: a stream is not audio, holds no samples, or is unlike the first.
    """

    def __init__(self, streams: Sequence[str | bytes]) -> None:
        self._streams = streams
        files = [_open(stream) for stream in streams]
        self._file = files[0]
        self.rate: int = self._file.samplerate
        self.channels: int = self._file.channels
        for number, file in enumerate(files, 1):
            if (file.samplerate, file.channels) != (self.rate, self.channels):
                form = f"{file.samplerate} Hz and {file.channels} channels, unlike the first"
                raise AudioError(f"stream {number} of {len(files)} in the file has {form}; convert it")
        self._ends = list(itertools.accumulate(map(_count, streams, files)))
        """Number of samples up to the end of each stream."""
        self.frames: int = self._ends[-1]
        if self.frames == 0:
            raise AudioError("the audio holds no samples")
        for file in files[1:]:
            file.close()
        # An MP3 frame borrows bits from the frames before it: after a seek libsndfile gives silence for some time.
        # Within Vorbis it seeks to places nearby, and what follows has traces of what was read before (seen in 1.2.2).
        is_seekable = self._file.format not in ("MP3", "MPEG") and self._file.subtype != "VORBIS"
        self._can_seek = is_seekable and len(streams) == 1
        self._number = self._position = 0

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Samples [start, stop) of all channels (samples, channels) in [-1, 1]; fewer where decoding ends early.

        Raises:
            AudioError: decoding fails.
        """
        try:
            if self._position != start and self._can_seek:
                self._file.seek(start)
                self._position = start
            self._skip_to(start)
            return self._read_on(stop - start)
        except soundfile.LibsndfileError as error:
            self._open(0)  # a decoder that lost its way does not find it again
            raise AudioError(f"decoding fails: {error.error_string.rstrip('.')}") from None

    def _skip_to(self, start: int) -> None:
        """Decode up to ``start``, from the beginning if need be."""
        if start < self._position:
            self._open(0)
        while self._position < start:
            if not len(self._read_on(min(start - self._position, BLOCK))):
                break

    def _read_on(self, count: int) -> NDArray[np.float32]:
        """The next samples, up to ``count``, from as many streams as they are in."""
        pieces = []
        while count:
            end = self._ends[self._number]
            if self._position == end and end < self.frames:
                self._open(self._number + 1)
                continue
            wanted = min(count, end - self._position)
            piece = self._file.read(wanted, dtype="float32", always_2d=True)
            pieces.append(piece)
            self._position += len(piece)
            count -= len(piece)
            if len(piece) < wanted or self._position == self.frames:
                break
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces or [np.zeros((0, self.channels), np.float32)])

    def _open(self, number: int) -> None:
        """Start decoding at the beginning of a stream."""
        self._file.close()
        self._file = _open(self._streams[number])
        self._number, self._position = number, self._ends[number - 1] if number else 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _open(stream: str | bytes) -> _SoundFile:
    try:
        file = _SoundFile(stream if isinstance(stream, str) else io.BytesIO(stream))
    except soundfile.LibsndfileError as error:
        hint = ""
        if isinstance(stream, str) and _starts_with(stream, b"NIST_1A"):
            hint = " (compressed SPHERE? read it by 'sph2pipe -f wav -p -c 1 FILE |')"
        raise AudioError(f"not audio that libsndfile reads: {error.error_string.rstrip('.')}{hint}") from None
    except TypeError:  # soundfile goes by the name of a .raw file, and wants to be told its rate
        hint = "sox -t raw -r 16000 -e signed -b 16 -c 1 FILE -t wav - |"
        raise AudioError(f"a .raw file has no header that says its rate; read it by a pipe such as '{hint}'") from None
    if file.format not in FORMATS:
        raise AudioError(f"{file.format} audio may be cut unseen; read it by a pipe such as 'sox FILE -t wav - |'")
    if file.frames > UNKNOWN:
        raise AudioError(f"the {file.format} header holds no length; write WAV to a pipe, as with ffmpeg's '-f wav -'")
    return file


def header_rate(stream: str | bytes) -> int:
    """Rate of a stream, which is not searched for its length.

    Raises:
        AudioError: it is not audio.
    """
    with _open(stream) as file:
        rate: int = file.samplerate
    return rate


def _count(stream: str | bytes, file: _SoundFile) -> int:
    """Number of samples of a stream."""
    if file.subtype not in ESTIMATED:
        frames: int = file.frames
        return frames
    count = 0
    with _open(stream) as whole:
        while block := len(whole.read(BLOCK, dtype="float32")):
            count += block
    return count


def _starts_with(path: str, magic: bytes) -> bool:
    with Path(path).open("rb") as file:
        return file.read(len(magic)) == magic
