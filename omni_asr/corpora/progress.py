"""How far a download is: a bar on a terminal, lines of the log elsewhere."""

import logging
import sys
import time
from types import TracebackType
from typing import Any

from tqdm import tqdm

log = logging.getLogger("download")

EVERY = 30.0
"""Seconds between two lines of the log."""


class Progress:
    """Counts bytes of a file, as a context manager.

    Args:
        name: what is fetched.
        have: bytes that are there.
        total: bytes of the whole file, where they are known.
    """

    def __init__(self, name: str, have: int, total: int | None) -> None:
        self._name, self._have, self._total = name, have, total
        self._first, self._started = have, time.monotonic()
        self._said = self._started
        self._bar: Any = None

    def __enter__(self) -> "Progress":
        if sys.stderr.isatty():
            self._bar = tqdm(total=self._total, initial=self._have, unit="B", unit_scale=True, desc=self._name)
        elif self._have:
            log.info("%s: going on after %s", self._name, megabytes(self._have))
        return self

    def add(self, count: int) -> None:
        """Count further bytes."""
        self._have += count
        if self._bar is not None:
            self._bar.update(count)
        elif time.monotonic() - self._said >= EVERY:
            self._say()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
        else:
            self._say()

    def _say(self) -> None:
        self._said = time.monotonic()
        rate = (self._have - self._first) / max(self._said - self._started, 1e-3)
        whole = f" of {megabytes(self._total)}, {100 * self._have // self._total} %" if self._total else ""
        log.info("%s: %s%s, %s/s", self._name, megabytes(self._have), whole, megabytes(rate))


def megabytes(count: float) -> str:
    """Bytes in words."""
    return f"{count / 1e6:.1f} MB"
