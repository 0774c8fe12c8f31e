"""Synthesise the mini corpus with espeak-ng: small spoken dialogue, hundreds of voices, three kinds of disturbed test.

Writes <corpus-dir>/<set>/<speaker>/<utterance>.flac (16 kHz; test_phone: 8 kHz mu-law wav) and
<corpus-dir>/<set>/transcripts.tsv. The same seed gives the same bytes, whatever the number of jobs.
"""

import contextlib
import hashlib
import json
import logging
import multiprocessing
import os
import shutil
import signal as signals
import sys
import time
from collections.abc import Generator, Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import degrade
import numpy as np
from espeak import Espeak
from sentences import Grammar
from tqdm import tqdm
from voices import speaker, voices

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.corpora.audio import write_audio
from omni_asr.errors import UserError
from omni_asr.files import atomic_write, temporary_folder
from omni_asr.read_files import read_json

VERSION = 1  # part of every random draw: with another one, the same seed says other sentences in other voices
SOURCES = ("synthesise.py", "sentences.py", "voices.py", "espeak.py", "degrade.py")
RATE = 16000
SIZES = {"default": {"train": 2800, "dev": 180, "test": 440}, "tiny": {"train": 120, "dev": 16, "test": 10}}
TESTS = {"test": "", "test_noisy": "n", "test_phone": "p", "test_fast": "f"}  # mark in the utterance id
SLOWEST, FASTEST = 120, 190  # words per minute
COLUMNS = "utterance speaker voice speed pitch range condition seconds text".split()
log = logging.getLogger("synthesise")


class Job(NamedTuple):
    """One utterance to make: number ``index`` of ``part``, below the folder ``root``."""

    root: str
    seed: int
    part: str
    index: int


def sizes(size: str) -> dict[str, int]:
    """Map each set to its number of utterances."""
    counts = SIZES[size]
    return {"train": counts["train"], "dev": counts["dev"], **dict.fromkeys(TESTS, counts["test"])}


