"""What goes wrong in training ends in one line, and loses nothing."""

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from model_helpers import random_batch
from training_helpers import broken_forward, kill_all, losses, prepare, run, train_command

from omni_asr.bin import train as train_program
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import load_package
from omni_asr.training import trainer
from omni_asr.training.failures import save_batches

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list[str]:
    return prepare(tmp_path_factory.mktemp("corpus"))


def main(corpus, exp_dir, *changes) -> None:
    train_program.main(train_command(corpus, exp_dir, *changes)[3:])


def started(command: list[str], exp_dir: Path, states: int) -> subprocess.Popen:
    """A training that has written so many states."""
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_with(process, lambda: len(list(exp_dir.glob("checkpoints/state-*.pt"))) >= states)
    return process


def wait_with(process: subprocess.Popen, condition) -> None:
    """Until a condition holds; a training that ends or dawdles before fails with what it has said."""
    deadline = time.monotonic() + 120
    while not condition():
        if process.poll() is not None or time.monotonic() > deadline:
            kill_all(process)
            pytest.fail(f"the training ended or took too long:\n{process.communicate()[1]}")
        time.sleep(0.005)


@pytest.mark.parametrize("what", ["state", "record"])
def test_a_full_disk_ends_training_in_one_line_with_the_states_before_it_whole(corpus, tmp_path, what):
    """The size of files is limited while training runs, which writes meet as they meet a full disk."""
    whole, exp_dir = tmp_path / "whole", tmp_path / "exp"
    command = train_command(corpus, whole, "train.save_every=5", "train.max_steps=100", "train.log_every=1")
    assert run(command).returncode == 0
    command[command.index("--exp-dir") + 1] = str(exp_dir)
    process = started(command, exp_dir, 2)
    state = max(exp_dir.glob("checkpoints/state-*.pt"))  # the other may go any moment
    limit = state.stat().st_size // 2 if what == "state" else (exp_dir / "train.jsonl").stat().st_size + 100
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Traceback" not in stderr
    errors = [line for line in stderr.splitlines() if "error" in line.lower()]
    assert len(errors) == 1 and "File too large" in errors[0] and "start again" in errors[0]
    if what == "state":
        assert re.match(r"train: error: cannot write .*state-\d+\.pt ", errors[0])
    assert not list(exp_dir.rglob(".*.tmp.*")), "nothing half written is left"
    assert run(command).returncode == 0
    assert losses(exp_dir) == losses(whole)


def test_a_loading_process_that_hangs_lets_a_signal_save_and_the_limit_end(corpus, tmp_path):
    """Stopped by SIGSTOP, which is what a file server that does not come back looks like."""
    exp_dir = tmp_path / "exp"
    # More steps than it can take before it is stopped, however busy the machine is.
    command = train_command(corpus, exp_dir, "data.workers=1", "train.epochs=100000", "train.max_steps=1000000")
    process = started(command, exp_dir, 1)
    stop_loading(process, exp_dir)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "state saved at step" in stderr
    process = started([*command, "--set", "train.timeout=0.1"], exp_dir, 1)
    stop_loading(process, exp_dir)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 1
    assert re.search(r"train: error: waiting for data at step \d+ takes more than 6 s", stderr), stderr


def stop_loading(process: subprocess.Popen, exp_dir: Path) -> None:
    """Stop the loading process of a training as soon as steps are taken: children of its start are gone by then."""
    record = exp_dir / "train.jsonl"
    size = record.stat().st_size
    wait_with(process, lambda: record.stat().st_size != size)
    (worker,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGSTOP)


def test_a_training_killed_with_its_loading_processes_starts_at_once(corpus, tmp_path):
    """They outlive it for seconds, and must not hold its lock."""
    command = train_command(corpus, tmp_path / "exp", "data.workers=2", "train.max_steps=60", "train.save_every=5")
    process = started(command, tmp_path / "exp", 1)
    process.kill()
    process.wait()
    result = run(command)
    assert result.returncode == 0, result.stderr


def test_an_end_interrupted_twice_is_made_up_for(corpus, tmp_path, monkeypatch):
    """A signal in the last validation, and again in that of the second start."""
    exp_dir, changes = tmp_path / "exp", ["train.max_steps=4"]
    validate = trainer.validate
    monkeypatch.setattr(trainer, "validate", lambda *arguments: None)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            main(corpus, exp_dir, *changes)
        assert not (exp_dir / "model.pt").exists()
    calls = []
    monkeypatch.setattr(
        trainer, "validate", lambda *given: calls.append(1) or (validate(*given) if calls == [1] else None)
    )
    with pytest.raises(KeyboardInterrupt):
        main(corpus, exp_dir, *changes)  # now in the validation of the average
    assert not (exp_dir / "model.pt").exists()
    monkeypatch.setattr(trainer, "validate", validate)
    main(corpus, exp_dir, *changes)
    main(corpus, tmp_path / "whole", *changes)
    assert losses(exp_dir) == losses(tmp_path / "whole")
    a, b = (load_package(path, torch.device("cpu")).model.state_dict() for path in (exp_dir, tmp_path / "whole"))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_memory_that_runs_out_names_the_batch_and_the_option(corpus, tmp_path, monkeypatch):
    """Already on the largest batch, which runs before the first step."""
    seen: list[int] = []

    def forward(self, batch):
        seen.append(batch.x_BTF.shape[0] * batch.x_BTF.shape[1])
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(AsrModel, "forward", forward)
    with pytest.raises(
        UserError, match=r"memory ran out on a batch of \d+ utterances .*spk\d-.*data\.batch_frames, now 600"
    ):
        main(corpus, tmp_path / "exp")
    frames = [int(line.split()[1]) for line in (Path(corpus[1]) / "utt2num_frames").read_text().splitlines()]
    assert len(seen) == 1 and seen[0] > 0.8 * 600 and max(frames) <= seen[0]
    assert not list((tmp_path / "exp").glob("checkpoints/*"))


