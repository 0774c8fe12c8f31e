"""Training: it learns, comes back, refuses and reports."""

import contextlib
import json
import math
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest
import torch
from model_helpers import small_model
from recipe_helpers import wait_for
from training_helpers import LETTERS, broken_forward, losses, prepare, run, train_command, write_corpus

from omni_asr.bin import shard
from omni_asr.bin import train as train_program
from omni_asr.config import ModelConfig
from omni_asr.errors import UserError
from omni_asr.models.asr_model import AsrModel
from omni_asr.models.package import load_package
from omni_asr.text.tokenizer import save_tokenizer, train_tokenizer
from omni_asr.training.checkpoint import Checkpoints, Position
from omni_asr.training.logging import progress_line
from omni_asr.training.meters import Stopwatch
from omni_asr.training.ranks import Ranks
from omni_asr.training.trainer import Trainer


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> list[str]:
    return prepare(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def finished(corpus, tmp_path_factory) -> Path:
    """A run that was never interrupted."""
    exp_dir = tmp_path_factory.mktemp("exp") / "omni_tiny"
    result = run(train_command(corpus, exp_dir, "model.router=omni"))
    assert result.returncode == 0, result.stderr
    return exp_dir


LONG = ["model.router=omni", "train.epochs=40"]
"""What is not over before a signal comes, however late."""


@pytest.fixture(scope="module")
def long(corpus, tmp_path_factory) -> Path:
    """A long run that was never interrupted."""
    exp_dir = tmp_path_factory.mktemp("long") / "exp"
    result = run(train_command(corpus, exp_dir, *LONG))
    assert result.returncode == 0, result.stderr
    return exp_dir


def main(corpus, exp_dir, *changes) -> None:
    train_program.main(train_command(corpus, exp_dir, *changes)[3:])


def test_what_a_finished_run_leaves(finished):
    names = {path.name for path in finished.iterdir()}
    assert {
        "config.yaml",
        "cmd.txt",
        "versions.txt",
        "train.log",
        "train.jsonl",
        "model.pt",
        "model_info.json",
    } <= names
    records = [json.loads(line) for line in (finished / "train.jsonl").read_text().splitlines()]
    assert {record["type"] for record in records} == {"step", "valid", "average"}
    step = next(record for record in records if record["type"] == "step")
    assert {"loss", "ctc", "balance", "grad_norm", "lr", "utts_per_s", "times_real_time", "load"} <= set(step)
    assert len(step["load"]) == 2
    assert all(sum(layer) == pytest.approx(1.0, abs=1e-5) for layer in step["load"])
    info = json.loads((finished / "model_info.json").read_text())
    assert info["router"] == "omni" and info["params_total"] > info["params_active"] > 0 and info["steps"] > 0
    log = (finished / "train.log").read_text()
    for word in (" xRT  data ", "left 0:", "grad ", "load by layer", "wer "):
        assert word in log


def test_the_loss_falls(finished):
    by_step = losses(finished)
    assert by_step[max(by_step)] < 0.8 * by_step[min(by_step)]


def test_the_packed_model_is_the_average_of_the_best(finished):
    position, _ = Checkpoints(finished / "checkpoints").load_state()
    assert len(position.best) == 2
    files = [finished / "checkpoints" / f"weights-{step:08d}.pt" for *_, step in position.best]
    states = [torch.load(file, weights_only=True)["state"] for file in files]
    package = load_package(finished, torch.device("cpu"))
    for name, value in package.model.state_dict().items():
        assert torch.allclose(value, (states[0][name] + states[1][name]) / 2, atol=1e-6), name
    assert package.tokenizer.decode(package.tokenizer.encode("ab c")) == "ab c"


def test_started_again_it_says_complete_and_trains_nothing(corpus, finished):
    before = (finished / "train.jsonl").read_bytes(), (finished / "model.pt").stat().st_mtime_ns
    result = run(train_command(corpus, finished, "model.router=omni"))
    assert result.returncode == 0
    assert "training is complete" in result.stderr
    assert before == ((finished / "train.jsonl").read_bytes(), (finished / "model.pt").stat().st_mtime_ns)


def test_other_options_in_the_same_directory_are_refused(corpus, finished):
    with pytest.raises(UserError, match=r"model\.hidden = 64, now it is 128"):
        main(corpus, finished, "model.router=omni", "model.hidden=128")


def test_other_data_or_units_in_the_same_directory_are_refused(corpus, finished, tmp_path):
    """Of the same names and the same number of units, so that options and shapes of weights tell nothing."""

    def message(index: int, change) -> str:
        options = list(corpus)
        options[index] = str(shutil.copytree(corpus[index], tmp_path / "other" / Path(corpus[index]).name))
        change(Path(options[index]))
        with pytest.raises(UserError) as error:
            main(options, finished, "model.router=omni")
        return str(error.value)

    def shorten(folder: Path, name: str) -> None:
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        (folder / name).write_text("\n".join(lines[:-1]) + "\n", encoding="utf-8")

    def fewer(folder: Path) -> None:
        for name in ("text", "feats.scp", "utt2num_frames"):
            shorten(folder, name)

    def another_text(folder: Path) -> None:
        (folder / "text").write_text((folder / "text").read_text(encoding="utf-8").replace("a", "b"), encoding="utf-8")

    def other_units(folder: Path) -> None:
        save_tokenizer(train_tokenizer("char", 0, [" ".join(LETTERS.replace("a", "x"))]), folder)

    expected = f"{finished} was started with other {{}} than there are now; put them back"
    assert message(5, other_units).startswith(expected.format("output units"))
    assert message(1, fewer).startswith(expected.format("training utterances"))
    shutil.rmtree(tmp_path / "other" / "train")
    assert message(1, another_text).startswith(expected.format("training utterances"))
    assert message(3, fewer).startswith(expected.format("validation utterances"))
    moved = [corpus[0], str(shutil.copytree(corpus[1], tmp_path / "moved")), *corpus[2:]]
    main(moved, finished, "model.router=omni")  # complete: the same data under another name


def test_one_seed_makes_one_run(corpus, finished, tmp_path):
    main(corpus, tmp_path / "again", "model.router=omni")
    main(corpus, tmp_path / "other", "model.router=omni", "train.seed=2")
    assert losses(tmp_path / "again") == losses(finished)
    assert losses(tmp_path / "other") != losses(finished)


def start_and_wait_for_a_state(command, exp_dir, **options) -> subprocess.Popen:
    root = Path(__file__).parents[1]
    process = subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, **options)
    wait_for(lambda: any(exp_dir.glob("checkpoints/state-*.pt")), 120)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_started_again_it_ends_as_if_nothing_happened(corpus, long, tmp_path, number):
    """After a polite signal training goes on from that very step, after SIGKILL from the last validation."""
    exp_dir = tmp_path / "exp"
    command = train_command(corpus, exp_dir, *LONG)
    process = start_and_wait_for_a_state(command, exp_dir)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    if number is not signal.SIGKILL:
        assert process.returncode == 130
        assert "state saved at step" in stderr
    assert not (exp_dir / "model.pt").exists()
    assert run(command).returncode == 0
    assert losses(exp_dir) == losses(long)
    a, b = (load_package(path, torch.device("cpu")).model.state_dict() for path in (exp_dir, long))
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_damaged_state_falls_back_to_the_one_before(tmp_path, caplog):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2, 3):
        checkpoints.save_state(Position(step=step, best=[(0.5, 0.1, 1)]), {"model": {"weight": torch.ones(100)}})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state-00000002.pt", "state-00000003.pt"]
    newest = tmp_path / "state-00000003.pt"
    content = bytearray(newest.read_bytes())
    content[content.index(torch.ones(100).numpy().tobytes()) + 50] ^= 1  # PyTorch alone would read this without a word
    newest.write_bytes(content)
    assert checkpoints.load_state()[0] == Position(step=2, best=[(0.5, 0.1, 1)])
    assert re.search(r"state-00000003.pt is damaged \(the checksum of its part .* does not match\)", caplog.text)
    newest.write_bytes(b"torn")
    assert checkpoints.load_state()[0].step == 2
    (tmp_path / "state-00000002.pt").write_bytes(b"")
    with pytest.raises(UserError, match="no state in .* is whole"):
        checkpoints.load_state()


