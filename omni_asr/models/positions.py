"""CAPE: continuous augmented positional embeddings (Likhomanenko et al. 2021, arXiv 2106.03143).

Shapes: N valid frames, B utterances, D model.
"""

import math

import torch
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.packing import Packing


class Cape(nn.Module):
    """Sinusoids of a position that is centred on the utterance and, in training, shifted and stretched at random.

    In training ``p <- (p + G + L) * exp(S)`` with a shift G per utterance, a shift L per frame and a stretch S per
    utterance, each uniform in its range (arXiv 2106.03143, section 3.1). A causal model knows no centre: there
    positions count from the start, without augmentation.
    """

    frequency_D: Tensor
    phase_D: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.causal = config.causal
        self.global_shift = config.cape_global_shift
        self.local_shift = config.cape_local_shift
        self.log_max_scale = math.log(config.cape_max_scale)
        channel_D = torch.arange(config.dim)
        frequency_D = 10000.0 ** (-2.0 * (channel_D // 2) / config.dim)
        self.register_buffer("frequency_D", frequency_D, persistent=False)
        self.register_buffer("phase_D", (channel_D % 2) * (math.pi / 2), persistent=False)

    def forward(self, packing: Packing, offset: int = 0) -> Tensor:
        """Return the embedding (N, D) of every valid frame; ``offset`` frames of the utterance came before."""
        utterance_N = packing.utterance_N()
        centre_B = ((packing.lengths_B - 1) / 2).to(utterance_N.device, non_blocking=True)
        if self.causal:
            position_N = (packing.time_N() + offset).to(centre_B.dtype)
        else:
            position_N = packing.time_N() - centre_B[utterance_N]
        if self.training and not self.causal:
            shift_B = _uniform(centre_B, self.global_shift)
            scale_B = _uniform(centre_B, self.log_max_scale).exp()
            position_N = position_N + shift_B[utterance_N] + _uniform(position_N, self.local_shift)
            position_N = position_N * scale_B[utterance_N]
        return torch.sin(position_N[:, None] * self.frequency_D + self.phase_D)


def _uniform(like: Tensor, bound: float) -> Tensor:
    """Values uniform in (-bound, bound), shaped like the argument."""
    return (torch.rand_like(like) * 2 - 1) * bound
