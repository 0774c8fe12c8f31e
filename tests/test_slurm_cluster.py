"""The back end slurm on a real Slurm of two nodes, which the tests bring up; skipped where its packages are absent."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from recipe_helpers import ROOT, lives, wait_for

from omni_asr.bin import launch
from omni_asr.jobs.backends import slurm

SCRIPT = ROOT / "tools/slurm_test_cluster.sh"
ABSENT = [name for name in ("slurmctld", "slurmd", "munged", "sbatch", "srun")
          if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]  # fmt: skip

pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"no {', '.join(ABSENT)} here (apt-get install slurm-wlm munge)")

# Counts to 20 on two nodes, one all-reduce a step, and goes on from the last step when it is started again.
COUNTING = """\
import datetime, os, time, torch
import torch.distributed as dist
from pathlib import Path

dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=60))
rank, state = dist.get_rank(), Path("state")
step = int(state.read_text()) if state.exists() else 0
print(f"rank {rank} of {dist.get_world_size()} on {os.environ['SLURMD_NODENAME']} from step {step}", flush=True)
dist.barrier()
while step < 20:
    total = torch.tensor([step])
    dist.all_reduce(total)
    assert total.item() == 2 * step
    step += 1
    if rank == 0:
        state.with_name("new").write_text(str(step))
        state.with_name("new").replace(state)
    if step == 3:
        Path(f"pid.{rank}").write_text(str(os.getpid()))
    time.sleep(0.1 if step > 3 or Path("killed").exists() else 2)
print(f"rank {rank} is done", flush=True)
"""


def command(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=120).stdout


@pytest.fixture(scope="module")
def short_folder():
    """A folder whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="omni.", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def cluster(short_folder):
    """The environment of a running cluster."""
    folder = short_folder / "slurm"
    line = command(SCRIPT, "start", folder)
    yield {"SLURM_CONF": line.removeprefix("export SLURM_CONF=").strip()}
    command(SCRIPT, "stop", folder)


@pytest.fixture
def here(cluster, tmp_path, monkeypatch):
    """A folder with conf/slurm.conf, whose processes use the cluster."""
    for name, value in {**cluster, "PYTHONPATH": f"{ROOT}:{tmp_path}", "OMP_NUM_THREADS": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    shutil.copy(ROOT / "egs/TEMPLATE/conf/slurm.conf", tmp_path / "conf")
    yield tmp_path
    command("scancel", f"--user={os.getuid()}")  # what a failed test has left


def job_of(log):
    """Slurm's id of the job that writes a log, once it is known."""
    note = log.parent / "q" / f"{log.name}.job"
    wait_for(note.exists, 60)
    return note.read_text().strip()


def test_start_twice_and_stop(cluster, short_folder):
    pids = sorted(path.read_text() for path in (short_folder / "slurm").glob("*.pid"))
    ports = [int(port) for port in re.findall(r"Port=(\d+)", (short_folder / "slurm/slurm.conf").read_text())]
    assert ports == list(range(ports[0], ports[0] + 3)), "three daemons do not meet at one"
    assert command(SCRIPT, "start", short_folder / "slurm") == f"export SLURM_CONF={cluster['SLURM_CONF']}\n"
    assert sorted(path.read_text() for path in (short_folder / "slurm").glob("*.pid")) == pids and len(pids) == 4

    other = short_folder / "other"
    command(SCRIPT, "start", other)
    assert "node2" in command(SCRIPT, "status", other)
    pids = [int(path.read_text()) for path in other.glob("*.pid")]
    command(SCRIPT, "stop", other)
    assert not any(lives(pid) for pid in pids) and not other.exists()
    command(SCRIPT, "stop", other)
    status = subprocess.run([SCRIPT, "status", other], capture_output=True, text=True)
    assert status.returncode == 1 and status.stderr.count("\n") == 1


def test_array_with_a_failing_job(here, capsys):
    script = "import sys; print(sys.argv[1:]); sys.exit(JOB == 3)"
    words = ["a b", "$(exit 3)", "'\"", "--some_option", "", "X=1:3", "new\nline", "\\", "*"]
    log = f"{here}/it's 100%/x.JOB.log"
    arguments = ["slurm", "--mem", "1G", "--max-jobs", "2", "JOB=1:4", log, sys.executable, "-c", script, *words, "JOB"]
    assert launch.main(arguments) == 1
    assert f"launch: 1 / 4 failed, log is in {here}/it's 100%/x.*.log\n" in capsys.readouterr().err
    for job in range(1, 5):
        text = (here / f"it's 100%/x.{job}.log").read_text()
        assert f"\n{[*words, str(job)]}\n" in text and f"# Ended (code {int(job == 3)}) at " in text


ARRAY = """\
echo start >> JOB.events
[[ JOB == 3 ]] || { sleep 1; echo end >> JOB.events; exit 0; }
until [[ -s 1.events && -s 2.events && $(tail -qn 1 [12].events | sort -u) == end ]]; do sleep 0.1; done
[[ -e killed ]] || { touch killed; kill -KILL $$; }
sleep 2
echo end >> JOB.events
exit 7
"""


def test_last_job_of_an_array_is_requeued_alone(here, capsys):
    """The last job of an array has the array's id as its own: what it asks of Slurm must not concern the others."""
    arguments = ["slurm", "--restarts", "3", "JOB=1:3", "x.JOB.log", "bash", "-c", ARRAY]
    assert launch.main(arguments) == 1
    assert command("squeue", "--noheader") == "", "the launcher returns when every job has ended"
    assert "launch: 1 / 3 failed" in capsys.readouterr().err
    assert {number: (here / f"{number}.events").read_text().split() for number in (1, 2, 3)} == {
        1: ["start", "end"],
        2: ["start", "end"],
        3: ["start", "start", "end"],
    }
    assert (here / "x.3.log").read_text().count("# Ended (code 7)") == 1


def test_cluster_refuses(here, capsys):
    assert launch.run_program(launch.main, ["slurm", "--partition", "nowhere", "a.log", "true"]) == 1
    error = capsys.readouterr().err
    assert "launch: error: sbatch refuses the job: " in error and "partition" in error and error.count("\n") == 1


def test_job_that_someone_cancels(here, monkeypatch, capsys):
    monkeypatch.setattr(slurm, "LOOK", 0.5)
    monkeypatch.setattr(slurm, "LOST", 1.0)
    arguments = ["slurm", "--restarts", "5", "a.log", "bash", "-c", "scancel $SLURM_JOB_ID; sleep 60"]
    assert launch.main(arguments) == 1
    assert "# Slurm has ended this job (CANCELLED); it left no exit code" in capsys.readouterr().err
    assert (here / "a.log").read_text().count("# Started at") == 1, "a cancelled job does not come back"


def test_interrupt_cancels_all(here):
    arguments = [sys.executable, "-m", "omni_asr.bin.launch", "slurm", "--restarts", "5", "JOB=1:6", "x.JOB.log"]
    process = subprocess.Popen([*arguments, "bash", "-c", "touch JOB.up; sleep 60"], stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(here.glob("*.up"))) >= 3, 60)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 130
    assert "interrupted; all jobs are ended" in process.stderr.read()
    process.stderr.close()
    assert command("squeue", "--noheader") == ""
    assert "# Ended (code 143)" in (here / "x.1.log").read_text()


