"""The recogniser: normalisation, encoder, CTC head, and the training loss.

Shapes: B utterances, T filterbank frames, S encoder frames, N valid encoder frames, F features, D model, V vocabulary,
U tokens of an utterance, E experts.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omni_asr.config import ModelConfig
from omni_asr.data.batch import Batch
from omni_asr.errors import UserError
from omni_asr.models.encoder import Encoder, EncoderOutput, StreamState
from omni_asr.models.experts import Experts
from omni_asr.models.routers import Routing

BLANK = 0


@dataclass
class Losses:
    """What one batch costs. ``total`` is what training minimises; the rest are detached parts of it."""

    total: Tensor
    ctc: Tensor
    """Nats per token."""
    balance: Tensor
    """Mean over the MoE layers; 1 when all loads are even, 0 without MoE layers."""
    z_loss: Tensor
    drop_rate: Tensor
    """Mean over the MoE layers of the share of choices that no expert had room for; 0 without a capacity."""
    load_LE: dict[int, Tensor]
    """Share of the frames that each expert got, by number of the MoE layer; dropped layers are absent."""


class AsrModel(nn.Module):
    """Sparse mixture-of-experts Transformer with a CTC head (arXiv 2507.05724).

    Args:
        config: architecture and router.
        num_features: bins F of the filterbank.
        vocab_size: output units V with the blank, which is 0.
    """

    cmvn_mean_F: Tensor
    cmvn_scale_F: Tensor

    def __init__(self, config: ModelConfig, num_features: int, vocab_size: int) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("cmvn_mean_F", torch.zeros(num_features))
        self.register_buffer("cmvn_scale_F", torch.ones(num_features))
        self.encoder = Encoder(config, num_features)
        self.head = nn.Linear(config.dim, vocab_size)

    def set_cmvn(self, mean_F: Tensor, scale_F: Tensor) -> None:
        """Fix the global normalisation ``(x - mean) * scale`` of the features."""
        self.cmvn_mean_F.copy_(mean_F)
        self.cmvn_scale_F.copy_(scale_F)

    def encode(self, x_BTF: Tensor, lengths_B: Tensor) -> tuple[Tensor, EncoderOutput]:
        """Return float32 log-probabilities (B, S, V), zero at padding, and the encoder's output.

        ``lengths_B`` are valid filterbank frames; utterance i has ``ceil(lengths_B[i] / stack)`` encoder frames.
        """
        return self._encode(x_BTF, lengths_B, None)

    def _encode(self, x_BTF: Tensor, lengths_B: Tensor, state: StreamState | None) -> tuple[Tensor, EncoderOutput]:
        valid_BT1 = (torch.arange(x_BTF.shape[1], device=x_BTF.device) < lengths_B.to(x_BTF.device)[:, None])[..., None]
        x_BTF = (x_BTF - self.cmvn_mean_F) * self.cmvn_scale_F * valid_BT1
        encoded = self.encoder(x_BTF, lengths_B, state)
        logits_NV = self.head(encoded.x_ND)
        wide = logits_NV.float() if logits_NV.dtype.itemsize < 4 else logits_NV
        return encoded.packing.unpack(wide.log_softmax(-1)), encoded

    def ctc_nats(self, logp_BSV: Tensor, lengths_B: Tensor, batch: Batch) -> Tensor:
        """CTC loss (Graves et al. 2006) of each utterance in nats; ``lengths_B`` are encoder frames."""
        logp_SBV = logp_BSV.transpose(0, 1)
        return F.ctc_loss(logp_SBV, batch.tokens_BU, lengths_B, batch.token_lengths_B, blank=BLANK, reduction="none")

    def forward(self, batch: Batch) -> Losses:
        """Compute the training loss: CTC + balance_weight * balance + z_loss_weight * z."""
        logp_BSV, encoded = self.encode(batch.x_BTF, batch.lengths_B)
        nats_B = self.ctc_nats(logp_BSV, encoded.packing.lengths_B, batch)
        ctc = nats_B.sum() / batch.token_lengths_B.sum().clamp(min=1)
        routings = {layer: routing for layer, routing in enumerate(encoded.routings) if routing is not None}
        balance, z_loss = router_losses(list(routings.values()), ctc)
        total = ctc + self.config.z_loss_weight * z_loss
        if self.config.balance == "aux" and balance.requires_grad:  # that of the hash router is a constant
            total = total + self.config.balance_weight * balance
        drops = [routing.drop_rate() for routing in routings.values()]
        drop_rate = torch.stack(drops).mean() if drops else ctc.new_zeros(())
        load_LE = {layer: routing.load_E for layer, routing in routings.items()}
        return Losses(total, ctc.detach(), balance.detach(), z_loss.detach(), drop_rate.detach(), load_LE)

    @torch.no_grad()
    def stream(self, x_TF: Tensor, state: StreamState) -> Tensor:
        """Encode the next chunk of an utterance: filterbanks (T, F) -> log-probabilities (S, V), without gradients.

        T is a multiple of the stacking factor, but for the last chunk; ``state`` comes from ``encoder.open_stream()``
        and is updated. Chunk by chunk, the outputs are those of the whole utterance at once.

        Raises:
            UserError: the last chunk has been before.
        """
        if state.ended:
            raise UserError("the chunk before was no multiple of model.stack frames, which ends a stream; open another")
        state.ended = len(x_TF) % self.config.stack > 0
        if not len(x_TF):
            return self.head.weight.new_zeros(0, self.head.out_features)
        return self._encode(x_TF[None], torch.tensor([len(x_TF)]), state)[0].squeeze(0)


def router_losses(routings: list[Routing], like: Tensor) -> tuple[Tensor, Tensor]:
    """Balance and z losses, each the mean over MoE layers; zeros without any."""
    if not routings:
        return like.new_zeros(()), like.new_zeros(())
    balance = torch.stack([routing.balance() for routing in routings]).mean()
    return balance, torch.stack([routing.z_loss() for routing in routings]).mean()


def count_parameters(model: AsrModel) -> tuple[int, int]:
    """Return (total, active per frame) numbers of parameters: of E experts, K are active."""
    total = sum(parameter.numel() for parameter in model.parameters())
    idle = 0
    for module in model.modules():
        if isinstance(module, Experts):
            experts = len(module.b_in_EH)
            one = sum(parameter.numel() for parameter in module.parameters()) // experts
            idle += (experts - model.config.top_k) * one
    return total, total - idle
