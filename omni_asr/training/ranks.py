"""The processes of one training, as ``torchrun`` starts them; one process alone is a group of one."""

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from omni_asr.errors import UserError


@dataclass(frozen=True)
class Ranks:
    """One of ``size`` processes that train a model together, and what it can ask the others."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Number of this process on its machine: that of its GPU."""

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and logs."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Add up a tensor of all ranks, in place; every rank must call it, and gets the sum."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def from_first(self, values: Tensor) -> Tensor:
        """A tensor of the first rank, in the place of a CPU tensor of the same shape and type on the others."""
        if self.size > 1:
            dist.broadcast(values, 0)
        return values

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank; every rank must call it."""
        return self.size > 1 and self.sum(torch.tensor([float(flag)])).item() > 0 or flag

    @contextlib.contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first rank runs the block before the others."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()

    def wait(self) -> None:
        """Return when every rank has come here."""
        if self.size > 1:
            self.any(False)


@contextlib.contextmanager
def join_ranks(device: torch.device, minutes: float) -> Iterator[Ranks]:
    """Belong, during the block, to the group that ``torchrun``'s variables describe; without them, be alone.

    Messages between CPUs go by gloo, those between GPUs by NCCL. A rank that hears nothing gives up after twice
    ``minutes``; before that ``omni_asr/training/watchdog.py`` has found words for it.

    Raises:
        UserError: the others cannot be reached.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Ranks()
        return
    ranks = Ranks(int(os.environ["RANK"]), size, int(os.environ["LOCAL_RANK"]))
    gpu = device.type == "cuda"
    if gpu:
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if gpu else "gloo", timeout=timedelta(minutes=2 * minutes))
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"rank {ranks.rank} of {size} cannot reach the others: {reason}") from None
    yield ranks
    # The group is left as it is: taking it apart holds Python's lock and waits for a thread of gloo that may want that
    # lock to let go of its last message. leave_ranks ends the process without.


def leave_ranks(status: int) -> None:
    """End this process with an exit status; return where it is alone."""
    if dist.is_initialized():
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
