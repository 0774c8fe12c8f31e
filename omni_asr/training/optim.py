"""The optimizer and its learning rate."""

import math

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from omni_asr.config import OptimConfig


def make_optimizer(model: nn.Module, config: OptimConfig) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019); weight decay applies to matrices, not to biases and norms.

    Biases of stacked experts are matrices in shape only, so they are told by name.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            decays = parameter.ndim > 1 and not name.rsplit(".", 1)[-1].startswith("b_")
            # One call of the fused kernel takes tensors that are spread over processes, or others, but not both.
            groups.setdefault((decays, isinstance(parameter, DTensor)), []).append(parameter)
    decayed = [
        {"params": parameters, "weight_decay": config.weight_decay if decays else 0.0}
        for (decays, _), parameters in groups.items()
    ]
    return torch.optim.AdamW(decayed, lr=config.lr, betas=config.betas, eps=config.eps, fused=True)


def learning_rate(step: int, total_steps: int, config: OptimConfig) -> float:
    """Rate of optimizer step ``step``, counted from 0: linear warm-up, hold, then decay to ``final_lr`` at the end."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    past = step - config.warmup_steps - config.hold_steps
    if past <= 0 or config.schedule == "constant":
        return config.lr
    if config.schedule == "step":
        return max(config.final_lr, config.lr * config.decay_factor ** math.ceil(past / config.decay_steps))
    share = min(1.0, past / max(1, total_steps - 1 - config.warmup_steps - config.hold_steps))
    weight = 1 - share if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * share))
    return config.final_lr + (config.lr - config.final_lr) * weight
