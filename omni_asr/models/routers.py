"""Routers: which experts each frame goes to, and with what weight.

One router object serves all layers of a layer group and is told which layer asks. That is where the routers differ:
``switch`` keeps weights per layer, ``omni`` uses the same weights for every layer. Adding a router is one class with
``logits`` and one line in ``ROUTERS``. What turns logits into decisions (score, top-k, balancing bias, capacity) is
common to all.

Shapes: N valid frames, D model, X features of a stacked input frame, E experts, K experts per frame, M slots.
"""

import difflib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.errors import UserError

TINY = 1e-30  # below any sum of scores that can be divided by


class Dispatch(NamedTuple):
    """Which slot goes where. A slot is one choice of one frame; slot ``k * N + n`` is choice k of frame n."""

    slot_M: Tensor
    """The slots sorted by expert, and in the order of the frames within an expert; dropped slots are left out."""
    counts_E: Tensor
    """How many of the sorted slots belong to each expert."""


@dataclass
class Routing:
    """The decisions of one layer for N frames. Scores and gates are float32 or wider."""

    logits_NE: Tensor
    probs_NE: Tensor
    """Scores that sum to 1 over the experts."""
    expert_NK: Tensor
    """Chosen experts, the best first."""
    gate_NK: Tensor
    """Weight of each choice. At K = 1 the score itself, not renormalised: it carries the task's gradient."""
    capacity: int | None = None
    """Most slots that an expert takes; None for no limit."""

    @cached_property
    def counts_E(self) -> Tensor:
        """Number of slots that chose each expert, dropped ones included."""
        counts_E = torch.zeros(self.probs_NE.shape[1], dtype=torch.int64, device=self.expert_NK.device)
        return counts_E.scatter_add_(0, self.expert_NK.flatten(), torch.ones_like(self.expert_NK.flatten()))

    @cached_property
    def load_E(self) -> Tensor:
        """Share of the slots that chose each expert."""
        return self.counts_E / max(1, self.expert_NK.numel())

    @cached_property
    def dispatch(self) -> Dispatch:
        """The slots by expert, sorted once for all layers that share this routing.

        Beyond the capacity of an expert the later slots are dropped, second choices before first ones (Lepikhin et al.
        2020, section 2.2). Dropping waits for the host; without it nothing does.
        """
        expert_M = self.expert_NK.T.flatten()
        slot_M = torch.argsort(expert_M, stable=True)
        if self.capacity is None:
            return Dispatch(slot_M, self.counts_E)
        first_E = self.counts_E.cumsum(0) - self.counts_E
        rank_M = torch.arange(len(slot_M), device=slot_M.device) - first_E[expert_M[slot_M]]
        return Dispatch(slot_M[rank_M < self.capacity], self.counts_E.clamp(max=self.capacity))

    def drop_rate(self) -> Tensor:
        """Share of the slots that no expert had room for."""
        if self.capacity is None:
            return self.probs_NE.new_zeros(())
        return 1 - self.dispatch.counts_E.sum() / max(1, self.expert_NK.numel())

    def balance(self) -> Tensor:
        """Load-balance loss ``E * sum_e f_e P_e`` (Fedus et al. 2021, equation 4); 1 when the load is even."""
        frames, experts = self.probs_NE.shape
        return experts * (self.load_E * self.probs_NE.sum(0) / max(1, frames)).sum()

    def z_loss(self) -> Tensor:
        """Mean squared log-partition of the logits (Zoph et al. 2022, equation 5)."""
        return self.logits_NE.logsumexp(1).square().sum() / max(1, self.logits_NE.shape[0])


@dataclass
class Frames:
    """What a router sees of the N frames when a layer asks."""

    h_ND: Tensor
    """The layer's own input: normalised hidden states."""
    layer: int
    """Number of the layer within the group, from 0."""
    stacked_NX: Tensor | None = None
    """The input of the encoder: stacked, normalised filterbank frames."""
    previous: Routing | None = None
    """Routing of the layer before in the same group; None for the first."""


class Intervention:
    """Changes decisions for an experiment; this one changes nothing (see ``omni_asr/analysis``)."""

    def removed(self, layer: int) -> list[int]:
        """Experts that layer number ``layer`` of the group may not choose; gates stay the scores they were."""
        return []

    def experts(self, expert_NK: Tensor, experts: int, layer: int) -> Tensor:
        """Send frames to other experts than were chosen; the gates stay as they are."""
        return expert_NK


