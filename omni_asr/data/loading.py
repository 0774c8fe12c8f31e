"""Batches loaded ahead by processes of their own.

What goes wrong there reaches the training process as a :class:`UserError` of one line: an error of the data travels as
a value, and a process that dies is noticed within seconds.
"""

import signal
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from omni_asr.data.batch import Batch
from omni_asr.data.dataset import BatchDataset
from omni_asr.errors import UserError

STOPPING = (signal.SIGINT, signal.SIGTERM)
"""Signals that are for the training process alone, also when a whole process group gets them."""
AHEAD = 4
"""Batches that each process loads ahead."""

Key = tuple[int, NDArray]


def load_batches(dataset: BatchDataset, keys: Iterable[Key], workers: int, pin: bool) -> Iterator[Batch]:
    """Load the batches of ``keys`` in their order.

    Args:
        dataset: loads a batch.
        keys: (epoch, utterance indices) of each; may be endless, and is read a few batches ahead.
        workers: processes that load; 0 loads when asked.
        pin: put batches into page-locked memory, from where copies to a GPU are asynchronous.

    Raises:
        UserError: features are gone or broken, or a loading process died.
    """
    loader = torch.utils.data.DataLoader(
        _Reporting(dataset),
        sampler=keys,  # type: ignore[arg-type]
        batch_size=None,
        num_workers=workers,
        prefetch_factor=AHEAD if workers else None,
        worker_init_fn=_leave_signals_to_the_trainer,
        generator=torch.Generator(),  # its own: the loader must not move the generator that dropout draws from
        pin_memory=pin,
    )
    batches = _start(loader)
    finished = False
    try:
        for batch in batches:
            if isinstance(batch, _Failure):
                raise UserError(batch.message)
            yield batch
        finished = True
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise UserError(
            f"a process that loads batches died ({' '.join(str(error).split())}); if memory ran out, lower data.workers"
        ) from None
    finally:
        if not finished:
            _end_workers(batches)


@dataclass
class _Failure:
    """An error on its way from a loading process, where an exception would arrive with its traceback as text."""

    message: str


class _Reporting(torch.utils.data.Dataset[Any]):
    """A dataset that returns its errors."""

    def __init__(self, dataset: BatchDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: Key) -> Batch | _Failure:
        try:
            return self.dataset[key]
        except UserError as error:
            return _Failure(str(error))


def _start(loader: torch.utils.data.DataLoader[Any]) -> Iterator[Any]:
    """Start the loading processes with signals held back, until each leaves them to the trainer.

    PyTorch's handler of SIGCHLD would raise its error at any line of the training step; without it a death is found
    when the next batch is waited for.
    """
    on_main_thread = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGCHLD)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        return iter(loader)
    finally:
        if on_main_thread:
            signal.signal(signal.SIGCHLD, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave_signals_to_the_trainer(worker: int) -> None:
    """A signal to the whole process group must not end a loading process before the state is saved."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def _end_workers(batches: Iterator[Any]) -> None:
    """End loading processes that nobody waits for; one that waits for a lock of a dead one would never end."""
    for worker in getattr(batches, "_workers", []):
        worker.kill()
