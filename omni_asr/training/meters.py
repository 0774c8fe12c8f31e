"""Running means of what training logs, and where its time goes.

Shapes: L MoE layers, E experts, S entries of a step's sums.
"""

import contextlib
import resource
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from omni_asr.data.batch import Batch
from omni_asr.models.asr_model import Losses

PARTS = ("data", "forward", "backward", "optimizer")
"""What a step's time is split into; data is the time that the trainer waits for a batch."""


@dataclass
class StepSums:
    """What the batches of one step, on all ranks, add up to. Means weigh each batch by its share of the frames."""

    loss: float
    ctc: float
    balance: float
    z_loss: float
    drop_rate: float
    utts: float
    frames: float
    stops: float
    """How many ranks have got a signal to stop."""
    load_LE: dict[int, list[float]]
    """Share of the frames that each expert got, by number of the MoE layer; layers that no batch ran are absent."""


class SumsVector:
    """Step sums as one vector, so that one message adds them up over all ranks.

    Args:
        experts_L: number of experts of each MoE layer.
    """

    def __init__(self, experts_L: Sequence[int]) -> None:
        self.experts_L = list(experts_L)

    def pack(self, done: Sequence[tuple[Batch, Losses, float]], stop: bool, device: torch.device) -> Tensor:
        """(S) float64: the sums of some batches, each with its losses and its share of the step's frames."""
        means = torch.zeros(5 + sum(self.experts_L) + len(self.experts_L), dtype=torch.float64, device=device)
        utts = frames = 0
        for batch, losses, share in done:
            parts = [losses.total.detach(), losses.ctc, losses.balance, losses.z_loss, losses.drop_rate]
            layers = [
                losses.load_LE[layer] if layer in losses.load_LE else torch.zeros(experts, device=device)
                for layer, experts in enumerate(self.experts_L)
            ]
            ran = [float(layer in losses.load_LE) for layer in range(len(self.experts_L))]
            ran_L = torch.tensor(ran, dtype=torch.float64).to(device, non_blocking=True)
            means += share * torch.cat([torch.stack(parts), *layers, ran_L])
            utts += len(batch.utts)
            frames += int(batch.lengths_B.sum())
        return torch.cat([torch.tensor([utts, frames, stop], dtype=torch.float64).to(device), means])

    def unpack(self, sums_S: Tensor) -> StepSums:
        """Read the vector; on a GPU this waits for it."""
        utts, frames, stops, *means = sums_S.tolist()
        loads, ran = means[5 : len(means) - len(self.experts_L)], means[len(means) - len(self.experts_L) :]
        load_LE, start = {}, 0
        for layer, experts in enumerate(self.experts_L):
            if ran[layer] > 0:
                load_LE[layer] = [share / ran[layer] for share in loads[start : start + experts]]
            start += experts
        loss, ctc, balance, z_loss, drop_rate = means[:5]
        return StepSums(loss, ctc, balance, z_loss, drop_rate, utts, frames, stops, load_LE)


class Meters:
    """Means over the steps since the last log line.

    Args:
        frame_seconds: step between two filterbank frames.
        device: where the model is, for the split of the time.
    """

    def __init__(self, frame_seconds: float, device: torch.device) -> None:
        self.frame_seconds = frame_seconds
        self.watch = Stopwatch(device)
        self.clear()

    def clear(self) -> None:
        """Forget everything and start the clock."""
        self.steps = 0
        self.sums: dict[str, float] = {}
        self.load_LE: dict[int, list[float]] = {}
        self.layer_steps: dict[int, int] = {}
        self.lr = 0.0
        self.watch.clear()
        self.resume()

    def resume(self, elapsed: float = 0.0) -> None:
        """Let the clock go on from ``elapsed`` seconds."""
        self.started = time.monotonic() - elapsed

    def elapsed(self) -> float:
        """Seconds of training since the last summary."""
        return time.monotonic() - self.started

    def add_step(self, step: StepSums, norm: float, lr: float) -> None:
        """Count one optimizer step."""
        names = ("loss", "ctc", "balance", "z_loss", "drop_rate", "utts", "frames")
        for name, value in [*((name, getattr(step, name)) for name in names), ("grad_norm", norm)]:
            self.sums[name] = self.sums.get(name, 0.0) + value
        for layer, load_E in step.load_LE.items():
            before = self.load_LE.get(layer, [0.0] * len(load_E))
            self.load_LE[layer] = [a + b for a, b in zip(before, load_E, strict=True)]
            self.layer_steps[layer] = self.layer_steps.get(layer, 0) + 1
        self.steps += 1
        self.lr = lr

    def state(self) -> dict[str, Any]:
        """What a second start needs to log the same means."""
        kept = ("steps", "sums", "load_LE", "layer_steps", "lr")
        return {"elapsed": self.elapsed(), **{name: getattr(self, name) for name in kept}}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`."""
        kept = dict(state)
        self.resume(kept.pop("elapsed"))
        vars(self).update(kept)

    def summary(self) -> dict[str, Any]:
        """Return the means; empty when no step was counted."""
        if not self.steps:
            return {}
        elapsed = max(1e-9, self.elapsed())
        names = ("loss", "ctc", "balance", "z_loss", "drop_rate", "grad_norm")
        loads = [[sum / self.layer_steps[n] for sum in self.load_LE[n]] for n in sorted(self.load_LE)]
        return {
            **{name: self.sums[name] / self.steps for name in names},
            "lr": self.lr,
            "utts_per_s": self.sums["utts"] / elapsed,
            "times_real_time": self.sums["frames"] * self.frame_seconds / elapsed,
            "time": self.watch.shares(),
            "memory_mib": peak_memory(self.watch.device) / 2**20,
            "load": loads,
        }


class Stopwatch:
    """Adds up the time of each part of a step: by the clock on a CPU, by events and without waiting on a GPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._events: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []

    @contextlib.contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Count the time of the block for ``part``. Waiting for data is the host's time on a GPU, too."""
        if self.device.type != "cuda" or part == "data":
            started = time.perf_counter()
            yield
            self.seconds[part] += time.perf_counter() - started
        else:
            first, last = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            first.record()
            yield
            last.record()
            self._events.append((part, first, last))

    def shares(self) -> dict[str, float]:
        """Share of each part in the time of all."""
        for part, first, last in self._events:
            last.synchronize()
            self.seconds[part] += first.elapsed_time(last) / 1000
        self._events = []
        total = sum(self.seconds.values()) or 1.0
        return {part: seconds / total for part, seconds in self.seconds.items()}


def peak_memory(device: torch.device) -> int:
    """Most bytes in use so far: of the GPU by PyTorch, or of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
