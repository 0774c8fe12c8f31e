"""Run one job of the slurm back end on its node: header, command, footer, and the exit code in a file.

The job's script (``omni_asr.jobs.backends.slurm`` writes it) starts this with the command as its arguments, and Slurm
appends its output to the log. A job that may be started again asks Slurm for that itself when its time is nearly up or
its command was ended by a signal. A job that Slurm ends (cancelled, preempted, requeued by hand) leaves no exit code:
Slurm then decides whether it comes back.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.jobs.array import JobArray, Resources, log_footer, log_header
from omni_asr.jobs.backends import signals_noted
from omni_asr.jobs.torchrun import distributed

WARNING = signal.SIGUSR1
"""What Slurm sends ``WARNED`` seconds before the time limit. Its other messages end all processes of the job; this one
goes to this program alone."""

WARNED = 120
PATIENCE = 100.0  # seconds that the command has to save its state after the warning
POLL = 0.1


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; its exit status, also left in a file unless Slurm ended the job or starts it again."""
    array, number, task = parse(argv)
    command, resources = array.command_of(number), array.resources
    left = code_file(array.log_of(number), task)
    left.unlink(missing_ok=True)  # of a start before this one: the job has not ended
    print(log_header(command), end="", flush=True)
    started = time.monotonic()
    with signals_noted((WARNING, signal.SIGTERM)) as received:
        code = run_to_end(command, resources, task, received)
        footer = log_footer(code, time.monotonic() - started, resources.num_threads or 1)
        print(footer, end="", flush=True)
        if signal.SIGTERM in received:
            return code
        stopped = 128 < code <= 128 + signal.NSIG or WARNING in received  # 255 is no signal, but sys.exit(-1)
        if code and stopped and resources.restarts and start_again(task, resources.restarts):
            return code
        with atomic_write(left) as file:
            file.write(f"{code}\n")
    return code


def parse(argv: Sequence[str] | None) -> tuple[JobArray, int, str]:
    """The job, its number, and its id (:func:`task_id`); the command comes after ``--``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--log", required=True)
    parser.add_argument("--name", default="", help="what stands for the job's number in log and command")
    parser.add_argument("--number", type=int, required=True)
    parser.add_argument("--id", required=True)
    for name in ("gpu", "num-threads", "nodes", "restarts"):
        parser.add_argument(f"--{name}", type=int, default=0)
    arguments = sys.argv[1:] if argv is None else list(argv)
    end = arguments.index("--")
    options, command = parser.parse_args(arguments[:end]), arguments[end + 1 :]
    resources = Resources(
        gpu=options.gpu, num_threads=options.num_threads, nodes=options.nodes, restarts=options.restarts
    )
    return (
        JobArray(command, options.log, options.name, options.number, options.number, resources),
        options.number,
        options.id,
    )


def task_id(job_id: str, number: int | str | None) -> str:
    """Slurm's id of one job: ``<array>_<number>`` in an array, whose own id would mean all of its jobs.

    ``SLURM_JOB_ID`` does not do: in the last job of an array it is the id of the array.
    """
    return job_id if number is None else f"{job_id}_{number}"


def code_file(log: Path, task: str) -> Path:
    """Path of a job's exit code: beside its log, and with Slurm's id, so that it is of no earlier job."""
    return log.parent / "q" / f"{log.name}.{task}"


def on_nodes(command: Sequence[str], resources: Resources) -> list[str]:
    """The command as it is started here: on every node of the job, by srun, where there are several."""
    if resources.nodes == 1:
        return distributed(command, resources)
    job_id = int(os.environ["SLURM_JOB_ID"])  # a number of its own for each job, in an array too
    port = 10000 + job_id % 20000  # below the ports that the system hands out
    meeting = ["--nnodes", str(resources.nodes), "--rdzv-backend", "c10d", "--rdzv-id", str(job_id)]
    meeting += ["--rdzv-endpoint", f"{socket.gethostname()}:{port}"]
    # Where one node fails the others end by themselves, so that the highest exit code is that of a cause and not of
    # srun's kill; those that hang are killed after a minute.
    srun = ["srun", f"--nodes={resources.nodes}", f"--ntasks={resources.nodes}", "--ntasks-per-node=1"]
    srun += ["--kill-on-bad-exit=0", "--wait=60"]
    if "SLURM_CPUS_PER_TASK" in os.environ:  # since Slurm 22.05 srun does not take it from there
        srun.append(f"--cpus-per-task={os.environ['SLURM_CPUS_PER_TASK']}")
    return [*srun, *distributed(command, resources, meeting)]


def run_to_end(command: Sequence[str], resources: Resources, task: str, received: list[int]) -> int:
    """Run a command and return its exit code, 128 + n after signal n.

    Before the time limit it gets SIGTERM, and SIGKILL if it goes on. When Slurm ends the job, it has sent SIGTERM to
    every process already; a second one could cut short the saving of a state.
    """
    words = on_nodes(command, resources)
    try:
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{words[0]}: {error.strerror}", flush=True)
        return 127
    deadline = None
    while process.poll() is None:
        if deadline is None and WARNING in received:
            print("# The time limit is near: asking the command to save its state and stop", flush=True)
            if resources.nodes > 1:  # srun would not hand it on, but kill
                subprocess.run(["scancel", "--signal=TERM", task])
            else:
                os.killpg(process.pid, signal.SIGTERM)
            deadline = time.monotonic() + PATIENCE
        elif deadline is not None and time.monotonic() > deadline:
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(POLL)
    return 128 - process.returncode if process.returncode < 0 else process.returncode


def start_again(task: str, restarts: int) -> bool:
    """Have Slurm put this job into its queue again; False if it was often enough or Slurm refuses."""
    before = int(os.environ.get("SLURM_RESTART_COUNT", "0"))
    if before >= restarts:
        print(f"# Not started again: that has been done {before} times (--restarts)", flush=True)
        return False
    print(f"# To be started again by Slurm, {before + 1} of at most {restarts} times", flush=True)
    asked = subprocess.run(["scontrol", "requeue", task], capture_output=True, text=True)
    if asked.returncode:
        print(f"# Slurm does not start it again: {asked.stderr.strip()}", flush=True)
    return asked.returncode == 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"slurm_job: error: {error}")