def checksum() -> str:
    """Of the code that makes the corpus: with other code, the same options may give other audio."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()[:12]


def generator_for(seed: int, *names: str | int) -> np.random.Generator:
    """A random generator that depends on the seed and the names alone."""
    digest = hashlib.sha256(repr((VERSION, seed, *names)).encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, np.uint32))


def say(espeak: Espeak, random: np.random.Generator, text: str, part: str, fast: bool) -> tuple[dict, degrade.Signal]:
    """Speak ``text`` with a voice of ``part``, a pitch and a speed drawn anew; the description and 16 kHz samples."""
    known = voices(part)
    drawn: dict[str, Any] = {
        "voice": known[random.integers(len(known))],
        "speed": int(random.integers(SLOWEST, FASTEST + 1)),
        "pitch": int(random.integers(25, 76)),
        "range": int(random.integers(25, 76)),
    }
    if fast:
        drawn["speed"] = round(drawn["speed"] * 1.5)
    espeak.restart(int(random.integers(2**31)))
    spoken = " ".join("eigh" if word == "a" else word for word in text.split())  # the letter, not the article
    samples = espeak.synthesise(spoken, drawn["voice"], drawn["pitch"], drawn["range"], drawn["speed"])
    signal = degrade.resample(samples / 32768.0, espeak.rate, RATE)
    signal = degrade.trim(signal, RATE, *random.uniform(0.06, 0.15, size=2))
    if not len(signal):
        raise UserError(f"espeak-ng says nothing for {text!r} with {drawn}: reinstall espeakng-loader")
    return drawn, signal


def disturb(espeak: Espeak, random: np.random.Generator, signal: degrade.Signal) -> tuple[str, degrade.Signal]:
    """Add coloured noise or the babble of four training voices at 5 to 15 dB; the condition and the samples."""
    snr = round(random.uniform(5, 15), 1)
    if random.random() < 0.5:
        slope = round(random.uniform(0, 2), 1)
        noise = degrade.coloured_noise(random, len(signal), slope)
        return f"noise slope={slope} snr={snr}", degrade.add_noise(signal, noise, snr)
    others = [say(espeak, random, Grammar(random).sentence(), "train", fast=False)[1] for _ in range(4)]
    return f"babble snr={snr}", degrade.add_noise(signal, degrade.babble(random, others, len(signal)), snr)


def make_utterance(espeak: Espeak, job: Job) -> dict[str, Any]:
    """Synthesise and write one utterance; its row of the transcript table.

    The four test sets share sentences, voices, pitch and speed, so that their difference is the disturbance alone.
    """
    base = "test" if job.part in TESTS else job.part
    random = generator_for(job.seed, base, job.index)
    text = Grammar(random).sentence()
    drawn, signal = say(espeak, random, text, base, fast=job.part == "test_fast")
    # No recording is ever silent: a faint background, loud enough to be heard only between words.
    signal = degrade.add_noise(signal, degrade.coloured_noise(random, len(signal), 1.0), random.uniform(30, 55))
    signal = degrade.set_level(signal, random.uniform(-30, -20))
    condition, rate, suffix, subtype = "clean", RATE, "flac", "PCM_16"
    if job.part == "test_noisy":
        condition, signal = disturb(espeak, generator_for(job.seed, job.part, job.index), signal)
    elif job.part == "test_fast":
        condition = "fast"
    elif job.part == "test_phone":
        condition, rate, suffix, subtype = "phone", 8000, "wav", "ULAW"
        signal = degrade.resample(degrade.band_pass(signal, RATE, 300, 3400), RATE, rate)
    spk = speaker(drawn["voice"])
    utterance = f"{spk}-{TESTS.get(job.part, '')}{job.index:05d}"
    path = Path(job.root, job.part, spk, f"{utterance}.{suffix}")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_audio(path, np.clip(signal, -1, 1), rate, suffix.upper(), subtype)
    seconds = f"{len(signal) / rate:.3f}"
    return {"utterance": utterance, "speaker": spk, **drawn, "condition": condition, "seconds": seconds, "text": text}


def _work(jobs: Sequence[Job], results: Connection, others: Sequence[Connection]) -> None:
    """Run in a process of its own: send the row of each job, or what went wrong."""
    signals.signal(signals.SIGINT, signals.SIG_IGN)
    signals.signal(signals.SIGTERM, signals.SIG_DFL)
    for connection in others:  # or this process would not notice that the main one is gone
        connection.close()
    with contextlib.suppress(BrokenPipeError):
        try:
            espeak = Espeak()
            for job in jobs:
                results.send(make_utterance(espeak, job))
        except (UserError, OSError) as error:
            results.send(error)


def synthesise(jobs: Sequence[Job], processes: int) -> Generator[dict[str, Any], None, None]:
    """Make all utterances in ``processes`` processes and yield their rows in order.

    Each process has its own jobs and its own pipe. They share no lock, which one that is killed would hold for ever.
    """
    context = multiprocessing.get_context("fork")
    workers: list[BaseProcess] = []
    results: list[Connection] = []
    try:
        for first in range(min(processes, len(jobs))):
            receiver, sender = context.Pipe(duplex=False)
            results.append(receiver)
            workers.append(context.Process(target=_work, args=(jobs[first::processes], sender, results), daemon=True))
            workers[-1].start()
            sender.close()
        for index in range(len(jobs)):
            yield _receive(workers[index % processes], results[index % processes])
    finally:
        for worker in workers:
            worker.kill()
        for worker, receiver in zip(workers, results, strict=True):
            worker.join()
            receiver.close()


def _receive(worker: BaseProcess, results: Connection) -> dict[str, Any]:
    """The next row of a process; what went wrong there is raised here."""
    try:
        result = results.recv()
    except EOFError:
        worker.join()
        raise UserError(f"a process of the synthesis ended with exit code {worker.exitcode}; start it again") from None
    if isinstance(result, Exception):
        raise result
    return result


def progress(rows: Iterator[dict[str, Any]], total: int) -> Iterator[dict[str, Any]]:
    """Pass rows on, with a bar on a terminal and ten lines in a log."""
    if sys.stderr.isatty():
        yield from tqdm(rows, total=total, unit="utt")
        return
    for done, row in enumerate(rows, 1):
        if done * 10 // total > (done - 1) * 10 // total:
            log.info("%d / %d utterances", done, total)
        yield row


def write_table(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write ``transcripts.tsv``: one header line, then one line per utterance sorted by id."""
    lines = ["\t".join(COLUMNS)]
    lines += ["\t".join(str(row[name]) for name in COLUMNS) for row in sorted(rows, key=lambda row: row["utterance"])]
    with atomic_write(path) as file:
        file.write("\n".join(lines) + "\n")


