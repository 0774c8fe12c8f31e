"""What training keeps on disk to come back: its whole state, and the weights of the best validations."""

import logging
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from omni_asr.files import atomic_write

log = logging.getLogger(__name__)

KEPT = 2
"""States kept, so that one damaged file does not lose the run."""


@dataclass
class Position:
    """Where training stands: what a second start needs beside tensors."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Epoch under way, from 0."""
    batch: int = 0
    """Batches of that epoch already used."""
    validated: int = 0
    """Step of the last validation, so that one that was interrupted is made up for."""
    seconds: float = 0.0
    """Time spent training."""
    best: list[tuple[float, int]] = field(default_factory=list)
    """(validation figure, step) of the best weights, best first."""


class Checkpoints:
    """The folder ``checkpoints/`` of an experiment: ``state-<step>.pt`` and ``weights-<step>.pt``."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._previous: set[int] = set()

    def save_state(self, position: Position, tensors: dict[str, Any]) -> None:
        """Write the state after ``position.step`` and remove all but the newest states."""
        random = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            random["cuda"] = torch.cuda.get_rng_state()
        with atomic_write(self.folder / f"state-{position.step:08d}.pt", "wb") as file:
            torch.save({"position": vars(position), "random": random, **tensors}, file)
        for old in self.states()[:-KEPT]:
            old.unlink()
        self._remove_unranked({step for _, step in position.best})

    def load_state(self) -> tuple[Position, dict[str, Any]] | None:
        """Return the newest readable state and restore the random generators; None where there is none."""
        for torn in self.folder.glob(".*.tmp.*"):  # what a killed run was writing
            torn.unlink()
        for path in reversed(self.states()):
            try:
                state = torch.load(path, map_location="cpu", weights_only=True)
            except Exception as error:  # any damage: fall back to the state before
                log.warning("%s cannot be read (%s); taking the one before", path, type(error).__name__)
                continue
            torch.set_rng_state(state["random"]["cpu"])
            if "cuda" in state["random"] and torch.cuda.is_available():
                torch.cuda.set_rng_state(state["random"]["cuda"])
            position = Position(**state["position"])
            position.best = [(figure, step) for figure, step in position.best]
            self._previous = {step for _, step in position.best}
            return position, state
        return None

    def save_weights(self, position: Position, figure: float, weights: dict[str, Tensor], keep: int) -> None:
        """Keep the weights if their validation figure (lower is better) is among the ``keep`` best."""
        ranked = sorted([*position.best, (figure, position.step)])[:keep]
        if (figure, position.step) in ranked:
            with atomic_write(self._weights(position.step), "wb") as file:
                torch.save(weights, file)
        position.best = ranked

    def _remove_unranked(self, ranked: set[int]) -> None:
        """Remove weights that rank neither in the state just written nor in the one before, which may be needed."""
        for path in self.folder.glob("weights-*.pt"):
            if int(re.sub(r"\D", "", path.stem)) not in ranked | self._previous:
                path.unlink()
        self._previous = ranked

    def average_best(self, position: Position) -> dict[str, Tensor]:
        """Return the mean of the best weights."""
        states = [torch.load(self._weights(step), map_location="cpu", weights_only=True) for _, step in position.best]
        return {name: torch.stack([s[name].float() for s in states]).mean(0).to(states[0][name]) for name in states[0]}

    def _weights(self, step: int) -> Path:
        return self.folder / f"weights-{step:08d}.pt"

    def states(self) -> list[Path]:
        """The states on disk, oldest first."""
        return sorted(self.folder.glob("state-*.pt"))
