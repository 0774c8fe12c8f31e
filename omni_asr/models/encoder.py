"""The Transformer encoder: stacked frames, positions, pre-norm blocks in layer groups.

Shapes: B utterances, T filterbank frames, N valid encoder frames, F features, D model, S stacking factor.
"""

import re
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.errors import UserError
from omni_asr.models.attention import SelfAttention
from omni_asr.models.experts import FeedForward
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.packing import Packing
from omni_asr.models.positions import Cape
from omni_asr.models.routers import ROUTERS, Router, Routing


@dataclass
class EncoderOutput:
    """Hidden states of the valid frames and how each MoE layer routed them; None for a layer that was dropped."""

    x_ND: Tensor
    packing: Packing
    routings: list[Routing | None]


def parse_groups(experts: str) -> list[tuple[int, int]]:
    """Read ``"4x2-4x8"`` as [(4 layers, 2 experts), (4, 8)].

    Raises:
        UserError: the text has another form, or a group without layers.
    """
    groups = []
    for part in experts.split("-"):
        match = re.fullmatch(r"([1-9]\d*)x(\d+)", part.strip())
        if not match:
            raise UserError(f"model.experts is {experts!r}: write layers x experts joined by dashes, e.g. 4x2-4x4-4x8")
        groups.append((int(match[1]), int(match[2])))
    return groups


class FrameStacking(nn.Module):
    """Concatenate S frames and project to D. Output length is ``ceil(T_i / S)``, whatever the batch."""

    def __init__(self, config: ModelConfig, num_features: int) -> None:
        super().__init__()
        self.stack = config.stack
        self.linear = nn.Linear(config.stack * num_features, config.dim)

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Packing]:
        """(B, T, F) with zeros at padding -> the N valid stacks (N, D) and their packing."""
        packing = Packing.from_lengths(
            torch.div(lengths_B + self.stack - 1, self.stack, rounding_mode="floor"), x_BTF.device
        )
        stacks = packing.mask_BT.shape[1]
        x_BTF = F.pad(x_BTF, (0, 0, 0, stacks * self.stack - x_BTF.shape[1]))
        return self.linear(packing.pack(x_BTF.reshape(x_BTF.shape[0], stacks, -1))), packing


class Block(nn.Module):
    """Pre-norm Transformer block: ``x + MHSA(LN1 x)``, then ``x + FFN(LN2 x)``."""

    def __init__(self, config: ModelConfig, experts: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attention = SelfAttention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.ffn = MixtureOfExperts(config, experts) if experts > 1 else FeedForward(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_ND: Tensor, packing: Packing, router: Router | None, layer: int
    ) -> tuple[Tensor, Routing | None]:
        """(N, D) -> (N, D), and the routing if the block is a mixture of experts."""
        x_ND = x_ND + self.dropout(self.attention(self.norm1(x_ND), packing))
        h_ND, routing = self.norm2(x_ND), None
        if isinstance(self.ffn, MixtureOfExperts):
            assert router is not None
            y_ND, routing = self.ffn(h_ND, router, layer)
        else:
            y_ND = self.ffn(h_ND)
        return x_ND + self.dropout(y_ND), routing


class LayerGroup(nn.Module):
    """Consecutive blocks with the same number of experts, and the router that serves them."""

    def __init__(self, config: ModelConfig, layers: int, experts: int) -> None:
        super().__init__()
        experts = 1 if config.router == "dense" else experts
        self.router = ROUTERS[config.router](config, experts, layers) if experts > 1 else None
        self.blocks = nn.ModuleList(Block(config, experts) for _ in range(layers))
        self.layer_drop = config.layer_drop

    def forward(self, x_ND: Tensor, packing: Packing) -> tuple[Tensor, list[Routing | None]]:
        """(N, D) -> (N, D) and the routings of the group's MoE layers, None where one was dropped."""
        routings: list[Routing | None] = []
        for layer, block in enumerate(self.blocks):
            if self.training and self.layer_drop > 0 and torch.rand(()).item() < self.layer_drop:
                routing = None
            else:
                x_ND, routing = block(x_ND, packing, self.router, layer)
            if self.router is not None:
                routings.append(routing)
        return x_ND, routings


class Encoder(nn.Module):
    """Frame stacking, CAPE, layer groups and a final LayerNorm."""

    def __init__(self, config: ModelConfig, num_features: int) -> None:
        super().__init__()
        if config.dim % config.heads:
            raise UserError(f"model.dim ({config.dim}) must be a multiple of model.heads ({config.heads})")
        self.stacking = FrameStacking(config, num_features)
        self.positions = Cape(config)
        self.dropout = nn.Dropout(config.dropout)
        self.groups = nn.ModuleList(LayerGroup(config, *group) for group in parse_groups(config.experts))
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> EncoderOutput:
        """Encode normalised filterbanks (B, T, F), zero at padding, of ``lengths_B`` valid frames each."""
        x_ND, packing = self.stacking(x_BTF, lengths_B)
        x_ND = self.dropout(x_ND + self.positions(packing).to(x_ND.dtype))
        routings: list[Routing | None] = []
        for group in self.groups:
            x_ND, group_routings = group(x_ND, packing)
            routings += group_routings
        return EncoderOutput(self.norm(x_ND), packing, routings)
