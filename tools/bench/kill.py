#!/usr/bin/env python3
"""Kill a training with SIGKILL at random moments, start it again each time, and compare it with one never killed.

Prints a line for each kill and at the end whether every logged loss and every weight is equal to the last bit; exits
with 1 when one is not.

    tools/bench/kill.py                    20 kills, every third one inside the writing of a state
    tools/bench/kill.py --kills 4 --seed 7
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))  # for the toy corpus

import torch
from training_helpers import losses, prepare, train_command

root = Path(__file__).parents[2]
CHANGES = [
    "model.router=omni",
    "train.validate_every=4",
    "train.save_every=2",
    "train.log_every=1",
    "train.ema=0.9",
    "data.workers=1",
]


def main() -> int:
    """Train twice, once undisturbed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how often to kill (default 20)")
    parser.add_argument("--steps", type=int, default=0, help="steps of the training (default 6 a kill)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the moments (default 1)")
    options = parser.parse_args()
    steps = options.steps or 6 * options.kills
    with tempfile.TemporaryDirectory() as folder:
        corpus = prepare(Path(folder))
        changes = [*CHANGES, f"train.max_steps={steps}"]
        undisturbed, killed = Path(folder, "undisturbed"), Path(folder, "killed")
        subprocess.run(train_command(corpus, undisturbed, *changes), cwd=root, stderr=subprocess.DEVNULL, check=True)
        moments = random.Random(options.seed)
        command = train_command(corpus, killed, *changes)
        for kill in range(options.kills):
            # Spread over the whole training, so that it is never over before its time.
            print(kill_once(command, killed, moments, steps * kill // options.kills, kill), flush=True)
        subprocess.run(command, cwd=root, stderr=subprocess.DEVNULL, check=True)
        return compare(undisturbed, killed)


def kill_once(command: list[str], exp_dir: Path, moments: random.Random, step: int, number: int) -> str:
    """Start the training, let it come to ``step``, and kill it at a random moment after; says when that was."""
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.DEVNULL)
    wait(process, lambda: last_step(exp_dir) >= step)
    what = "at a random moment"
    if number % 3 == 2:
        wait(process, lambda: any(exp_dir.glob("checkpoints/.state-*.tmp.*")))
        what = "while it wrote a state"
    else:
        time.sleep(moments.uniform(0, 0.1))
    running = process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    torn = len(list(exp_dir.rglob(".*.tmp.*")))
    states = " ".join(path.stem for path in sorted(exp_dir.glob("checkpoints/state-*.pt"))) or "none"
    if not running:
        raise SystemExit(f"tools/bench/kill.py: error: the training ended before kill {number + 1}; give more --steps")
    return f"kill {number + 1:2d}: {what}, after step {last_step(exp_dir)}; {torn} torn files; whole states: {states}"


def wait(process: subprocess.Popen, condition) -> None:  # type: ignore[no-untyped-def, type-arg]
    """Until a condition holds, or the process has ended."""
    while process.poll() is None and not condition():
        time.sleep(0.0005)


def last_step(exp_dir: Path) -> int:
    """The last step whose record is on disk."""
    path = exp_dir / "train.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    steps = [json.loads(line)["step"] for line in lines if line.endswith("}")]
    return max(steps, default=0)


def compare(a: Path, b: Path) -> int:
    """Say whether two trainings are one, and return the exit status."""
    expected, found = losses(a), losses(b)
    equal_losses = expected == found
    weights = [torch.load(path / "model.pt", weights_only=True)["state"] for path in (a, b)]
    equal_weights = all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
    print(f"{len(expected)} losses {'bit-equal' if equal_losses else 'DIFFER'}, ", end="")
    print(f"{len(weights[0])} tensors of model.pt {'bit-equal' if equal_weights else 'DIFFER'}")
    return 0 if equal_losses and equal_weights else 1


if __name__ == "__main__":
    sys.exit(main())
