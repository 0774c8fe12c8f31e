#!/usr/bin/env python3
"""Measure the way of the data: opening a manifest, planning an epoch, reading features, waiting for batches.

Prints tables, and writes JSON where --json says. Everything is generated in a temporary folder and removed.

    tools/bench/data.py                                  all parts, 1,000,000 utterances to open, 10,000,000 to plan
    tools/bench/data.py --parts read wait --minutes 20   the parts named, on that much generated audio
    tools/bench/data.py --folder /big/disk               where the tables and archives are generated

open: a process of its own opens the set; memory is what /proc/self/smaps_rollup says of it (private: in no other
process). "dictionaries" reads the same tables into dictionaries and lists, as a reader without a manifest does.
plan: batches of one epoch from lengths alone. read: frames a second through archives in the page cache, and, where it
says cold, after the kernel was asked to drop them. wait: share of the time that a consumer of --speed times real time,
which sleeps for the length of each batch, waits for the next. size: bytes on the disk of features, manifest and
shards at several --hours.
"""

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not

import numpy as np
import torch
from side_by_side import describe_machine

from omni_asr.config import DataConfig
from omni_asr.data.batch import Batch
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.loading import load_batches
from omni_asr.data.sampler import plan_epoch
from omni_asr.data.shard import write_shards
from omni_asr.data.specaugment import SpecAugment
from omni_asr.kaldi.ark import ArkWriter
from omni_asr.kaldi.tables import read_table
from omni_asr.text.tokenizer import CharTokenizer

BINS = 80
UNITS = ["<blank>", "<unk>", "▁", *"abcdefghijklmnopqrstuvwxyz"]
FRAMES_PER_SECOND = 100
UTTERANCES_PER_ARK = 5000


