"""Audio of the utterances of a Kaldi data directory."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.resample import resample
from omni_asr.audio.source import AudioError, Recording, rate_of
from omni_asr.errors import UserError
from omni_asr.kaldi.data_dir import DataDir, Segment
from omni_asr.kaldi.pipes import check_pipes, is_command
from omni_asr.kaldi.speed import split_stages
from omni_asr.kaldi.tables import to_number

log = logging.getLogger(__name__)

BLOCK = 1 << 22
"""Samples of each channel that are in memory when a recording is read to its end."""
MAX_OVERSHOOT = 0.5
"""Seconds that a segment may end after its recording, as Kaldi's extract-segments allows; it is clipped."""


@dataclass(frozen=True)
class Audio:
    """Samples (float32, one dimension, scaled as 16-bit integers, at the reader's rate) of an utterance.

    ``source_rate`` is the rate of its recording.
    """

    utterance: str
    samples: NDArray[np.float32]
    source_rate: int


@dataclass(frozen=True)
class Failure:
    """Why an utterance has no audio, in one line."""

    utterance: str
    reason: str


class AudioReader:
    """Yields, for each utterance of a data directory, its audio or a failure: none is ever missing.

    Utterances of one recording come together, so that a pipe runs and a file is opened once. Of audio with several
    channels, the one that ``channel`` (from 0) or ``reco2file_and_channel`` names is taken, else the first with a note,
    as in Kaldi; audio of one channel is taken as it is, because pipes often choose already.

    Audio of a higher rate is brought down to ``rate``. Audio of a lower one is an error unless ``allow_upsample``, as
    in Kaldi: it has nothing above half of its own rate, which a model of wideband speech has never met.

    Raises:
        UserError: a table of the data directory is missing or broken, or has a command where commands are refused; the
            channel is below 0.
    """

    def __init__(
        self,
        data_dir: str | os.PathLike[str],
        rate: int = 16000,
        channel: int | None = None,
        allow_upsample: bool = False,
    ) -> None:
        if channel is not None and channel < 0:
            raise UserError(f"channel {channel} does not exist; they count from 0")
        self.data = DataDir(data_dir)
        self.rate = rate
        self.channel = channel
        self.allow_upsample = allow_upsample
        self.notes: Counter[str] = Counter()
        """How often something was mended, by what it was."""
        check_pipes(self.data.path / "wav.scp")
        self._recordings = self.data.table("wav.scp")
        self._segments = self.data.segments
        self._channels = self.data.channels
        has_lengths = self._segments is None and self.data.has("utt2dur")
        self._lengths = self.data.table("utt2dur") if has_lengths else {}
        self._open: tuple[str, Recording | AudioError] | None = None

    def __iter__(self) -> Iterator[Audio | Failure]:
        for utterances in self._by_recording().values():
            for utterance in sorted(utterances, key=self._start):  # an MP3 is read from front to back only
                yield self.read(utterance)
        for note, count in self.notes.items():
            log.info("%s: %s (%d utterances)", self.data.path, note, count)

    def check(self) -> Iterator[Failure]:
        """Read every recording to its end, and look up where its utterances lie; yield what fails."""
        utterances = self._by_recording()
        for name in dict.fromkeys([*self._recordings, *utterances]):
            try:
                recording = self._recording(name)
                channel = self._choose_channel(name, recording)
                for start in range(0, recording.frames, BLOCK):
                    recording.read(start, min(start + BLOCK, recording.frames), channel)
            except AudioError as error:
                yield Failure(name, str(error))
                continue
            for utterance in utterances.get(name, ()):
                try:
                    self._locate(utterance)
                except AudioError as error:
                    yield Failure(utterance, str(error))

    def _by_recording(self) -> dict[str, list[str]]:
        """Utterances by their recordings."""
        groups: dict[str, list[str]] = {}
        for utterance in self.data.utterances:
            segment = self._segments.get(utterance) if self._segments is not None else None
            groups.setdefault(segment.recording if segment else utterance, []).append(utterance)
        return groups

    def _start(self, utterance: str) -> float:
        segment = self._segments.get(utterance) if self._segments is not None else None
        return segment.start if segment is not None else 0.0

    def read(self, utterance: str) -> Audio | Failure:
        """Audio of one utterance, in any order; neighbours of one recording share the open file.

        Raises:
            UserError: its rate is too low.
        """
        try:
            return self._read(utterance)
        except AudioError as error:
            return Failure(utterance, str(error))

    def read_part(self, name: str, segment: Segment) -> Audio | Failure:
        """Audio of any part of a recording, under any name; raises as :meth:`read`."""
        try:
            return self._read_part(name, segment)
        except AudioError as error:
            return Failure(name, str(error))

    def _read(self, utterance: str) -> Audio:
        return self._audio(utterance, *self._locate(utterance))

    def _locate(self, utterance: str) -> tuple[str, int, int]:
        """Recording of an utterance, and its samples [start, stop) there."""
        if self._segments is None:
            recording = self._recording(utterance)
            self._check_length(recording, self._lengths.get(utterance))
            return utterance, 0, recording.frames
        segment = self._segments.get(utterance)
        if segment is None:
            raise AudioError("the utterance has no line in segments")
        return segment.recording, *self._bounds(self._recording(segment.recording), segment)

    def _check_length(self, recording: Recording, seconds: str | None) -> None:
        """Find audio that was cut, which some formats and decoders do not tell, by its line of utt2dur."""
        try:
            expected = to_number(seconds or "0", "utt2dur")
        except UserError:
            raise AudioError(f"utt2dur has {seconds!r}; expected seconds") from None
        duration = recording.frames / (recording.rate * recording.speed)
        if duration + min(MAX_OVERSHOOT, expected / 10) < expected:
            raise AudioError(f"the audio ends at {duration:.3f} s, but utt2dur has {expected:g} s: it was cut")

    def _read_part(self, utterance: str, segment: Segment) -> Audio:
        bounds = self._bounds(self._recording(segment.recording), segment)
        return self._audio(utterance, segment.recording, *bounds)

    def _audio(self, utterance: str, name: str, start: int, stop: int) -> Audio:
        recording = self._recording(name)
        if recording.rate < self.rate and not self.allow_upsample:
            self._refuse_rate(name, recording.rate)
        samples = recording.read(start, stop, self._choose_channel(name, recording))
        return Audio(utterance, resample(samples, recording.rate, self.rate, recording.speed), recording.rate)

    def _refuse_rate(self, first: str, rate: int) -> None:
        """Raise with the number of utterances of a lower rate; only headers of files are read, and no command runs."""
        low, total, least = 0, 0, ""
        for name, utterances in self._by_recording().items():
            total += len(utterances)
            known = rate if name == first else _known_rate(self._recordings.get(name, ""))
            if known is None:
                least = "at least "
            elif known < self.rate:
                low += len(utterances)
        raise UserError(
            f"{self.data.path}: audio of {least}{low} of {total} utterances has a lower rate than {self.rate} Hz, the "
            f"first is {first} of {rate} Hz; if that is meant, give --allow_upsample true (make-fbank: "
            f"--allow-upsample), else another --sample-frequency in conf/fbank.conf"
        )

    def _recording(self, name: str) -> Recording:
        if self._open is None or self._open[0] != name:
            self.close()
            try:
                value = self._recordings.get(name)
                if value is None:
                    raise AudioError(f"recording {name} has no line in wav.scp")
                self._open = name, Recording(value)
            except AudioError as error:
                self._open = name, error
        recording = self._open[1]
        if isinstance(recording, AudioError):
            raise recording
        return recording

    def _bounds(self, recording: Recording, segment: Segment) -> tuple[int, int]:
        """Samples of a segment in the file itself: its times count after the change of speed."""
        rate = recording.rate * recording.speed
        duration = recording.frames / rate
        start, end = segment.start, duration if segment.is_open else segment.end
        if not segment.is_possible:
            raise AudioError(f"the segment from {start:g} to {end:g} s has no length")
        if end > duration + MAX_OVERSHOOT or start >= duration:
            raise AudioError(f"the segment from {start:g} to {end:g} s ends after the audio does, at {duration:.3f} s")
        first, last = round(start * rate), round(end * rate)
        if last > recording.frames:
            self.notes["segments that end after their recording were clipped"] += 1
            last = recording.frames
        if last <= first:
            raise AudioError(f"the segment from {start:g} to {end:g} s holds no sample")
        return first, last

    def _choose_channel(self, name: str, recording: Recording) -> int:
        if recording.channels == 1:
            return 0
        channel = self.channel if self.channel is not None else self._channels.get(name)
        if channel is None:
            self.notes["audio of several channels and no choice of one: the first was taken"] += 1
            return 0
        return channel

    def close(self) -> None:
        """Close the recording that is open."""
        if self._open is not None and isinstance(self._open[1], Recording):
            self._open[1].close()
        self._open = None


def _known_rate(value: str) -> int | None:
    """Rate by the header of a file; none for a command, and where the file cannot be read."""
    if is_command(split_stages(value)[0]):
        return None
    try:
        return rate_of(value)
    except AudioError:
        return None
