"""Commands in ``wav.scp`` and ``feats.scp``: whether they may run, and running them.

As in Kaldi, a value that ends in ``|`` is a command line, which runs with the rights of whoever reads the table.
``--pipes refuse`` of a program or recipe sets :data:`VARIABLE`, so that all processes which it starts refuse too.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.kaldi.speed import split_stages
from omni_asr.kaldi.tables import read_entries

VARIABLE = "OMNI_ASR_PIPES"
"""Variable of the environment: ``allow`` (the default) or ``refuse``."""
CHOICES = ("allow", "refuse")
ADVICE = f"--pipes refuse or {VARIABLE}=refuse; if you trust it, give --pipes allow"


class PipeError(Exception):
    """A command that fails, with the reason in one line."""


def is_command(value: str) -> bool:
    """Whether a scp value is a command line."""
    return value.rstrip().endswith("|")


def pipes_refused() -> bool:
    """Whether no command may run.

    Raises:
        UserError: the variable has another value, which must not pass as permission.
    """
    choice = os.environ.get(VARIABLE) or "allow"
    if choice not in CHOICES:
        raise UserError(f"{VARIABLE} is {choice!r}, but must be one of {', '.join(CHOICES)}")
    return choice == "refuse"


def check_pipes(table: str | os.PathLike[str]) -> None:
    """Look for commands in a table before it is read; allowed commands cost nothing.

    Stages of ``wav.scp`` that are done here, for speed and for a channel, are not commands.

    Raises:
        UserError: names the first line with a command, where commands are refused.
    """
    table = Path(table)
    if not pipes_refused() or not table.is_file():
        return
    for number, key, value in read_entries(table):
        location = split_stages(value)[0] if table.name == "wav.scp" else value
        if is_command(location):
            raise UserError(f"{table}:{number}: {key!r} has a command, and commands are refused ({ADVICE})")


def run_pipe(value: str) -> bytes:
    """Run the command of a scp value by bash and return its standard output; the command dies with us.

    Raises:
        UserError: commands are refused; :func:`check_pipes` names the line before any of a table is read.
        PipeError: the command, or a stage of it, fails or prints nothing; with the last line of its stderr.
    """
    if pipes_refused():
        raise UserError(f"{value!r} is a command, and commands are refused ({ADVICE})")
    command = value.rstrip().removesuffix("|").strip()
    process = None
    try:
        with _interrupted_later():
            process = subprocess.Popen(
                ["bash", "-o", "pipefail", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        output, errors = process.communicate()
    except BaseException:
        if process is not None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended just now
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        raise
    lines = errors.decode("utf-8", "replace").strip().splitlines()
    tail = f": {lines[-1].strip()[:300]}" if lines else ""
    if process.returncode:
        raise PipeError(f"the pipe fails with status {process.returncode}{tail}")
    if not output:
        raise PipeError(f"the pipe gives no output{tail}")
    return output


@contextlib.contextmanager
def _interrupted_later() -> Iterator[None]:
    """Let signals whose handlers raise an exception come after the block, which would lose what it has started.

    A child would inherit a mask that blocks them. Threads other than the main one are not interrupted.
    """
    received: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    on_main_thread = threading.current_thread() is threading.main_thread()
    raising = {number: handler for number, handler in handlers.items() if on_main_thread and callable(handler)}
    try:
        for number in raising:
            signal.signal(number, lambda number, _: received.append(number))
        yield
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
        for late in received:
            signal.raise_signal(late)
