"""What goes wrong in training, said in one line."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from omni_asr.config import DataConfig
from omni_asr.data.batch import Batch
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.training.checkpoint import Position
from omni_asr.training.ranks import Ranks

NAMED = 3
"""Utterances that a message names."""


@contextlib.contextmanager
def naming_what_is_too_large(batch: Batch, data: DataConfig) -> Iterator[None]:
    """Around forward and backward of a batch.

    Raises:
        UserError: memory ran out, naming the batch and the option to lower.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
            raise
        utts, frames = len(batch.utts), batch.x_BTF.shape[1]
        names = " ".join(batch.utts[:NAMED]) + (" ..." if utts > NAMED else "")
        raise UserError(
            f"memory ran out on a batch of {utts} utterances of up to {frames} frames ({names}); lower "
            f"data.batch_frames, now {data.batch_frames}, or data.max_frames, now {data.max_frames}"
        ) from None


@contextlib.contextmanager
def saying_where(ranks: Ranks, position: Position) -> Iterator[None]:
    """Around training on several ranks.

    Raises:
        UserError: another rank has gone or says nothing, naming this rank and the step.
    """
    try:
        yield
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        if ranks.size == 1 or not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()):
            raise
        raise UserError(
            f"rank {ranks.rank} of {ranks.size} lost the others at step {position.step + 1} ({reason}); see what the "
            f"other ranks say, and start again to go on from the last state"
        ) from None


def save_batches(folder: Path, step: int, rank: int, batches: Sequence[Batch]) -> Path:
    """Keep batches that broke a step, as dictionaries for ``torch.load``; returns the file."""
    path = folder / f"step-{step:08d}-rank{rank}.pt"
    with atomic_write(path, "wb") as file:
        torch.save([vars(batch) for batch in batches], file)
    return path
