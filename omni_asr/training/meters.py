"""Running means of what training logs.

Shapes: L MoE layers, E experts.
"""

import time
from typing import Any

import torch
from torch import Tensor

from omni_asr.data.batch import Batch
from omni_asr.models.asr_model import Losses

FRAMES_PER_SECOND = 100


class Meters:
    """Means since the last log line. Tensors stay on their device until a summary is asked for."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything and start the clock."""
        self.sums: list[Tensor] = []
        self.load_LE: list[Tensor] = []
        self.batches = self.steps = self.utts = self.frames = 0
        self.norm, self.lr = 0.0, 0.0
        self.started = time.monotonic()

    def add(self, batch: Batch, losses: Losses) -> None:
        """Count one batch."""
        parts = [losses.total.detach(), losses.ctc, losses.balance, losses.z_loss]
        self.sums = [a + b for a, b in zip(self.sums, parts, strict=True)] if self.sums else parts
        if len(self.load_LE) == len(losses.load_LE):
            self.load_LE = [a + b for a, b in zip(self.load_LE, losses.load_LE, strict=True)]
        elif not self.load_LE:
            self.load_LE = losses.load_LE
        self.batches += 1
        self.utts += len(batch.utts)
        self.frames += int(batch.lengths_B.sum())

    def add_step(self, norm: float, lr: float) -> None:
        """Count one optimizer step."""
        self.steps += 1
        self.norm += norm
        self.lr = lr

    def state(self) -> dict[str, Any]:
        """Everything but the clock, so that a second start logs the same means."""
        return {name: value for name, value in vars(self).items() if name != "started"}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`; the clock starts anew."""
        vars(self).update(state)

    def summary(self) -> dict[str, Any]:
        """Return the means; empty when no step was counted."""
        if not self.steps:
            return {}
        elapsed = max(1e-9, time.monotonic() - self.started)
        loss, ctc, balance, z_loss = (torch.stack(self.sums) / self.batches).tolist()
        return {
            "loss": loss,
            "ctc": ctc,
            "balance": balance,
            "z_loss": z_loss,
            "grad_norm": self.norm / self.steps,
            "lr": self.lr,
            "utts_per_s": self.utts / elapsed,
            "times_real_time": self.frames / FRAMES_PER_SECOND / elapsed,
            "load": [(load_E / self.batches).tolist() for load_E in self.load_LE],
        }
