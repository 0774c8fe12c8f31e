"""What training keeps on disk to come back: its whole state, and the weights of the best validations.

``state-<step>.pt`` is everything that a second start needs, ``weights-<step>.pt`` a packed model that decodes as it is.
A state is followed by its checksum in a file that ``sha256sum -c`` reads; one that does not match is not used.
"""

import contextlib
import hashlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omni_asr.errors import UserError
from omni_asr.files import atomic_write
from omni_asr.models.package import Contents, Package, load_package, open_package, save_package

log = logging.getLogger("train")

KEPT = 2
"""States kept, so that one damaged file does not lose the run."""


@dataclass
class Position:
    """Where training stands: what a second start needs beside tensors."""

    step: int = 0
    """Optimizer steps done. The learning rate is a function of it."""
    epoch: int = 0
    """Epoch under way, from 0."""
    done: int = 0
    """Steps of that epoch already done. With the epoch, all that there is to know of the sampler."""
    validated: int = 0
    """Step of the last validation, so that one that was interrupted is made up for."""
    seconds: float = 0.0
    """Time spent training."""
    best: list[tuple[float, int]] = field(default_factory=list)
    """(validation figure, step) of the best weights, best first."""


class Checkpoints:
    """The folder ``checkpoints/`` of an experiment."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._previous: set[int] = set()

    def save_state(self, position: Position, tensors: dict[str, Any]) -> None:
        """Write the state after ``position.step`` and remove all but the newest states.

        Raises:
            UserError: the disk takes no more; the states that were there stay.
        """
        path = self._state(position.step)
        with _disk_errors(path), atomic_write(path, "wb") as file:
            torch.save({"position": vars(position), **tensors}, file)
            file.flush()
            # Before the state has its name, so that there is never a state without its checksum.
            with atomic_write(_checksum_file(path)) as line:
                line.write(f"{_sha256(Path(file.name))}  {path.name}\n")
        for old in self.states()[:-KEPT]:
            old.unlink()
            _checksum_file(old).unlink(missing_ok=True)
        self._remove_unranked({step for _, step in position.best})

    def load_state(self) -> tuple[Position, dict[str, Any]] | None:
        """Return the newest state that is whole; None where there is none.

        Raises:
            UserError: there are states, but none of them is whole.
        """
        states = self.states()
        for path in reversed(states):
            state = _read_state(path)
            if state is not None:
                position = Position(**state["position"])
                position.best = [(figure, step) for figure, step in position.best]
                self._previous = {step for _, step in position.best}
                return position, state
        if states:
            raise UserError(f"no state in {self.folder} is whole; restore one, or remove the folder to start anew")
        return None

    def remove_torn(self) -> None:
        """Remove what a killed run was writing, here and in the experiment directory above."""
        for torn in [*self.folder.glob(".*.tmp.*"), *self.folder.parent.glob(".*.tmp.*")]:
            torn.unlink(missing_ok=True)
        for line in self.folder.glob("state-*.sha256"):
            if not line.with_suffix(".pt").exists():
                line.unlink()

    def save_weights(
        self, position: Position, figure: float, contents: Contents, keep: int, write: bool = True
    ) -> None:
        """Keep the packed weights if their validation figure (lower is better) is among the ``keep`` best.

        ``write``: False on all ranks but the first, which keep the list only.

        Raises:
            UserError: the disk takes no more.
        """
        ranked = sorted([*position.best, (figure, position.step)])[:keep]
        if write and (figure, position.step) in ranked:
            path = self.weights(position.step)
            with _disk_errors(path):
                save_package(path, contents)
        position.best = ranked

    def _remove_unranked(self, ranked: set[int]) -> None:
        """Remove weights that rank neither in the state just written nor in the one before, which may be needed."""
        for step in self.steps_with_weights():
            if step not in ranked | self._previous:
                self.weights(step).unlink()
        self._previous = ranked

    def average_best(self, position: Position) -> dict[str, Tensor]:
        """Return the mean of the best weights."""
        return average(open_package(self.weights(step))["state"] for _, step in position.best)

    def weights(self, step: int) -> Path:
        """The packed weights of a step."""
        return self.folder / f"weights-{step:08d}.pt"

    def steps_with_weights(self) -> list[int]:
        """The steps whose weights are on disk, in order."""
        return sorted(int(re.sub(r"\D", "", path.stem)) for path in self.folder.glob("weights-*.pt"))

    def states(self) -> list[Path]:
        """The states on disk, oldest first."""
        return sorted(self.folder.glob("state-*.pt"))

    def _state(self, step: int) -> Path:
        return self.folder / f"state-{step:08d}.pt"


def average(states: Iterable[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of weights, added up in float64; what never moved stays as it is, to the bit."""
    sums: dict[str, Tensor] = {}
    first: dict[str, Tensor] = {}
    count = 0
    for state in states:
        count += 1
        first = first or state
        sums = {name: sums.get(name, 0.0) + value.double() for name, value in state.items()}
    return {name: (total / count).to(first[name]) for name, total in sums.items()}


def load_checkpoint(exp_dir: str | os.PathLike[str], which: str, device: torch.device) -> Package:
    """Load weights of an experiment by name.

    Args:
        exp_dir: experiment directory, also of a training under way; for ``average`` a model's file, too.
        which: ``average`` (model.pt: the mean of the n best), ``best`` (of all validations), ``last`` (of the newest
            state), ``running`` (the mean over the steps from the last validation to the newest state), ``ema`` (with
            train.ema), or the number of a step whose weights were kept.
        device: where to.

    Raises:
        UserError: there is no such checkpoint, naming those there are.
    """
    checkpoints = Checkpoints(Path(exp_dir) / "checkpoints")
    if which == "average":
        return load_package(exp_dir, device)
    if which.isdecimal() and checkpoints.weights(int(which)).exists():
        return load_package(checkpoints.weights(int(which)), device)
    if which in ("best", "last", "running", "ema"):
        found = checkpoints.load_state()
        if found is None:
            raise UserError(f"{exp_dir} has no state in checkpoints/ yet; stage 3 makes one")
        position, state = found
        if which == "best" and position.best:
            return load_package(checkpoints.weights(position.best[0][1]), device)
        weights = state["model"] if which == "last" else state["averages"].get(which)
        if weights:
            contents = {**state["package"], "state": {**state["model"], **weights}}
            return Package.of(contents, f"{exp_dir} ({which})", device)
    steps = " ".join(map(str, checkpoints.steps_with_weights()))
    raise UserError(
        f"{exp_dir} has no checkpoint {which!r}; there are average, best, last, running (train.running_average), "
        f"ema (train.ema) and the steps {steps or '(none yet)'}"
    )


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turns a write that the system refuses into one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, OSError):
            cause = (
                cause.__cause__ or cause.__context__
            )  # a stream that fails under torch.save makes other errors of it
        if cause is None:
            raise
        raise UserError(
            f"cannot write {path} ({cause.strerror}); the checkpoints before it are whole: make room and start again"
        ) from None


def _read_state(path: Path) -> dict[str, Any] | None:
    """The content of a state, or None with a warning where it is damaged."""
    try:
        expected = _checksum_file(path).read_text(encoding="utf-8").split()[0]
        if _sha256(path) != expected:
            raise ValueError("its checksum does not match")
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # any damage: fall back to the state before
        log.warning(
            "%s is damaged (%s); taking the one before", path, str(error).splitlines()[0] or type(error).__name__
        )
        return None


def _checksum_file(path: Path) -> Path:
    return path.with_suffix(".sha256")


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()
