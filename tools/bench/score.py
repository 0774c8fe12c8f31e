#!/usr/bin/env python3
"""Time scoring beside sclite and jiwer, on the same generated files, in one run.

Prints a table, and writes JSON where --json says. Each row is one process from its start, reading two trn files to the
end of its totals: ours (read, aligned as sclite does, counted, sclite's table printed), sclite (``-o rsum``), jiwer
(``process_words``, unit costs, so other counts). What our time is made of stands below: Python and imports, reading,
aligning. That ours and sclite's totals are equal is checked.

    tools/bench/score.py                        20,000 utterances, 450,000 words
    tools/bench/score.py --long 50000           also all of omni-asr score, words, characters and tables, on one
                                                recording of 50,000 words as one utterance: time and memory of the
                                                process, with plain words and with one (optional) word
"""

import argparse
import itertools
import json
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not

from omni_asr.kaldi.trn import read_trn, write_trn
from omni_asr.scoring.align import align_all
from omni_asr.scoring.protocol import Protocol
from omni_asr.scoring.sclite import Utterance, by_speaker, summary_table
from omni_asr.scoring.score import score

VOCABULARY = 5000
SPEAKERS = 40


def generate(utterances: int, words: int, seed: int) -> tuple[list[list[str]], list[list[str]]]:
    """References of gamma-distributed lengths and hypotheses with 3 % deletions, 6 % substitutions, 2 % insertions."""
    source = random.Random(seed)
    vocabulary = [f"w{index}" for index in range(VOCABULARY)]
    lengths = [max(1, round(source.gammavariate(4, words / utterances / 4))) for _ in range(utterances)]
    references = [[source.choice(vocabulary) for _ in range(length)] for length in lengths]
    return references, [recognize(reference, vocabulary, source) for reference in references]


def recognize(reference: list[str], vocabulary: list[str], source: random.Random) -> list[str]:
    """A reference with errors."""
    hypothesis = []
    for word in reference:
        chance = source.random()
        if chance >= 0.03:
            hypothesis.append(source.choice(vocabulary) if chance < 0.09 else word)
        if chance > 0.98:
            hypothesis.append(source.choice(vocabulary))
    return hypothesis


def ours(folder: Path) -> dict[str, float]:
    """Score the two files and print sclite's table of counts; returns the seconds of each part."""
    times = [time.perf_counter()]
    reference, hypothesis = (read_trn(folder / f"{name}.trn") for name in ("ref", "hyp"))
    times.append(time.perf_counter())
    operations = align_all(list(reference.values()), [hypothesis[name] for name in reference])
    times.append(time.perf_counter())
    utterances = [
        Utterance(name, name.split("-")[0], words, hypothesis[name], letters)
        for (name, words), letters in zip(reference.items(), operations, strict=True)
    ]
    print(summary_table(*by_speaker(utterances), "hyp.trn", raw=True))
    times.append(time.perf_counter())
    spans = [end - start for start, end in itertools.pairwise(times)]
    return dict(zip(("reading", "aligning", "counting"), spans, strict=True))


def with_jiwer(folder: Path) -> None:
    """Score the two files with jiwer."""
    import jiwer

    reference, hypothesis = (read_trn(folder / f"{name}.trn") for name in ("ref", "hyp"))
    sides = [[" ".join(words) for words in side.values()] for side in (reference, hypothesis)]
    output = jiwer.process_words(*sides)
    print(output.hits, output.substitutions, output.deletions, output.insertions)


def write_long(words: int, folder: Path) -> None:
    """One recording as one utterance: as tables, and as stm and ctm with one optional word in the middle."""
    source = random.Random(2)
    vocabulary = [f"w{index}" for index in range(VOCABULARY)]
    reference = source.choices(vocabulary, k=words)
    hypothesis = recognize(reference, vocabulary, source)
    optional = [*reference[: words // 2], "(uh)", *reference[words // 2 :]]
    for name, text in {
        "data/text": f"u {' '.join(reference)}\n",
        "data/utt2spk": "u s\n",
        "decode/text": f"u {' '.join(hypothesis)}\n",
        "stm": f"f A s 0 {words} {' '.join(optional)}\n",
        "ctm": "".join(f"f A {index} 0.5 {word}\n" for index, word in enumerate(hypothesis)),
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def score_long(protocol: Protocol) -> None:
    """All that omni-asr score does with the files of :func:`write_long`; prints seconds and MiB of this process."""
    started = time.perf_counter()
    words = score("data", "decode", protocol)
    seconds = time.perf_counter() - started
    characters = Path("decode/cer").read_text(encoding="utf-8").splitlines()[0]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "MiB": peak, "words": words, "characters": characters}))


