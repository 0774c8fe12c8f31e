"""How sure a word error rate is: percentile intervals by bootstrap.

A test set is a sample of what could have been said. Drawing as many blocks from it as it has, with replacement, gives
another such sample; the error rates of many of them spread as the rate itself does. Errors of one speaker go together,
so the blocks are speakers where there are several, else utterances.

Source: M. Bisani and H. Ney, "Bootstrap estimates for confidence intervals in ASR performance evaluation", ICASSP 2004.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from omni_asr.scoring.align import Counts
from omni_asr.scoring.sclite import Utterance, by_speaker

REPLICATIONS = 10_000
LEVEL = 0.95
SEED = 0
CELLS = 4_000_000  # counts drawn at once, 32 MB

_LINE = re.compile(r"^all: %WER \S+ 95% Conf Interval \[ (\S+), (\S+) \], (\d+) (speakers|utterances)$", re.MULTILINE)


@dataclass(frozen=True)
class Interval:
    """Where the error rate lies at 95 % confidence, in percent."""

    low: float
    high: float
    blocks: int
    unit: str
    """What the blocks are: ``speakers`` or ``utterances``."""

    def __str__(self) -> str:
        return f"[{self.low:.2f}, {self.high:.2f}]"


def interval(utterances: Sequence[Utterance]) -> Interval | None:
    """The interval of the word error rate; None for fewer than two blocks, or where no reference has a word."""
    speakers, total = by_speaker(utterances)
    unit = "speakers" if len(speakers) > 1 else "utterances"
    counts = [s.counts for s in speakers] if len(speakers) > 1 else [utterance.counts for utterance in utterances]
    if len(counts) < 2 or not total.counts.words:
        return None
    low, high = percentiles(np.array([[c.errors, c.words] for c in counts]))
    return Interval(low, high, len(counts), unit)


def percentiles(blocks: npt.NDArray[np.int64], seed: int = SEED) -> tuple[float, float]:
    """Ends of the interval, in percent, from the (blocks, 2) errors and reference words.

    Blocks with equal counts are alike, so what is drawn is how often each of the K different ones comes: a multinomial
    of K numbers instead of one of n choices, the same distribution. In 20,000 utterances a few hundred differ.
    """
    kinds, times = np.unique(blocks, axis=0, return_counts=True)
    source, share = np.random.default_rng(seed), times / len(blocks)
    step = max(1, CELLS // len(kinds))
    sums = [
        source.multinomial(len(blocks), share, size=min(step, REPLICATIONS - start)) @ kinds
        for start in range(0, REPLICATIONS, step)
    ]
    errors, words = np.concatenate(sums).T.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing but wordless blocks drawn: as in Counts.percent
        rates = np.where((errors == 0) & (words == 0), 0.0, 100 * errors / words)
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(rates, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def interval_line(name: str, counts: Counts, found: Interval | None) -> str:
    """A line as of Kaldi's ``compute-wer-bootci``: ``all: %WER 6.60 95% Conf Interval [ 5.61, 7.70 ], 12 speakers``."""
    if not found:
        why = "which takes two utterances" if counts.words else "since there is no reference word"
        return f"{name}: %WER {counts.percent:.2f} without interval, {why}\n"
    ends = f"[ {found.low:.2f}, {found.high:.2f} ]"
    return f"{name}: %WER {counts.percent:.2f} 95% Conf Interval {ends}, {found.blocks} {found.unit}\n"


def intervals(groups: Mapping[str, Sequence[Utterance]]) -> dict[str, Interval | None]:
    """The interval of each group of utterances."""
    return {name: interval(utterances) for name, utterances in groups.items()}


def read_interval(path: str | os.PathLike[str]) -> Interval | None:
    """The interval of the whole set in a file of :func:`interval_line`; None where there is none."""
    try:
        match = _LINE.search(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return Interval(float(match[1]), float(match[2]), int(match[3]), match[4]) if match else None
