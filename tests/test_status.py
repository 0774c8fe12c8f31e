"""omni-asr status: running, stopped and finished experiments."""

import json
import subprocess
from pathlib import Path

import pytest
from recipe_helpers import wait_for
from training_helpers import prepare, run, train_command

from omni_asr.bin import status
from omni_asr.errors import UserError


def rows(capsys, *folders) -> dict[str, list[str]]:
    """Fields of each experiment's line after its name; those that are empty take no place."""
    status.main([str(folder) for folder in folders])
    return {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}


def test_the_states_of_experiments(tmp_path, capsys):
    options = prepare(tmp_path)
    finished, stopped, new = tmp_path / "finished", tmp_path / "stopped", tmp_path / "new"
    assert run(train_command(options, finished, "train.max_steps=6")).returncode == 0
    new.mkdir()
    (new / "config.yaml").write_text("{}")
    command = train_command(options, stopped, "train.epochs=300", "train.validate_every=4")
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.DEVNULL)
    record = stopped / "train.jsonl"
    wait_for(lambda: any(stopped.glob("checkpoints/state-*.pt")) and '"step"' in record.read_text(), 120)
    found = rows(capsys, finished, stopped, new, tmp_path / "train")
    assert found[str(finished)][:3] == ["finished", "6/6", "2"] and found[str(finished)][-1] == "ago"
    assert found[str(stopped)][0] == "running"
    assert found[str(new)] == ["new"]
    assert len(found) == 3, "a data directory is passed over"
    second = run(command)
    assert second.returncode == 1
    assert f"train: error: {stopped} is being trained by process {process.pid} on" in second.stderr
    process.kill()
    process.wait()
    with open(stopped / "train.jsonl", "a") as file:
        file.write('{"type": "st')
    found = rows(capsys, stopped)[str(stopped)]
    assert found[0] == "stopped" and "/" in found[1]
    records = [json.loads(line) for line in (stopped / "train.jsonl").read_text().splitlines()[:-1]]
    best = min(record["wer"] for record in records if record["type"] == "valid")
    assert found[5] == f"{best:.2f}"


def test_evaluations_of_a_model_from_elsewhere_and_failures_are_experiments(tmp_path, capsys, caplog):
    (tmp_path / "evaluated/decode_test").mkdir(parents=True)
    (tmp_path / "failed").mkdir()
    (tmp_path / "failed/train.log").touch()
    (tmp_path / "log").mkdir()
    found = rows(capsys, tmp_path / "evaluated", tmp_path / "failed", tmp_path / "log")
    assert found == {str(tmp_path / name): [name] for name in ("evaluated", "failed")}
    assert caplog.messages == [f"{tmp_path / 'log'} is no experiment: it has no config.yaml and no decode_SET"]


def test_what_is_no_experiment_is_named(tmp_path):
    with pytest.raises(UserError, match="is no experiment: it has no config.yaml and no decode_SET"):
        status.main([str(tmp_path)])
    with pytest.raises(UserError, match="none of the 2 directories is an experiment"):
        status.main([str(tmp_path), str(tmp_path)])
