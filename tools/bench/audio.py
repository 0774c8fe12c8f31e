#!/usr/bin/env python3
"""Measure what true lengths of audio files cost: reading as the toolkit does, over libsndfile alone, in one run.

Generates noise of several levels at 16 kHz in each format. A figure is a ratio of times, the median of rounds in which
both ways alternate, with files in the page cache: of opening and reading whole files, and of opening alone.

    tools/bench/audio.py                            200 utterances of 15 s, and one recording of 30 minutes
    tools/bench/audio.py --utterances 20 --rounds 3 a short look
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not

from omni_asr.audio.source import Recording

RATE = 16000
SECONDS = 15
VARIABLE = {"bitrate_mode": "VARIABLE", "compression_level": 0.5}
FORMATS = {
    "WAV": {"format": "WAV", "subtype": "PCM_16"},
    "FLAC": {"format": "FLAC", "subtype": "PCM_16"},
    "Ogg Vorbis": {"format": "OGG", "subtype": "VORBIS"},
    "Ogg Opus": {"format": "OGG", "subtype": "OPUS"},
    "MP3": {"format": "MP3", "subtype": "MPEG_LAYER_III", **VARIABLE},
}


def noise(seconds: int) -> np.ndarray:
    """Noise whose level changes every second."""
    draw = np.random.default_rng(0)
    levels = np.repeat(draw.choice([0.0003, 0.05, 0.2], seconds), RATE)
    return (levels * draw.standard_normal(seconds * RATE)).astype(np.float32)


def read_alone(path: Path, whole: bool) -> None:
    """Open a file by libsndfile, and read what its header promises; scale and check it as the toolkit does."""
    with soundfile.SoundFile(str(path)) as file:
        if whole:
            samples = file.read(dtype="float32", always_2d=True)[:, 0]
            assert np.isfinite(samples).all()
            samples * np.float32(32768)


def read_here(path: Path, whole: bool) -> None:
    """Open a file, and read all of it, as every program of the toolkit does."""
    recording = Recording(str(path))
    if whole:
        recording.read(0, recording.frames)
    recording.close()


def without_first_frame(data: bytes) -> bytes:
    """An MP3 as encoders leave it that write to a pipe."""
    tag = max(data.find(b"Xing"), data.find(b"Info"))
    return data[data.index(data[:2], tag) :]


def write_files(folder: Path, seconds: int, count: int) -> dict[str, list[Path]]:
    """Write ``count`` files of each format."""
    samples = noise(seconds)
    files = {}
    for name, options in FORMATS.items():
        first = folder / f"{name}.{seconds}.0".replace(" ", "_").lower()
        with soundfile.SoundFile(first, "w", RATE, 1, **options) as file:
            for start in range(0, len(samples), RATE):  # libsndfile cannot write minutes of Vorbis at once
                file.write(samples[start : start + RATE])
        files[name] = _copies(first, first.read_bytes(), count)
    stripped = without_first_frame(files["MP3"][0].read_bytes())
    files["MP3 of a pipe"] = _copies(folder / f"pipe.{seconds}.0", stripped, count)
    return files


def _copies(first: Path, data: bytes, count: int) -> list[Path]:
    paths = [first.with_suffix(f".{number}") for number in range(count)]
    for path in paths:
        path.write_bytes(data)
    return paths


def ratio(paths: list[Path], whole: bool, rounds: int) -> tuple[float, float]:
    """Median of the time here over that of libsndfile alone, and milliseconds a file here."""

    def seconds(read: Callable[[Path, bool], None]) -> float:
        started = time.perf_counter()
        for path in paths:
            read(path, whole)
        return time.perf_counter() - started

    read_here(paths[0], whole)
    pairs = [(seconds(read_here), seconds(read_alone)) for _ in range(rounds)]
    here = statistics.median(here for here, _ in pairs)
    return statistics.median(here / alone for here, alone in pairs), 1000 * here / len(paths)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=200)
    parser.add_argument("--minutes", type=int, default=30, help="length of the long recording")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    for seconds, count in ((SECONDS, args.utterances), (60 * args.minutes, 1)):
        with tempfile.TemporaryDirectory() as folder:
            print(f"\n{count} files of {seconds} s: times over libsndfile alone, and milliseconds a file\n")
            print("| format | open and read | open | ms read | ms open |\n|---|---:|---:|---:|---:|")
            for name, paths in write_files(Path(folder), seconds, count).items():
                read, read_ms = ratio(paths, True, args.rounds)
                opened, open_ms = ratio(paths, False, args.rounds)
                print(f"| {name} | {read:.3f} | {opened:.2f} | {read_ms:.2f} | {open_ms:.2f} |")


if __name__ == "__main__":
    main()
