"""Is one recogniser better than another? The four tests of NIST's ``sc_stats``, with its decisions at 5 %.

Two systems have recognised the same utterances, so each test looks at pairs: both systems' errors in one segment of an
utterance, in one speaker's words, in one sentence. All are two-tailed; the null hypothesis is that the systems are
equally good.

Sources: L. Gillick and S. J. Cox, "Some statistical issues in the comparison of speech recognition algorithms", ICASSP
1989 (matched pairs, McNemar); D. S. Pallett, W. M. Fisher and J. G. Fiscus, "Tools for the analysis of benchmark speech
recognition tests", ICASSP 1990; and SCTK 2.4.10, ``sc_stats -t mapsswe sign wilc mcn``. What is done as sc_stats does
it, though a textbook might not:

* Matched pairs: Z is 0, and p 1, where the difference is the same in every segment. So a system with one error more in
  each segment does not count as worse.
* Speakers without a difference are not left out but shared between both systems. A speaker without reference words is
  one of them, whatever was inserted.
* Wilcoxon: the normal approximation, however few the speakers, without a correction for equal ranks.
* Sign test: the better system is the one with the lower mean error rate, whichever has more speakers on its side.

What differs from sc_stats:

* It looks p up for Z cut to hundredths, and so prints a little more than the p here. The decisions part only where
  abs(Z) lies between 1.95996 and 1.96.
* Its binomials of more than 20 trials (sign test, McNemar) are wrong: for k of n it looks up Z = (k - n) / sqrt(n), not
  (2 k + 1 - n) / sqrt(n), and so takes 14 against 16 for a difference, at p = 0.004 (usnistgov/SCTK, pull request 46).
  Here they are exact: 0.86.
* It walks through both systems' references word by word, so it loses the place behind an alternation of which they took
  branches of different length, and takes an optional word that one of them recognised for a word of the reference. Here
  places are those of the reference as it was given: such an alternation is one of them, such a word none.
* Without a single segment, that is for two systems without errors, it can crash. Here p is 1.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from omni_asr.errors import UserError
from omni_asr.scoring.align import CORRECT, INSERTION, pairs
from omni_asr.scoring.markup import sizes
from omni_asr.scoring.sclite import Utterance, by_speaker

LEVEL = 0.05
GOOD_WORDS = 2  # so many words in a row, right in both systems, part two segments
EQUAL_PERCENT = 0.005  # a speaker's error rates that differ by no more are equal

DIFFERS = "its reference differs between the systems; score both anew"

Step = tuple[int, int]
"""Words inserted before a reference word, and whether that is wrong."""
Utterances = Sequence[Utterance]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TestResult:
    """What a test of systems a and b found."""

    statistic: float
    """Z of :func:`matched_pairs`, positive where a has more errors; Z of :func:`wilcoxon`; else the smaller count."""
    p: float
    """Probability of a difference at least as large if the systems were equal, two-tailed."""
    better: str | None
    """``a`` or ``b``, or None where p is not below 5 %."""
    pairs: int
    """What was compared, how many: segments, speakers or sentences."""
    mean: float
    """Mean difference of a pair, a minus b: errors of a segment, percent WER of a speaker, wrong sentences."""
    deviation: float
    """Standard deviation of that difference (n - 1 in the divisor), 0 for fewer than two pairs."""


def matched_pairs(a: Utterances, b: Utterances) -> TestResult:
    """Matched-pairs sentence-segment word error test (MAPSSWE; Gillick and Cox 1989).

    Errors on one side of a few correct words hardly depend on those of the other side. So an utterance falls into
    segments: each runs from an error of either system to the next two reference words in a row that both got right,
    with nothing inserted between them, or to the end of the utterance. Of segments with errors, the n differences
    e_a - e_b of the counts have mean m and standard deviation s; Z = m sqrt(n) / s is taken as standard normal.

    Raises:
        UserError: the systems differ in utterances or in the reference of one, or an utterance id occurs twice.
    """
    segments = [pair for one, other in _matched(a, b) for pair in segment_errors(one, other)]
    differences = np.array([errors_a - errors_b for errors_a, errors_b in segments], dtype=np.float64)
    mean, deviation = _mean(differences), _deviation(differences)
    z = mean / (deviation / math.sqrt(len(segments))) if deviation else 0.0
    return _result(z, _normal(z), "a" if mean < 0 else "b", differences)


def signed_paired(a: Utterances, b: Utterances) -> TestResult:
    """Signed paired comparison: the sign test on the word error rates of speakers.

    n speakers of whom k have the lower error rate with the one system that has fewer such speakers: p is twice the
    probability of at most k heads in n tosses of a coin, and 1 where both have n / 2. Speakers whose rates are equal
    (by 0.005 percent points) are given to the systems by halves, an odd one to the system with the higher mean rate.

    Raises:
        UserError: see :func:`matched_pairs`; or an utterance has no speaker, or another one in the other system.
    """
    rates = _speaker_rates(a, b)
    worse, better = _by_mean(rates)
    difference = rates[worse] - rates[better]
    equal = np.abs(difference) <= EQUAL_PERCENT
    minus = int(np.sum((difference < 0) & ~equal)) + (int(equal.sum()) + 1) // 2
    fewer = min(minus, len(difference) - minus)
    return _result(fewer, _binomial(fewer, len(difference)), "ab"[better], rates[0] - rates[1])


def wilcoxon(a: Utterances, b: Utterances) -> TestResult:
    """Wilcoxon's signed-rank test on the word error rates of speakers.

    The n absolute differences are ranked, equal ones by their mean rank. The ranks of the speakers for whom one system
    is better add up to W, of mean n (n + 1) / 4 and variance n (n + 1) (2 n + 1) / 24, taken as normal. W is that of
    the system that fewer speakers speak for. Speakers whose rates are equal (by 0.005 percent points) go to either
    system in turn, the first one to the system with the lower mean rate.

    Raises:
        UserError: see :func:`signed_paired`.
    """
    rates = _speaker_rates(a, b)
    worse, better = _by_mean(rates)
    difference = rates[worse] - rates[better]
    _, place, times = np.unique(np.abs(difference), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place]
    plus = difference > 0
    equal = np.flatnonzero(np.abs(difference) <= EQUAL_PERCENT)
    plus[equal] = np.arange(len(equal)) % 2 == 0
    n, upset = len(difference), 2 * plus.sum() < len(difference)
    z = 0.0
    if n:
        z = (ranks[plus if upset else ~plus].sum() - n * (n + 1) / 4) / math.sqrt(n * (n + 1) * (2 * n + 1) / 24)
    return _result(float(z), _normal(float(z)), "ab"[worse if upset else better], rates[0] - rates[1])


def mcnemar(a: Utterances, b: Utterances) -> TestResult:
    """McNemar's test on sentences (Gillick and Cox 1989): right is a sentence without any error.

    Of n sentences that one system alone got right, the system with fewer of them has k: p is twice the probability of
    at most k heads in n tosses of a coin, and 1 where both have n / 2.

    Raises:
        UserError: see :func:`matched_pairs`.
    """
    wrong = [(one.counts.errors > 0, other.counts.errors > 0) for one, other in _matched(a, b)]
    only_a, only_b = wrong.count((True, False)), wrong.count((False, True))
    fewer = min(only_a, only_b)
    differences = np.array([float(wrong_a) - float(wrong_b) for wrong_a, wrong_b in wrong])
    return _result(fewer, _binomial(fewer, only_a + only_b), "b" if only_a > only_b else "a", differences)


TESTS = {"mapsswe": matched_pairs, "sign": signed_paired, "wilcoxon": wilcoxon, "mcnemar": mcnemar}


def segment_errors(a: Utterance, b: Utterance) -> list[tuple[int, int]]:
    """Errors of both systems in each segment of an utterance.

    Raises:
        UserError: the systems' references differ.
    """
    segments: list[tuple[int, int]] = []
    errors_a = errors_b = good = 0
    for step_a, step_b in _steps(a, b):
        errors_a, errors_b = errors_a + step_a, errors_b + step_b
        good = 0 if step_a or step_b else good + 1
        if good == GOOD_WORDS and (errors_a or errors_b):
            segments.append((errors_a, errors_b))
            errors_a = errors_b = 0
    return [*segments, (errors_a, errors_b)] if errors_a or errors_b else segments


def _steps(a: Utterance, b: Utterance) -> Iterator[tuple[int, int]]:
    """Errors of both systems step by step: what is inserted before a reference word, if anything, and the word.

    Where the systems took branches of different length of an alternation, that is one step.
    """
    (places_a, ending_a), (places_b, ending_b) = _places(a), _places(b)
    if len(places_a) != len(places_b):
        raise UserError(f"utterance {a.id!r}: {DIFFERS}")
    for words_a, words_b in zip(places_a, places_b, strict=True):
        if len(words_a) != len(words_b):
            words_a, words_b = [_as_one(words_a)], [_as_one(words_b)]
        for (inserted_a, wrong_a), (inserted_b, wrong_b) in zip(words_a, words_b, strict=True):
            if inserted_a or inserted_b:
                yield inserted_a, inserted_b
            yield wrong_a, wrong_b
    if ending_a or ending_b:
        yield ending_a, ending_b


def _places(utterance: Utterance) -> tuple[list[list[Step]], int]:
    """The reference's words and alternations, each with the steps of its words, and the insertions after the last.

    An optional word that was recognised and that the reference lacks is no error, and no word of the reference.
    """
    words: list[str] = []
    steps: list[Step] = []
    inserted = 0
    for letter, reference, hypothesis in pairs(utterance.reference, utterance.hypothesis, utterance.operations):
        if letter == INSERTION:
            inserted += 1
        elif letter != CORRECT or reference or not hypothesis:
            words.append(reference or "")
            steps.append((inserted, int(letter != CORRECT)))
            inserted = 0
    taken = iter(steps)
    counts = sizes(utterance.text, words) if utterance.text else None
    return [list(islice(taken, count)) for count in counts or [1] * len(words)], inserted


def _as_one(words: Sequence[Step]) -> Step:
    """Words as one step: what is inserted before the first, and all errors from there."""
    return (words[0][0] if words else 0), sum(map(sum, words)) - (words[0][0] if words else 0)


def _matched(a: Utterances, b: Utterances) -> list[tuple[Utterance, Utterance]]:
    """The utterances of a, each with that of b."""
    of_a, of_b = _by_id(a, "a"), _by_id(b, "b")
    for name, own, other in (("a", of_a, of_b), ("b", of_b, of_a)):
        for utterance in own.values():
            if utterance.id not in other:
                raise UserError(
                    f"utterance {utterance.id!r} is in system {name} alone; compare results of one test set"
                )
            if utterance.given != other[utterance.id].given:
                raise UserError(f"utterance {utterance.id!r}: {DIFFERS}")
    return [(utterance, of_b[utterance.id]) for utterance in a]


def _by_id(system: Utterances, name: str) -> dict[str, Utterance]:
    by_id: dict[str, Utterance] = {}
    for utterance in system:
        if utterance.id in by_id:
            raise UserError(f"utterance {utterance.id!r} occurs twice in system {name}; ids must be unique")
        by_id[utterance.id] = utterance
    return by_id


def _speaker_rates(a: Utterances, b: Utterances) -> Numbers:
    """Percent word errors of each speaker, (2, speakers), 0 for speakers without reference words."""
    pairs = _matched(a, b)
    for one, other in pairs:
        if not one.speaker or one.speaker != other.speaker:
            found = f"speakers {one.speaker!r} and {other.speaker!r} in the systems"
            raise UserError(f"utterance {one.id!r}: {found}; tests by speaker need the same one in both")
    sides = [[pair[side] for pair in pairs] for side in (0, 1)]
    return np.array([[speaker.percents[4] for speaker in by_speaker(side)[0]] for side in sides], dtype=np.float64)


def _by_mean(rates: Numbers) -> tuple[int, int]:
    """Indices of the systems, that with the higher mean rate first."""
    sum_a, sum_b = rates.cumsum(axis=1)[:, -1:].sum(axis=1)  # added one by one, as sc_stats does
    return (0, 1) if sum_a > sum_b else (1, 0)


def _result(statistic: float, p: float, better: str, differences: Numbers) -> TestResult:
    mean, deviation = _mean(differences), _deviation(differences)
    return TestResult(statistic, p, better if p < LEVEL else None, len(differences), mean, deviation)


def _mean(values: Numbers) -> float:
    return float(values.mean()) if len(values) else 0.0


def _deviation(values: Numbers) -> float:
    return float(values.std(ddof=1)) if len(values) > 1 and np.ptp(values) > 0 else 0.0


def _normal(z: float) -> float:
    """Probability of a standard normal number as far from 0 as z, on either side."""
    return math.erfc(abs(z) / math.sqrt(2))


def _binomial(fewer: int, trials: int) -> float:
    """Twice the probability of at most ``fewer`` heads in so many tosses; 1 for one half of them."""
    if 2 * fewer == trials:
        return 1.0
    return 2 * sum(math.comb(trials, heads) for heads in range(fewer + 1)) / 2**trials
