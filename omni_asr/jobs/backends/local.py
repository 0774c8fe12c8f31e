"""Jobs as processes on this machine, as many at once as it has processors (or GPUs, for jobs that want one)."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import IO

from omni_asr.errors import UserError
from omni_asr.files import open_to_write
from omni_asr.jobs.array import JobArray, Resources, log_footer, log_header
from omni_asr.jobs.backends import Interrupted, signals_noted
from omni_asr.jobs.torchrun import distributed, threads_of_process

GRACE = 5.0  # seconds between SIGTERM and SIGKILL
POLL = 0.02  # seconds between looks at the running jobs


@dataclass
class _Running:
    """A started job; ``process`` is None when its command could not be started."""

    job: int
    process: subprocess.Popen[bytes] | None
    log: IO[str]
    gpus: list[str]
    started: float
    code: int = 127

    def ended(self) -> bool:
        """Whether the job has ended; then ``code`` is its exit code."""
        if self.process is None:
            return True
        code = self.process.poll()
        if code is not None:
            self.code = 128 - code if code < 0 else code
        return code is not None


def check(resources: Resources) -> None:
    """Refuse what only a cluster has.

    Raises:
        UserError: an option is unknown here, or several machines are asked for.
    """
    if resources.options:
        names = " ".join(f"--{name.replace('_', '-')}" for name in resources.options)
        raise UserError(f"unrecognized arguments: {names} (--help lists the options)")
    if resources.nodes > 1:
        raise UserError(f"--nodes {resources.nodes}: local is one machine; use the back end slurm")


def run(array: JobArray) -> list[int]:
    """Run every job, also when some fail, and return their exit codes in order.

    Memory is not enforced here. A signal ends the process groups of all jobs.

    Raises:
        UserError: the jobs want more GPUs than there are.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; no job is left running.
    """
    free = visible_gpus() if array.resources.gpu else []
    slots = jobs_at_once(array, len(free))
    running: list[_Running] = []
    waiting, codes = list(array), dict.fromkeys(array, 0)
    with signals_noted() as received:
        try:
            while (waiting or running) and not received:
                while waiting and len(running) < slots:
                    gpus = [free.pop(0) for _ in range(array.resources.gpu)]
                    running.append(_start(array, waiting.pop(0), gpus))
                for item in [item for item in running if item.ended()]:
                    running.remove(item)
                    free.extend(item.gpus)
                    codes[item.job] = item.code
                    _finish(array, item)
                if running:
                    time.sleep(POLL)
        finally:
            _end_all(array, running)
        if received:
            raise Interrupted(received[0])
    return list(codes.values())


def jobs_at_once(array: JobArray, gpus: int) -> int:
    """How many jobs run side by side, given the number of visible GPUs.

    Raises:
        UserError: one job wants more GPUs than there are.
    """
    resources = array.resources
    if resources.gpu > gpus:
        raise UserError(f"--gpu {resources.gpu} for each job, but this machine shows {gpus}; ask for fewer")
    slots = resources.max_jobs or max(1, processors() // (resources.num_threads or 1))
    return min(slots, gpus // resources.gpu) if resources.gpu else slots


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def visible_gpus() -> list[str]:
    """Identifiers for CUDA_VISIBLE_DEVICES: those it holds already, or all that ``nvidia-smi`` lists."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [device for device in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if device.strip()]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [str(index) for index in range(sum(line.startswith("GPU ") for line in listing.splitlines()))]


def _start(array: JobArray, job: int, gpus: list[str]) -> _Running:
    """Start a job as the leader of a process group of its own, its output going to its log."""
    command, path, resources = array.command_of(job), array.log_of(job), array.resources
    path.parent.mkdir(parents=True, exist_ok=True)
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    environment["OMP_NUM_THREADS"] = threads_of_process(command, resources)
    if gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    log = open_to_write(path)  # closed by _finish
    log.write(log_header(command))
    log.flush()
    try:
        process = subprocess.Popen(
            distributed(command, resources),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        log.write(f"{command[0]}: {error.strerror}\n")
        process = None
    return _Running(job, process, log, gpus, time.monotonic())


def _finish(array: JobArray, item: _Running) -> None:
    """Write the end of a job's log. The child has moved the shared file offset, so this lands after its output."""
    item.log.write(log_footer(item.code, time.monotonic() - item.started, array.resources.num_threads or 1))
    item.log.close()


def _end_all(array: JobArray, running: list[_Running]) -> None:
    """Terminate the process groups of the jobs that still run, and kill what has not ended within ``GRACE`` seconds."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        for item in running:
            _signal_group(item, number)
        deadline = time.monotonic() + GRACE
        while time.monotonic() < deadline and not all([_group_is_gone(item) for item in running]):
            time.sleep(POLL)
    for item in running:
        item.ended()
        _finish(array, item)


def _signal_group(item: _Running, number: int) -> bool:
    """Send a signal to a job and all its descendants in its group; False if there is none left."""
    if item.process is None:
        return False
    try:
        os.killpg(item.process.pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _group_is_gone(item: _Running) -> bool:
    item.ended()  # reaps the leader, which would keep the group alive
    return not _signal_group(item, 0)
