"""One program as several processes: what is started, and what its exit status says."""

import os
import signal
import subprocess
import sys

import pytest
from recipe_helpers import ROOT, lives, wait_for
from training_helpers import descendants, prepare, train_command

from omni_asr.jobs.array import Resources
from omni_asr.jobs.torchrun import LAUNCHER, distributed, threads_of_process

TRAIN = ["python3", "-m", "omni_asr.bin.train", "--set", "a b"]

# Rank 0 does what the argument says; rank 1 waits until it is told to stop, and takes a moment to save its state.
WORKER = """\
import os, signal, sys, time
from pathlib import Path

def save(*_):
    time.sleep(0.5)
    Path(f"saved.{rank}").touch()
    sys.exit(130)

rank = os.environ["RANK"]
signal.signal(signal.SIGTERM, save)
Path(f"pid.{rank}").write_text(str(os.getpid()))
while not all(Path(f"pid.{other}").exists() for other in "01"):
    time.sleep(0.02)
if rank == "0":
    exec(sys.argv[1])
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("command", "resources", "options"),
    [
        (TRAIN, Resources(gpu=4), "--standalone --nproc-per-node 4"),
        (TRAIN, Resources(nodes=2), "--standalone --nproc-per-node 1"),
        (TRAIN, Resources(gpu=1), None),
        (["bash", "-m", "x"], Resources(gpu=4), None),
        (["python", "script.py"], Resources(nodes=2), None),
    ],
)
def test_what_is_started_by_torchrun(command, resources, options):
    if options is None:
        assert distributed(command, resources) == command
    else:
        assert distributed(command, resources) == [
            "python3", "-m", "omni_asr.jobs.torchrun", *options.split(), *TRAIN[1:]
        ]  # fmt: skip


def test_threads_are_shared_out(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads_of_process(TRAIN, Resources(gpu=4)) == "3"
    assert threads_of_process(TRAIN, Resources(gpu=4, num_threads=8)) == "2"
    assert threads_of_process(TRAIN, Resources(gpu=4, num_threads=2)) == "1"
    assert threads_of_process(["true"], Resources(gpu=4, num_threads=8)) == "8"


def start(folder, what):
    (folder / "worker.py").write_text(WORKER)
    words = [sys.executable, "-m", "omni_asr.jobs.torchrun", "--standalone", "--nproc-per-node", "2", "-m", "worker"]
    environment = dict(os.environ, PYTHONPATH=f"{ROOT}:{folder}", OMP_NUM_THREADS="1")
    return subprocess.Popen([*words, what], cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("what", "code"), [("os.kill(os.getpid(), 9)", 137), ("sys.exit(3)", 3)])
def test_exit_status_is_that_of_the_first_failure(tmp_path, what, code):
    process = start(tmp_path, what)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert "torchrun: process 0 failed first, with exit code " in err and "Traceback" not in err
    assert (tmp_path / "saved.1").exists(), "the others are told to stop"


@pytest.mark.parametrize(("saving", "saved"), [(60, True), (0, False)])
def test_processes_have_time_to_save(tmp_path, saving, saved):
    """Two seconds to save, or twenty where there is no time; torchrun itself would wait for one."""
    (tmp_path / "worker.py").write_text(WORKER.replace("sleep(0.5)", f"sleep({2 if saved else 20})"))
    script = f"from omni_asr.jobs import torchrun; torchrun.SAVING = {saving}; raise SystemExit(torchrun.main())"
    words = ["--standalone", "--nproc-per-node", "2", "-m", "worker", "pass"]
    environment = dict(os.environ, PYTHONPATH=f"{ROOT}:{tmp_path}", TORCH_ELASTIC_SHUTDOWN_TIMEOUT="1")
    process = subprocess.Popen([sys.executable, "-c", script, *words], cwd=tmp_path, env=environment)
    wait_for(lambda: all((tmp_path / f"pid.{rank}").exists() for rank in (0, 1)), 60)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=60)
    assert (tmp_path / "saved.0").exists() is saved


def test_sigterm_reaches_all_processes(tmp_path):
    process = start(tmp_path, "pass")
    wait_for(lambda: all((tmp_path / f"pid.{rank}").exists() for rank in (0, 1)), 60)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert (tmp_path / "saved.0").exists() and (tmp_path / "saved.1").exists()
    assert not any(lives(int((tmp_path / f"pid.{rank}").read_text())) for rank in (0, 1))


def test_a_killed_torchrun_leaves_no_training(tmp_path):
    """As run.sh does on a second Ctrl-C: only the group of torchrun is killed; its processes save and go."""
    options = prepare(tmp_path)
    changes = ["train.epochs=4000", "train.max_steps=100000", "data.max_utterances=8"]
    command = train_command(options, tmp_path / "exp", *changes)
    launcher = ["-m", "omni_asr.jobs.torchrun", "--standalone", "--nproc-per-node", "2"]
    process = subprocess.Popen(
        [command[0], *launcher, *command[1:]], cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    wait_for(lambda: list(tmp_path.glob("exp/checkpoints/state-*.pt")), 120)
    ranks = descendants(process.pid)
    assert len(ranks) >= 2
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(lives(pid) for pid in ranks), 120)
    assert "state saved at step" in (tmp_path / "exp/train.log").read_text()


def test_a_process_whose_torchrun_is_gone_does_not_begin(tmp_path):
    command = train_command(prepare(tmp_path), tmp_path / "exp")
    result = subprocess.run(command, cwd=ROOT, env={**os.environ, LAUNCHER: "1"}, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.startswith("train: error: torchrun (process 1), which has started")
    assert result.stderr.count("\n") == 1
