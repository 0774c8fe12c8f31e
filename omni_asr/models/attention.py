"""Multi-head self-attention over the utterances of a packed batch.

Shapes: B utterances, T frames, N valid frames, D model, A heads, K = D / A, P frames of earlier chunks.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.packing import Packing


@dataclass
class Cache:
    """Keys and values of the frames of earlier chunks, for one utterance; empty at the start."""

    k_BAPK: Tensor | None = None
    v_BAPK: Tensor | None = None

    def extend(self, k_BATK: Tensor, v_BATK: Tensor) -> tuple[Tensor, Tensor]:
        """Append a chunk and return all keys and values (B, A, P + T, K)."""
        if self.k_BAPK is not None and self.v_BAPK is not None:
            k_BATK = torch.cat([self.k_BAPK, k_BATK], 2)
            v_BATK = torch.cat([self.v_BAPK, v_BATK], 2)
        self.k_BAPK, self.v_BAPK = k_BATK, v_BATK
        return k_BATK, v_BATK


class SelfAttention(nn.Module):
    """Softmax attention without biases (Vaswani et al. 2017); a frame sees the valid frames of its own utterance.

    With ``causal`` it sees those up to itself.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.causal = config.causal
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        bound = config.dim**-0.5
        for linear in (self.qkv, self.out):
            nn.init.uniform_(linear.weight, -bound, bound)

    def forward(self, x_ND: Tensor, packing: Packing, cache: Cache | None = None) -> Tensor:
        """Attend within each utterance: (N, D) -> (N, D). ``cache`` holds the earlier chunks of a stream."""
        qkv_BTX = packing.unpack(self.qkv(x_ND))
        B, T, _ = qkv_BTX.shape
        q_BATK, k_BATK, v_BATK = qkv_BTX.view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mask = packing.mask_BT[:, None, None, :]
        if cache is not None:
            k_BATK, v_BATK = cache.extend(k_BATK, v_BATK)
            mask = mask.new_ones(1, 1, 1, k_BATK.shape[2])
        if self.causal:
            past = k_BATK.shape[2] - T
            mask = mask & mask.new_ones(T, past + T).tril(past)
        dropout = self.dropout if self.training else 0.0
        y_BATK = F.scaled_dot_product_attention(q_BATK, k_BATK, v_BATK, attn_mask=mask, dropout_p=dropout)
        return self.out(packing.pack(y_BATK.transpose(1, 2).flatten(2)))
