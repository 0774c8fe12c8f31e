"""What training says: ``train.log`` for people, ``train.jsonl`` for programs, tensorboard when it is installed."""

import contextlib
import importlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from omni_asr.config import ModelConfig
from omni_asr.files import atomic_write, open_to_write
from omni_asr.read_files import JsonLine, read_json_lines
from omni_asr.training.checkpoint import Position
from omni_asr.training.ranks import Ranks

log = logging.getLogger("train")


class TrainLog:
    """Writes the records of a run into ``train.jsonl`` of its experiment directory, and to tensorboard.

    Args:
        exp_dir: experiment directory.
        resume_step: records of later steps are dropped from ``train.jsonl``, since they are about to be made again.
        writes: False on all ranks but the first.
    """

    def __init__(self, exp_dir: Path, resume_step: int, writes: bool = True) -> None:
        self._records: IO[str] | None = None
        self._board = None
        if not writes:
            return
        path = exp_dir / "train.jsonl"
        kept = [line.text for line in read_records(path) if not line.value or line.value["step"] <= resume_step]
        with atomic_write(path, "wb") as file:
            file.writelines(kept)
        self._records = open_to_write(path, "a")
        self._board = _tensorboard(exp_dir / "tensorboard", resume_step)

    def record(self, type: str, values: dict[str, Any]) -> None:
        """Append one line to ``train.jsonl`` and every number to tensorboard; ``values`` holds ``step``."""
        if self._records is None:
            return
        self._records.write(json.dumps({"type": type, **values}) + "\n")
        self._records.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float) and name != "step":
                    self._board.add_scalar(f"{type}/{name}", value, values["step"])

    def close(self) -> None:
        """Flush and close everything."""
        if self._records is not None:
            self._records.close()
        if self._board is not None:
            self._board.close()


@contextlib.contextmanager
def logging_to(exp_dir: Path, ranks: Ranks) -> Iterator[None]:
    """Let everything that is logged in the block be written to ``train.log``, too.

    Ranks but the first keep to warnings, and to a file of their own.
    """
    root = logging.getLogger()
    exp_dir.mkdir(parents=True, exist_ok=True)
    name = "train.log" if ranks.first else f"train.rank{ranks.rank}.log"
    handler = logging.FileHandler(exp_dir / name, encoding="utf-8", delay=not ranks.first)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"))
    root.addHandler(handler)
    level = root.level
    if not ranks.first:
        root.setLevel(logging.WARNING)
    try:
        yield
    finally:
        root.setLevel(level)
        root.removeHandler(handler)
        handler.close()


def read_records(path: Path) -> list[JsonLine]:
    """Whole lines of ``train.jsonl``; damaged ones have no value and are named in the log. [] without a file."""
    written = read_json_lines(path) if path.exists() else []
    lines = [line for line in written if line.text.endswith(b"\n")]
    records = [line if line.value and _is_record(line.value) else line._replace(value=None) for line in lines]
    damaged = [line.number for line in records if line.value is None]
    if damaged:
        more = f" (and {len(damaged) - 1} lines more)" if len(damaged) > 1 else ""
        log.warning("%s:%d is damaged%s; training needs no record of it, curves lack it", path, damaged[0], more)
    return records


def _is_record(value: dict[str, Any]) -> bool:
    return isinstance(value.get("type"), str) and isinstance(value.get("step"), int)


def _tensorboard(folder: Path, resume_step: int) -> Any:
    try:
        writer: Callable[..., Any] = importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError:
        return None
    return writer(str(folder), purge_step=resume_step + 1)


def progress_line(position: Position, total_steps: int, values: dict[str, Any], left: float, model: ModelConfig) -> str:
    """Line of ``train.log`` for some steps, from a summary of the meters; ``left`` in seconds.

    With its time stamp it fits a terminal of 160 columns; ``train.jsonl`` has every figure.
    """
    shares = [share for load_E in values["load"] for share in load_E]
    parts = [
        f"step {position.step}/{total_steps}",
        f"epoch {position.epoch + 1}",
        f"loss {values['loss']:.3f}",
        *([f"load {min(shares):.2f}-{max(shares):.2f}"] if shares else []),
        *([f"dropped {100 * values['drop_rate']:.1f} %"] if model.capacity_factor else []),
        f"grad {values['grad_norm']:.2f}",
        f"lr {values['lr']:.1e}",
        f"{values['times_real_time']:.0f} xRT",
        f"data {100 * values['time']['data']:.0f} %",
        f"left {clock(left)}",
    ]
    return "  ".join(parts)


def clock(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
