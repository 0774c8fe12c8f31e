"""A toy corpus whose features spell its words, and training runs on it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
from recipe_helpers import lives, wait_for

from omni_asr.data.batch import Batch
from omni_asr.features.cmvn import compute_cmvn
from omni_asr.kaldi.ark import ArkWriter
from omni_asr.kaldi.tables import write_table
from omni_asr.models.asr_model import AsrModel, Losses
from omni_asr.text.tokenizer import save_tokenizer, train_tokenizer

BINS = 8
LETTERS = "abcdef"
TINY = [
    "model.experts=2x2",
    "model.dim=32",
    "model.hidden=64",
    "model.heads=2",
    "model.stack=2",
    "model.dropout=0.1",
    "data.batch_frames=600",
    "data.time_masks=1",
    "data.frequency_masks=0",
    "optim.lr=4e-3",
    "optim.warmup_steps=20",
    "train.epochs=3",
    "train.threads=1",  # sums in another order are other sums
    "train.log_every=5",
    "train.average=2",
]


def write_corpus(folder: Path, utterances: int, seed: int, texts: list[str] | None = None) -> Path:
    """Each letter is eight frames with one loud bin; features are written as stage 2 leaves them."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    text, frames = {}, {}
    with ArkWriter(folder / "feats.ark", folder / "feats.scp") as write:
        for number in range(utterances):
            words = (
                texts[number]
                if texts
                else " ".join(
                    "".join(random.choice(list(LETTERS), random.integers(1, 4))) for _ in range(random.integers(1, 4))
                )
            )
            spoken = [LETTERS.index(letter) for letter in words.replace(" ", "")]
            x_TF = random.normal(0, 0.3, (8 * len(spoken) + 4, BINS)).astype(np.float32)
            for place, letter in enumerate(spoken):
                x_TF[8 * place + 2 : 8 * place + 9, letter] += 4
            utt = f"spk{number % 3}-{number:03d}"
            write(utt, x_TF)
            text[utt], frames[utt] = words, str(len(x_TF))
    write_table(folder / "text", text)
    write_table(folder / "utt2num_frames", frames)
    return folder


def prepare(folder: Path, train: int = 60) -> list[str]:
    """Make corpus, statistics and units; return the options of ``train`` that name them."""
    train_dir, valid_dir = write_corpus(folder / "train", train, 1), write_corpus(folder / "dev", 10, 2)
    compute_cmvn(train_dir, folder / "cmvn.ark")
    save_tokenizer(train_tokenizer("char", 0, [" ".join(LETTERS)]), folder / "lang")
    paths = {
        "--train-dir": train_dir,
        "--valid-dir": valid_dir,
        "--lang-dir": folder / "lang",
        "--cmvn": folder / "cmvn.ark",
    }
    return [str(part) for pair in paths.items() for part in pair]


def train_command(options: list[str], exp_dir: Path, *changes: str) -> list[str]:
    """Command line of one training run; later ``changes`` override earlier settings."""
    sets = [part for setting in [*TINY, *changes] for part in ("--set", setting)]
    return [sys.executable, "-m", "omni_asr.bin.train", *options, "--exp-dir", str(exp_dir), *sets]


def broken_forward(utterances: set[str]) -> Callable[[AsrModel, Batch], Losses]:
    """Return AsrModel.forward, but with a loss of nan for batches with any of some utterances."""
    forward = AsrModel.forward

    def broken(self: AsrModel, batch: Batch) -> Losses:
        losses = forward(self, batch)
        if utterances & set(batch.utts):
            losses.total = losses.total * float("nan")
        return losses

    return broken


def run(command: list[str]) -> subprocess.CompletedProcess:
    # A training that hangs is a failed test, not a test that never ends.
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1], timeout=600)


def losses(exp_dir: Path) -> dict[int, float]:
    """Logged training loss by step."""
    records = [json.loads(line) for line in (exp_dir / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    return {record["step"]: record["loss"] for record in records if record["type"] == "step"}


def descendants(pid: int) -> list[int]:
    """The processes below one, sessions of their own included."""
    found: list[int] = []
    with suppress(OSError):  # processes and threads end while they are looked at
        for task in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError):
                for child in map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split()):
                    found += [child, *descendants(child)]
    return found


def kill_all(process: subprocess.Popen) -> None:
    """Kill a training as a machine that loses power does, and return when nothing of it lives.

    torchrun starts each rank in a session of its own, so that no signal to torchrun's group reaches them.
    """
    family = [*descendants(process.pid), process.pid]  # of the dead nobody knows whose children they were
    for pid in family:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(lives(pid) for pid in family), 60)
