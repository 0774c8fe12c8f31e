"""Feed-forward blocks: the dense one, and the experts of a mixture.

Shapes: N frames, D model, H hidden, E experts.
"""

import typing

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from omni_asr.config import ModelConfig
from omni_asr.models.backends import BACKENDS, ExpertWeights, choose_backend
from omni_asr.models.expert_parallel import across
from omni_asr.models.routers import Routing


class FeedForward(nn.Module):
    """``Linear-ReLU-Linear`` with biases: the dense block."""

    def __init__(self, config: ModelConfig, hidden: int) -> None:
        super().__init__()
        self.linear_in = nn.Linear(config.dim, hidden)
        self.linear_out = nn.Linear(hidden, config.dim)
        self.dropout = nn.Dropout(config.dropout)
        for linear in (self.linear_in, self.linear_out):
            bound = linear.in_features**-0.5
            nn.init.uniform_(linear.weight, -bound, bound)
            nn.init.zeros_(linear.bias)

    def forward(self, x_ND: Tensor) -> Tensor:
        """(N, D) -> (N, D)."""
        return self.linear_out(self.dropout(F.relu(self.linear_in(x_ND))))


class Experts(nn.Module):
    """E feed-forward blocks side by side, weights stacked along the first axis."""

    def __init__(self, config: ModelConfig, experts: int) -> None:
        super().__init__()
        D, H = config.dim, config.hidden
        self.w_in_EHD = nn.Parameter(torch.empty(experts, H, D).uniform_(-(D**-0.5), D**-0.5))
        self.b_in_EH = nn.Parameter(torch.zeros(experts, H))
        self.w_out_EHD = nn.Parameter(torch.empty(experts, H, D).uniform_(-(H**-0.5), H**-0.5))
        self.b_out_ED = nn.Parameter(torch.zeros(experts, D))
        self.dropout = config.dropout
        self.backend = config.backend
        self.group: dist.ProcessGroup | None = None
        """Processes that the experts are spread over (``omni_asr/models/expert_parallel.py``); None: all are here."""

    def forward(self, x_ND: Tensor, routing: Routing) -> Tensor:
        """Send the frames (N, D) where ``routing`` says; returns the weighted sums (N, D)."""
        dtype = _compute_dtype(x_ND)
        backend = BACKENDS[choose_backend(self.backend, x_ND.device, dtype, x_ND.shape[1], self.b_in_EH.shape[1])]
        stacked: tuple[Tensor, ...] = (self.w_in_EHD, self.b_in_EH, self.w_out_EHD, self.b_out_ED)
        if self.group is not None:
            backend = across(self.group, backend)
            stacked = tuple(typing.cast(DTensor, weight).to_local() for weight in stacked)
        weights = ExpertWeights(*(weight.to(dtype) for weight in stacked))  # autocast knows none of these products
        dropout = self.dropout if self.training else 0.0
        return backend(x_ND.to(dtype), routing.gate_NK.to(dtype), routing.dispatch, weights, dropout)


def _compute_dtype(x: Tensor) -> torch.dtype:
    """What autocast would compute a matrix product in."""
    device = x.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x.dtype
