"""Training on several processes: the same steps as one process, no hang, states that any layout reads."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from model_helpers import small_model
from torch.testing._internal.distributed.fake_pg import FakeStore
from training_helpers import losses, prepare, run, train_command

from omni_asr.models.package import load_package
from omni_asr.training.checkpoint import Checkpoints, load_checkpoint
from omni_asr.training.layout import FullySharded
from omni_asr.training.ranks import Ranks

EXACT = ["model.router=omni", "model.dropout=0.1", "train.log_every=1", "data.max_utterances=8"]
UNEVEN = "model.experts=2x3"
"""Experts that two processes cannot share out: fsdp slices them along another dimension."""
TOLERANCE = 1e-4
"""Of a loss: sums over processes have another order."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list[str]:
    return prepare(tmp_path_factory.mktemp("corpus"))


BREAKING = """
import sys

sys.path.insert(0, {tests!r})
from training_helpers import AsrModel, broken_forward

from omni_asr.bin import train

AsrModel.forward = broken_forward({{"spk1-001"}})
train.leave_ranks(train.run_program(train.main))
"""
"""Program that trains with a loss of nan for the batches of one utterance."""


def together(command: list[str], processes: int = 2) -> list[str]:
    """The training command in several processes."""
    launcher = ["-m", "omni_asr.jobs.torchrun", "--standalone", "--nproc-per-node", str(processes)]
    return [command[0], *launcher, *command[1:]]


@pytest.fixture(scope="module")
def alone(corpus, tmp_path_factory) -> Path:
    """One process that takes as many batches a step as two processes of two."""
    exp_dir = tmp_path_factory.mktemp("alone") / "exp"
    result = run(train_command(corpus, exp_dir, *EXACT, UNEVEN, "optim.accumulate=4"))
    assert result.returncode == 0, result.stderr
    return exp_dir


@pytest.mark.parametrize("parallel", ["ddp", "fsdp", "expert"])
def test_two_processes_take_the_steps_of_one(corpus, alone, tmp_path, parallel):
    """The loss curve of the same batches, dropout included but for experts, which then see frames of both processes."""
    changes, reference = [*EXACT, "optim.accumulate=2", f"train.parallel={parallel}"], alone
    other = {"expert": "model.dropout=0.0", "ddp": "model.layer_drop=0.3", "fsdp": UNEVEN}[parallel]
    changes.append(other)
    if other != UNEVEN:
        reference = tmp_path / "alone"
        assert run(train_command(corpus, reference, *EXACT, "optim.accumulate=4", other)).returncode == 0
    result = run(together(train_command(corpus, tmp_path / "exp", *changes)))
    assert result.returncode == 0, result.stderr
    expected = losses(reference)
    assert len(expected) > 5
    assert losses(tmp_path / "exp") == {step: pytest.approx(loss, abs=TOLERANCE) for step, loss in expected.items()}
    weights = [load_package(path, torch.device("cpu")).model.state_dict() for path in (reference, tmp_path / "exp")]
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-3), name
    for which in ("last", "running"):
        assert load_checkpoint(tmp_path / "exp", which, torch.device("cpu")).config.train.parallel == parallel


@pytest.mark.parametrize("experts", [2, 3, 4])
def test_fsdp_leaves_each_of_four_processes_a_quarter(experts):
    """Also of experts that are fewer than processes; the group is PyTorch's stand-in for one, which sends nothing."""
    torch.distributed.init_process_group("fake", rank=3, world_size=4, store=FakeStore())
    try:
        model = small_model(experts=f"2x{experts}")
        wholes = {name: value.shape for name, value in model.named_parameters()}
        FullySharded(model, Ranks(3, 4))
        for name, parameter in model.named_parameters():
            assert parameter.shape == wholes[name]
            if ".experts." in name:
                assert 4 * parameter.to_local().numel() == parameter.numel(), name
    finally:
        torch.distributed.destroy_process_group()


def test_a_state_goes_on_in_another_layout(corpus, tmp_path):
    """Begun with the experts spread over two processes, gone on alone, ended with everything sharded."""
    changes = [*EXACT, "model.dropout=0.0", "train.epochs=25", "train.validate_every=60"]
    alone = train_command(corpus, tmp_path / "alone", *changes, "optim.accumulate=2")
    assert run(alone).returncode == 0
    expected = losses(tmp_path / "alone")
    exp_dir = tmp_path / "exp"
    stop_at(together(train_command(corpus, exp_dir, *changes, "train.parallel=expert")), exp_dir, 5)
    stopped = max(losses(exp_dir))
    refused = run(train_command(corpus, exp_dir, *changes))
    assert refused.returncode == 1
    assert "makes steps of 2 batches, now they would have 1" in refused.stderr
    stop_at(train_command(corpus, exp_dir, *changes, "optim.accumulate=2"), exp_dir, stopped + 5)
    assert stopped + 5 <= max(losses(exp_dir)) < max(expected), "the second part was stopped on its way"
    result = run(together(train_command(corpus, exp_dir, *changes, "train.parallel=fsdp")))
    assert result.returncode == 0, result.stderr
    assert losses(exp_dir) == {step: pytest.approx(loss, rel=2e-3, abs=2e-3) for step, loss in expected.items()}


