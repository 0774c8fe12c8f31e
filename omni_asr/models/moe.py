"""The mixture-of-experts block: route, send through the experts, weigh by the gate.

Shapes: N valid frames, D model, E experts, K experts per frame.
"""

from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.experts import Experts, FeedForward
from omni_asr.models.routers import Route, Routing


class MixtureOfExperts(nn.Module):
    """``y = sum_k gate_k * FFN_{e_k}(h)``; at K = 1 that is ``max(p) * FFN_argmax(p)(h)`` (Fedus et al. 2021, eq. 2).

    ``shared_experts`` more work on every frame, unrouted and unweighted (DeepSeekMoE, arXiv 2401.06066). S experts
    whose outputs add up are one feed-forward block of S times the width.
    """

    def __init__(self, config: ModelConfig, experts: int) -> None:
        super().__init__()
        self.experts = Experts(config, experts)
        width = config.shared_experts * config.hidden
        self.shared = FeedForward(config, width) if width else None

    def forward(self, h_ND: Tensor, route: Route) -> tuple[Tensor, Routing]:
        """(N, D) -> (N, D) and the routing that led there; ``route`` is the group's router, asked by this layer."""
        routing = route(h_ND)
        y_ND = self.experts(h_ND, routing)
        return y_ND if self.shared is None else y_ND + self.shared(h_ND), routing
