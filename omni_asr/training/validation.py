"""Loss and word error rate on held-out data.

Shapes: L MoE layers, E experts.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.sampler import plan_batches
from omni_asr.decoding.decode import autocast
from omni_asr.decoding.greedy import greedy_decode
from omni_asr.models.asr_model import AsrModel
from omni_asr.scoring.align import Counts, align_all
from omni_asr.text.tokenizer import Tokenizer


@dataclass
class Validation:
    """Figures of one pass over the validation set."""

    ctc: float
    """Nats per token."""
    wer: float
    """Word error rate of greedy decoding, in percent."""
    load: list[list[float]]
    """Share of the frames of each expert of each MoE layer."""


@torch.inference_mode()
def validate(model: AsrModel, utterances: UtteranceSet, tokenizer: Tokenizer, batch_frames: int) -> Validation:
    """Decode the set greedily in evaluation mode; the model is left in training mode."""
    model.eval()
    device = next(model.parameters()).device
    dataset = BatchDataset(utterances)
    nats, tokens, frames = 0.0, 0, 0
    load_LE: list[Tensor] = []
    references, hypotheses = [], []
    for indices in plan_batches(utterances.frames, batch_frames, 1 << 30):
        batch = dataset[0, indices].to(device)
        with autocast(device):
            logp_BSV, encoded = model.encode(batch.x_BTF, batch.lengths_B)
        nats += float(model.ctc_nats(logp_BSV, encoded.packing.lengths_B, batch))
        tokens += int(batch.token_lengths_B.sum())
        counts = [routing.counts_E().cpu() for routing in encoded.routings]
        load_LE = [a + b for a, b in zip(load_LE, counts, strict=True)] if load_LE else counts
        frames += len(encoded.x_ND)
        hypotheses += [tokenizer.decode(h.ids).split() for h in greedy_decode(logp_BSV, encoded.packing.lengths_B)]
        references += [utterances.texts[index].split() for index in indices]
    model.train()
    total = sum((Counts.of(operations) for operations in align_all(references, hypotheses)), Counts())
    load = [(counts_E / max(1, frames)).tolist() for counts_E in load_LE]
    return Validation(nats / max(1, tokens), total.percent, load)
