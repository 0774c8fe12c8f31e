"""What training says: ``train.log`` for people, ``train.jsonl`` for programs, tensorboard when it is installed."""

import contextlib
import importlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from omni_asr.files import atomic_write

log = logging.getLogger("train")


class TrainLog:
    """Writes the records of a run into ``train.jsonl`` of its experiment directory, and to tensorboard.

    Args:
        exp_dir: experiment directory.
        resume_step: records of later steps are dropped from ``train.jsonl``, since they are about to be made again.
    """

    def __init__(self, exp_dir: Path, resume_step: int) -> None:
        path = exp_dir / "train.jsonl"
        kept = [line for line in _complete_lines(path) if json.loads(line)["step"] <= resume_step]
        with atomic_write(path) as file:
            file.writelines(kept)
        self._records = open(path, "a", encoding="utf-8")
        self._board = _tensorboard(exp_dir / "tensorboard", resume_step)

    def record(self, type: str, values: dict[str, Any]) -> None:
        """Append one line to ``train.jsonl`` and every number to tensorboard; ``values`` holds ``step``."""
        self._records.write(json.dumps({"type": type, **values}) + "\n")
        self._records.flush()
        if self._board is not None:
            for name, value in values.items():
                if isinstance(value, int | float) and name != "step":
                    self._board.add_scalar(f"{type}/{name}", value, values["step"])

    def close(self) -> None:
        """Flush and close everything."""
        self._records.close()
        if self._board is not None:
            self._board.close()


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Let everything that is logged in the block be written to a file, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _complete_lines(path: Path) -> list[str]:
    """Lines that end; a run that was killed may leave half a line."""
    if not path.exists():
        return []
    return [line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")]


def _tensorboard(folder: Path, resume_step: int) -> Any:
    try:
        writer: Callable[..., Any] = importlib.import_module("torch.utils.tensorboard").SummaryWriter
    except ImportError:
        return None
    return writer(str(folder), purge_step=resume_step + 1)


def clock(seconds: float) -> str:
    """Seconds as ``h:mm:ss``."""
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
