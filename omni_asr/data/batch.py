"""A padded batch of utterances.

Shapes: B utterances, T frames (longest), F features, U tokens (longest).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass
class Batch:
    """Features, lengths and labels, padded with zeros. Lengths stay on the CPU, where the packing is computed."""

    utts: list[str]
    x_BTF: Tensor
    lengths_B: Tensor
    tokens_BU: Tensor
    token_lengths_B: Tensor

    def to(self, device: torch.device) -> "Batch":
        """Copy features and labels to the device."""
        x_BTF = self.x_BTF.to(device, non_blocking=True)
        tokens_BU = self.tokens_BU.to(device, non_blocking=True)
        return Batch(self.utts, x_BTF, self.lengths_B, tokens_BU, self.token_lengths_B.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """Move to page-locked memory, so that the copy to a GPU is asynchronous."""
        return Batch(
            self.utts,
            self.x_BTF.pin_memory(),
            self.lengths_B,
            self.tokens_BU.pin_memory(),
            self.token_lengths_B.pin_memory(),
        )


def collate(items: Sequence[tuple[str, np.ndarray, Sequence[int] | np.ndarray]]) -> Batch:
    """Pad (utterance id, features (T_i, F), token ids) to a batch."""
    features = [torch.from_numpy(np.ascontiguousarray(x_TF)) for _, x_TF, _ in items]
    tokens = [torch.from_numpy(np.asarray(ids, np.int64)) for _, _, ids in items]
    return Batch(
        utts=[utt for utt, _, _ in items],
        x_BTF=torch.nn.utils.rnn.pad_sequence(features, batch_first=True),
        lengths_B=torch.tensor([len(x) for x in features]),
        tokens_BU=torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True),
        token_lengths_B=torch.tensor([len(ids) for ids in tokens]),
    )
