"""How far experiments are, from what they have written."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omni_asr.errors import UserError
from omni_asr.read_files import well_formed
from omni_asr.training.experiment import being_trained
from omni_asr.training.logging import clock, read_records


@dataclass
class Status:
    """One experiment; empty where nothing is known yet."""

    experiment: str
    state: str
    """running, finished, stopped, new where no step has been logged, failed before its configuration was written, or
    evaluated where a model from elsewhere (--model) was decoded."""
    step: str = ""
    epoch: str = ""
    loss: str = ""
    wer: str = ""
    """Of the last validation, in percent."""
    best: str = ""
    """Lowest of all validations."""
    speed: str = ""
    """Audio by time, of the last log line."""
    left: str = ""
    changed: str = ""
    """Time since the last record."""


HEADERS = {
    "experiment": "experiment",
    "state": "state",
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "wer": "WER",
    "best": "best",
    "speed": "x real time",
    "left": "left",
    "changed": "changed",
}


def status_of(exp_dir: Path) -> Status:
    """Read ``train.jsonl`` and look whether training goes on.

    Raises:
        UserError: the directory is not an experiment, or its records lack what training writes.
    """
    if not (exp_dir / "config.yaml").exists():
        return Status(str(exp_dir), _state_without_training(exp_dir))
    path = exp_dir / "train.jsonl"
    records = [line.value for line in read_records(path) if line.value]
    with well_formed(path, "what training writes", "restore it; training itself can go on without it"):
        status = _status_from(str(exp_dir), records, being_trained(exp_dir), (exp_dir / "model.pt").exists())
    if records:
        status.changed = f"{clock(time.time() - path.stat().st_mtime)} ago"
    return status


def _status_from(experiment: str, records: list[dict[str, Any]], is_running: bool, has_model: bool) -> Status:
    steps = [record for record in records if record["type"] == "step"]
    valid = [record for record in records if record["type"] == "valid"]
    finished = has_model and bool(steps) and steps[-1]["step"] >= steps[-1]["of"]
    state = "running" if is_running else "finished" if finished else "stopped" if records else "new"
    status = Status(experiment, state)
    if steps:
        last = steps[-1]
        status.step, status.epoch = f"{last['step']}/{last['of']}", str(last["epoch"])
        status.loss, status.speed = f"{last['loss']:.3f}", f"{last['times_real_time']:.0f}"
        status.left = "" if finished else clock(last["seconds_left"])
    if valid:
        status.wer, status.best = f"{valid[-1]['wer']:.2f}", f"{min(record['wer'] for record in valid):.2f}"
    return status


def _state_without_training(exp_dir: Path) -> str:
    if any(path.is_dir() for path in exp_dir.glob("decode_*")):
        return "evaluated"
    if (exp_dir / "train.log").exists():
        return "running" if being_trained(exp_dir) else "failed"
    raise UserError(f"{exp_dir} is no experiment: it has no config.yaml and no decode_SET")


def status_table(statuses: list[Status]) -> str:
    """Aligned columns under their names."""
    rows = [list(HEADERS.values()), *([getattr(status, name) for name in HEADERS] for status in statuses)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    names = 2  # columns of words, which start at the left
    lines = [
        "  ".join(cell.ljust(width) if n < names else cell.rjust(width) for n, (cell, width) in enumerate(pairs))
        for pairs in (list(zip(row, widths, strict=True)) for row in rows)
    ]
    return "\n".join(line.rstrip() for line in lines)
