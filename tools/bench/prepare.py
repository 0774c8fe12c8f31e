#!/usr/bin/env python3
"""Measure stage 1 on a long manifest: time and peak memory of preparing, validating and splitting a data directory.

Writes a manifest like Libriheavy's, with cuts of chapters whose audio files are empty, since stage 1 does not open
them; prepares it by egs/libriheavy, and runs the programs that stages 1 and 2 run on the data directory. Memory is the
largest resident set of any one process.

    tools/bench/prepare.py                                          1,000,000 cuts, with one process and with three
    tools/bench/prepare.py --cuts 10000 100000 1000000 --nj 1       how it grows
    tools/bench/prepare.py --folder /big/disk --json figures.json   where it is generated; figures as JSON
"""

import argparse
import gzip
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CUTS_OF_CHAPTER = 80
SECONDS = 14.8
"""Mean length of Libriheavy's cuts."""


def write_corpus(folder: Path, cuts: int) -> None:
    """A manifest of that many cuts with 40 words of text and what comes before it, 1000 letters, as the real ones."""
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 8))) for _ in range(2000)]
    (folder / "libriheavy").mkdir(parents=True)
    path = folder / "libriheavy" / "libriheavy_cuts_small.jsonl.gz"
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as file:
        for number in range(cuts):
            chapter, place = divmod(number, CUTS_OF_CHAPTER)
            recording = (
                f"small/{chapter % 7000 + 20}/book_{chapter // 10:06d}_librivox_64kb_mp3/{chapter % 10:02d}_64kb"
            )
            if not place:
                audio = folder / "librilight" / f"{recording}.flac"
                audio.parent.mkdir(parents=True, exist_ok=True)
                audio.touch()
            file.write(json.dumps(cut(recording, place, draw.choices(words, k=200), number)) + "\n")


def cut(recording: str, place: int, words: list[str], number: int) -> dict:
    """One line of a manifest."""
    text = "\u201c" + " ".join(words[:40]) + (",\u201d he said." if number % 50 else ", in 1812.")
    before = " ".join(words[40:])
    name = f"{recording}_{place}"
    supervision = {
        "id": name,
        "recording_id": recording,
        "start": 0,
        "duration": SECONDS,
        "channel": 0,
        "language": "English",
        "speaker": recording.split("/")[1],
        "custom": {
            "texts": [text, " ".join(words[:40]).upper()],
            "pre_texts": [before, before.upper()],
            "begin_byte": 120,
            "end_byte": 320,
        },
    }
    length = CUTS_OF_CHAPTER * SECONDS + 5
    source = {"type": "file", "channels": [0], "source": f"download/librilight/{recording}.flac"}
    return {
        "id": name,
        "start": round(place * SECONDS, 3),
        "duration": SECONDS,
        "channel": 0,
        "supervisions": [supervision],
        "recording": {
            "id": recording,
            "sources": [source],
            "sampling_rate": 16000,
            "num_samples": round(length * 16000),
            "duration": length,
            "channel_ids": [0],
        },
        "custom": {"text_path": "download/librilight_text/text.txt"},
        "type": "MonoCut",
    }


def measure(command: list[str]) -> dict[str, float]:
    """Run a program; seconds, processor seconds, and the largest resident set of it or of a child in MB."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "LC_ALL": "C"}
    started = time.perf_counter()
    wrapper = (
        "import resource, subprocess, sys; status = subprocess.run(sys.argv[1:]).returncode; "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(used.ru_maxrss, used.ru_utime + used.ru_stime, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", wrapper, *command], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"tools/bench/prepare.py: error: {' '.join(command)} failed: {done.stderr[-2000:]}")
    kilobytes, processor = done.stderr.splitlines()[-1].split()
    return {
        "seconds": time.perf_counter() - started,
        "processor_seconds": float(processor),
        "mb": int(kilobytes) / 1024,
    }


def bench(folder: Path, cuts: int, jobs: list[int], parts: int) -> dict[str, dict[str, float]]:
    """Figures of each step for a manifest of that many cuts."""
    corpus = folder / f"corpus{cuts}"
    write_corpus(corpus, cuts)
    program = str(ROOT / "egs" / "libriheavy" / "local" / "prepare.py")
    rows = {}
    for nj in jobs:
        data = folder / f"data{cuts}.{nj}"
        options = [f"--corpus-dir={corpus}", f"--data-dir={data}", "--sets=small", f"--nj={nj}"]
        rows[f"prepare, nj {nj}"] = measure([sys.executable, program, *options])
    module = [sys.executable, "-m"]
    rows["validate"] = measure([*module, "omni_asr.bin.validate", str(data / "small")])
    rows[f"split into {parts}"] = measure([*module, "omni_asr.bin.split", str(data / "small"), str(parts)])
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, nargs="+", default=[1_000_000], help="lengths of manifests")
    parser.add_argument("--nj", type=int, nargs="+", default=[1, 3], help="values of --nj of the preparation")
    parser.add_argument("--parts", type=int, default=8, help="parts of the split")
    parser.add_argument("--folder", help="where everything is generated")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print("\n| cuts | step | s | processor s | MB |\n| ---: | --- | ---: | ---: | ---: |")
    figures = {}
    for cuts in options.cuts:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            figures[cuts] = bench(Path(folder), cuts, options.nj, options.parts)
        for step, row in figures[cuts].items():
            print(
                f"| {cuts:,} | {step} | {row['seconds']:.1f} | {row['processor_seconds']:.1f} | {row['mb']:.0f} |",
                flush=True,
            )
    if options.json:
        Path(options.json).write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