class Router(nn.Module, ABC):
    """Routing for the layers of one group; subclasses say where a layer's logits come from.

    Args:
        config: options of the model.
        experts: number of experts E of the group's layers.
        layers: number of layers in the group.
        inputs: features X of a stacked input frame.
    """

    streams = True
    """Whether a decision needs no frame that comes later: what streaming asks for."""
    bias_LE: Tensor | None

    def __init__(self, config: ModelConfig, experts: int, layers: int, inputs: int) -> None:
        super().__init__()
        self.experts, self.layers = experts, layers
        self.top_k = config.top_k
        self.sigmoid = config.score == "sigmoid"
        self.jitter = config.router_jitter
        self.capacity_factor = config.capacity_factor
        self.bias_rate = config.bias_rate
        self.force_balanced = config.force_balanced
        self.intervention = Intervention()
        # Zeros that only the load moves (Wang et al. 2024, arXiv 2408.15664); part of the model's state.
        self.register_buffer("bias_LE", torch.zeros(layers, experts) if config.balance == "bias" else None)

    @abstractmethod
    def logits(self, frames: Frames) -> Tensor:
        """Return the logits (N, E) for a layer's frames."""

    def forward(self, frames: Frames) -> Routing:
        """Route the N valid frames that a layer sees; in float32 whatever the rest runs in."""
        with torch.autocast(frames.h_ND.device.type, enabled=False):
            logits_NE = self.logits(frames)
            if self.training and self.jitter > 0:
                logits_NE = logits_NE + self.jitter * torch.randn_like(logits_NE)
            return self.decide(logits_NE, frames.layer)

    def decide(self, logits_NE: Tensor, layer: int) -> Routing:
        """Turn a layer's logits (N, E) into its routing."""
        scores_NE = logits_NE.sigmoid() if self.sigmoid else logits_NE.softmax(1)
        open_NE = scores_NE.detach()
        for expert in self.intervention.removed(layer):
            open_NE = open_NE.index_fill(1, torch.tensor([expert], device=open_NE.device), -torch.inf)
        expert_NK = self.choose(open_NE, layer)
        gate_NK = self.gates(scores_NE, expert_NK)
        expert_NK = self.intervention.experts(expert_NK, self.experts, layer)
        probs_NE = scores_NE / scores_NE.sum(1, keepdim=True).clamp(min=TINY) if self.sigmoid else scores_NE
        return Routing(logits_NE, probs_NE, expert_NK, gate_NK, self._capacity(len(expert_NK)))

    def choose(self, scores_NE: Tensor, layer: int) -> Tensor:
        """The K experts of each frame (N, K): those with the highest score and balancing bias."""
        if self.force_balanced:
            slot_NK = torch.arange(scores_NE.shape[0] * self.top_k, device=scores_NE.device).view(-1, self.top_k)
            return slot_NK % self.experts
        ranked_NE = scores_NE if self.bias_LE is None else scores_NE + self.bias_LE[layer]
        return ranked_NE.argmax(1, keepdim=True) if self.top_k == 1 else ranked_NE.topk(self.top_k, dim=1).indices

    def gates(self, scores_NE: Tensor, expert_NK: Tensor) -> Tensor:
        """Weight of each choice (N, K): its score, and for K > 1 the scores divided by their sum."""
        gate_NK = scores_NE.gather(1, expert_NK)
        return gate_NK if self.top_k == 1 else gate_NK / gate_NK.sum(1, keepdim=True).clamp(min=TINY)

    def _capacity(self, frames: int) -> int | None:
        """Slots per expert in training. Decoding drops nothing: an utterance must not depend on its batch."""
        if not (self.training and self.capacity_factor > 0):
            return None
        return math.ceil(self.capacity_factor * frames * self.top_k / self.experts)

    @torch.no_grad()
    def move_bias(self, layer: int, load_E: Tensor) -> None:
        """After a step, make overloaded experts less likely to be chosen and the others more (arXiv 2408.15664)."""
        if self.bias_LE is not None:
            self.bias_LE[layer] += self.bias_rate * (load_E.mean() - load_E).sign()

    @torch.no_grad()
    def make_near_uniform(self, scale: float) -> None:
        """Scale what was drawn so that all scores are nearly equal, for upcycling.

        Raises:
            UserError: this router cannot learn its way out of that, or needs scores that differ.
        """
        if self.bias_LE is not None:
            raise UserError("model.balance: bias moves further in a step than near-uniform scores differ; use aux")
        for module in self.modules():
            if isinstance(module, _Linear | CosineProjection):
                module.make_near_uniform(scale)


