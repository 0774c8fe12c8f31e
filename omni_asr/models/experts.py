"""Feed-forward blocks: the dense one, and the experts of a mixture.

An expert back end computes ``FFN_e(x)`` for frames that are already sorted by expert. All share one contract,
``backend(x_ND, counts_E, weights, dropout) -> y_ND``, and agree in value and gradient; ``loop`` is the specification.

Shapes: N frames, D model, H hidden, E experts.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.rows import place_rows, take_rows


class ExpertWeights(NamedTuple):
    """``FFN_e(x) = ReLU(x w_in[e] + b_in[e]) w_out[e] + b_out[e]`` for every expert."""

    w_in_EDH: Tensor
    b_in_EH: Tensor
    w_out_EHD: Tensor
    b_out_ED: Tensor


Backend = Callable[[Tensor, Tensor, ExpertWeights, float], Tensor]


class FeedForward(nn.Module):
    """``Linear-ReLU-Linear`` with biases: the dense block."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear_in = nn.Linear(config.dim, config.hidden)
        self.linear_out = nn.Linear(config.hidden, config.dim)
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
        self.w_in_EDH = nn.Parameter(torch.empty(experts, D, H).uniform_(-(D**-0.5), D**-0.5))
        self.b_in_EH = nn.Parameter(torch.zeros(experts, H))
        self.w_out_EHD = nn.Parameter(torch.empty(experts, H, D).uniform_(-(H**-0.5), H**-0.5))
        self.b_out_ED = nn.Parameter(torch.zeros(experts, D))
        self.dropout = config.dropout
        self.backend = config.backend

    def forward(self, x_ND: Tensor, expert_N: Tensor, counts_E: Tensor) -> Tensor:
        """Send frame n through expert ``expert_N[n]``: (N, D) -> (N, D). ``counts_E`` is the load of each expert."""
        backend = BACKENDS[choose_backend(self.backend, x_ND.device)]
        order_N = torch.argsort(expert_N, stable=True)
        dropout = self.dropout if self.training else 0.0
        weights = ExpertWeights(self.w_in_EDH, self.b_in_EH, self.w_out_EHD, self.b_out_ED)
        y_ND = backend(take_rows(x_ND, order_N), counts_E, weights, dropout)
        return place_rows(y_ND, order_N, len(y_ND))


def loop_experts(x_ND: Tensor, counts_E: Tensor, weights: ExpertWeights, dropout: float) -> Tensor:
    """One expert after the other. ``unbind`` gives every weight slice a gradient of its own size, never padded."""
    pieces = x_ND.split(counts_E.tolist())
    stacks = (weight.unbind(0) for weight in weights)
    outputs = []
    for x, w_in, b_in, w_out, b_out in zip(pieces, *stacks, strict=True):
        hidden = F.dropout(F.relu(torch.addmm(b_in, x, w_in)), dropout, training=dropout > 0)
        outputs.append(torch.addmm(b_out, hidden, w_out))
    return torch.cat(outputs)


def grouped_experts(x_ND: Tensor, counts_E: Tensor, weights: ExpertWeights, dropout: float) -> Tensor:
    """All experts in two grouped matrix products, without waiting for the loads on the host."""
    dtype = _compute_dtype(x_ND)
    w_in_EDH, b_in_EH, w_out_EHD, b_out_ED = (weight.to(dtype) for weight in weights)
    offsets_E = counts_E.cumsum(0).to(torch.int32)
    expert_N = torch.repeat_interleave(counts_E, output_size=x_ND.shape[0])
    hidden_NH = F.relu(F.grouped_mm(x_ND.to(dtype), w_in_EDH, offs=offsets_E) + b_in_EH[expert_N])
    hidden_NH = F.dropout(hidden_NH, dropout, training=dropout > 0)
    return F.grouped_mm(hidden_NH, w_out_EHD, offs=offsets_E) + b_out_ED[expert_N]


def _compute_dtype(x_ND: Tensor) -> torch.dtype:
    """What autocast would compute a matrix product in; it does not know grouped products."""
    device = x_ND.device.type
    return torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else x_ND.dtype


BACKENDS: dict[str, Backend] = {"loop": loop_experts, "grouped": grouped_experts}


def choose_backend(wanted: str, device: torch.device) -> str:
    """Resolve ``auto``: grouped products where one kernel computes them, the loop elsewhere."""
    if wanted != "auto":
        return wanted
    return "grouped" if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] in (9, 10) else "loop"
