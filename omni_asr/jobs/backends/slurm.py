"""Jobs on a Slurm cluster: one sbatch job, or one job array, for each call of the launcher.

What a request such as ``--mem 4G`` means there stands in ``conf/slurm.conf`` (:mod:`omni_asr.jobs.slurm_conf`).
:mod:`omni_asr.jobs.slurm_job` runs on the nodes and leaves each job's exit code in a file. The launcher waits for these
files, and asks squeue now and then, so that a job which is gone without one is not waited for. No accounting is needed.
"""

import contextlib
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write, open_to_write
from omni_asr.jobs.array import JobArray, Resources, log_footer
from omni_asr.jobs.backends import Interrupted, signals_noted
from omni_asr.jobs.slurm_conf import SlurmConf, find_conf, read_conf
from omni_asr.jobs.slurm_job import WARNED, WARNING, code_file, task_id
from omni_asr.jobs.torchrun import threads_of_process

POLL = 0.5  # seconds between looks for exit codes
LOOK = 10.0  # seconds between questions to squeue, which burden the cluster
LOST = 60.0  # seconds that an exit code may take to appear after the job has ended, as file servers are slow to tell
ENDING = 20.0  # seconds that cancelled jobs may take to end before the launcher leaves them to Slurm

OVER = "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED REVOKED TIMEOUT".split()
"""States of squeue that a job does not come back from."""

FORGOTTEN = "FORGOTTEN"
"""Stands for the state of a job that Slurm knows no longer."""

HELD = ("held", "Held", "NeverSatisfied", "BadConstraints", "Limit")
"""Parts of squeue's reasons for which a job may wait for ever."""

ENVIRONMENT = "PATH PYTHONPATH PYTHONUTF8 LC_ALL OMNI_ASR_COMMAND OMNI_ASR_PIPES".split()
"""Variables that jobs need, whatever a site's ``--export`` holds back."""


def check(resources: Resources) -> None:
    """Find out before any work whether the requests can be put to sbatch.

    Raises:
        UserError: conf/slurm.conf is not there, malformed or without one of the options, or there is no sbatch.
    """
    conf = _conf(resources)
    _requests(conf, resources)
    if shutil.which(conf.command[0]) is None:
        raise UserError(f"there is no {conf.command[0]} here, the command of {conf.path}; start this where Slurm is")


def run(array: JobArray) -> list[int]:
    """Submit the jobs, wait until all have ended, and return their exit codes in order.

    Raises:
        UserError: sbatch refuses, or an earlier launcher's job still writes these logs.
        Interrupted: SIGINT, SIGTERM or SIGHUP came; the jobs are cancelled.
    """
    _refuse_second(array)
    for job in array:
        code_file(array.log_of(job), "").parent.mkdir(parents=True, exist_ok=True)
        array.log_of(job).unlink(missing_ok=True)
    with atomic_write(_beside_log(array, "sh")) as file:
        file.write(job_script(array))
    with signals_noted() as received:
        job_id = _submit(array)
        _note(f"Slurm job {job_id}, log is in {array.log}")
        codes: list[int] | None = None
        try:
            with atomic_write(_beside_log(array, "job")) as file:
                file.write(f"{job_id}\n")
            codes = _wait(array, job_id, received)
        finally:
            if codes is None:
                _cancel(job_id)
            _beside_log(array, "job").unlink(missing_ok=True)
        if codes is None:
            raise Interrupted(received[0])
    return codes