def test_a_state_has_its_name_on_the_disk_before_an_old_one_goes(tmp_path, monkeypatch):
    checkpoints, events = Checkpoints(tmp_path), []
    fsync, replace, unlink = os.fsync, os.replace, Path.unlink

    def seen_fsync(descriptor):
        events.append("flush folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "flush file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", lambda *names: events.append("rename") or replace(*names))
    monkeypatch.setattr(Path, "unlink", lambda path: events.append(f"remove {path.name}") or unlink(path))
    for step in (1, 2, 3):
        checkpoints.save_state(Position(step=step), {"model": {"weight": torch.ones(10)}})
    assert events[-4:] == ["flush file", "rename", "flush folder", "remove state-00000001.pt"]


def test_a_damaged_state_is_set_aside_and_not_kept_in_the_place_of_a_whole_one(tmp_path):
    checkpoints, tensors = Checkpoints(tmp_path), {"model": {"weight": torch.ones(100)}}
    for step in (98, 101):
        checkpoints.save_state(Position(step=step), tensors)
    (tmp_path / "state-00000101.pt").write_bytes(b"torn")
    assert checkpoints.newest() == 98, "to look changes nothing"
    assert checkpoints.newest(set_aside=True) == 98
    checkpoints.save_state(Position(step=100), tensors)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["state-00000098.pt", "state-00000100.pt", "state-00000101.pt.damaged"]
    for step in (98, 100):
        (tmp_path / f"state-{step:08d}.pt").write_bytes(b"torn")
    with pytest.raises(UserError, match="no state in .* is whole"):
        checkpoints.newest(set_aside=True)
    assert len(checkpoints.states()) == 2, "or the next start would train anew"


def test_losses_that_are_not_finite_are_skipped_named_and_end_training(tmp_path, caplog, monkeypatch):
    options = prepare(tmp_path, train=30)
    utterances = [line.split()[0] for line in (tmp_path / "train" / "text").read_text().splitlines()]
    monkeypatch.setattr(AsrModel, "forward", broken_forward({utt for utt in utterances if utt >= "spk1"}))
    with pytest.raises(UserError, match="10 steps in a row"):
        main(options, tmp_path / "exp", "data.max_utterances=1", "data.batch_frames=1", "train.epochs=9")
    assert "step skipped; utterances: spk" in caplog.text


def test_unusable_utterances_are_removed_and_listed(tmp_path):
    """Too many of them are an error, and what its message advises works in the same directory."""
    options = prepare(tmp_path)
    texts = ["ab"] * 39 + [""]
    write_corpus(tmp_path / "gaps", 40, 3, texts)
    options[1] = str(tmp_path / "gaps")
    exp_dir, changes = tmp_path / "exp", ["train.epochs=1", "data.min_frames=2"]
    with pytest.raises(
        UserError, match="1 of 40 utterances .* would be removed .*allow it with --max_removed 0.025 of"
    ):
        main(options, exp_dir, *changes, "data.max_removed=0.01")
    with pytest.raises(UserError, match=r"none of 40 utterances .* can be trained on \(listed in .*\); mend the data$"):
        main(options, exp_dir, *changes, "data.min_frames=3000", "data.max_removed=1.0")
    assert run(train_command(options, exp_dir, *changes, "data.max_removed=0.025")).returncode == 0
    assert (exp_dir / "removed_utts").read_text() == "spk0-039 empty transcript\n"
    assert "39 utterances kept, 1 removed" in (exp_dir / "train.log").read_text()


def test_validation_text_that_is_too_long_leaves_the_loss_finite(tmp_path, caplog):
    options = prepare(tmp_path)
    write_corpus(tmp_path / "short", 3, 3, ["ab", "abc", "a"])
    rows = (tmp_path / "short" / "text").read_text().splitlines()
    (tmp_path / "short" / "text").write_text("\n".join([f"{rows[0]} {'abcdef' * 20}", *rows[1:]]) + "\n")
    options[3] = str(tmp_path / "short")
    main(options, tmp_path / "exp", "train.epochs=1")
    assert "1 validation utterances are too short" in caplog.text
    records = [json.loads(line) for line in (tmp_path / "exp" / "train.jsonl").read_text().splitlines()]
    assert all(math.isfinite(record["ctc"]) for record in records)


def test_a_stop_after_the_last_step_trains_no_further(corpus, finished, tmp_path):
    exp_dir = tmp_path / "exp"
    shutil.copytree(finished, exp_dir)
    (exp_dir / "model.pt").unlink()
    main(corpus, exp_dir, "model.router=omni")
    a, b = (load_package(path, torch.device("cpu")).model.state_dict() for path in (exp_dir, finished))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert losses(exp_dir) == losses(finished)
    states = [sorted(path.name for path in (folder / "checkpoints").iterdir()) for folder in (exp_dir, finished)]
    assert states[0] == states[1]


def test_loading_processes_change_nothing(corpus, finished, tmp_path):
    main(corpus, tmp_path / "exp", "model.router=omni", "data.workers=2")
    assert losses(tmp_path / "exp") == losses(finished)


def test_a_signal_to_the_whole_group_saves_with_loading_processes(corpus, long, tmp_path):
    exp_dir = tmp_path / "exp"
    command = train_command(corpus, exp_dir, *LONG, "data.workers=1")
    process = start_and_wait_for_a_state(command, exp_dir, start_new_session=True)
    os.killpg(process.pid, signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert "state saved at step" in stderr
    assert run(command).returncode == 0
    assert losses(exp_dir) == losses(long)


def test_dropped_layers_are_left_out_of_the_loads(corpus, tmp_path):
    main(corpus, tmp_path / "exp", "model.router=omni", "model.layer_drop=0.5", "train.epochs=1")
    records = [json.loads(line) for line in (tmp_path / "exp" / "train.jsonl").read_text().splitlines()]
    loads = [layer for record in records if record["type"] == "step" for layer in record["load"]]
    assert loads and all(sum(layer) == pytest.approx(1.0, abs=1e-5) for layer in loads)


def test_an_option_is_given_once(corpus, tmp_path):
    with pytest.raises(UserError, match="--router alone"):
        train_program.main([*train_command(corpus, tmp_path, "model.router=omni")[3:], "--router", "switch"])
    with pytest.raises(UserError, match="--seed alone"):
        train_program.main([*train_command(corpus, tmp_path, "train.seed=2")[3:], "--seed", "3"])


def test_accumulating_two_batches_makes_half_the_steps(corpus, tmp_path):
    main(corpus, tmp_path / "one", "train.epochs=1")
    main(corpus, tmp_path / "two", "train.epochs=1", "optim.accumulate=2")
    one, two = (json.loads((tmp_path / name / "model_info.json").read_text())["steps"] for name in ("one", "two"))
    assert two == math.ceil(one / 2)


def test_a_step_waits_for_other_ranks_where_its_time_is_counted(corpus, tmp_path, monkeypatch):
    """Every message of a step is within a part of it, so that the log shows where a slow rank is waited for."""
    timed, untimed, under_way = [], [], []
    timing, step, add_up = Stopwatch.timing, Trainer.train_step, Ranks.sum

    @contextlib.contextmanager
    def seen_timing(self, part):
        under_way.append(part)
        with timing(self, part):
            yield
        under_way.pop()

    def seen_step(self, batches):
        under_way.append("")
        step(self, batches)
        under_way.pop()

    def seen_sum(self, values):
        if under_way:
            (timed if under_way[-1] else untimed).append(under_way[-1])
        return add_up(self, values)

    monkeypatch.setattr(Stopwatch, "timing", seen_timing)
    monkeypatch.setattr(Trainer, "train_step", seen_step)
    monkeypatch.setattr(Ranks, "sum", seen_sum)
    main(corpus, tmp_path / "exp", "train.max_steps=2", "optim.accumulate=2")
    assert timed == ["optimizer"] * 2 and not untimed


def test_missing_inputs_name_the_stage(corpus, tmp_path):
    for index, stage in ((1, "stage 2"), (5, "stage 2"), (7, "stage 2")):
        options = list(corpus)
        options[index] = str(tmp_path / "nowhere")
        with pytest.raises(UserError, match=stage):
            main(options, tmp_path / "exp")
    assert not (tmp_path / "exp" / "model.pt").exists()


def test_biases_follow_the_load_and_survive_in_state_and_model(corpus, tmp_path):
    changes = ["model.balance=bias", "model.bias_rate=0.01", "optim.accumulate=2", "train.epochs=1"]
    main(corpus, tmp_path / "exp", *changes)
    position, tensors = Checkpoints(tmp_path / "exp" / "checkpoints").load_state()
    bias_LE = tensors["model"]["encoder.groups.0.router.bias_LE"]
    steps = round(float(bias_LE.abs().max() / 0.01))
    assert 0 < steps <= position.step
    assert torch.allclose(bias_LE / 0.01, (bias_LE / 0.01).round(), atol=1e-3), "every step moves it by the rate"
    model = load_package(tmp_path / "exp", torch.device("cpu")).model
    assert model.encoder.routers()[0].bias_LE.abs().sum() > 0


def test_what_capacity_drops_is_logged(corpus, tmp_path, caplog):
    caplog.set_level("INFO", "train")
    main(corpus, tmp_path / "exp", "model.capacity_factor=0.5", "train.epochs=1")
    records = [json.loads(line) for line in (tmp_path / "exp" / "train.jsonl").read_text().splitlines()]
    rates = [record["drop_rate"] for record in records if record["type"] == "step"]
    assert rates and all(0.45 < rate < 1 for rate in rates)
    assert re.search(r"load 0\.\d\d-\d\.\d\d  dropped \d\d\.\d %", caplog.text)


def test_training_starts_from_the_weights_that_it_is_given(corpus, finished, tmp_path):
    given = load_package(finished, torch.device("cpu")).model.state_dict()
    main(corpus, tmp_path / "exp", f"train.init={finished}", "optim.lr=0", "train.max_steps=1")
    got = load_package(tmp_path / "exp", torch.device("cpu")).model.state_dict()
    assert all(torch.equal(got[name], tensor) for name, tensor in given.items())
    with pytest.raises(UserError, match=r"train\.init: .* was made with another model\.hidden \(64 there, 32 here\)"):
        main(corpus, tmp_path / "other", f"train.init={finished}", "model.hidden=32")
    main(corpus, tmp_path / "exp", "train.init=moved", "optim.lr=0", "train.max_steps=1")  # complete: needs it no more


@pytest.mark.skipif(not shutil.which("g++"), reason="no C++ compiler for torch.compile")
def test_a_compiled_training_learns_the_same(tmp_path):
    options, losses_of = prepare(tmp_path), []
    for compiled in ("false", "true"):
        exp_dir = tmp_path / f"exp_{compiled}"
        plain = ["model.dropout=0", "model.cape_global_shift=0", "model.cape_local_shift=0", "train.epochs=1"]
        result = run(train_command(options, exp_dir, *plain, f"train.compile={compiled}"))
        assert result.returncode == 0, result.stderr
        losses_of.append(losses(exp_dir))
    assert losses_of[1] == pytest.approx(losses_of[0], rel=1e-3)


def test_compiling_wants_a_compiler(monkeypatch):
    model = small_model()
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UserError, match="train.compile needs a C.. compiler, and no-such-compiler is not here"):
        train_program.compile_encoder(model)
    assert list(model.state_dict()) == list(small_model().state_dict())
    monkeypatch.setenv("CXX", "true")
    train_program.compile_encoder(model)
    assert list(model.state_dict()) == list(small_model().state_dict()), "names of parameters stay"


def test_training_on_shards_goes_on_exactly(corpus, tmp_path):
    """Six archives in pools of two; interrupted within an epoch, with and without loading processes."""
    shards = tmp_path / "shards"
    shard.main([corpus[1], str(shards), "--utts-per-shard", "10"])
    options = [corpus[0], str(shards), *corpus[2:]]
    changes = ["data.shards=true", "data.shards_per_pool=2", "train.epochs=40", "train.log_every=1"]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(train_command(options, whole, *changes, "data.workers=0")).returncode == 0
    command = train_command(options, stopped, *changes, "data.workers=2")
    process = start_and_wait_for_a_state(command, stopped)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    step = int(re.search(r"state saved at step (\d+)", stderr)[1])
    assert 0 < step < max(losses(whole))
    assert run(command).returncode == 0
    assert losses(stopped) == losses(whole)
    plain = tmp_path / "plain"
    assert run(train_command(options, plain, "train.epochs=2", "train.log_every=1")).returncode == 0
    assert losses(plain)[1] != losses(whole)[1], "shards have another order than one pool of all"


@pytest.mark.parametrize("capacity_factor", [0.0, 1.25])
def test_step_lines_fit_160_columns(capacity_factor):
    values = {"loss": 12.345, "load": [[0.0, 0.8]], "drop_rate": 0.123, "grad_norm": 13.62, "lr": 3e-3}
    values |= {"times_real_time": 27940.0, "time": {"data": 0.19, "forward": 0.81}}
    model = ModelConfig(capacity_factor=capacity_factor)
    line = progress_line(Position(step=120_000, epoch=119), 500_000, values, 400_000.0, model)
    assert len(f"2026-01-31T12:34:56 {line}") <= 160
    assert line.startswith("step 120000/500000  epoch 120  loss 12.345  load 0.00-0.80  ")
    assert line.endswith("  27940 xRT  data 19 %  left 111:06:40")
