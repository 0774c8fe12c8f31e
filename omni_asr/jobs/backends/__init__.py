"""Back ends of the launcher, one module each: ``omni-asr launch <module> ...``.

A back end is a module here with two functions. ``check(resources)`` raises :class:`~omni_asr.errors.UserError` for what
it cannot give. ``run(array)`` runs every job to its end, writes their logs with
:func:`~omni_asr.jobs.array.log_header` and :func:`~omni_asr.jobs.array.log_footer`, and returns the exit codes in
order. When it is interrupted it ends all jobs before it raises :class:`Interrupted`. Nothing else is needed to add one.
"""

import contextlib
import importlib
import pkgutil
import signal
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, Protocol, cast

from omni_asr.errors import UserError
from omni_asr.jobs.array import JobArray, Resources


class BackEnd(Protocol):
    """What the module of a back end offers."""

    def check(self, resources: Resources) -> None:
        """Raise UserError for what the back end cannot give."""

    def run(self, array: JobArray) -> list[int]:
        """Run every job to its end and return the exit codes in order."""


class Interrupted(Exception):
    """The launcher got a signal and has ended all jobs."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def available() -> list[str]:
    """Names of the back ends."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def back_end(name: str) -> BackEnd:
    """The module of a back end.

    Raises:
        UserError: there is none of this name.
    """
    if name not in available():
        raise UserError(f"the back end {name!r} is not available; use one of: {', '.join(available())}")
    return cast(BackEnd, importlib.import_module(f"{__name__}.{name}"))


@contextlib.contextmanager
def signals_noted(
    numbers: Sequence[int] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP),
) -> Iterator[list[int]]:
    """Collect signals instead of being interrupted, so that no job is started and forgotten."""
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before: dict[int, Any] = {number: signal.signal(number, note) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
