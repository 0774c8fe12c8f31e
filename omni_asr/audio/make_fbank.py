"""Filterbanks of a data directory: the work of one job."""

import logging
import os
import time
from collections import Counter
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omni_asr.audio.fbank import Fbank
from omni_asr.audio.fbank_conf import write_fbank_conf
from omni_asr.audio.reader import Audio, AudioReader, Failure
from omni_asr.config import FeaturesConfig
from omni_asr.kaldi.ark import ArkWriter
from omni_asr.kaldi.matrix import feature_fault
from omni_asr.kaldi.tables import write_table

log = logging.getLogger(__name__)

LOG_EVERY = 20.0
"""Seconds between progress lines."""


def make_fbank(
    data_dir: str | os.PathLike[str],
    prefix: str,
    config: FeaturesConfig,
    channel: int | None = None,
    compress: bool = True,
    allow_upsample: bool = False,
) -> tuple[int, int]:
    """Write ``<prefix>.{ark,scp,utt2num_frames,failed,rates,conf}``; return how many utterances succeeded and failed.

    The scp names the archive by its absolute path, so that it is found from every folder.

    Raises:
        UserError: the data directory is broken, or a place for the output is missing a right to write; audio is of a
            lower rate than the features and ``allow_upsample`` is not given.
    """
    prefix = os.path.abspath(prefix)
    Path(f"{prefix}.scp").unlink(missing_ok=True)  # of an earlier run, before anything can fail
    reader = AudioReader(data_dir, config.sample_rate, channel, allow_upsample)
    fbank, job = Fbank(config), _Job(len(reader.data.utterances))
    with ArkWriter(f"{prefix}.ark", f"{prefix}.scp", compression_method=2 if compress else None) as write:
        for audio in reader:
            if isinstance(audio, Failure):
                job.fail(audio.utterance, audio.reason)
            else:
                features = fbank(audio.samples)
                reason = _fault(features, audio, config)
                if not reason:
                    write(audio.utterance, features)
                job.note(audio, len(features), reason, config.sample_rate)
            job.report_now_and_then()
        job.write_tables(prefix)
        write_fbank_conf(f"{prefix}.conf", config)
    job.report()
    return len(job.frames), len(job.failures)


def _fault(features: NDArray[np.float32], audio: Audio, config: FeaturesConfig) -> str:
    """Reason to refuse the features of an utterance; empty if there is none."""
    if not len(features):
        return f"{len(audio.samples)} samples at {config.sample_rate} Hz are shorter than one frame"
    return feature_fault(features, config.num_mel_bins)


class _Job:
    """Utterances that are done, of ``total``."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.frames: dict[str, str] = {}
        self.failures: dict[str, str] = {}
        self.rates: Counter[str] = Counter()
        self.seconds = 0.0
        """Of audio."""
        self.started = self.reported = time.monotonic()

    def fail(self, utterance: str, reason: str) -> None:
        """Note an utterance without features."""
        log.warning("%s: %s", utterance, reason)
        self.failures[utterance] = reason

    def note(self, audio: Audio, frames: int, reason: str, rate: int) -> None:
        """Note an utterance that has audio; without features where there is a reason."""
        self.seconds += len(audio.samples) / rate
        if reason:
            self.fail(audio.utterance, reason)
            return
        self.frames[audio.utterance] = str(frames)
        self.rates[str(audio.source_rate)] += 1

    def write_tables(self, prefix: str) -> None:
        """Write the tables beside the archive."""
        write_table(f"{prefix}.utt2num_frames", self.frames)
        write_table(f"{prefix}.failed", self.failures)
        write_table(f"{prefix}.rates", {rate: str(count) for rate, count in self.rates.items()})

    def report_now_and_then(self) -> None:
        """Log progress, at most once in :data:`LOG_EVERY` seconds."""
        if time.monotonic() - self.reported > LOG_EVERY:
            self.report()

    def report(self) -> None:
        """Log progress."""
        self.reported = time.monotonic()
        speed = self.seconds / max(self.reported - self.started, 1e-9)
        done, failed = len(self.frames) + len(self.failures), len(self.failures)
        message = "%d of %d utterances, %d failed, %.2f h of audio, %.0f x real time"
        log.info(message, done, self.total, failed, self.seconds / 3600, speed)
