"""Loss and word error rate on held-out data."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.sampler import plan_batches
from omni_asr.decoding.greedy import greedy_decode
from omni_asr.devices import autocast
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.routers import LoadCounter
from omni_asr.scoring.align import Counts, align_all
from omni_asr.text.tokenizer import Tokenizer

log = logging.getLogger("train")


@dataclass
class Validation:
    """Figures of one pass over the validation set."""

    ctc: float
    """Nats per token of the utterances that are long enough for their text."""
    wer: float
    """Word error rate of greedy decoding, in percent."""
    load: list[list[float]]
    """Share of the frames of each expert of each MoE layer."""


@torch.inference_mode()
def validate(
    model: AsrModel,
    utterances: UtteranceSet,
    tokenizer: Tokenizer,
    batch_frames: int,
    interrupted: Callable[[], bool] = lambda: False,
) -> Validation | None:
    """Decode the set greedily in evaluation mode; the model is left in training mode.

    Returns None when ``interrupted()`` became true before the end.
    """
    model.eval()
    try:
        return _validate(model, utterances, tokenizer, batch_frames, interrupted)
    finally:
        model.train()


def _validate(
    model: AsrModel, utterances: UtteranceSet, tokenizer: Tokenizer, batch_frames: int, interrupted: Callable[[], bool]
) -> Validation | None:
    device = next(model.parameters()).device
    dataset, load = BatchDataset(utterances), LoadCounter()
    nats, tokens, infeasible = 0.0, 0, 0
    references, hypotheses = [], []
    for indices in plan_batches(utterances.frames, batch_frames, len(utterances)):
        if interrupted():
            return None
        batch = dataset[0, indices].to(device)
        with autocast(device):
            logp_BSV, encoded = model.encode(batch.x_BTF, batch.lengths_B)
        nats_B = model.ctc_nats(logp_BSV, encoded.packing.lengths_B, batch).cpu()
        finite_B = nats_B.isfinite()
        nats += float(nats_B[finite_B].sum())
        tokens += int(batch.token_lengths_B.cpu()[finite_B].sum())
        infeasible += int((~finite_B).sum())
        load.add(encoded.routings)
        hypotheses += [tokenizer.decode(h.ids).split() for h in greedy_decode(logp_BSV, encoded.packing.lengths_B)]
        references += [utterances.texts[index].split() for index in indices]
    if infeasible:
        log.warning("%d validation utterances are too short for their text; they count for the WER only", infeasible)
    total = sum((Counts.of(operations) for operations in align_all(references, hypotheses)), Counts())
    return Validation(nats / max(1, tokens), total.percent, load.shares())