def test_experts_without_frames_and_dropped_layers_stop_nobody(corpus, tmp_path):
    """One short utterance a batch and 16 experts: most get nothing on a rank. DDP goes on where ranks drop layers."""
    for parallel, more in (
        ("expert", ["model.top_k=2"]),
        ("ddp", ["model.layer_drop=0.5"]),
        ("fsdp", ["model.score=cosine"]),
    ):
        changes = ["model.router=switch", "model.experts=2x16", "data.max_utterances=1", "train.max_steps=20"]
        exp_dir = tmp_path / parallel
        result = run(together(train_command(corpus, exp_dir, *changes, f"train.parallel={parallel}", *more)))
        assert result.returncode == 0, result.stderr
        assert max(losses(exp_dir)) == 20


def test_what_the_first_rank_refuses_leaves_no_traceback_on_the_others(corpus, alone, tmp_path):
    """The directory holds another model, which only the first rank looks at."""
    exp_dir = tmp_path / "exp"
    shutil.copytree(alone, exp_dir)
    result = run(together(train_command(corpus, exp_dir, *EXACT, UNEVEN, "optim.accumulate=2", "model.hidden=96")))
    assert result.returncode != 0
    assert "was started with model.hidden = 64, now it is 96" in result.stderr
    assert "Traceback" not in result.stderr


def test_only_the_rank_with_the_bad_batch_names_it(tmp_path):
    options = prepare(tmp_path, train=30)
    program = tmp_path / "train.py"
    program.write_text(BREAKING.format(tests=str(Path(__file__).parent)))
    changes = ["data.max_utterances=1", "train.epochs=1", "data.time_masks=0"]
    python, _, _, *arguments = train_command(options, tmp_path / "exp", *changes)
    result = run(together([python, str(program), *arguments]))
    assert result.returncode == 0, result.stderr
    logs = [(tmp_path / "exp" / name).read_text() for name in ("train.log", "train.rank1.log")]
    named = [re.findall(r"not finite, step skipped; utterances.*: (.*)", text) for text in logs]
    assert sorted(named) == [[], ["spk1-001"]]
    assert sum("not finite on another rank" in text for text in logs) == 1
    assert len(list((tmp_path / "exp" / "crash").iterdir())) == 1


@pytest.mark.parametrize("parallel", ["ddp", "fsdp", "expert"])
def test_two_processes_killed_go_on_exactly(corpus, tmp_path, parallel):
    """Steps that are taken again, from a state before the last, have the losses that they had, to the bit."""
    exp_dir, experts = tmp_path / "exp", UNEVEN if parallel == "fsdp" else "model.experts=2x2"
    more = ["model.balance=bias", "train.ema=0.9", "train.save_every=4", "train.validate_every=8", "train.epochs=999"]
    command = together(train_command(corpus, exp_dir, *EXACT, experts, *more, f"train.parallel={parallel}"))
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    wait_for_step(exp_dir, 12)
    for pid in ranks_of(process).values():  # torchrun gives them sessions of their own
        os.kill(pid, signal.SIGKILL)
    process.wait()
    before, (*_, older, newer) = losses(exp_dir), Checkpoints(exp_dir / "checkpoints").states()
    newer.unlink()
    stop_at(command, exp_dir, max(before) + 1)
    assert f"going on from step {int(older.stem[-8:])}" in (exp_dir / "train.log").read_text()
    assert max(before) - int(older.stem[-8:]) >= 4
    after = losses(exp_dir)
    assert {step: after[step] for step in before} == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["train.parallel=expert", "model.experts=2x3"], "3 experts cannot be spread evenly over 2 processes"),
        (["train.parallel=fsdp", "model.layer_drop=0.5"], "train.parallel fsdp cannot drop layers"),
    ],
)
def test_what_a_layout_cannot_do_is_refused_in_one_line(corpus, tmp_path, changes, message):
    result = run(together(train_command(corpus, tmp_path / "exp", *EXACT, *changes)))
    assert result.returncode != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("train: error: ")]
    assert lines and all(message in line for line in lines)


def test_a_rank_that_says_nothing_is_reported_with_rank_and_step(corpus, tmp_path):
    """One process is stopped; the other gives up after ``train.timeout``, saying who and where."""
    exp_dir = tmp_path / "exp"
    command = train_command(corpus, exp_dir, *EXACT, "train.epochs=400", "train.validate_every=5000")
    process = subprocess.Popen(
        together([*command, "--set", "train.timeout=0.2"]),
        cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_for_step(exp_dir, 3)
    ranks = ranks_of(process)
    os.kill(ranks["1"], signal.SIGSTOP)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and Path(f"/proc/{ranks['0']}").exists():
            time.sleep(0.1)
    finally:
        os.kill(ranks["1"], signal.SIGCONT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert re.search(r"train: error: rank 0 of 2: [a-z ]+ at step \d+ takes more than 12 s", stderr), stderr


def ranks_of(process: subprocess.Popen) -> dict[str, int]:
    """The processes that a launcher has started, by rank."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return {_environment(child)["RANK"]: int(child) for child in children if "RANK" in _environment(child)}


def _environment(pid: str) -> dict[str, str]:
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def stop_at(command: list[str], exp_dir: Path, step: int) -> None:
    """Run until a step is logged, then ask politely to stop."""
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE, text=True)
    wait_for_step(exp_dir, step)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "state saved at step" in stderr


def wait_for_step(exp_dir: Path, step: int) -> None:
    path, deadline = exp_dir / "train.log", time.monotonic() + 90
    while time.monotonic() < deadline:
        logged = re.findall(r" step (\d+)/", path.read_text()) if path.exists() else []
        if logged and int(logged[-1]) >= step:
            return
        time.sleep(0.01)
    raise AssertionError(f"step {step} has not come")
