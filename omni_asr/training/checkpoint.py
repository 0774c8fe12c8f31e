"""What training keeps on disk to come back: its whole state, and the weights of the best validations.

``state-<step>.pt`` is everything that a second start needs, ``weights-<step>.pt`` a packed model that decodes as it is.
PyTorch writes both as zip files with a checksum of every part; one that does not match is not used.
"""

import contextlib
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
from omni_asr.files import atomic_write, flush_folder
from omni_asr.models.package import Contents, Package, damage, load_package, load_tensors, open_package, save_package
from omni_asr.read_files import shortened, well_formed

log = logging.getLogger("train")

KEPT = 2
"""States kept, so that one damaged file does not lose the run."""

STATE, STATE_ADVICE = "a state of training", "restore it, or remove it to go on from the one before"
"""Form of a state's file and the advice for one that has another, as :func:`well_formed` takes them."""


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
    best: list[tuple[float, float, int]] = field(default_factory=list)
    """(validation figure, the other figure, step) of the best weights, best first; lower is better, then later."""

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Position":
        """Read the position that :meth:`Checkpoints.save_state` wrote.

        Raises:
            TypeError: the values are not of its types.
        """
        position = cls(**values)
        numbers = (position.step, position.epoch, position.done, position.validated)
        if not all(isinstance(number, int) for number in numbers):
            raise TypeError(f"the position {shortened(numbers)} is not of whole numbers")
        position.best = [(float(figure), float(other), int(step)) for figure, other, step in position.best]
        return position


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
        path = self.state(position.step)
        with _disk_errors(path):
            with atomic_write(path, "wb") as file:
                torch.save({"position": vars(position), **tensors}, file)
            flush_folder(self.folder)  # or a crash might find the old states gone and the new one without its name
        for old in self.states()[:-KEPT]:
            old.unlink()
        self._remove_unranked({step for *_, step in position.best})

    def newest(self, set_aside: bool = False) -> int | None:
        """Step of the newest state whose checksums are right; None where there is no state.

        ``set_aside``: rename damaged states that are newer, so that they do not count among those that are kept.

        Raises:
            UserError: there are states, but none of them is whole; or one cannot be read at all.
        """
        states = self.states()
        damaged: list[Path] = []
        for path in reversed(states):
            reason = damage(path)
            if not reason:
                for other in damaged if set_aside else []:
                    other.rename(f"{other}.damaged")
                return int(re.sub(r"\D", "", path.stem))
            log.warning("%s is damaged (%s); it is not used", path, reason)
            damaged.append(path)
        if states:
            raise UserError(f"no state in {self.folder} is whole; restore one, or remove the folder to start anew")
        return None

    def load_state(self, step: int | None = None) -> tuple[Position, dict[str, Any]] | None:
        """Return the state of a step, or the newest; None where there is none. Tensors stay in the file until used.

        Raises:
            UserError: as :meth:`newest`; or there is no such state.
        """
        step = self.newest() if step is None else step
        if step is None:
            return None
        path = self.state(step)
        state = load_tensors(path, mmap=True)
        with well_formed(path, STATE, STATE_ADVICE):
            position = Position.of(state["position"])
        self._previous = {step for *_, step in position.best}
        return position, state

    def remove_torn(self) -> None:
        """Remove what a killed run was writing, here and in the experiment directory above."""
        for torn in [*self.folder.glob(".*.tmp.*"), *self.folder.parent.glob(".*.tmp.*")]:
            torn.unlink(missing_ok=True)

    def save_weights(
        self, position: Position, figures: tuple[float, float], contents: Contents, keep: int, write: bool = True
    ) -> None:
        """Keep the packed weights if they are among the ``keep`` best.

        Args:
            position: where training stands; its list of the best is brought up to date.
            figures: of the validation, the one that decides first, then the one that decides between equals.
            contents: the weights, packed.
            keep: how many are kept.
            write: False on all ranks but the first, which keep the list only.

        Raises:
            UserError: the disk takes no more.
        """
        entry = (*figures, position.step)
        ranked = sorted([*position.best, entry], key=lambda best: (best[0], best[1], -best[2]))[:keep]
        if write and entry in ranked:
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
        """Return the mean of the best weights; damaged ones are named in the log and left out.

        Raises:
            UserError: none of them is whole.
        """
        paths = [self.weights(step) for *_, step in position.best]
        whole = [path for path in paths if not (reason := damage(path)) or _leave_out(path, reason)]
        if not whole:
            raise UserError(
                f"the weights of all {len(paths)} best validations in {self.folder} are damaged; omni-asr decode "
                f"--checkpoint last uses the newest state"
            )
        return average(open_package(path)["state"] for path in whole)

    def weights(self, step: int) -> Path:
        """The packed weights of a step."""
        return self.folder / f"weights-{step:08d}.pt"

    def steps_with_weights(self) -> list[int]:
        """The steps whose weights are on disk, in order."""
        return sorted(int(re.sub(r"\D", "", path.stem)) for path in self.folder.glob("weights-*.pt"))

    def states(self) -> list[Path]:
        """The states on disk, oldest first."""
        return sorted(self.folder.glob("state-*.pt"))

    def state(self, step: int) -> Path:
        """The whole state of training after a step."""
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
    if which == "average":
        return load_package(exp_dir, device)
    checkpoints = Checkpoints(Path(exp_dir) / "checkpoints")
    steps = checkpoints.steps_with_weights()
    if which.isdecimal() and int(which) in steps:
        return load_package(checkpoints.weights(int(which)), device)
    found = checkpoints.load_state()
    if found is None:
        raise UserError(f"{exp_dir} has no state in checkpoints/ yet; stage 3 makes one")
    position, state = found
    if which == "best" and position.best:
        return load_package(checkpoints.weights(position.best[0][-1]), device)
    with well_formed(checkpoints.state(position.step), STATE, STATE_ADVICE):
        averages = {name: dict(state["averages"][name]) for name in ("running", "ema") if name in state["averages"]}
        contents = {**state["package"], "state": {**state["model"], **averages.get(which, {})}}
    if which == "last" or which in averages:
        return Package.of(contents, f"{exp_dir} ({which})", device)
    there = [*(["average"] if (Path(exp_dir) / "model.pt").exists() else []), *(["best"] if position.best else [])]
    names = ", ".join([*there, "last", *averages, *map(str, steps)])
    raise UserError(f"{exp_dir} has no checkpoint {which!r}; there are {names}")


@contextlib.contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Turn a write that the system refuses into one line."""
    try:
        yield
    except OSError as error:
        raise UserError(
            f"cannot write {path} ({error.strerror}); the checkpoints before it are whole: make room and start again"
        ) from None


def _leave_out(path: Path, reason: str) -> bool:
    log.warning("%s is damaged (%s); it is left out of the average", path, reason)
    return False
