"""What goes wrong in training, said in one line."""

import contextlib
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch

from omni_asr.data.batch import Batch
from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.training.ranks import Ranks

NAMED = 3
"""Utterances that a message names."""
KEPT = 10
"""Files with batches that broke a step; what breaks now and then in a long training must not fill the disk."""


@contextlib.contextmanager
def naming_what_is_too_large(what: str, advice: str) -> Iterator[None]:
    """Around what needs much memory.

    Args:
        what: in the words of a user, such as ``"a batch of 20 utterances"``.
        advice: the option to lower and its value.

    Raises:
        UserError: memory ran out.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # torch.OutOfMemoryError is a RuntimeError
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and "can't allocate memory" not in str(error):
            raise
        raise UserError(f"memory ran out on {what}; lower {advice}") from None


def described(batch: Batch) -> str:
    """A batch in an error message."""
    utts, frames = len(batch.utts), batch.x_BTF.shape[1]
    names = " ".join(batch.utts[:NAMED]) + (" ..." if utts > NAMED else "")
    return f"a batch of {utts} utterances of up to {frames} frames ({names})"


@contextlib.contextmanager
def in_one_line(ranks: Ranks, exp_dir: Path, where: Callable[[], str]) -> Iterator[None]:
    """Around everything that several ranks, or a disk, can break.

    Args:
        ranks: this process among the others.
        exp_dir: what is written to.
        where: says how far training is.

    Raises:
        UserError: another rank has gone, naming this rank and where it was; or a file cannot be written.
    """
    try:
        yield
    except OSError as error:
        path = error.filename or exp_dir
        raise UserError(
            f"{path}: {error.strerror} ({where()}); the states in {exp_dir}/checkpoints are whole: make room, or mend "
            f"what is wrong, and start again"
        ) from None
    except RuntimeError as error:
        reason = re.sub(r"^\[[^]]*\] *", "", str(error).strip().splitlines()[0])[:80]
        if ranks.size == 1 or not (isinstance(error, torch.distributed.DistError) or "gloo" in str(error).lower()):
            raise
        raise UserError(
            f"rank {ranks.rank} of {ranks.size} lost the others {where()} ({reason}); see what they say, and start "
            f"again to go on from the last state"
        ) from None


def save_batches(folder: Path, step: int, rank: int, batches: Sequence[Batch]) -> str:
    """Keep batches that broke a step, as dictionaries for ``torch.load``, unless ``folder`` has :data:`KEPT` files.

    Returns the place, or why there is none, in the words of a message.
    """
    if folder.is_dir() and len(list(folder.glob("step-*.pt"))) >= KEPT:
        return f"not saved, since {folder} has {KEPT} files"
    path = folder / f"step-{step:08d}-rank{rank}.pt"
    with atomic_write(path, "wb") as file:
        torch.save([vars(batch) for batch in batches], file)
    return f"saved in {path}"
