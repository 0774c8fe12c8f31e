"""Back ends of the launcher, one module each: ``omni-asr launch <module> ...``.

A back end is a module here with one function, ``run(array: JobArray) -> list[int]``. It runs every job to its end,
writes their logs with :func:`~omni_asr.jobs.array.log_header` and :func:`~omni_asr.jobs.array.log_footer`, and returns
the exit codes in order. When it is interrupted it ends all jobs before it raises :class:`Interrupted`. Nothing else is
needed to add one.
"""

import importlib
import pkgutil
from collections.abc import Callable

from omni_asr.errors import UserError
from omni_asr.jobs.array import JobArray


class Interrupted(Exception):
    """The launcher got a signal and has ended all jobs."""

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal


def available() -> list[str]:
    """Names of the back ends."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def back_end(name: str) -> Callable[[JobArray], list[int]]:
    """The ``run`` function of a back end.

    Raises:
        UserError: there is none of this name.
    """
    if name not in available():
        raise UserError(f"the back end {name!r} is not available; use one of: {', '.join(available())}")
    return importlib.import_module(f"{__name__}.{name}").run
