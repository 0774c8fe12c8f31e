"""The Transformer encoder: stacked frames, positions, pre-norm blocks in layer groups.

Shapes: B utterances, T filterbank frames, N valid encoder frames, F features, D model, S stacking factor.
"""

import contextlib
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from omni_asr.config import ModelConfig
from omni_asr.errors import UserError
from omni_asr.models.attention import Cache, SelfAttention
from omni_asr.models.experts import FeedForward
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.packing import Packing
from omni_asr.models.positions import Cape
from omni_asr.models.routers import Frames, Route, Router, Routing, make_router


@dataclass
class EncoderOutput:
    """Hidden states of the valid frames and how each MoE layer routed them; None for a layer that was dropped."""

    x_ND: Tensor
    packing: Packing
    routings: list[Routing | None]


@dataclass
class StreamState:
    """What the encoder remembers of an utterance that comes in chunks (``causal: true``)."""

    frames: int = 0
    """Encoder frames so far."""
    ended: bool = False
    """Whether a chunk that was no whole number of stacks has ended the utterance."""
    caches: dict[int, Cache] = field(default_factory=dict)
    """Keys and values that each block's attention has seen, by number of the block."""


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

    def forward(self, x_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor, Packing]:
        """(B, T, F) with zeros at padding -> the N valid frames (N, D), the stacks (N, S * F), and their packing."""
        packing = Packing.from_lengths(
            torch.div(lengths_B + self.stack - 1, self.stack, rounding_mode="floor"), x_BTF.device
        )
        stacks = packing.mask_BT.shape[1]
        x_BTF = F.pad(x_BTF, (0, 0, 0, stacks * self.stack - x_BTF.shape[1]))
        stacked_NX = packing.pack(x_BTF.reshape(x_BTF.shape[0], stacks, -1))
        return self.linear(stacked_NX), stacked_NX, packing


class Block(nn.Module):
    """Pre-norm Transformer block: ``x + MHSA(LN1 x)``, then ``x + FFN(LN2 x)``."""

    def __init__(self, config: ModelConfig, experts: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.dim)
        self.attention = SelfAttention(config)
        self.norm2 = nn.LayerNorm(config.dim)
        self.ffn = MixtureOfExperts(config, experts) if experts > 1 else FeedForward(config, config.hidden)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self, x_ND: Tensor, packing: Packing, route: Route | None, cache: Cache | None = None
    ) -> tuple[Tensor, Routing | None]:
        """(N, D) -> (N, D), and the routing if the block is a mixture of experts."""
        x_ND = x_ND + self.dropout(self.attention(self.norm1(x_ND), packing, cache))
        h_ND, routing = self.norm2(x_ND), None
        if isinstance(self.ffn, MixtureOfExperts):
            assert route is not None
            y_ND, routing = self.ffn(h_ND, route)
        else:
            y_ND = self.ffn(h_ND)
        return x_ND + self.dropout(y_ND), routing


class LayerGroup(nn.Module):
    """Consecutive blocks with the same number of experts, and the router that serves them."""

    def __init__(self, config: ModelConfig, layers: int, experts: int, inputs: int) -> None:
        super().__init__()
        experts = 1 if config.router == "dense" else experts
        self.router: Router | None = make_router(config, experts, layers, inputs) if experts > 1 else None
        self.blocks = nn.ModuleList(Block(config, experts) for _ in range(layers))
        self.layer_drop = config.layer_drop
        self.recompute = config.recompute

    def forward(
        self, x_ND: Tensor, packing: Packing, stacked_NX: Tensor, caches: list[Cache] | None = None
    ) -> tuple[Tensor, list[Routing | None]]:
        """(N, D) -> (N, D) and the routings of the group's MoE layers, None where one was dropped.

        ``stacked_NX`` is what entered the encoder; ``caches``, one per block, continue a stream.
        """
        routings: list[Routing | None] = []
        previous: Routing | None = None
        for layer, block in enumerate(self.blocks):
            routing = None
            if not (self.training and self.layer_drop > 0 and torch.rand(()).item() < self.layer_drop):
                route = self._route(layer, stacked_NX, previous)
                arguments = (x_ND, packing, route, None if caches is None else caches[layer])
                if self.recompute and self.training:
                    x_ND, routing = checkpoint(block, *arguments, use_reentrant=False)
                else:
                    x_ND, routing = block(*arguments)
            if self.router is not None:
                routings.append(routing)
                previous = routing or previous
        return x_ND, routings

    def _route(self, layer: int, stacked_NX: Tensor, previous: Routing | None) -> Route | None:
        """The router as it answers one layer in one pass."""
        router = self.router
        if router is None:
            return None
        return lambda h_ND: router(Frames(h_ND, layer, stacked_NX, previous))


