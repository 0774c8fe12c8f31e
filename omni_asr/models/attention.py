"""Multi-head self-attention over the utterances of a packed batch.

Shapes: B utterances, T frames, N valid frames, D model, A heads, K = D / A.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.models.packing import Packing


class SelfAttention(nn.Module):
    """Softmax attention without biases (Vaswani et al. 2017); a frame sees the valid frames of its own utterance."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.dropout = config.dropout
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)
        bound = config.dim**-0.5
        for linear in (self.qkv, self.out):
            nn.init.uniform_(linear.weight, -bound, bound)

    def forward(self, x_ND: Tensor, packing: Packing) -> Tensor:
        """Attend within each utterance: (N, D) -> (N, D)."""
        qkv_BTX = packing.unpack(self.qkv(x_ND))
        B, T, _ = qkv_BTX.shape
        q_BATK, k_BATK, v_BATK = qkv_BTX.view(B, T, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        y_BATK = F.scaled_dot_product_attention(
            q_BATK, k_BATK, v_BATK, attn_mask=packing.mask_BT[:, None, None, :], dropout_p=dropout
        )
        return self.out(packing.pack(y_BATK.transpose(1, 2).flatten(2)))
