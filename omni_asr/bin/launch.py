"""Run a command as parallel jobs with logs, on this machine or on a cluster.

omni-asr launch BACK_END [options] [JOB=1:N] LOG COMMAND ...

runs COMMAND N times with JOB replaced by 1 ... N in it and in LOG, as Kaldi's run.pl does, but without a shell between.
Every job runs, also when one fails; then the launcher fails and shows the end of a log. With --check, nothing runs, and
neither LOG nor COMMAND need be there: the back end and the options are checked.

A COMMAND that is `python -m MODULE ...` runs as one process for each GPU of each node, under torchrun, when the job has
several GPUs or nodes. Another command runs once on each node. The back end slurm takes further options, such as
--config FILE and --partition gpu: those that conf/slurm.conf has lines for (docs/cluster.md).
"""

import argparse
import sys
from collections.abc import Sequence

from omni_asr.bin import ArgumentParser, run_program
from omni_asr.jobs.array import JobArray, Resources, failure_report, parse_range
from omni_asr.jobs.backends import Interrupted, available, back_end

FLAGS = ("-h", "--help", "--check")
KNOWN = ("--mem", "--gpu", "--num-threads", "--max-jobs", "--max-jobs-run", "--nodes", "--restarts")


def make_parser() -> ArgumentParser:
    """The launcher's own options, without JOB=1:N and what follows."""
    parser = ArgumentParser(__doc__)
    parser.usage = "%(prog)s BACK_END [options] [JOB=1:N] LOG COMMAND ..."
    parser.add_argument("back_end", help=f"one of: {', '.join(available())}")
    parser.add_argument("--mem", default="", help="memory of each job, e.g. 4G (local: not enforced)")
    parser.add_argument("--gpu", type=_count, default=0, help="GPUs of each job, on each of its nodes")
    parser.add_argument("--num-threads", type=_count, help="CPU threads of each job (OMP_NUM_THREADS)")
    parser.add_argument(
        "--max-jobs", "--max-jobs-run", type=_count, default=0, help="most jobs at once (local: as many as processors)"
    )
    parser.add_argument("--nodes", type=_count, default=1, help="machines that work on each job together (slurm)")
    parser.add_argument(
        "--restarts",
        type=_count,
        default=0,
        help="how often a job may start again after a time limit, a signal or a lost node, if its command bears it",
    )
    parser.add_argument("--check", action="store_true", help="check the back end and the options, run nothing")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number")
    return int(text)


def split_command_line(arguments: Sequence[str]) -> tuple[list[str], tuple[str, int, int], list[str]]:
    """Part the launcher's own options, the job range (name, first, last) and the untouched ``LOG COMMAND ...``."""
    own, numbers, rest = list(arguments[:1]), ("", 1, 1), list(arguments[1:])
    while rest:
        found = parse_range(rest[0])
        if found:
            numbers = found
            rest.pop(0)
        elif rest[0].startswith("-"):
            takes_next = "=" not in rest[0] and rest[0] not in FLAGS
            own += rest[: 1 + takes_next]
            del rest[: 1 + takes_next]
        else:
            break
    return own, numbers, rest


def part_options(own: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Part the options that the launcher knows from those of the back end, by their names with underscores."""
    known: list[str] = []
    others: dict[str, str] = {}
    words = iter(own)
    for word in words:
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name in FLAGS or name.replace("_", "-") in KNOWN:
            known.append(word)
        else:
            others[name[2:].replace("-", "_")] = value if equals else next(words, "")
    return known, others


def main(argv: Sequence[str] | None = None) -> int:
    """Run the jobs; 1 when any of them failed."""
    own, (name, first, last), rest = split_command_line(sys.argv[1:] if argv is None else argv)
    own, others = part_options(own)
    parser = make_parser()
    options = parser.parse_args(own)
    engine = back_end(options.back_end)
    resources = Resources(
        options.mem, options.gpu, options.num_threads, options.max_jobs, max(1, options.nodes), options.restarts, others
    )
    engine.check(resources)
    if options.check:
        return 0
    if len(rest) < 2:
        parser.error("nothing to run: after the options come [JOB=1:N] LOG COMMAND ...")
    array = JobArray(rest[1:], rest[0], name, first, last, resources)
    try:
        codes = engine.run(array)
    except Interrupted as interrupted:
        print(f"launch: interrupted; all jobs are ended, log is in {array.log}", file=sys.stderr)
        return 128 + interrupted.signal
    if any(codes):
        print(f"launch: {failure_report(array, codes)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run_program(main))