class Encoder(nn.Module):
    """Frame stacking, CAPE, layer groups and a final LayerNorm."""

    def __init__(self, config: ModelConfig, num_features: int) -> None:
        super().__init__()
        if config.dim % config.heads:
            raise UserError(f"model.dim ({config.dim}) must be a multiple of model.heads ({config.heads})")
        self.stacking = FrameStacking(config, num_features)
        self.positions = Cape(config)
        self.dropout = nn.Dropout(config.dropout)
        if config.router != "dense" and all(experts < 2 for _, experts in parse_groups(config.experts)):
            nothing = f"--router {config.router} has nothing to route, since model.experts is {config.experts}"
            advice = "use --router dense, or give a group at least 2 experts"
            raise UserError(f"{nothing}; {advice}")
        inputs = config.stack * num_features
        self.groups = nn.ModuleList(LayerGroup(config, *group, inputs) for group in parse_groups(config.experts))
        self.norm = nn.LayerNorm(config.dim)
        self.causal = config.causal

    def forward(self, x_BTF: Tensor, lengths_B: Tensor, state: StreamState | None = None) -> EncoderOutput:
        """Encode normalised filterbanks (B, T, F), zero at padding, of ``lengths_B`` valid frames each.

        With ``state``, x is the next chunk of one utterance (B = 1): a whole number of stacks, unless it is the last.
        """
        x_ND, stacked_NX, packing = self.stacking(x_BTF, lengths_B)
        offset = 0 if state is None else state.frames
        # The positions are float32, and so is every sum of the residual stream from here on, also under autocast:
        # rounded to bfloat16 in each layer, it would change what the routers of late layers choose.
        x_ND = self.dropout(x_ND + self.positions(packing, offset))
        routings: list[Routing | None] = []
        block = 0
        for group in self.layer_groups():
            numbers = range(block, block := block + len(group.blocks))
            caches = None if state is None else [state.caches.setdefault(n, Cache()) for n in numbers]
            x_ND, group_routings = group(x_ND, packing, stacked_NX, caches)
            routings += group_routings
        if state is not None:
            state.frames += len(x_ND)
        return EncoderOutput(self.norm(x_ND), packing, routings)

    def open_stream(self) -> StreamState:
        """A state for an utterance that comes in chunks.

        Raises:
            UserError: the model is not causal, or its router decides by frames that have not come yet.
        """
        if self.training:
            raise UserError("a model streams in evaluation mode; call eval() first")
        if not self.causal:
            raise UserError("this model sees the whole utterance at once; train one with model.causal: true to stream")
        for router in self.routers():
            if not router.streams or router.force_balanced:
                name = type(router).__name__
                raise UserError(f"{name} decides by more than the frames so far, so this model cannot stream")
        return StreamState()

    def layer_groups(self) -> list[LayerGroup]:
        """The layer groups in order."""
        return typing.cast(list[LayerGroup], list(self.groups))

    def routers(self) -> list[Router]:
        """The routers of the layer groups that have one."""
        return [group.router for group in self.layer_groups() if group.router is not None]

    @contextlib.contextmanager
    def all_layers(self) -> Iterator[None]:
        """Drop no layer during the block."""
        before = [group.layer_drop for group in self.layer_groups()]
        for group in self.layer_groups():
            group.layer_drop = 0.0
        try:
            yield
        finally:
            for group, layer_drop in zip(self.layer_groups(), before, strict=True):
                group.layer_drop = layer_drop

    def experts_of_layers(self) -> list[int]:
        """Number of experts of each MoE layer."""
        groups = [(group.router, len(group.blocks)) for group in self.layer_groups()]
        return [router.experts for router, layers in groups if router is not None for _ in range(layers)]

    def move_biases(self, load_LE: dict[int, Tensor]) -> None:
        """Let the balancing biases follow the load of a step, by number of the MoE layer (``balance: bias``)."""
        first = 0
        for group in self.layer_groups():
            if group.router is not None:
                for layer in range(len(group.blocks)):
                    if first + layer in load_LE:
                        group.router.move_bias(layer, load_LE[first + layer])
                first += len(group.blocks)
