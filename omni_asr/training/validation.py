"""Loss and word error rate on held-out data."""

import logging
import math
from collections.abc import Callable
from dataclasses import astuple, dataclass

import numpy as np
import torch
from torch import Tensor

from omni_asr.data.batch import Batch
from omni_asr.data.dataset import BatchDataset, UtteranceSet
from omni_asr.data.sampler import largest_of, plan_batches
from omni_asr.decoding.greedy import finite_paths, greedy_decode
from omni_asr.devices import autocast
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.encoder import EncoderOutput
from omni_asr.models.routers import LoadCounter
from omni_asr.scoring.align import Counts, align_all
from omni_asr.text.tokenizer import Tokenizer
from omni_asr.training.failures import described, naming_what_is_too_large
from omni_asr.training.ranks import Ranks

log = logging.getLogger("train")


@dataclass
class Validation:
    """Figures of one pass over the validation set; nan where a loss or log-probability is not finite."""

    ctc: float
    """Nats per token of the utterances that are long enough for their text."""
    wer: float
    """Word error rate of greedy decoding, in percent."""
    load: list[list[float]]
    """Share of the frames of each expert of each MoE layer."""

    @property
    def is_finite(self) -> bool:
        """True where it can be compared with others."""
        return math.isfinite(self.ctc) and math.isfinite(self.wer)


@torch.no_grad()  # not inference_mode, whose tensors FSDP cannot gather into
def validate(
    model: AsrModel,
    utterances: UtteranceSet,
    tokenizer: Tokenizer,
    batch_frames: int,
    ranks: Ranks,
    interrupted: Callable[[], bool] = lambda: False,
) -> Validation | None:
    """Decode the set greedily in evaluation mode, each rank a part of it; the model is left in training mode.

    Every rank gets the figures of the whole set. Returns None when ``interrupted()`` became true on a rank before the
    end.

    Raises:
        UserError: memory ran out, naming the batch.
    """
    model.eval()
    try:
        return _validate(model, utterances, tokenizer, batch_frames, ranks, interrupted)
    finally:
        model.train()


@torch.no_grad()
def try_largest_batches(model: AsrModel, utterances: UtteranceSet, batch_frames: int) -> None:
    """Compute the batches of the set that take most memory as :func:`validate` will, every rank all of them.

    Raises:
        UserError: memory ran out, naming the batch.
    """
    dataset, plan = BatchDataset(utterances), plan_batches(utterances.frames, batch_frames, len(utterances))
    longest = np.array([utterances.frames[batch[0]] for batch in plan], np.int64)
    model.eval()
    try:
        for number in largest_of(longest, np.array([len(batch) for batch in plan])):
            _encode(model, dataset[0, plan[number]], batch_frames)
    finally:
        model.train()


def _encode(model: AsrModel, batch: Batch, batch_frames: int) -> tuple[Tensor, EncoderOutput, Tensor]:
    """Log-probabilities, the encoder's output, and nats of each utterance."""
    device = next(model.parameters()).device
    advice = f"decode.batch_frames, now {batch_frames}"
    with naming_what_is_too_large(f"{described(batch)} of the validation", advice):
        batch = batch.to(device)
        with autocast(device):
            logp_BSV, encoded = model.encode(batch.x_BTF, batch.lengths_B)
        return logp_BSV, encoded, model.ctc_nats(logp_BSV, encoded.packing.lengths_B, batch)


def _validate(
    model: AsrModel,
    utterances: UtteranceSet,
    tokenizer: Tokenizer,
    batch_frames: int,
    ranks: Ranks,
    interrupted: Callable[[], bool],
) -> Validation | None:
    dataset, load = BatchDataset(utterances), LoadCounter(model.encoder.experts_of_layers())
    nats, tokens, infeasible, broken = 0.0, 0, 0, 0
    references, hypotheses = [], []
    plan = plan_batches(utterances.frames, batch_frames, len(utterances))
    for start in range(0, len(plan), ranks.size):
        if ranks.any(interrupted()):
            return None
        # Where batches run out a rank repeats one, uncounted: the ranks may have to compute together.
        counts = start + ranks.rank < len(plan)
        indices = plan[start + ranks.rank if counts else start]
        batch = dataset[0, indices]
        logp_BSV, encoded, nats_B = _encode(model, batch, batch_frames)
        if not counts:
            continue
        nats_B, lengths_B = nats_B.cpu(), encoded.packing.lengths_B
        feasible_B = torch.from_numpy(utterances.needed[indices]) <= lengths_B
        finite_B = finite_paths(logp_BSV.amax(-1)).cpu() & (nats_B.isfinite() | ~feasible_B)
        nats += float(nats_B[feasible_B].sum())
        tokens += int(batch.token_lengths_B[feasible_B].sum())
        infeasible += int((~feasible_B).sum())
        broken += int((~finite_B).sum())
        load.add(encoded.routings)
        if broken:
            continue  # the figures are nan
        decoded = greedy_decode(logp_BSV, lengths_B, batch.utts)
        hypotheses += [tokenizer.decode(hypothesis.ids).split() for hypothesis in decoded]
        references += [utterances.texts[index].split() for index in indices]
    total = sum((Counts.of(operations) for operations in align_all(references, hypotheses)), Counts())
    figures = torch.tensor([nats, tokens, infeasible, broken, *astuple(total)], dtype=torch.float64)
    nats, tokens, infeasible, broken, *numbers = ranks.sum(figures).tolist()
    load.counts_LE = [ranks.sum(counts_E.cpu()) for counts_E in load.counts_LE]
    if infeasible:
        log.warning("%d validation utterances are too short for their text; they count for the WER only", infeasible)
    if broken:
        log.warning("the loss of %d of %d validation utterances is not finite", broken, len(utterances))
        return Validation(math.nan, math.nan, load.shares())
    return Validation(nats / max(1, tokens), Counts(*map(int, numbers)).percent, load.shares())
