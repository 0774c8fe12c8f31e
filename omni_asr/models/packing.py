"""Valid frames of a padded batch, laid end to end.

Everything in the encoder but the attention scores works on packed frames, so that padding costs nothing and enters no
router, no statistic and no loss.

Shapes: B utterances, T frames (longest), N valid frames (sum of the lengths).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from omni_asr.models.rows import place_rows, take_rows


@dataclass
class Packing:
    """Where the N valid frames of a batch stand in its padded (B, T) grid."""

    lengths_B: Tensor
    """Valid frames of each utterance; on the CPU, where CTC and decoding read them without waiting for a GPU."""
    mask_BT: Tensor
    """True at valid frames."""
    index_N: Tensor
    """Position of each valid frame in the flattened (B * T) grid, utterance by utterance."""

    @classmethod
    @torch.compiler.disable  # its shapes are the data's
    def from_lengths(cls, lengths_B: Tensor, device: torch.device) -> "Packing":
        """Build from lengths on the CPU."""
        time_T = torch.arange(int(lengths_B.max()))
        mask_BT = time_T[None, :] < lengths_B[:, None]
        index_N = mask_BT.flatten().nonzero().squeeze(1)
        return cls(lengths_B, mask_BT.to(device, non_blocking=True), index_N.to(device, non_blocking=True))

    def pack(self, x_BTX: Tensor) -> Tensor:
        """(B, T, X) -> (N, X): the valid frames."""
        return take_rows(x_BTX.flatten(0, 1), self.index_N)

    def unpack(self, x_NX: Tensor) -> Tensor:
        """(N, X) -> (B, T, X): zeros at padding."""
        return place_rows(x_NX, self.index_N, self.mask_BT.numel()).view(*self.mask_BT.shape, -1)

    def utterance_N(self) -> Tensor:
        """Index of the utterance that each valid frame belongs to."""
        return self.index_N // self.mask_BT.shape[1]

    def time_N(self) -> Tensor:
        """Index of each valid frame within its utterance."""
        return self.index_N % self.mask_BT.shape[1]
