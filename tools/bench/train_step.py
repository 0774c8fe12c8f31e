#!/usr/bin/env python3
"""Time whole training steps of a mixture of experts beside its dense twin: forward, backward, clipping, AdamW.

The twin is the same configuration with --router dense: the same active size. Frames are random, loads forced to be even
unless --as-routed. Prints the ratio of the medians' rounds and the parts of a step; writes JSON where --json says.

    tools/bench/train_step.py                                       8x84m, 4096 encoder frames in a step
    tools/bench/train_step.py --config conf.yaml --frames 1024      another configuration, smaller steps
"""

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))  # the checkout's own package, installed or not

import torch
from side_by_side import describe_machine, time_side_by_side

from omni_asr.config import load_config
from omni_asr.data.batch import Batch
from omni_asr.devices import autocast
from omni_asr.models.asr_model import AsrModel, count_parameters
from omni_asr.training.optim import make_optimizer

PRESET = Path(__file__).parents[2] / "egs/TEMPLATE/conf/8x84m.yaml"


class Training:
    """A model, its optimizer, and the parts of a step."""

    def __init__(self, options: argparse.Namespace, router: str, device: torch.device) -> None:
        overrides = [f"model.router={router}"]
        if not options.as_routed and router != "dense":
            overrides.append("model.force_balanced=true")
        self.config = load_config(options.config, [*overrides, *options.set])
        torch.manual_seed(0)
        self.model = AsrModel(self.config.model, 80, options.vocab_size).to(device)
        self.optimizer = make_optimizer(self.model, self.config.optim)
        self.batch = random_batch(options.frames * self.config.model.stack, options.vocab_size).to(device)
        self.device = device
        self.parts = {"forward": 0.0, "backward": 0.0, "optimizer": 0.0}

    def step(self) -> None:
        """One optimizer step, as the trainer takes it."""
        marks = [self._now()]
        self.optimizer.zero_grad()
        with autocast(self.device):
            losses = self.model(self.batch)
        marks.append(self._now())
        losses.total.backward()
        marks.append(self._now())
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.optim.clip_norm)
        self.optimizer.step()
        marks.append(self._now())
        for part, start, stop in zip(self.parts, marks, marks[1:], strict=False):
            self.parts[part] += stop - start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def random_batch(frames: int, vocab_size: int) -> Batch:
    """Utterances of 15 s that fill the frames, with four units a second."""
    utterances = max(1, frames // 1500)
    length = frames // utterances
    generator = torch.Generator().manual_seed(0)
    x_BTF = torch.randn(utterances, length, 80, generator=generator)
    tokens_BU = torch.randint(1, vocab_size, (utterances, length // 25), generator=generator)
    lengths_B, token_lengths_B = torch.full((utterances,), length), torch.full((utterances,), tokens_BU.shape[1])
    return Batch([f"utt{i}" for i in range(utterances)], x_BTF, lengths_B, tokens_BU, token_lengths_B)


def main() -> None:
    """Read the options, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default=str(PRESET), help="YAML file of the mixture (default: the 8x84m preset)")
    parser.add_argument("--router", default="omni", help="router of the mixture (default omni)")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="option of both")
    parser.add_argument("--frames", type=int, default=4096, help="encoder frames in a step (default 4096)")
    parser.add_argument("--vocab-size", type=int, default=4096, help="output units (default 4096)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (default 5)")
    parser.add_argument("--as-routed", action="store_true", help="let the fresh router decide instead of an even load")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", help="file for the figures")
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    device = torch.device(options.device)
    trainings = {name: Training(options, name, device) for name in ("dense", options.router)}
    for training in trainings.values():  # to warm up; it does not count
        training.step()
        training.parts = dict.fromkeys(training.parts, 0.0)
    timings = time_side_by_side(
        {name: training.step for name, training in trainings.items()}, options.rounds, warm_up=0
    )
    print(f"{describe_machine(device)}; {options.config}, {options.frames} encoder frames in a step")
    print("\n| model | parameters | step | ratio | forward | backward | optimizer |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    rows = {}
    for name, training in trainings.items():
        total = count_parameters(training.model)[0]
        ratio = timings[name].ratio(timings["dense"])
        parts = {part: seconds / options.rounds for part, seconds in training.parts.items()}
        rows[name] = {"parameters": total, "seconds": timings[name].median, "ratio": ratio, **parts}
        cells = " | ".join(f"{seconds:.2f} s" for seconds in parts.values())
        print(f"| {name} | {total / 1e6:.0f} M | {timings[name].median:.2f} s | {ratio:.2f} | {cells} |")
    if options.json:
        machine = {"machine": describe_machine(device), "config": options.config, "frames": options.frames}
        Path(options.json).write_text(json.dumps({**machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
