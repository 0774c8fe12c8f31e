"""A padded batch of utterances.

Shapes: B utterances, T frames (longest), F features, U tokens (longest).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Batch:
    """Features, lengths and labels, padded with zeros.

    Lengths stay on the CPU: the packing is computed there, and CTC would wait for the GPU to read them from it.
    """

    utts: list[str]
    x_BTF: Tensor
    lengths_B: Tensor
    tokens_BU: Tensor
    token_lengths_B: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Copy features and labels to the device."""
        x_BTF = self.x_BTF.to(device, non_blocking=True)
        tokens_BU = self.tokens_BU.to(device, non_blocking=True)
        return Batch(self.utts, x_BTF, self.lengths_B, tokens_BU, self.token_lengths_B)

    def pin_memory(self) -> "Batch":
        """Move to page-locked memory, so that the copy to a GPU is asynchronous."""
        return Batch(
            self.utts, self.x_BTF.pin_memory(), self.lengths_B, self.tokens_BU.pin_memory(), self.token_lengths_B
        )


def collate(
    items: Sequence[tuple[str, np.ndarray, Sequence[int] | np.ndarray]],
    allocate: Callable[[tuple[int, int, int]], Tensor] = torch.empty,
) -> Batch:
    """Pad (utterance id, features (T_i, F), token ids) to a batch; ``allocate`` gives the memory for its features."""
    utts, features, tokens = zip(*items, strict=True)
    lengths_B = torch.tensor([len(x_TF) for x_TF in features])
    token_lengths_B = torch.tensor([len(ids) for ids in tokens])
    x_BTF = allocate((len(items), int(lengths_B.max()), features[0].shape[1]))
    tokens_BU = torch.zeros(len(items), int(token_lengths_B.max()), dtype=torch.long)
    for row, (x_TF, ids) in enumerate(zip(features, tokens, strict=True)):
        x_BTF[row, : len(x_TF)] = torch.from_numpy(x_TF)
        x_BTF[row, len(x_TF) :] = 0
        tokens_BU[row, : len(ids)] = torch.from_numpy(np.asarray(ids, np.int64))
    return Batch(list(utts), x_BTF, lengths_B, tokens_BU, token_lengths_B)
