"""Averages of weights over steps, and the checkpoints that hold them."""

import json
import re
import shutil

import pytest
import torch
from training_helpers import prepare, run, train_command

from omni_asr.bin import decode
from omni_asr.errors import UserError
from omni_asr.models.package import load_package, open_package
from omni_asr.training.averages import Averages
from omni_asr.training.checkpoint import Checkpoints, Position, load_checkpoint

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """An experiment and the options of its corpus."""
    folder = tmp_path_factory.mktemp("averages")
    options = prepare(folder)
    changes = ["train.ema=0.9", "train.validate_every=3", "train.max_steps=8", "train.average=2"]
    assert run(train_command(options, folder / "exp", *changes)).returncode == 0
    return folder / "exp", options


def test_the_running_mean_is_the_mean_of_every_step_since_the_restart():
    model = torch.nn.Linear(3, 2)
    averages = Averages(model, running=True, decay=0.3)
    moving, seen = model.weight.detach().clone(), []
    for step in range(7):
        with torch.no_grad():
            model.weight += torch.randn(2, 3)
        if step == 3:
            averages.restart()
            seen = []
            state = averages.state()
            averages = Averages(model, running=True, decay=0.3)
            averages.load_state(state)
        averages.update()
        seen.append(model.weight.detach().clone())
        decay = min(0.3, (1 + step) / (10 + step))
        moving = decay * moving + (1 - decay) * seen[-1]
    state = averages.state()
    assert state["steps"] == 4
    assert torch.allclose(state["running"]["weight"], torch.stack(seen).mean(0), atol=1e-6)
    assert torch.allclose(state["ema"]["weight"], moving, atol=1e-6)


def test_the_moving_average_of_a_short_training_has_left_its_random_start():
    model = torch.nn.Linear(3, 2)
    averages = Averages(model, running=False, decay=0.9999)
    with torch.no_grad():
        model.weight.fill_(100.0)
    for _ in range(100):
        averages.update()
    assert torch.allclose(averages.state()["ema"]["weight"], model.weight, atol=1e-3)


def test_every_named_checkpoint_decodes(trained, tmp_path):
    exp_dir, options = trained
    position, state = Checkpoints(exp_dir / "checkpoints").load_state()
    steps = Checkpoints(exp_dir / "checkpoints").steps_with_weights()
    assert position.step == 8 and set(steps) >= {step for *_, step in position.best}
    found = {}
    for which in ("average", "best", "last", "running", "ema", str(steps[0])):
        decode.main(["--model", str(exp_dir), "--checkpoint", which, options[3], str(tmp_path / which)])
        assert len((tmp_path / which / "text").read_text().splitlines()) == 10
        found[which] = load_checkpoint(exp_dir, which, CPU).model.state_dict()["head.weight"]
    assert torch.equal(found["last"], state["model"]["head.weight"])
    assert torch.equal(
        found["best"],
        load_package(exp_dir / "checkpoints" / f"weights-{position.best[0][-1]:08d}.pt", CPU).model.head.weight,
    )
    assert torch.equal(found["average"], load_package(exp_dir, CPU).model.head.weight)
    different = {which: weight for which, weight in found.items() if which in ("average", "last", "running", "ema")}
    assert len({tuple(weight.flatten().tolist()) for weight in different.values()}) == 4


def test_a_checkpoint_that_is_not_there_names_those_that_are(trained, tmp_path):
    exp_dir, _ = trained
    with pytest.raises(UserError, match=r"no checkpoint '99'; there are average, best, last, running, ema(, \d+)+$"):
        load_checkpoint(exp_dir, "99", CPU)
    with pytest.raises(UserError, match="has no state in checkpoints/ yet"):
        load_checkpoint(tmp_path, "last", CPU)


def test_damaged_weights_are_found_and_left_out(trained, tmp_path, caplog):
    exp_dir = tmp_path / "exp"
    shutil.copytree(trained[0], exp_dir)
    checkpoints = Checkpoints(exp_dir / "checkpoints")
    position, _ = checkpoints.load_state()
    first, second = (checkpoints.weights(step) for *_, step in position.best)
    expected = open_package(second)["state"]["head.weight"]
    content = bytearray(first.read_bytes())
    weight = open_package(first)["state"]["head.weight"].numpy().tobytes()
    content[content.index(weight) + 5] ^= 1
    first.write_bytes(content)
    with pytest.raises(UserError, match="is damaged .the checksum of its part"):
        load_checkpoint(exp_dir, "best", CPU)
    assert torch.equal(checkpoints.average_best(position)["head.weight"], expected)
    assert f"{first} is damaged" in caplog.text and "left out of the average" in caplog.text
    second.write_bytes(second.read_bytes()[:1000])
    with pytest.raises(UserError, match="weights of all 2 best validations .* are damaged"):
        checkpoints.average_best(position)


def test_of_equal_word_error_rates_the_lower_ctc_and_then_the_later_is_better(tmp_path):
    checkpoints, position = Checkpoints(tmp_path), Position()
    for step, figures in enumerate([(100.0, 3.0), (100.0, 2.0), (100.0, 2.0), (99.0, 5.0), (100.0, 4.0)], 1):
        position.step = step
        checkpoints.save_weights(position, figures, {"state": {}}, 3)
    assert [step for *_, step in position.best] == [4, 3, 2]


def test_the_log_says_what_each_step_spent_its_time_on(trained):
    log = (trained[0] / "train.log").read_text()
    assert re.search(r"xRT  data \d+ %  left ", log) and re.search(r"wer \S+ %  \d+\.\d GiB", log)
    records = [json.loads(line) for line in (trained[0] / "train.jsonl").read_text().splitlines()]
    shares = next(record["time"] for record in records if record["type"] == "step")
    assert list(shares) == ["data", "forward", "backward", "optimizer"] and 0.97 <= sum(shares.values()) <= 1.03
    assert re.search(r"best checkpoint: step \d+, WER [\d.]+; average of 2: .*model.pt", log)
    assert "next: stage 4 of the recipe, or omni-asr decode --model" in log


def test_a_trace_of_some_steps(trained, tmp_path):
    exp_dir = tmp_path / "exp"
    command = train_command(trained[1], exp_dir, "train.max_steps=4", "train.epochs=9")
    assert run([*command, "--profile", "2:3"]).returncode == 0
    text = (exp_dir / "profile" / "steps-2-3-rank0.json").read_text()
    assert text.count('"name": "Optimizer.step#AdamW.step"') == 2
    result = run([*command, "--profile", "3:2"])
    assert result.returncode == 2 and "'3:2' is no range of steps" in result.stderr
