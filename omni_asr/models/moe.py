"""The mixture-of-experts block: route, send through the experts, weigh by the gate.

Shapes: N valid frames, D model, E experts.
"""

from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.experts import Experts
from omni_asr.models.routers import Router, Routing


class MixtureOfExperts(nn.Module):
    """``y = p[e] * FFN_e(h)`` with ``e = argmax p`` (Fedus et al. 2021, equation 2); the router is the group's."""

    def __init__(self, config: ModelConfig, experts: int) -> None:
        super().__init__()
        self.experts = Experts(config, experts)

    def forward(self, h_ND: Tensor, router: Router, layer: int) -> tuple[Tensor, Routing]:
        """(N, D) -> (N, D) and the routing that led there; ``layer`` counts within the router's group."""
        routing = router(h_ND, layer)
        y_ND = self.experts(h_ND, routing.expert_N, routing.counts_E())
        return y_ND * routing.gate_N[:, None].to(y_ND.dtype), routing
