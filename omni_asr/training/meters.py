"""Running means of what training logs.

Shapes: L MoE layers, E experts.
"""

import time
from typing import Any

import torch
from torch import Tensor

from omni_asr.data.batch import Batch
from omni_asr.models.asr_model import Losses


class Meters:
    """Means since the last log line. Tensors stay on their device until a summary is asked for.

    Args:
        frame_seconds: step between two filterbank frames.
    """

    def __init__(self, frame_seconds: float) -> None:
        self.frame_seconds = frame_seconds
        self.clear()

    def clear(self) -> None:
        """Forget everything and start the clock."""
        self.sums: list[Tensor] = []
        self.load_LE: dict[int, Tensor] = {}
        self.layer_batches: dict[int, int] = {}
        self.batches = self.steps = self.utts = self.frames = 0
        self.norm, self.lr = 0.0, 0.0
        self.resume()

    def resume(self, elapsed: float = 0.0) -> None:
        """Let the clock go on from ``elapsed`` seconds."""
        self.started = time.monotonic() - elapsed

    def elapsed(self) -> float:
        """Seconds of training since the last summary."""
        return time.monotonic() - self.started

    def add_step(self, done: list[tuple[Batch, Losses]], norm: float, lr: float) -> None:
        """Count one optimizer step and its batches."""
        for batch, losses in done:
            parts = [losses.total.detach(), losses.ctc, losses.balance, losses.z_loss, losses.drop_rate]
            self.sums = [a + b for a, b in zip(self.sums, parts, strict=True)] if self.sums else parts
            for layer, load_E in losses.load_LE.items():
                self.load_LE[layer] = self.load_LE.get(layer, 0) + load_E
                self.layer_batches[layer] = self.layer_batches.get(layer, 0) + 1
            self.batches += 1
            self.utts += len(batch.utts)
            self.frames += int(batch.lengths_B.sum())
        self.steps += 1
        self.norm += norm
        self.lr = lr

    def state(self) -> dict[str, Any]:
        """Everything, so that a second start logs the same means."""
        kept = {name: value for name, value in vars(self).items() if name not in ("started", "frame_seconds")}
        return {"elapsed": self.elapsed(), **kept}

    def load_state(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from :meth:`state`."""
        kept = dict(state)
        self.resume(kept.pop("elapsed"))
        vars(self).update(kept)
        self.sums = [value.to(device) for value in self.sums]
        self.load_LE = {layer: load_E.to(device) for layer, load_E in self.load_LE.items()}

    def summary(self) -> dict[str, Any]:
        """Return the means; empty when no step was counted."""
        if not self.steps:
            return {}
        elapsed = max(1e-9, self.elapsed())
        loss, ctc, balance, z_loss, drop_rate = (torch.stack(self.sums) / self.batches).tolist()
        return {
            "loss": loss,
            "ctc": ctc,
            "balance": balance,
            "z_loss": z_loss,
            "drop_rate": drop_rate,
            "grad_norm": self.norm / self.steps,
            "lr": self.lr,
            "utts_per_s": self.utts / elapsed,
            "times_real_time": self.frames * self.frame_seconds / elapsed,
            "load": [(self.load_LE[layer] / self.layer_batches[layer]).tolist() for layer in sorted(self.load_LE)],
        }
