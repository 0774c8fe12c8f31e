"""Sparse upcycling: a trained dense model becomes a mixture of experts that computes the same, and trains on.

After Komatsuzaki et al. 2023 (arXiv 2212.05055): every expert starts as a copy of the dense block. With a top-1 gate
the copy would shrink by the gate's value; here the router starts near-uniform, so that this value is nearly the same
for all frames, and the experts' output is scaled up by it.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from omni_asr.config import Config, override
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.encoder import Block
from omni_asr.models.experts import Experts, FeedForward
from omni_asr.models.moe import MixtureOfExperts
from omni_asr.models.package import TRAINING_ONLY, Package, differing
from omni_asr.models.routers import Router

ROUTING = {"router", "experts", "top_k", "shared_experts", "score", "router_block", "router_rank", "balance"}
"""Options of the model that upcycling sets."""
ROUTER_SCALE = 1e-3
"""A fresh router's weights are multiplied by this: decisions stay as they were drawn, gates become nearly equal."""


def upcycle(package: Package, overrides: Iterable[str], seed: int = 1) -> tuple[AsrModel, Config]:
    """A mixture-of-experts model with the dense package's outputs, and its configuration.

    ``overrides`` are ``section.key=value``, among them ``model.router`` and ``model.experts``.

    Raises:
        UserError: the package has routers already, or the options change more than the feed-forward blocks.
    """
    dense = package.model
    if dense.encoder.routers():
        raise UserError("the model to upcycle must be dense; this one has routers already")
    config = override(package.config, overrides)
    changed = differing(package.config.model, config.model, TRAINING_ONLY | ROUTING)
    if changed:
        raise UserError(f"upcycling changes feed-forward blocks alone; model.{changed} must stay as in the dense model")
    torch.manual_seed(seed)
    model = AsrModel(config.model, config.features.num_mel_bins, package.tokenizer.size)
    if not model.encoder.routers():
        raise UserError("these options give a dense model again; choose --router and --experts, such as 12x8")
    _copy_all_but_ffn(dense, model)
    for source, target in zip(_blocks(dense), _blocks(model), strict=True):
        _copy_ffn(source.ffn, target.ffn)
    with torch.no_grad():
        for group in model.encoder.layer_groups():
            if group.router is not None:
                factor = _flatten(group.router)
                for experts in (module for module in group.modules() if isinstance(module, Experts)):
                    experts.w_out_EHD.mul_(factor)
                    experts.b_out_ED.mul_(factor)
    return model, config


def _blocks(model: AsrModel) -> list[Block]:
    return [block for module in model.encoder.layer_groups() for block in module.blocks if isinstance(block, Block)]


def _copy_all_but_ffn(dense: AsrModel, model: AsrModel) -> None:
    """Copy by name; blocks by their number, since groups may be cut elsewhere."""
    before, after = _named_tensors(dense), _named_tensors(model)
    if before.keys() != after.keys():
        layers = f"{len(_blocks(dense))} and {len(_blocks(model))} layers"
        raise UserError(f"the groups of model.experts must have as many layers as the dense model; they have {layers}")
    with torch.no_grad():
        for name, tensor in before.items():
            after[name].copy_(tensor)


def _named_tensors(model: AsrModel) -> dict[str, Tensor]:
    """Parameters and buffers outside feed-forward blocks and routers."""
    named = {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if ".blocks." not in name and ".router." not in name
    }
    for number, block in enumerate(_blocks(model)):
        for name, tensor in block.state_dict(keep_vars=True).items():
            if not name.startswith("ffn."):
                named[f"block {number} {name}"] = tensor
    return named


@torch.no_grad()
def _copy_ffn(source: torch.nn.Module, target: torch.nn.Module) -> None:
    assert isinstance(source, FeedForward)
    if isinstance(target, FeedForward):
        target.load_state_dict(source.state_dict())
        return
    assert isinstance(target, MixtureOfExperts)
    experts = target.experts
    experts.w_in_EHD.copy_(source.linear_in.weight.expand_as(experts.w_in_EHD))
    experts.b_in_EH.copy_(source.linear_in.bias.expand_as(experts.b_in_EH))
    experts.w_out_EHD.copy_(source.linear_out.weight.T.expand_as(experts.w_out_EHD))
    experts.b_out_ED.copy_(source.linear_out.bias.expand_as(experts.b_out_ED))
    if target.shared is not None:  # starts silent, so that the routed experts' copies give the whole output
        target.shared.linear_out.weight.zero_()
        target.shared.linear_out.bias.zero_()


def _flatten(router: Router) -> Tensor:
    """Make a fresh router near-uniform; returns what undoes its gate."""
    router.make_near_uniform(ROUTER_SCALE)
    routing = router.decide(torch.zeros(1, router.experts), 0)
    return 1 / routing.gate_NK.sum()
