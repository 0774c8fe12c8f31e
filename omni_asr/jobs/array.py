"""A command to run as an array of jobs, and the shape of the jobs' logs."""

import re
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omni_asr.errors import UserError

RANGE = re.compile(r"([A-Za-z_]\w*)=(\d+)(?::(\d+))?")


@dataclass(frozen=True)
class Resources:
    """What every job of an array may use."""

    mem: str = ""
    """Memory such as 4G; the back end decides whether it is enforced. Empty: no request."""
    gpu: int = 0
    """GPUs, on each of its nodes."""
    num_threads: int | None = None
    """CPU threads; None leaves OMP_NUM_THREADS as it is, or 1."""
    max_jobs: int = 0
    """Most jobs at once; 0 leaves it to the back end."""
    nodes: int = 1
    """Machines that work on one job together."""
    restarts: int = 0
    """How often a job may be started again after a time limit, a signal or a lost node; its command must bear that."""
    options: Mapping[str, str] = field(default_factory=dict)
    """What only some back ends know, such as time, by names with underscores."""


@dataclass(frozen=True)
class JobArray:
    """One command for the numbers ``first`` to ``last``, which stand where ``name`` is written in command and log."""

    command: Sequence[str]
    log: str
    name: str = ""
    first: int = 1
    last: int = 1
    resources: Resources = Resources()

    def __post_init__(self) -> None:
        if not self.command:
            raise UserError("no command to run: give JOB=1:N LOG COMMAND ...")
        if self.last < self.first:
            raise UserError(f"{self.name}={self.first}:{self.last} is empty: the first number exceeds the last")
        if len(self) > 1 and self.name not in self.log:
            raise UserError(f"{len(self)} jobs would share the log {self.log}: write {self.name} in its name")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.first, self.last + 1))

    def command_of(self, job: int) -> list[str]:
        """The arguments of one job."""
        return [self._numbered(argument, job) for argument in self.command]

    def log_of(self, job: int) -> Path:
        """The log file of one job."""
        return Path(self._numbered(self.log, job))

    def _numbered(self, text: str, job: int) -> str:
        return text.replace(self.name, str(job)) if self.name else text


def parse_range(text: str) -> tuple[str, int, int] | None:
    """Split ``JOB=1:4`` into its name and numbers; ``JOB=3`` is one job. None if ``text`` is something else."""
    match = RANGE.fullmatch(text)
    return match and (match[1], int(match[2]), int(match[3] or match[2]))


def log_header(command: Sequence[str]) -> str:
    """The lines before a job's output, as Kaldi's ``run.pl`` writes them."""
    return f"# {shlex.join(command)}\n# Started at {_now()}\n#\n"


def log_footer(code: int, seconds: float, threads: int) -> str:
    """The lines after a job's output: its exit code (128 + n after signal n) and wall clock time."""
    accounting = f"# Accounting: time={seconds:.0f} threads={threads}"
    return f"{accounting}\n# Ended (code {code}) at {_now()}, elapsed time {seconds:.0f} seconds\n"


def failure_report(array: JobArray, codes: Sequence[int], lines: int = 20) -> str:
    """Say how many jobs failed and where their logs are, with the end of the first one's log.

    Args:
        array: the jobs.
        codes: exit code of each, in order.
        lines: most lines of the log that are shown.
    """
    failed = [job for job, code in zip(array, codes, strict=True) if code]
    log = array.log_of(failed[0])
    pattern = array.log.replace(array.name, "*") if len(array) > 1 else array.log
    report = [f"{len(failed)} / {len(array)} failed, log is in {pattern}"]
    if log.exists():
        tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:]
        report += [f"end of {log}:", *(f"    {line}" for line in tail)]
    return "\n".join(report)


def _now() -> str:
    return time.strftime("%a %b %d %H:%M:%S %Z %Y")
