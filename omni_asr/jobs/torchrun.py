"""Starting one program as several processes, one for each GPU of each node, with torchrun.

``python -m omni_asr.jobs.torchrun`` takes torchrun's options. It differs in its exit status, which is that of the
process that failed first (128 + n after signal n) where torchrun's is always 1, in waiting longer for processes that
save their state, and in taking along, when it is killed, those that call :func:`end_with_torchrun`.
"""

import ctypes
import os
import sys
from collections.abc import Sequence
from signal import SIGTERM, Signals

from omni_asr.errors import UserError
from omni_asr.jobs.array import Resources

LAUNCHER = "OMNI_ASR_TORCHRUN"
"""Variable of the environment that tells processes the id of the torchrun that has started them."""
PR_SET_PDEATHSIG = 1  # of prctl(2)
SAVING = 90  # seconds that processes have to save their state after SIGTERM; torchrun gives them 30


def distributed(
    command: Sequence[str], resources: Resources, rendezvous: Sequence[str] = ("--standalone",)
) -> list[str]:
    """The command under torchrun, or as it is where one process is wanted or it is not ``python -m MODULE ...``.

    Args:
        command: what to run.
        resources: GPUs and nodes of the job.
        rendezvous: torchrun's options that say how the nodes find each other.
    """
    if not _is_spread(command, resources):
        return list(command)
    processes = ["--nproc-per-node", str(max(1, resources.gpu))]
    return [command[0], "-m", "omni_asr.jobs.torchrun", *rendezvous, *processes, *command[1:]]


def threads_of_process(command: Sequence[str], resources: Resources) -> str:
    """OMP_NUM_THREADS: the job's threads, shared out to its processes; what it is now, or 1, if none are asked for."""
    if not resources.num_threads:
        return os.environ.get("OMP_NUM_THREADS", "1")
    sharers = max(1, resources.gpu) if _is_spread(command, resources) else 1
    return str(max(1, resources.num_threads // sharers))


def _is_spread(command: Sequence[str], resources: Resources) -> bool:
    several = resources.nodes > 1 or resources.gpu > 1
    return several and len(command) > 2 and "python" in os.path.basename(command[0]) and command[1] == "-m"


def end_with_torchrun() -> None:
    """Have the kernel send this process SIGTERM when the torchrun that has started it is gone.

    torchrun puts its processes into sessions of their own. What kills its process group leaves them at work, holding
    GPUs and lock, and nobody is left to tell them to stop. Does nothing without torchrun, and where this is not Linux.

    Raises:
        UserError: it is gone already.
    """
    launcher = os.environ.get(LAUNCHER)
    if launcher is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, SIGTERM)
    if os.getppid() != int(launcher):
        raise UserError(f"torchrun (process {launcher}), which has started this process, is gone; start it again")


def main(argv: Sequence[str] | None = None) -> int:
    """Run torchrun; its exit status is that of the first process that failed."""
    from torch.distributed import run
    from torch.distributed.elastic.agent.server.local_elastic_agent import LocalElasticAgent
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous.api import RendezvousError

    shutdown = LocalElasticAgent._shutdown

    def shutdown_later(agent: LocalElasticAgent, death_sig: Signals = Signals.SIGTERM, timeout: int = 0) -> None:
        shutdown(agent, death_sig, max(timeout, SAVING))

    LocalElasticAgent._shutdown = shutdown_later  # type: ignore[method-assign, assignment]
    os.environ[LAUNCHER] = str(os.getpid())
    try:
        run.main(sys.argv[1:] if argv is None else list(argv))
    except ChildFailedError as error:
        rank, failure = error.get_first_failure()
        code = failure.exitcode
        print(f"torchrun: process {rank} failed first, with exit code {code}", file=sys.stderr)
        return 128 - code if code < 0 else code
    except SignalException as stopped:
        return 128 + int(stopped.sigval)
    except RendezvousError as error:
        print(f"torchrun: the other nodes cannot be reached, or one has failed: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
