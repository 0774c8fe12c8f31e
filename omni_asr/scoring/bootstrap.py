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

from omni_asr.read_files import read_text, well_formed
from omni_asr.scoring.align import Counts
from omni_asr.scoring.sclite import Utterance, by_speaker

REPLICATIONS = 10_000
LEVEL = 0.95
SEED = 0
CELLS = 4_000_000  # counts drawn at once, 32 MB

_LINE = re.compile(r"(\S+): %WER \S+ 95% Conf Interval \[ (\S+), (\S+) \], (\d+) (speakers|utterances)")
_WITHOUT = re.compile(r"(\S+): %WER \S+ without interval, .*")


@dataclass(frozen=True)
class Interval:
    """Where the error rate lies at 95 % confidence, in percent."""

    low: float
    high: float
    blocks: int
    unit: str
    """What the blocks are: ``speakers`` or ``utterances``; of a mean, ``sets`` or ``seeds``."""

    def __str__(self) -> str:
        return f"[{self.low:.2f}, {self.high:.2f}]"


def unit_of(utterances: Sequence[Utterance]) -> str:
    """What is drawn by default: ``speakers`` where there are several, else ``utterances``."""
    return "speakers" if len({utterance.speaker for utterance in utterances}) > 1 else "utterances"


def interval(utterances: Sequence[Utterance], unit: str = "", replications: int = REPLICATIONS) -> Interval | None:
    """The interval of the word error rate; None for fewer than two blocks, or where no reference has a word.

    ``unit`` is what is drawn, ``speakers`` or ``utterances``; by default speakers where there are several.
    ``replications`` is how many samples.
    """
    counts, unit = _blocks(utterances, unit)
    if len(counts) < 2 or not counts[:, 1].any():
        return None
    low, high = percentiles(counts, replications=replications)
    return Interval(low, high, len(counts), unit)


def mean_interval(groups: Sequence[Sequence[Utterance]]) -> Interval | None:
    """The interval of the plain mean of the error rates of several sets; None where one of them has none.

    The sets are drawn independently of each other.
    """
    counts = [_blocks(group)[0] for group in groups]
    if not counts or any(len(blocks) < 2 or not blocks[:, 1].any() for blocks in counts):
        return None
    rates = np.mean([_replications(blocks, SEED + number) for number, blocks in enumerate(counts)], axis=0)
    return Interval(*_ends(rates), len(counts), "sets")


def percentiles(
    blocks: npt.NDArray[np.int64], seed: int = SEED, replications: int = REPLICATIONS
) -> tuple[float, float]:
    """Ends of the interval, in percent, from the (blocks, 2) errors and reference words."""
    return _ends(_replications(blocks, seed, replications))


def _blocks(utterances: Sequence[Utterance], unit: str = "") -> tuple[npt.NDArray[np.int64], str]:
    """Errors and reference words of what is drawn, (blocks, 2), and what that is."""
    speakers, _ = by_speaker(utterances)
    unit = unit or unit_of(utterances)
    counts = [block.counts for block in (speakers if unit == "speakers" else utterances)]
    return np.array([[c.errors, c.words] for c in counts], dtype=np.int64).reshape(-1, 2), unit


def _replications(
    blocks: npt.NDArray[np.int64], seed: int, replications: int = REPLICATIONS
) -> npt.NDArray[np.float64]:
    """Error rates of so many samples, in percent.

    Blocks with equal counts are alike, so what is drawn is how often each of the K different ones comes: a multinomial
    of K numbers instead of one of n choices, the same distribution. In 20,000 utterances a few hundred differ.
    """
    kinds, times = np.unique(blocks, axis=0, return_counts=True)
    source, share = np.random.default_rng(seed), times / len(blocks)
    step = max(1, CELLS // len(kinds))
    sums = [
        source.multinomial(len(blocks), share, size=min(step, replications - start)) @ kinds
        for start in range(0, replications, step)
    ]
    errors, words = np.concatenate(sums).T.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):  # nothing but wordless blocks drawn: as in Counts.percent
        return np.where((errors == 0) & (words == 0), 0.0, 100 * errors / words)


def _ends(rates: npt.NDArray[np.float64]) -> tuple[float, float]:
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(rates, [tail, 1 - tail], method="inverted_cdf")
    return float(low), float(high)


def interval_line(name: str, counts: Counts, found: Interval | None) -> str:
    """A line as of Kaldi's ``compute-wer-bootci``: ``all: %WER 6.60 95% Conf Interval [ 5.61, 7.70 ], 12 speakers``."""
    if not found:
        why = "which takes two blocks" if counts.words else "since there is no reference word"
        return f"{name}: %WER {counts.percent:.2f} without interval, {why}\n"
    ends = f"[ {found.low:.2f}, {found.high:.2f} ]"
    return f"{name}: %WER {counts.percent:.2f} 95% Conf Interval {ends}, {found.blocks} {found.unit}\n"


def intervals(
    groups: Mapping[str, Sequence[Utterance]], unit: str = "", replications: int = REPLICATIONS
) -> dict[str, Interval | None]:
    """The interval of each group of utterances, see :func:`interval`."""
    return {name: interval(utterances, unit, replications) for name, utterances in groups.items()}


def read_interval(path: str | os.PathLike[str], name: str = "all") -> Interval | None:
    """The interval of a set (``all``) or subset in a file of :func:`interval_line`; None where there is none.

    Raises:
        UserError: the file is damaged.
    """
    advice = "score this set again (stage 5)"
    lines = read_text(path, advice).splitlines() if Path(path).exists() else []
    line = next((line for line in lines if line.startswith(f"{name}: ")), None)
    if line is None or _WITHOUT.fullmatch(line):
        return None
    with well_formed(path, "a file of intervals", advice):
        match = _LINE.fullmatch(line)
        if not match:
            raise ValueError(line)
        return Interval(float(match[2]), float(match[3]), int(match[4]), match[5])