def run(command: list[str], folder: Path) -> tuple[float, str]:
    """Seconds of a process, and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
    return time.perf_counter() - started, done.stdout


def total(table: str) -> list[str]:
    """The cells of the row Sum: sentences, words, counts."""
    row = re.search(r"\| Sum .*", table)
    return re.findall(r"\d+", row[0]) if row else []


def measure(options: argparse.Namespace, folder: Path) -> dict:
    """Medians of the rows, the rounds interleaved, and our parts."""
    for name, side in zip(("ref", "hyp"), generate(options.utterances, options.words, options.seed), strict=True):
        write_trn(folder / f"{name}.trn", ((f"s{i % SPEAKERS}-{i}", words) for i, words in enumerate(side)))
    sclite = shutil.which("sclite") or shutil.which("sclite", path="/usr/lib/sctk/bin")
    this = [sys.executable, str(Path(__file__).resolve())]
    commands = {"ours": [*this, "--only", "ours"], "jiwer": [*this, "--only", "jiwer"]}
    if sclite:
        trn = ["-r", "ref.trn", "trn", "-h", "hyp.trn", "trn", "-i", "rm"]
        commands["sclite -o rsum"] = [sclite, *trn, "-o", "rsum", "stdout"]
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    printed = {}
    for _ in range(options.rounds):
        for name, command in commands.items():
            taken, printed[name] = run(command, folder)
            seconds[name].append(taken)
    parts = json.loads(printed["ours"].splitlines()[-1])
    medians = {name: sorted(values)[len(values) // 2] for name, values in seconds.items()}
    parts["starting"] = medians["ours"] - sum(parts.values())
    equal = total(printed["ours"]) == total(printed["sclite -o rsum"]) if sclite else None
    return {"seconds": medians, "parts of ours": parts, "totals of ours and sclite are equal": equal}


def main() -> None:
    """Read the options, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=20_000)
    parser.add_argument("--words", type=int, default=450_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5, help="rounds; the median counts (default 5)")
    parser.add_argument("--long", type=int, metavar="WORDS", help="also score one utterance of so many words")
    parser.add_argument("--json", help="file for the figures")
    parser.add_argument("--only", choices=["ours", "jiwer", "long", "marked"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    parts: dict[str, Callable[[], object]] = {
        "ours": lambda: print(json.dumps(ours(Path.cwd()))),
        "jiwer": lambda: with_jiwer(Path.cwd()),
        "long": lambda: score_long(Protocol()),
        "marked": lambda: score_long(Protocol(stm=Path("stm"), ctm=Path("ctm"))),
    }
    if options.only:
        parts[options.only]()
        return
    with tempfile.TemporaryDirectory() as folder:
        result = measure(options, Path(folder))
        if options.long:
            write_long(options.long, Path(folder))
            for part, name in (("long", "one long utterance"), ("marked", "the same with one (optional) word")):
                command = [sys.executable, str(Path(__file__).resolve()), "--only", part]
                result[name] = {"length": options.long, **json.loads(run(command, Path(folder))[1])}
    print(f"{options.utterances} utterances, {options.words} words\n\n| | s | of sclite |\n|---|---:|---:|")
    base = result["seconds"].get("sclite -o rsum")
    for name, taken in result["seconds"].items():
        print(f"| {name} | {taken:.2f} | {f'{taken / base:.2f}' if base else '-'} |")
    for name, value in list(result.items())[1:]:
        shown = (
            ", ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in value.items())
            if isinstance(value, dict)
            else value
        )
        print(f"\n{name}: {shown}")
    if options.json:
        sizes = {"utterances": options.utterances, "words": options.words, "rounds": options.rounds}
        Path(options.json).write_text(json.dumps({**sizes, **result}, indent=1) + "\n")


if __name__ == "__main__":
    main()
