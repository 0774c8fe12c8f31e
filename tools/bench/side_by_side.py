"""Time things side by side: every round runs each of them once, and ratios are taken within a round.

Machines are noisy; what happens to one round happens to all that run in it, so a median of paired ratios holds still
where times do not.
"""

import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import torch


@dataclass
class Timing:
    """Seconds of one thing, round by round."""

    seconds: list[float] = field(default_factory=list)

    def ratio(self, other: "Timing") -> float:
        """Median over the rounds of this time by the other's."""
        return statistics.median(a / b for a, b in zip(self.seconds, other.seconds, strict=True))

    def spread(self, other: "Timing") -> tuple[float, float]:
        """Quartiles of the paired ratios."""
        ratios = sorted(a / b for a, b in zip(self.seconds, other.seconds, strict=True))
        return ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]

    @property
    def median(self) -> float:
        """Median of the times in seconds."""
        return statistics.median(self.seconds)


def time_side_by_side(things: dict[str, Callable[[], object]], rounds: int, warm_up: int = 2) -> dict[str, Timing]:
    """Run each of ``things`` once per round, in an order drawn anew, and return their times."""
    timings = {name: Timing() for name in things}
    order = random.Random(0)
    for number in range(warm_up + rounds):
        for name in order.sample(list(things), len(things)):
            _wait()
            start = time.perf_counter()
            things[name]()
            _wait()
            if number >= warm_up:
                timings[name].seconds.append(time.perf_counter() - start)
    return timings


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def describe_machine(device: torch.device) -> str:
    """What the figures were taken on."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {torch.__version__}"
    return f"{torch.get_num_threads()} CPU threads, torch {torch.__version__}"