def verify(root: Path, counts: dict[str, int], rows: dict[str, list[dict[str, Any]]]) -> None:
    """Raise ``UserError`` unless every set has all its files, none is silent or absurdly long, and no voice leaks."""
    for part, count in counts.items():
        files = [path for path in Path(root, part).glob("*/*") if path.stat().st_size > 1000]
        if len(files) != count or len(rows[part]) != count:
            raise UserError(f"{root / part}: {len(files)} audio files of {count}: is the disk full?")
        odd = [row["utterance"] for row in rows[part] if not 0.5 < float(row["seconds"]) < 12]
        if odd:
            raise UserError(f"{root / part}: {len(odd)} utterances are no sentence by their length, such as {odd[0]}")
    heard = {row["voice"] for row in rows["train"]}
    shared = heard.intersection(row["voice"] for part in TESTS for row in rows[part])
    if shared:
        raise UserError(f"{root}: test and train share the voices {sorted(shared)}")


def print_statistics(rows: dict[str, list[dict[str, Any]]]) -> None:
    """One line per set, then the words and the overlap of sentences."""
    known = {row["text"] for row in rows["train"]}
    log.info("%-11s %6s %7s %6s %6s %9s %6s %9s", *"set utts hours words voices sentences s/utt in-train".split())
    for part, table in rows.items():
        hours = sum(float(row["seconds"]) for row in table) / 3600
        words = {word for row in table for word in row["text"].split()}
        texts = [row["text"] for row in table]
        overlap = sum(text in known for text in texts) / len(texts)
        spoken = len({row["voice"] for row in table})
        log.info("%-11s %6d %7.3f %6d %6d %9d %6.2f %8.1f%%", part, len(table), hours, len(words), spoken,
                 len(set(texts)), hours * 3600 / len(table), 100 * overlap)  # fmt: skip


def build(root: Path, settings: dict[str, Any], jobs: int) -> None:
    """Make the corpus in a temporary folder beside ``root``, verify it, rename it to ``root``."""
    counts = sizes(settings["size"])
    rows: dict[str, list[dict[str, Any]]] = {part: [] for part in counts}
    with temporary_folder(root) as temporary:
        todo = [Job(str(temporary), settings["seed"], part, i) for part, count in counts.items() for i in range(count)]
        # Closed before the folder is removed: a signal between two rows leaves processes that go on writing into it.
        with contextlib.closing(synthesise(todo, jobs)) as made:
            for job, row in zip(todo, progress(made, len(todo)), strict=True):
                rows[job.part].append(row)
        for part, table in rows.items():
            write_table(temporary / part / "transcripts.tsv", table)
        verify(temporary, counts, rows)
        with atomic_write(temporary / "corpus.json") as file:
            json.dump(settings, file, indent=2)
            file.write("\n")
        shutil.rmtree(root, ignore_errors=True)  # a corpus of other settings or code; is_complete has looked
        temporary.rename(root)
    print_statistics(rows)


def is_complete(root: Path, settings: dict[str, Any]) -> bool:
    """Whether ``root`` holds this very corpus; one of other settings or code is made anew.

    Raises:
        UserError: ``root`` is something else than a corpus made here.
    """
    if not root.exists():
        return False
    made = read_json(root / "corpus.json", f"remove {root}") if (root / "corpus.json").is_file() else None
    if made is None:
        raise UserError(f"{root} exists and is no mini corpus: remove it, or choose another folder with --corpus-dir")
    if made != settings:
        log.info("%s was made with %s, not %s: it is made anew", root, made, settings)
    return made == settings


def _terminated(_number: int, _frame: object) -> None:
    raise KeyboardInterrupt  # so that a killed parent cleans up and leaves no worker behind


def main(argv: Sequence[str] | None = None) -> int:
    """Parse the options, synthesise, verify."""
    parser = ArgumentParser(__doc__)
    parser.add_argument("--corpus-dir", "--out", type=Path, default=Path("corpus"), help="where the corpus goes")
    parser.add_argument("--size", choices=sorted(SIZES), default="default", help="tiny is for trying things out")
    parser.add_argument("--seed", type=int, default=1, help="another seed makes another corpus")
    parser.add_argument("--jobs", "--nj", type=int, default=len(os.sched_getaffinity(0)), help="processes")
    args = parser.parse_args(argv)
    if args.jobs < 1:
        parser.error("--jobs must be at least 1")
    root = args.corpus_dir.absolute()
    settings = {"code": checksum(), "size": args.size, "seed": args.seed}
    if is_complete(root, settings):
        log.info("%s is complete: %s", args.corpus_dir, settings)
        return 0
    signals.signal(signals.SIGTERM, _terminated)
    started = time.monotonic()
    build(root, settings, args.jobs)
    log.info("%s is complete after %.0f seconds", args.corpus_dir, time.monotonic() - started)
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
