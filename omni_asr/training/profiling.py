"""A trace of some training steps, for ``chrome://tracing`` or Perfetto."""

import logging
from pathlib import Path

import torch

from omni_asr.training.ranks import Ranks

log = logging.getLogger("train")


class Profile:
    """Traces the steps from the first to the last of a pair into ``steps-<first>-<last>-rank<n>.json``.

    Args:
        steps: first and last step, from 1; None traces nothing.
        folder: where the trace goes.
        ranks: this process among the others.
    """

    def __init__(self, steps: tuple[int, int] | None, folder: Path, ranks: Ranks) -> None:
        self.steps, self.folder, self.ranks = steps, folder, ranks
        self._profiler: torch.profiler.profile | None = None
        self.written = False

    def step(self, done: int) -> None:
        """Say how many steps are done."""
        if self.steps is None:
            return
        first, last = self.steps
        if done == first - 1 and self._profiler is None:
            self._profiler = torch.profiler.profile()
            self._profiler.start()
        elif done >= last and self._profiler is not None:
            self.close()

    def close(self) -> None:
        """Write what has been traced."""
        if self.steps is None or self.written:
            return
        if self._profiler is None:
            log.warning("no trace: training does not come to the steps %d to %d", *self.steps)
            return
        self._profiler.stop()
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"steps-{self.steps[0]}-{self.steps[1]}-rank{self.ranks.rank}.json"
        self._profiler.export_chrome_trace(str(path))
        self._profiler, self.written = None, True
        log.info("trace of the steps %d to %d: %s", *self.steps, path)
