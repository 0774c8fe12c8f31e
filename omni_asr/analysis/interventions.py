"""What is done to decisions to see how much they matter: frames sent elsewhere, experts swapped or removed.

Shapes: N frames, E experts, K experts per frame.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from omni_asr.models.asr_model import AsrModel
from omni_asr.models.routers import Intervention


class Reroute(Intervention):
    """Sends a share of the frames to experts drawn at random; their gates stay."""

    def __init__(self, rate: float, seed: int = 0) -> None:
        self.rate = rate
        self.generator = torch.Generator().manual_seed(seed)

    def experts(self, expert_NK: Tensor, experts: int, layer: int) -> Tensor:
        """Draw anew for every layer and batch."""
        chosen_N1 = torch.rand(len(expert_NK), 1, generator=self.generator) < self.rate
        other_NK = torch.randint(experts, expert_NK.shape, generator=self.generator)
        return torch.where(chosen_N1.to(expert_NK.device), other_NK.to(expert_NK.device), expert_NK)


class Permute(Intervention):
    """Swaps the experts of every layer: each keeps its frames together, but none keeps its own."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def experts(self, expert_NK: Tensor, experts: int, layer: int) -> Tensor:
        """Rename by a rotation drawn for the layer, so that no expert stays where it was."""
        generator = torch.Generator().manual_seed(self.seed + layer)
        shift = int(torch.randint(1, experts, (), generator=generator)) if experts > 1 else 0
        return (expert_NK + shift) % experts


class Remove(Intervention):
    """Takes one expert of one layer away: its frames go to the next best."""

    def __init__(self, layer: int, expert: int) -> None:
        self.layer, self.expert = layer, expert

    def removed(self, layer: int) -> list[int]:
        """The one expert, in its layer."""
        return [self.expert] if layer == self.layer else []


@contextmanager
def intervene(model: AsrModel, make: Callable[[int], Intervention]) -> Iterator[None]:
    """Let interventions act; ``make(first)`` gives that of the group whose first MoE layer is number ``first``."""
    first = 0
    routers = model.encoder.routers()
    try:
        for router in routers:
            router.intervention = make(first)
            first += router.layers
        yield
    finally:
        for router in routers:
            router.intervention = Intervention()
