"""Batches loaded ahead by processes of their own.

The way of a batch: a loading process writes its features into one of a few shared tensors that it uses in turn, a
thread of the training process copies them out, and the training loop finds the batch ready. (Memory that is fresh for
every batch, as PyTorch's loader has it, costs more in page faults than the features in decoding.)

What goes wrong reaches the training loop as a :class:`UserError` of one line: an error of the data travels as a value,
and a process that dies is noticed within seconds.
"""

import math
import queue
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from omni_asr.data.batch import Batch
from omni_asr.data.dataset import BatchDataset
from omni_asr.errors import UserError

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
"""Signals that end training after the step with its state saved, a cluster's warning before pre-emption among them.

They are for the training process alone, also when a whole process group gets them.
"""
AHEAD = 4
"""Batches that each process loads ahead."""

Key = tuple[int, NDArray]


class Interrupted(Exception):
    """There is no batch yet, and nobody wants to wait for it any longer."""


def load_batches(
    dataset: BatchDataset,
    keys: Iterable[Key],
    workers: int,
    pin: bool,
    interrupted: Callable[[], bool] = lambda: False,
) -> Iterator[Batch]:
    """Load the batches of ``keys`` in their order.

    Args:
        dataset: loads a batch.
        keys: (epoch, numbers of its utterances) of each; may be endless, and is read ahead of the batches.
        workers: processes that load; 0 loads when asked.
        pin: put batches into page-locked memory, from where copies to a GPU are asynchronous.
        interrupted: asked now and then while a loading process makes the caller wait.

    Raises:
        Interrupted: ``interrupted()`` became true during a wait.
        UserError: features are gone or broken, or a loading process died.
    """
    if not workers:
        for key in keys:
            yield dataset[key].pin_memory() if pin else dataset[key]
        return
    loader = torch.utils.data.DataLoader(
        _Packed(dataset),
        sampler=keys,  # type: ignore[arg-type]
        batch_size=None,
        collate_fn=_as_it_is,
        num_workers=workers,
        prefetch_factor=AHEAD,
        worker_init_fn=_begin_to_load,
        generator=torch.Generator(),  # its own: the loader must not move the generator that dropout draws from
    )
    packed = _start(loader)
    ready: queue.Queue[Batch | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()
    slots = workers * (AHEAD + 1)
    thread = threading.Thread(target=_take_over, args=(packed, ready, stop, pin, slots), daemon=True)
    thread.start()
    try:
        while (item := _next(ready, interrupted)) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stop.set()
        with suppress(queue.Empty):
            while True:
                ready.get_nowait()
        thread.join(1)
        _end(packed)


@dataclass
class _Failure:
    """An error on its way from a loading process, where an exception would arrive with its traceback as text."""

    message: str


class _Packed(torch.utils.data.Dataset[Any]):
    """Batches as they travel between processes: all but the features as arrays, which are cheap to send."""

    def __init__(self, dataset: BatchDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: Key) -> tuple[list[str], Tensor, NDArray, NDArray, NDArray] | _Failure:
        try:
            batch = self.dataset[key]
        except UserError as error:
            return _Failure(str(error))
        arrays = (batch.lengths_B.numpy(), batch.tokens_BU.numpy(), batch.token_lengths_B.numpy())
        return batch.utts, batch.x_BTF, *arrays


def _as_it_is(item: Any) -> Any:
    """Keep PyTorch from making tensors of the arrays."""
    return item


class _Ring:
    """Shared tensors that a loading process uses in turn.

    One more than the batches on their way is enough: PyTorch asks for the batch after those only when the thread has
    copied the oldest and asks for the next.
    """

    def __init__(self) -> None:
        self.slots = [torch.empty(0)] * (AHEAD + 1)
        self.turn = 0

    def __call__(self, shape: tuple[int, int, int]) -> Tensor:
        self.turn = (self.turn + 1) % len(self.slots)
        size = math.prod(shape)
        if self.slots[self.turn].numel() < size:
            self.slots[self.turn] = torch.empty(size + size // 4).share_memory_()
        return self.slots[self.turn][:size].view(shape)


def _take_over(
    packed: Iterator[Any],
    ready: "queue.Queue[Batch | BaseException | None]",
    stop: threading.Event,
    pin: bool,
    slots: int,
) -> None:
    """Copy batches out of shared memory until there are no more, or nobody wants them; end with None or an error."""
    mapped: deque[torch.UntypedStorage] = deque(maxlen=slots)  # a slot that comes again is mapped already
    last: BaseException | None = None
    try:
        for item in packed:
            if isinstance(item, _Failure):
                raise UserError(item.message)
            utts, x_BTF, *arrays = item
            mapped.append(x_BTF.untyped_storage())
            batch = Batch(utts, x_BTF, *map(torch.from_numpy, arrays))
            if pin:
                batch = batch.pin_memory()
            else:
                batch.x_BTF = x_BTF.clone()
            if not _put(batch, ready, stop):
                return
    except UserError as error:
        last = error
    except BaseException as error:
        last = _death(packed) or error
    _put(last, ready, stop)


def _next(ready: "queue.Queue[Batch | BaseException | None]", interrupted: Callable[[], bool]) -> Any:
    while True:
        with suppress(queue.Empty):
            return ready.get(timeout=0.5)
        if interrupted():
            raise Interrupted


def _death(packed: Iterator[Any]) -> UserError | None:
    """What to say where a loading process died: that shows as one of many errors, at times before it can be reaped."""
    for worker in packed._workers:  # type: ignore[attr-defined]
        worker.join(1)
        if worker.exitcode:
            how = f"signal {-worker.exitcode}" if worker.exitcode < 0 else f"status {worker.exitcode}"
            return UserError(
                f"process {worker.pid}, which loads batches, died of {how}; if memory ran out, lower data.workers"
            )
    return None


def _put(item: Any, ready: "queue.Queue[Any]", stop: threading.Event) -> bool:
    while not stop.is_set():
        with suppress(queue.Full):
            ready.put(item, timeout=0.1)
            return True
    return False


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


def _end(packed: Any) -> None:
    """End the loading processes without a lock that one of them may hold, dead or alive.

    PyTorch's own way takes such locks, also when its iterator is collected, and then waits for ever.
    """
    if packed._shutdown:  # after the last batch PyTorch has ended them
        return
    packed._shutdown = True
    for worker in packed._workers:
        worker.kill()
        worker.join()
    for keys in packed._index_queues:
        keys.cancel_join_thread()  # nobody is left to read what is still in it
        keys.close()
    torch.utils.data._utils.signal_handling._remove_worker_pids(id(packed))
    packed._worker_pids_set = False


def _begin_to_load(worker: int) -> None:
    """Write into the ring, and leave signals to the trainer: one to the whole group must not end a loading process."""
    info = torch.utils.data.get_worker_info()
    assert info is not None
    info.dataset.dataset.allocate = _Ring()  # type: ignore[attr-defined]
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
