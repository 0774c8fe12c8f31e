"""An end for a process that gets nowhere: nothing here may hang for ever."""

import contextlib
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator

from omni_asr.training.checkpoint import Position
from omni_asr.training.ranks import Ranks

log = logging.getLogger("train")


class Watchdog:
    """A thread that ends the process when one thing takes longer than the limit.

    A message that another rank never answers, a loading process that is stuck, a file server that does not come back:
    none of them need ever raise an error. NCCL would end the process from a thread of its own, without saying at what
    step.

    Args:
        minutes: the limit (``train.timeout``).
        ranks: this process among the others.
        position: where training stands.
    """

    def __init__(self, minutes: float, ranks: Ranks, position: Position) -> None:
        self.seconds, self.ranks, self.position = 60 * minutes, ranks, position
        self.doing, self._since = "starting", time.monotonic()
        self._ended = threading.Event()

    def sees(self, doing: str) -> None:
        """Something else begins now, such as ``"waiting for data"``."""
        self.doing, self._since = doing, time.monotonic()

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch during the block."""
        self.sees("starting")
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(min(1.0, self.seconds / 10)):
            waited = time.monotonic() - self._since
            if waited > self.seconds:
                who = f"rank {self.ranks.rank} of {self.ranks.size}: " if self.ranks.size > 1 else ""
                print(
                    f"train: error: {who}{self.doing} at step {self.position.step + 1} takes more than "
                    f"{self.seconds:g} s (train.timeout); see what other ranks and the file server say, and start "
                    f"again to go on from the last state",
                    file=sys.stderr,
                )
                log.error("%s%s at step %d takes too long: ended", who, self.doing, self.position.step + 1)
                for child in multiprocessing.active_children():  # which may be what is stuck
                    child.kill()
                logging.shutdown()
                sys.stderr.flush()
                os._exit(1)
