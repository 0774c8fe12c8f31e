"""Filterbanks of a data directory: the work of one job."""

import logging
import os
import time
from collections import Counter
from pathlib import Path

from omni_asr.audio.fbank import Fbank
from omni_asr.audio.fbank_conf import write_fbank_conf
from omni_asr.audio.reader import AudioReader, Failure
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
    fbank = Fbank(config)
    total, started = len(reader.data.utterances), time.monotonic()
    frames: dict[str, str] = {}
    failures: dict[str, str] = {}
    rates: Counter[str] = Counter()
    said, samples = started, 0
    with ArkWriter(f"{prefix}.ark", f"{prefix}.scp", compression_method=2 if compress else None) as write:
        for audio in reader:
            failure = audio.reason if isinstance(audio, Failure) else ""
            if not isinstance(audio, Failure):
                samples += len(audio.samples)
                features = fbank(audio.samples)
                failure = feature_fault(features, config.num_mel_bins)
                if not len(features):
                    failure = f"{len(audio.samples)} samples at {config.sample_rate} Hz are shorter than one frame"
                if not failure:
                    write(audio.utterance, features)
                    frames[audio.utterance] = str(len(features))
                    rates[str(audio.source_rate)] += 1
            if failure:
                log.warning("%s: %s", audio.utterance, failure)
                failures[audio.utterance] = failure
            if time.monotonic() - said > LOG_EVERY:
                said = time.monotonic()
                _report(len(frames), len(failures), total, samples / config.sample_rate, said - started)
        Path(f"{prefix}.scp").unlink(missing_ok=True)  # the tables and the archive are new from here on
        write_table(f"{prefix}.utt2num_frames", frames)
        write_table(f"{prefix}.failed", failures)
        write_table(f"{prefix}.rates", {rate: str(count) for rate, count in rates.items()})
        write_fbank_conf(f"{prefix}.conf", config)
    _report(len(frames), len(failures), total, samples / config.sample_rate, time.monotonic() - started)
    return len(frames), len(failures)


def _report(done: int, failed: int, total: int, audio: float, elapsed: float) -> None:
    speed = audio / max(elapsed, 1e-9)
    message = "%d of %d utterances, %d failed, %.2f h of audio, %.0f x real time"
    log.info(message, done + failed, total, failed, audio / 3600, speed)