def write_tables(folder: Path, count: int) -> None:
    """Tables of ``count`` utterances of 3 to 17 s with 12 words, whose archives are not there."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list(UNITS[3:]), random.integers(2, 9))) for _ in range(1000)]
    names = ("feats.scp", "utt2num_frames", "text")
    scp, frames, text = (open(folder / name, "w", encoding="utf-8") for name in names)
    for number in range(count):
        utt = f"speaker{number // 100:06d}-recording-{number:09d}"
        ark, place = divmod(number, UTTERANCES_PER_ARK)
        scp.write(f"{utt} {folder}/fbank/raw_fbank_train.{ark:05d}.ark:{place * 80000 + 50}\n")
        frames.write(f"{utt} {300 + number * 7919 % 1400}\n")
        text.write(f"{utt} {' '.join(words[(number * 31 + place * 17 + i * 101) % 1000] for i in range(12))}\n")
    for file in (scp, frames, text):
        file.close()


def memory() -> dict[str, float]:
    """Private and proportional memory of this process in MB."""
    try:
        lines = [line.split() for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]]
    except OSError:
        raise SystemExit("tools/bench/data.py: error: this system has no /proc/self/smaps_rollup") from None
    kilobytes = {name.rstrip(":"): int(value) for name, value, *_ in lines}
    return {
        "private_mb": (kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]) / 1024,
        "pss_mb": kilobytes["Pss"] / 1024,
    }


def open_set(folder: Path, how: str) -> dict[str, float]:
    """Open the set one way; seconds and memory of this process, of which ``imports_mb`` were there before."""
    tokenizer, before = CharTokenizer(UNITS), memory()["private_mb"]
    started = time.perf_counter()
    if how == "dictionaries":
        scp, frames, text = (read_table(folder / name) for name in ("feats.scp", "utt2num_frames", "text"))
        held = (
            list(scp),
            list(scp.values()),
            np.array([int(frames[utt]) for utt in scp]),
            [text[utt] for utt in scp],
            [tokenizer.encode(text[utt]) for utt in scp],
        )
        del scp, frames, text
    else:
        utterances = UtteranceSet(folder, tokenizer)
        if how == "open, filter on":
            utterances.remove_unusable(DataConfig(max_frames=1650), 4, folder / "removed")
    seconds = time.perf_counter() - started
    if how != "dictionaries":
        indices = np.random.default_rng(0).integers(0, len(utterances), 10000)
        held = ([utterances.utts[i] for i in indices], [utterances.tokens[i].sum() for i in indices])
    figures = {"seconds": seconds, **memory(), "imports_mb": before}
    del held
    return figures


def apart(function: Callable, *arguments: object) -> dict[str, float]:
    """Call a function in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def bench_open(options: argparse.Namespace, folder: Path) -> dict:
    """Opening and building, beside dictionaries."""
    write_tables(folder, options.utterances)
    ways = ("dictionaries", "build", "open", "open, filter on")
    rows = {how: apart(open_set, folder, how) for how in ways}
    print(f"\n{options.utterances:,} utterances\n\n| way | s | private MB | of them imports | Pss MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for how, row in rows.items():
        figures = (row["seconds"], row["private_mb"], row["imports_mb"], row["pss_mb"])
        print(f"| {how} |" + "".join(f" {figure:.{2 if n == 0 else 0}f} |" for n, figure in enumerate(figures)))
    return rows


class Blocks:
    """Utterances of each of many shards by simulation: numbers that follow each other."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return -(-self.count // UTTERANCES_PER_ARK)

    def __getitem__(self, shard: int) -> np.ndarray:
        return np.arange(shard * UTTERANCES_PER_ARK, min(self.count, (shard + 1) * UTTERANCES_PER_ARK))


def plan(folder: Path, count: int, sharded: bool) -> dict[str, float]:
    """Plan an epoch from mapped lengths; seconds, and the memory that it took at most beside them."""
    path = folder / f"frames.{count}"
    if not path.exists():
        np.random.default_rng(0).integers(300, 1700, count, dtype=np.int32).tofile(path)
    frames = np.memmap(path, np.int32, "r").view(np.ndarray)
    before = peak_mb()
    started = time.perf_counter()
    planned = plan_epoch(frames, DataConfig(), 1, 0, 4, Blocks(count) if sharded else None)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started
    started = time.perf_counter()
    planned.batches_of(len(planned) // 2)
    resume = time.perf_counter() - started
    return {"seconds": seconds, "resume_seconds": resume, "steps": len(planned), "mb": peak_mb() - before}


def peak_mb() -> float:
    """Most anonymous memory so far, nearly: the peak of all of it less what is mapped from files now."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return (int(status["VmHWM"].split()[0]) - int(status["RssFile"].split()[0])) / 1024


def bench_plan(options: argparse.Namespace, folder: Path) -> dict:
    """Planning an epoch, with shards and without."""
    rows = {}
    print("\n| planning | s | step in the middle, s | steps of 4 batches | MB |\n| --- | ---: | ---: | ---: | ---: |")
    for count in (options.utterances, options.simulated):
        for sharded in (False, True):
            name = f"{count:,} utterances" + (", shards" if sharded else "")
            rows[name] = row = apart(plan, folder, count, sharded)
            figures = f"{row['seconds']:.2f} | {row['resume_seconds']:.3f} | {row['steps']:,} | {row['mb']:.0f}"
            print(f"| {name} | {figures} |")
    return rows


def write_audio(folder: Path, minutes: float) -> None:
    """A data directory with features of that much speech, in archives of 250 utterances."""
    random = np.random.default_rng(0)
    noise_TF = random.normal(size=(4000, BINS)).astype(np.float32)
    scp: dict[str, str] = {}
    frames: dict[str, int] = {}
    while sum(frames.values()) < minutes * 60 * FRAMES_PER_SECOND:
        number = len(frames)
        with ArkWriter(folder / f"{number // 250:04d}.ark") as write:
            for utt in (f"u{number + place:06d}" for place in range(250)):
                frames[utt] = int(random.integers(300, 1700))
                start = int(random.integers(0, 2000))
                write(utt, noise_TF[start : start + frames[utt]])
            scp |= write.entries
    for name, table in (("feats.scp", scp), ("utt2num_frames", frames), ("text", dict.fromkeys(scp, "some words"))):
        (folder / name).write_text("".join(f"{utt} {value}\n" for utt, value in table.items()))


def bytes_in(folder: Path, pattern: str) -> int:
    """Bytes of the files that fit."""
    return sum(path.stat().st_size for path in folder.rglob(pattern) if path.is_file())


def bench_size(options: argparse.Namespace, folder: Path) -> dict:
    """Bytes on the disk at several sizes."""
    rows = {}
    heads = ("hours", "utterances", "features, MB", "MB an hour", "manifest, MB", "bytes each", "shards, MB", "in s")
    print(f"\n| {' | '.join(heads)} |\n|{' ---: |' * len(heads)}")
    for hours in options.hours:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            audio, sharded = Path(temporary, "audio"), Path(temporary, "sharded")
            audio.mkdir()
            write_audio(audio, 60 * hours)
            utterances = UtteranceSet(audio, CharTokenizer(UNITS))
            started = time.perf_counter()
            write_shards(audio, sharded, 1000, 1)
            row = {
                "hours": utterances.hours(10),
                "utterances": len(utterances),
                "features": bytes_in(audio, "*.ark"),
                "manifest": bytes_in(audio / "manifest", "*"),
                "shards": bytes_in(sharded, "*.ark"),
                "seconds": time.perf_counter() - started,
            }
        rows[f"{hours:g} h"] = row
        print(
            f"| {row['hours']:.1f} | {row['utterances']:,} | {row['features'] / 1e6:,.1f} | "
            f"{row['features'] / 1e6 / row['hours']:.1f} | {row['manifest'] / 1e6:.2f} | "
            f"{row['manifest'] / row['utterances']:.0f} | {row['shards'] / 1e6:,.1f} | {row['seconds']:.1f} |"
        )
    return rows


def batches(utterances: UtteranceSet, workers: int, shards: bool = False) -> Iterator[Batch]:
    """Augmented batches, epoch after epoch."""
    config = DataConfig(shards_per_pool=2)
    dataset = BatchDataset(utterances, SpecAugment(config, 1), read_ahead=shards)
    plans = (plan_epoch(utterances.frames, config, 1, n, 1, utterances.shards if shards else None) for n in range(1000))
    return load_batches(dataset, (key for plan in plans for key in plan.walk()), workers, pin=False)


def frames_per_second(loaded: Iterator[Batch], seconds: float) -> float:
    """Frames a second, from after the first batches on."""
    for _ in islice(loaded, 10):
        pass
    frames, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        frames += int(next(loaded).lengths_B.sum())
    return frames / (time.perf_counter() - started)


def cold_epoch(data_dir: Path, shards: bool) -> float:
    """Frames a second of one epoch over archives that the kernel has dropped from memory."""
    utterances = UtteranceSet(data_dir, CharTokenizer(UNITS))
    for ark in data_dir.rglob("*.ark"):
        with open(ark, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    wanted, frames = int(utterances.frames.sum()), 0
    started = time.perf_counter()
    for batch in batches(utterances, 0, shards):
        frames += int(batch.lengths_B.sum())
        if frames >= wanted:
            break
    return frames / (time.perf_counter() - started)


def bench_read(options: argparse.Namespace, folder: Path) -> dict:
    """Frames a second."""
    utterances = UtteranceSet(folder, CharTokenizer(UNITS))
    rows = {}
    for workers in options.workers:
        rows[f"{workers} workers"] = frames_per_second(batches(utterances, workers), options.seconds)
    write_shards(folder, folder / "sharded", 250, 1)
    rows["cold, 0 workers, all over"] = cold_epoch(folder, shards=False)
    rows["cold, 0 workers, shards"] = cold_epoch(folder / "sharded", shards=True)
    print(f"\n{utterances.hours(10):.1f} h of {BINS} bins, augmented\n\n| reading | million frames/s | x real time |")
    print("| --- | ---: | ---: |")
    for name, rate in rows.items():
        print(f"| {name} | {rate / 1e6:.2f} | {rate / FRAMES_PER_SECOND:,.0f} |")
    return rows


def bench_wait(options: argparse.Namespace, folder: Path) -> dict:
    """Share of a simulated GPU's time that it waits."""
    utterances = UtteranceSet(folder, CharTokenizer(UNITS))
    rows = {}
    print(f"\n| consumer of {options.speed:,.0f} x real time | waits, % | reached, x real time |")
    print("| --- | ---: | ---: |")
    for workers in options.workers:
        loaded = batches(utterances, workers)
        for _ in islice(loaded, 10):
            pass
        waited, audio, started = 0.0, 0.0, time.perf_counter()
        while (now := time.perf_counter()) - started < options.seconds:
            batch = next(loaded)
            waited += time.perf_counter() - now
            seconds = float(batch.lengths_B.sum()) / FRAMES_PER_SECOND
            audio += seconds
            time.sleep(seconds / options.speed)
        elapsed = time.perf_counter() - started
        rows[f"{workers} workers"] = row = {"waits": waited / elapsed, "times_real_time": audio / elapsed}
        print(f"| {workers} workers | {100 * row['waits']:.1f} | {row['times_real_time']:,.0f} |")
    return rows


def main() -> None:
    """Read the options, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"open": bench_open, "plan": bench_plan, "read": bench_read, "wait": bench_wait, "size": bench_size}
    parser.add_argument("--parts", nargs="+", default=list(parts), choices=list(parts))
    parser.add_argument("--utterances", type=int, default=1_000_000, help="to open and to plan (default 1000000)")
    parser.add_argument("--simulated", type=int, default=10_000_000, help="to plan by simulation (default 10000000)")
    parser.add_argument("--minutes", type=float, default=600.0, help="of audio to generate (default 600)")
    parser.add_argument("--hours", type=float, nargs="+", default=[1, 10, 100], help="to store (default 1 10 100)")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2], help="loading processes (default 0 1 2)")
    parser.add_argument("--speed", type=float, default=20000.0, help="of the consumer, x real time (default 20000)")
    parser.add_argument("--seconds", type=float, default=10.0, help="for each measurement (default 10)")
    parser.add_argument("--folder", help="where to generate (default: the system's temporary folder)")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    torch.set_num_threads(1)
    machine = f"{describe_machine(torch.device('cpu'))}, {os.cpu_count()} cores"
    print(machine)
    results: dict = {"machine": machine}
    with tempfile.TemporaryDirectory(prefix="omni_asr.bench.", dir=options.folder) as temporary:
        tables, audio = Path(temporary, "tables"), Path(temporary, "audio")
        tables.mkdir()
        audio.mkdir()
        if {"read", "wait"} & set(options.parts):
            write_audio(audio, options.minutes)
        for part in options.parts:
            results[part] = parts[part](options, audio if part in ("read", "wait") else tables)
            sys.stdout.flush()
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