def test_what_takes_most_memory_runs_before_the_first_step(corpus, tmp_path, monkeypatch):
    """In training: most padded frames, and most of those times the longest; the same of the validation."""
    seen: dict[str, list[tuple]] = {"tried": [], "trained": [], "validated": []}
    encode, step = AsrModel.encode, trainer.Trainer.train_step
    stepped = []

    def seen_encode(self, x_BTF, lengths_B):
        when = "tried" if not stepped else "trained" if self.training else "validated"
        seen[when].append((*x_BTF.shape[:2], self.training, torch.is_grad_enabled()))
        return encode(self, x_BTF, lengths_B)

    def seen_step(self, batches):
        stepped.append(1)
        step(self, batches)

    monkeypatch.setattr(AsrModel, "encode", seen_encode)
    monkeypatch.setattr(trainer.Trainer, "train_step", seen_step)
    main(corpus, tmp_path / "exp", "data.max_utterances=12", "decode.batch_frames=300", "train.epochs=1")
    for training, others in ((True, seen["trained"]), (False, seen["validated"])):
        tried = [shape for shape in seen["tried"] if shape[2] == training]
        assert 1 <= len(tried) <= 2 and all(shape[3] == training for shape in tried)
        for power in (1, 2):
            assert max(shape[0] * shape[1] ** power for shape in tried) == max(
                shape[0] * shape[1] ** power for shape in others
            )


def test_memory_of_the_system_that_runs_out_is_the_same(corpus, tmp_path):
    """A batch that cannot be had within a limit on the address space."""
    command = train_command(corpus, tmp_path / "exp", "model.hidden=2000000", "model.experts=1x2", "model.router=dense")
    limit = (
        "import resource,sys,runpy; resource.setrlimit(resource.RLIMIT_AS, (6 << 30,) * 2); sys.argv = sys.argv[1:]; "
    )
    start = f"{limit}runpy.run_module('omni_asr.bin.train', run_name='__main__', alter_sys=True)"
    result = run([sys.executable, "-c", start, "train", *command[3:], "--set", "data.batch_frames=4000000"])
    assert result.returncode == 1
    assert re.search(r"train: error: memory ran out on a batch of \d+ utterances", result.stderr), result.stderr[-2000:]


def test_a_batch_that_breaks_a_step_is_kept(tmp_path, caplog, monkeypatch):
    options = prepare(tmp_path, train=30)
    monkeypatch.setattr(AsrModel, "forward", broken_forward({"spk1-001"}))
    main(options, tmp_path / "exp", "data.max_utterances=2", "train.epochs=1", "data.time_masks=0")
    (path,) = (tmp_path / "exp" / "crash").iterdir()
    (batch,) = torch.load(path, weights_only=True)
    assert "spk1-001" in batch["utts"]
    assert re.search(r"1 of \d+ steps were skipped", caplog.text)
    assert f"saved in {path}: {' '.join(batch['utts'])}" in caplog.text


def test_only_the_first_broken_batches_are_kept(tmp_path):
    batch = random_batch([20, 12])
    messages = [save_batches(tmp_path / "crash", step, 0, [batch]) for step in range(1, 15)]
    kept = sorted(path.name for path in (tmp_path / "crash").iterdir())
    assert kept == [f"step-{step:08d}-rank0.pt" for step in range(1, 11)]
    assert messages[9] == f"saved in {tmp_path}/crash/{kept[-1]}"
    assert messages[10:] == [f"not saved, since {tmp_path}/crash has 10 files"] * 4


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGHUP])
def test_a_clusters_warning_saves_and_exits(corpus, tmp_path, number):
    command = train_command(corpus, tmp_path / "exp", "train.epochs=4000", "train.max_steps=100000")
    process = started(command, tmp_path / "exp", 1)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130 and "state saved at step" in stderr


def test_killed_at_random_moments_it_ends_as_if_nothing_happened():
    """The script that kills twenty times, with three kills, one of them while a state is written."""
    result = run([sys.executable, "tools/bench/kill.py", "--kills", "3", "--steps", "90"])
    assert result.returncode == 0, result.stderr
    assert "90 losses bit-equal, 30 tensors of model.pt bit-equal" in result.stdout
    assert "while it wrote a state" in result.stdout