def test_two_nodes_requeue_when_a_process_is_killed(here):
    (here / "counting.py").write_text(COUNTING)
    arguments = [sys.executable, "-m", "omni_asr.bin.launch", "slurm", "--nodes", "2", "--restarts", "3", "a.log"]
    process = subprocess.Popen([*arguments, "python", "-m", "counting"])
    wait_for(lambda: all((here / f"pid.{rank}").exists() for rank in (0, 1)), 90)
    (here / "killed").touch()
    os.kill(int((here / "pid.1").read_text()), signal.SIGKILL)
    assert process.wait(timeout=120) == 0
    first, second = (here / "a.log").read_text().split("# To be started again by Slurm, 1 of at most 3 times\n")
    assert "# Ended (code 137)" in first and "torchrun: process 1 failed first, with exit code -9" in first
    for node, rank in (("node1", 0), ("node2", 1)):
        assert f" on {node} from step 0" in first and f"rank {rank} of 2 on node" in first
        assert f" on {node} from step 3" in second and f"rank {rank} is done" in second
    assert "# Ended (code 0)" in second


def process_of(job: str, rank: int) -> int:
    """The training process of a rank of a job; those that load its batches are younger."""
    wanted = {f"SLURM_JOB_ID={job}".encode(), f"RANK={rank}".encode()}
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            training = b"omni_asr.bin.train" in (folder / "cmdline").read_bytes()
            if training and wanted <= set((folder / "environ").read_bytes().split(b"\0")):
                found.append(int(folder.name))
    return min(found)


def test_recipe_whose_training_is_requeued(here):
    """Features and two-node training of egs/mini at its tiny size, one process of which is killed."""
    pytest.importorskip("espeakng_loader")
    for name in ("omni_asr", "tools"):
        (here / name).symlink_to(ROOT / name)
    ignored = shutil.ignore_patterns("data", "exp", "fbank", "corpus", "log")
    shutil.copytree(ROOT / "egs", here / "egs", symlinks=True, ignore=ignored)
    recipe = here / "egs/mini"
    options = "--config conf/tiny.yaml --size tiny --test_sets test --speed_perturb false --nj 2 --stop_stage 3".split()
    options += ["--cmd", "slurm --time 1:00:00", "--set", "train.log_every=1", "--set", "train.max_steps=300"]
    options += ["--set", "train.save_every=5"]
    options += ["--set", "train.threads=1"]  # more are slow on a busy machine
    options += ["--nnodes", "2", "--ngpu", "0"]
    process = subprocess.Popen([recipe / "run.sh", *options], stdout=subprocess.DEVNULL)
    log = recipe / "exp/omni_tiny/log/train.log"
    wait_for(lambda: list(recipe.glob("exp/omni_tiny/checkpoints/state-*.pt")), 120)
    os.kill(process_of(job_of(log), rank=1), signal.SIGKILL)
    assert process.wait(timeout=180) == 0
    assert {path.name for path in (recipe / "fbank/log").glob("train.*.log")} == {"train.1.log", "train.2.log"}
    starts = log.read_text().split("# Started at ")[1:]
    assert len(starts) == 2, "the log has both starts"
    assert " steps on cpu of 2 processes (ddp)" in starts[0]
    assert " step 1/300 " in starts[0] and " step 300/300 " not in starts[0]
    assert "; going on from step " in starts[1] and " step 300/300 " in starts[1]
    assert (recipe / "exp/omni_tiny/model.pt").is_file()
