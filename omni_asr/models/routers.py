"""Routers: which expert each frame goes to.

One router object serves all layers of a layer group and is told which layer asks. That is where the routers differ:
``switch`` keeps weights per layer, ``omni`` uses the same weights for every layer. Adding a router is one class with
``logits`` and one line in ``ROUTERS``.

Shapes: N valid frames, D model, E experts.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from omni_asr.config import ModelConfig


@dataclass
class Routing:
    """The decisions of one layer for N frames. All in float32."""

    logits_NE: Tensor
    probs_NE: Tensor
    expert_N: Tensor
    """Chosen expert: argmax of the probabilities."""
    gate_N: Tensor
    """Probability of the chosen expert, not renormalised: it carries the task's gradient into the router."""

    def counts_E(self) -> Tensor:
        """Number of frames sent to each expert."""
        return torch.bincount(self.expert_N, minlength=self.probs_NE.shape[1])

    def balance(self) -> Tensor:
        """Load-balance loss ``E * sum_e f_e P_e`` (Fedus et al. 2021, equation 4); 1 when the load is even."""
        experts = self.probs_NE.shape[1]
        frames = max(1, self.probs_NE.shape[0])
        return experts * (self.counts_E() / frames * self.probs_NE.sum(0) / frames).sum()

    def z_loss(self) -> Tensor:
        """Mean squared log-partition of the logits (Zoph et al. 2022, equation 5)."""
        return self.logits_NE.logsumexp(1).square().sum() / max(1, self.logits_NE.shape[0])


class Router(nn.Module, ABC):
    """Top-1 routing for the layers of one group; subclasses say where a layer's logits come from."""

    def __init__(self, config: ModelConfig, experts: int, layers: int) -> None:
        super().__init__()
        self.jitter = config.router_jitter

    @abstractmethod
    def logits(self, h_ND: Tensor, layer: int) -> Tensor:
        """Return the logits (N, E) that layer number ``layer`` of the group gives to its own input."""

    def forward(self, h_ND: Tensor, layer: int) -> Routing:
        """Route the N valid frames that layer number ``layer`` sees; in float32 whatever the rest runs in."""
        with torch.autocast(h_ND.device.type, enabled=False):
            logits_NE = self.logits(h_ND.float() if h_ND.dtype.itemsize < 4 else h_ND, layer)
            if self.training and self.jitter > 0:
                logits_NE = logits_NE + self.jitter * torch.randn_like(logits_NE)
            probs_NE = logits_NE.softmax(1)
            gate_N, expert_N = probs_NE.max(1)
        return Routing(logits_NE, probs_NE, expert_N, gate_N)


class SwitchRouter(Router):
    """A router of its own in every layer (Fedus et al. 2021)."""

    def __init__(self, config: ModelConfig, experts: int, layers: int) -> None:
        super().__init__(config, experts, layers)
        self.linears = nn.ModuleList(nn.Linear(config.dim, experts) for _ in range(layers))
        for linear in self.linears:
            _initialise(linear)

    def logits(self, h_ND: Tensor, layer: int) -> Tensor:
        """``h W_layer + b_layer``."""
        return self.linears[layer](h_ND)


class OmniRouter(Router):
    """One router shared by all layers of the group, each routing on its own hidden state (arXiv 2507.05724)."""

    def __init__(self, config: ModelConfig, experts: int, layers: int) -> None:
        super().__init__(config, experts, layers)
        self.linear = nn.Linear(config.dim, experts)
        _initialise(self.linear)

    def logits(self, h_ND: Tensor, layer: int) -> Tensor:
        """``h W + b`` with the same W and b in every layer."""
        return self.linear(h_ND)


class LoadCounter:
    """Adds up, over batches, how many frames each expert of each MoE layer gets."""

    def __init__(self) -> None:
        self.counts_LE: list[Tensor] = []

    def add(self, routings: Sequence[Routing | None]) -> None:
        """Count the frames of one batch; layers that did not run are left out."""
        counts_LE = [routing.counts_E() for routing in routings if routing is not None]
        pairs = zip(self.counts_LE, counts_LE, strict=True)
        self.counts_LE = [a + b for a, b in pairs] if self.counts_LE else counts_LE

    def shares(self) -> list[list[float]]:
        """Share of the frames of each expert, layer by layer."""
        return [(counts_E / counts_E.sum().clamp(min=1)).tolist() for counts_E in self.counts_LE]


def _initialise(linear: nn.Module) -> None:
    assert isinstance(linear, nn.Linear)
    bound = linear.in_features**-0.5
    nn.init.uniform_(linear.weight, -bound, bound)
    nn.init.zeros_(linear.bias)


ROUTERS: dict[str, type[Router]] = {"switch": SwitchRouter, "omni": OmniRouter}
"""What ``--router`` selects beside ``dense``, which has no router."""
