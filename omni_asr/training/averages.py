"""Averages of the weights over steps: what a noisy last step is not."""

from typing import Any

import torch
from torch import Tensor, nn

from omni_asr.training.layout import here, like, whole


class Averages:
    """The mean of the weights over all steps since the last validation, and their exponential moving average.

    The moving average decays by ``(1 + t) / (10 + t)`` at step t, from 0, until that exceeds ``decay``, so that the
    random weights it begins with are soon forgotten, however short the training.

    Both are brought up to date after every step, in the precision of the weights and on their device, so that a state
    that is saved between two validations holds them exactly.

    Args:
        model: its trainable parameters are averaged.
        running: keep the mean.
        decay: of the moving average, such as 0.999; 0 keeps none.
    """

    def __init__(self, model: nn.Module, running: bool, decay: float) -> None:
        self.parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.decay = decay
        self.steps = 0
        self.all_steps = 0
        """Steps since the start of training."""
        self.kept: dict[str, dict[str, Tensor]] = {}
        for name in [*(["running"] if running else []), *(["ema"] if decay > 0 else [])]:
            self.kept[name] = {key: p.detach().clone() for key, p in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights after a step."""
        decay = min(self.decay, (1 + self.all_steps) / (10 + self.all_steps))
        self.steps += 1
        self.all_steps += 1
        for name, weights in self.kept.items():
            weight = 1 / self.steps if name == "running" else 1 - decay
            parts = [here(value) for value in weights.values()]
            torch._foreach_lerp_(parts, [here(p.detach()) for p in self.parameters.values()], weight)

    def restart(self) -> None:
        """Let the running mean begin anew with the next step."""
        self.steps = 0

    def state(self, keep: bool = True) -> dict[str, Any]:
        """Whole tensors by name of average and parameter; every rank must ask, and those that ``keep`` get them."""
        whole_ones = {name: {key: whole(w, keep) for key, w in weights.items()} for name, weights in self.kept.items()}
        return {"steps": self.steps, "all_steps": self.all_steps, **whole_ones}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on from :meth:`state`; an average that it lacks goes on from the present weights."""
        self.steps, self.all_steps = state["steps"], state["all_steps"]
        for name in self.kept:
            for key, parameter in self.parameters.items():
                weight = parameter.detach()
                self.kept[name][key] = like(state[name][key], weight) if name in state else weight.clone()