class SwitchRouter(Router):
    """A router of its own in every layer (Fedus et al. 2021)."""

    def __init__(self, config: ModelConfig, experts: int, layers: int, inputs: int) -> None:
        super().__init__(config, experts, layers, inputs)
        self.linears = nn.ModuleList(_projection(config, experts) for _ in range(layers))

    def logits(self, frames: Frames) -> Tensor:
        """``h W_layer + b_layer``."""
        return self.linears[frames.layer](_wide(frames.h_ND))


class OmniRouter(Router):
    """One router shared by all layers of the group, each routing on its own hidden state (arXiv 2507.05724).

    With ``router_block`` B, B consecutive layers share one (arXiv 2603.18297).
    """

    def __init__(self, config: ModelConfig, experts: int, layers: int, inputs: int) -> None:
        super().__init__(config, experts, layers, inputs)
        self.block = config.router_block or layers
        self.linears = nn.ModuleList(_projection(config, experts) for _ in range(math.ceil(layers / self.block)))

    def logits(self, frames: Frames) -> Tensor:
        """``h W + b`` with the same W and b in every layer of a block."""
        return self.linears[frames.layer // self.block](_wide(frames.h_ND))


class LowRankRouter(Router):
    """Shared weights and a correction of rank r for each layer: ``W_l = W + A_l B_l`` (arXiv 2603.18297).

    The bias counts as one more row of W, so that rank 0 is ``omni`` and rank E can be any ``switch``.
    """

    def __init__(self, config: ModelConfig, experts: int, layers: int, inputs: int) -> None:
        super().__init__(config, experts, layers, inputs)
        self.linear = _projection(config, experts)
        rank = min(config.router_rank, experts)
        self.down = nn.ModuleList(nn.Linear(config.dim, rank) for _ in range(layers if rank else 0))
        self.up = nn.ParameterList(torch.zeros(rank, experts) for _ in range(layers if rank else 0))

    def logits(self, frames: Frames) -> Tensor:
        """``[h, 1] (W + A_layer B_layer)``; B starts at zero, so training starts as ``omni``."""
        h_ND = _wide(frames.h_ND)
        logits_NE = self.linear(h_ND)
        return logits_NE + self.down[frames.layer](h_ND) @ self.up[frames.layer] if len(self.down) else logits_NE


class DecisionRouter(OmniRouter):
    """The first layer of the group decides and all others obey: one decision, one sort (arXiv 2603.18297)."""

    def forward(self, frames: Frames) -> Routing:
        """Return the routing of the layer before; for the first layer that runs, decide."""
        if frames.previous is None:
            return super().forward(frames)
        if type(self.intervention) is Intervention:
            return frames.previous
        return self.decide(frames.previous.logits_NE, frames.layer)  # what is done to a layer is done to it alone


class HashRouter(Router):
    """A fixed random projection of the stacked input frame decides for all layers (after Roller et al. 2021).

    Nothing is learnt and nothing is weighed: every gate is 1 / K.
    """

    projection_XE: Tensor

    def __init__(self, config: ModelConfig, experts: int, layers: int, inputs: int) -> None:
        super().__init__(config, experts, layers, inputs)
        self.register_buffer("projection_XE", torch.randn(inputs, experts) * inputs**-0.5)

    def logits(self, frames: Frames) -> Tensor:
        """``x R`` with the stacked input x and R fixed at the start."""
        assert frames.stacked_NX is not None
        return _wide(frames.stacked_NX.detach()) @ self.projection_XE

    def gates(self, scores_NE: Tensor, expert_NK: Tensor) -> Tensor:
        """``1 / K``."""
        return torch.full_like(expert_NK, 1 / self.top_k, dtype=scores_NE.dtype)


class RandomRouter(OmniRouter):
    """``omni`` with weights that stay as they were drawn: what learning to route is worth."""

    def __init__(self, config: ModelConfig, experts: int, layers: int, inputs: int) -> None:
        super().__init__(config, experts, layers, inputs)
        self.linears.requires_grad_(False)

    def make_near_uniform(self, scale: float) -> None:
        """Refuse: its scores would stay so."""
        raise UserError(
            "--router random never learns, so its scores would stay near-uniform; upcycle to another router"
        )


ROUTERS: dict[str, type[Router]] = {
    "switch": SwitchRouter,
    "omni": OmniRouter,
    "omni_lowrank": LowRankRouter,
    "decision": DecisionRouter,
    "hash": HashRouter,
    "random": RandomRouter,
}
"""What ``--router`` selects beside ``dense``, which has no router."""


def make_router(config: ModelConfig, experts: int, layers: int, inputs: int) -> Router:
    """The router of a layer group that ``config`` asks for.

    Raises:
        UserError: there is no such router, or options contradict each other.
    """
    check_routing(config, experts)
    return ROUTERS[config.router](config, experts, layers, inputs)


def check_routing(config: ModelConfig, experts: int) -> None:
    """Raise ``UserError`` for a router that is not known and for options that contradict each other."""
    name = config.router
    if name not in ROUTERS:
        known = ["dense", *ROUTERS]
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {nearest[0]}?" if nearest else ""
        raise UserError(f"model.router is {name!r}, but must be one of {', '.join(known)}{hint}")
    contradictions = {
        f"model.top_k ({config.top_k}) is more than the {experts} experts of a group": config.top_k > experts,
        "model.router_block is for --router omni": config.router_block and name != "omni",
        "model.score: cosine has no low-rank form; use softmax or sigmoid": (config.score, name)
        == ("cosine", "omni_lowrank"),
        "model.z_loss_weight is for scores that are a softmax of logits": config.score == "sigmoid"
        and config.z_loss_weight,
        "--router hash learns nothing: leave model.score at softmax and model.router_jitter and z_loss_weight at 0": (
            name == "hash" and (config.score != "softmax" or config.router_jitter or config.z_loss_weight)
        ),
        "model.balance: bias would change what --router hash has fixed": name == "hash" and config.balance == "bias",
        "model.force_balanced leaves nothing to balance: set model.balance to none": config.force_balanced
        and config.balance == "bias",
    }
    for sentence, holds in contradictions.items():
        if holds:
            raise UserError(f"options contradict each other (--router {name}): {sentence}")


class LoadCounter:
    """Adds up, over batches, how many frames each expert of each MoE layer gets.

    Args:
        experts_L: number of experts of each MoE layer.
    """

    def __init__(self, experts_L: Sequence[int]) -> None:
        self.counts_LE = [torch.zeros(experts, dtype=torch.int64) for experts in experts_L]

    def add(self, routings: Sequence[Routing | None]) -> None:
        """Count the frames of one batch; a layer that did not run adds none."""
        for layer, routing in enumerate(routings):
            if routing is not None:
                self.counts_LE[layer] = self.counts_LE[layer].to(routing.counts_E.device) + routing.counts_E

    def shares(self) -> list[list[float]]:
        """Share of the frames of each expert, layer by layer."""
        return [(counts_E / counts_E.sum().clamp(min=1)).tolist() for counts_E in self.counts_LE]


class CosineProjection(nn.Module):
    """``s * cos(h, w_e)`` with a learnt scale s (after Chi et al. 2022); s starts at 10, which is our choice."""

    def __init__(self, dim: int, experts: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(experts, dim))
        self.log_scale = nn.Parameter(torch.tensor([math.log(10.0)]))  # not a scalar, which FSDP cannot slice

    def make_near_uniform(self, scale: float) -> None:
        """Let all experts point nearly the same way; the scale s stays as it is."""
        self.weight.copy_(self.weight[:1] + scale * self.weight)

    def forward(self, h_ND: Tensor) -> Tensor:
        """(N, D) -> (N, E)."""
        return self.log_scale.exp() * F.normalize(h_ND, dim=1) @ F.normalize(self.weight, dim=1).T


class _Linear(nn.Linear):
    """``h W + b``, drawn as the experts are."""

    def __init__(self, dim: int, experts: int) -> None:
        super().__init__(dim, experts)
        nn.init.uniform_(self.weight, -(dim**-0.5), dim**-0.5)
        nn.init.zeros_(self.bias)

    def make_near_uniform(self, scale: float) -> None:
        self.weight.mul_(scale)


def _projection(config: ModelConfig, experts: int) -> nn.Module:
    """What gives logits from hidden states: a linear layer, or cosines."""
    if config.score == "cosine":
        return CosineProjection(config.dim, experts)
    return _Linear(config.dim, experts)


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x


Route = Callable[[Tensor], Routing]
"""From a layer's hidden states (N, D) to its routing: a router that knows which layer asks."""