def job_script(array: JobArray) -> str:
    """The script of the jobs. Nothing in the command is evaluated, and JOB is put in on the node."""
    resources = array.resources
    numbers = ["--number", str(array.first), "--id", task_id("$SLURM_JOB_ID", None)]
    if len(array) > 1:
        numbers = ["--number", "$SLURM_ARRAY_TASK_ID", "--id", task_id("${SLURM_ARRAY_JOB_ID}", "$SLURM_ARRAY_TASK_ID")]
    options = ["--log", array.log, "--name", array.name, "--gpu", str(resources.gpu), "--nodes", str(resources.nodes)]
    options += ["--num-threads", str(resources.num_threads or 0), "--restarts", str(resources.restarts)]
    variables = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
    variables |= {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": threads_of_process(array.command, resources)}
    lines = [
        "#!/bin/bash",
        "# Written by omni-asr launch.",
        f"cd {shlex.quote(os.getcwd())} || exit",
    ]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
    words = [sys.executable, "-m", "omni_asr.jobs.slurm_job", *options]
    lines.append(f"exec {shlex.join(words)} {' '.join(numbers)} -- {shlex.join(array.command)}")
    return "\n".join(lines) + "\n"


def sbatch_arguments(array: JobArray) -> list[str]:
    """The command line of sbatch, without the script; what the launcher relies on comes last, and wins."""
    resources = array.resources
    conf = _conf(resources)
    several = len(array) > 1
    output = os.path.abspath(array.log).replace("%", "%%")
    if array.name:
        output = output.replace(array.name, "%a" if several else str(array.first))
    words = [*conf.command, f"--job-name={Path(array.log).name}"]
    if resources.restarts:
        words += [f"--signal=B:{WARNING.name.removeprefix('SIG')}@{WARNED}"]
    words += _requests(conf, resources)
    words += ["--parsable", f"--output={output}", "--open-mode=append"]
    words += ["--requeue" if resources.restarts else "--no-requeue"]
    if resources.nodes > 1:
        words += [f"--nodes={resources.nodes}", "--ntasks-per-node=1"]
    if several:
        limit = f"%{resources.max_jobs}" if resources.max_jobs else ""
        words.append(f"--array={array.first}-{array.last}{limit}")
    return words


def _conf(resources: Resources) -> SlurmConf:
    return read_conf(find_conf(resources.options.get("config")))


def _requests(conf: SlurmConf, resources: Resources) -> list[str]:
    asked = {name: value for name, value in resources.options.items() if name != "config"}
    if resources.mem:
        asked["mem"] = resources.mem
    if resources.gpu:
        asked["gpu"] = str(resources.gpu)
    if resources.num_threads is not None:
        asked["num_threads"] = str(resources.num_threads)
    return conf.arguments(asked)


def _submit(array: JobArray) -> str:
    """Hand the script to sbatch, out of reach of the terminal's Ctrl-C, and return the id."""
    words = [*sbatch_arguments(array), str(_beside_log(array, "sh"))]
    environment = dict(os.environ)
    environment.pop("SLURM_RESTART_COUNT", None)  # of a job that this launcher runs in; sbatch would hand it on
    try:
        answer = subprocess.run(words, capture_output=True, text=True, start_new_session=True, env=environment)
    except OSError as error:
        raise UserError(f"{words[0]}: {error.strerror}; start this where Slurm is installed") from None
    job_id = answer.stdout.strip().rpartition("\n")[2].partition(";")[0]
    if answer.returncode or not job_id.isdecimal():
        said = [line.removeprefix("sbatch: ").removeprefix("error: ") for line in answer.stderr.splitlines()]
        raise UserError(f"sbatch refuses the job: {'; '.join(said) or f'exit code {answer.returncode}'}")
    return job_id


def _wait(array: JobArray, job_id: str, received: list[int]) -> list[int] | None:
    """The exit codes of all jobs in order, once all have ended; None as soon as a signal has come.

    An exit code alone does not end the waiting: a job that left one may have been requeued by hand since.
    """
    started = time.monotonic()
    codes: dict[int, int] = {}
    lost = _Lost(array, started)
    squeue = _Squeue(job_id)
    complete_since: float | None = None
    while not received:
        codes |= _codes_left(array, job_id, set(array) - codes.keys())
        waited_for = set(array) - codes.keys() - lost.codes.keys()
        states = squeue.states(array, soon=not waited_for)
        lost.look(waited_for, states)
        if waited_for:
            complete_since = None
        else:
            complete_since = complete_since or time.monotonic()
            if _ended(states) or time.monotonic() - complete_since >= LOST:
                _forget_codes(array, job_id)
                return [codes.get(job, lost.codes.get(job, 1)) for job in array]
            if states is not None and not _ended(states, "COMPLETING"):
                codes, complete_since = {}, None  # to be read again: a job that starts takes its old one away
        time.sleep(POLL)
    return None


def _ended(states: Mapping[int, str] | None, *others: str) -> bool:
    """Whether all jobs are known to be in a state that they do not come back from, or in one of ``others``."""
    return states is not None and all(state in (*OVER, FORGOTTEN, *others) for state in states.values())


def _codes_left(array: JobArray, job_id: str, jobs: Iterable[int]) -> dict[int, int]:
    """Exit codes that jobs have left. A file server that fails for a moment must not end the waiting."""
    codes = {}
    for job in jobs:
        with contextlib.suppress(OSError, ValueError):  # on a slow file server it may be empty at first
            codes[job] = int(_code_file(array, job_id, job).read_text(encoding="utf-8"))
    return codes


def _forget_codes(array: JobArray, job_id: str) -> None:
    for job in array:
        with contextlib.suppress(OSError):
            _code_file(array, job_id, job).unlink()


def _code_file(array: JobArray, job_id: str, job: int) -> Path:
    return code_file(array.log_of(job), task_id(job_id, job if len(array) > 1 else None))


class _Lost:
    """Jobs that Slurm has ended and that left no exit code."""

    def __init__(self, array: JobArray, started: float) -> None:
        self.codes: dict[int, int] = {}
        self._array = array
        self._started = started
        self._over: dict[int, float] = {}  # when a job was first seen to have ended

    def look(self, waited_for: Iterable[int], states: Mapping[int, str] | None) -> None:
        """Give an exit code to jobs that ended :data:`LOST` seconds ago."""
        if states is None:
            return
        now = time.monotonic()
        over = [job for job in waited_for if states[job] in (*OVER, FORGOTTEN)]
        self._over = {job: self._over.get(job, now) for job in over}
        for job, since in self._over.items():
            if now - since >= LOST:
                self.codes[job] = _report_lost(self._array, job, states[job], now - self._started)


def _report_lost(array: JobArray, job: int, state: str, seconds: float) -> int:
    """Say in its log that a job has ended without a word, and give it an exit code."""
    with open_to_write(array.log_of(job), "a") as log:
        log.write(f"# Slurm has ended this job ({state}); it left no exit code\n")
        log.write(log_footer(1, seconds, array.resources.num_threads or 1))
    return 1


class _Squeue:
    """Asks squeue for the states of a job now and then."""

    def __init__(self, job_id: str) -> None:
        self._job_id = job_id
        self._asked = time.monotonic()
        self._pause = POLL
        self._noted = ""

    def states(self, array: JobArray, soon: bool) -> dict[int, str] | None:
        """State of each job; None between two questions and while squeue cannot be asked.

        Args:
            array: the jobs.
            soon: ask at once, and then at growing intervals, instead of every :data:`LOOK` seconds.
        """
        pause = self._pause if soon else LOOK
        if time.monotonic() - self._asked < pause:
            return None
        self._pause = min(LOOK, 2 * self._pause) if soon else POLL
        known, problem = _ask_squeue(self._job_id)
        self._asked = time.monotonic()
        if problem and problem != self._noted:
            _note(problem)
        self._noted = problem
        if known is None:
            return None
        return {job: known.get(job if len(array) > 1 else 0, FORGOTTEN) for job in array}


def _ask_squeue(job_id: str) -> tuple[dict[int, str] | None, str]:
    """The state of each job of an array by its number (of a single job, by 0), and what the user should know.

    The states are empty when Slurm has forgotten the job, and None when squeue fails for another reason.
    """
    words = ["squeue", "--noheader", "--array", "--states=all", f"--jobs={job_id}", "--format=%K %T %r"]
    answer = _ask(words)
    if answer.returncode:
        if "Invalid job id" in answer.stderr:
            return {}, ""
        reason = answer.stderr.strip().rpartition("\n")[2] or f"exit code {answer.returncode}"
        return None, f"squeue does not answer ({reason}); waiting for job {job_id} all the same"
    states, problem = {}, ""
    for line in answer.stdout.splitlines():
        number, state, reason = [*line.split(maxsplit=2), "", ""][:3]
        states[int(number) if number.isdecimal() else 0] = state
        if state == "PENDING" and any(part in reason for part in HELD):
            problem = f"job {job_id} may wait for ever: squeue says {reason}; see scontrol show job {job_id}"
    return states, problem


def _refuse_second(array: JobArray) -> None:
    """Two jobs must not write one log and one experiment, which a launcher that was killed could lead to."""
    note = _beside_log(array, "job")
    if not note.exists():
        return
    job_id = note.read_text(encoding="utf-8").strip()
    states, problem = _ask_squeue(job_id)
    if states is None:
        raise UserError(f"job {job_id} of an earlier run may still write {array.log}: {problem.partition(';')[0]}")
    if any(state not in OVER for state in states.values()):
        raise UserError(f"job {job_id} of an earlier run still writes {array.log}; wait, or: scancel {job_id}")


def _cancel(job_id: str) -> None:
    """Cancel all jobs, and wait a while for them to save what they save then."""
    deadline = time.monotonic() + ENDING
    while (answer := _ask(["scancel", job_id])).returncode and "Invalid job id" not in answer.stderr:
        if time.monotonic() > deadline:
            _note(f"scancel {job_id} fails, see squeue: {answer.stderr.strip()}")
            return
        time.sleep(POLL)
    while time.monotonic() < deadline:
        states, _ = _ask_squeue(job_id)
        if states is not None and all(state in OVER for state in states.values()):
            return
        time.sleep(POLL)


def _ask(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run one of Slurm's programs; one that hangs or is not there has failed."""
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=60, start_new_session=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(words, 1, "", str(error))


def _beside_log(array: JobArray, kind: str) -> Path:
    """The script of the jobs, or the note of their id, in a folder beside the first one's log as Kaldi has it."""
    return array.log_of(array.first).parent / "q" / f"{Path(array.log).name}.{kind}"


def _note(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)
