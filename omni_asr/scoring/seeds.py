"""Is one way to train better than another, and how sure is its mean? Student's t on the error rates of several seeds.

The tests of :mod:`omni_asr.scoring.significance` ask whether two trained models differ. Here a seed is a draw, so what
is tested is the recipe. Welch's test, since spreads differ from recipe to recipe and seeds are few: a permutation test
of three seeds against three cannot give less than p = 2 / 20 and so never decides at 5 %. The price is that rates are
taken as normally distributed over seeds, as for the interval of their mean.

Sources: B. L. Welch, "The generalization of 'Student's' problem when several different population variances are
involved", Biometrika 34 (1947); C. Colas, O. Sigaud and P.-Y. Oudeyer, "A hitchhiker's guide to statistical comparisons
of reinforcement learning algorithms", 2019, which recommends it for few seeds.
"""

import math
import statistics
from collections.abc import Sequence

from omni_asr.scoring.bootstrap import LEVEL, Interval

TERMS = 200  # of a continued fraction: many more than it takes for some hundred seeds


def welch(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Probability of means as far apart if the recipes were equal, two-tailed.

    None where it cannot be told: fewer than two values on a side, or no spread at all.
    """
    if min(len(a), len(b)) < 2:
        return None
    errors = [statistics.variance(side) / len(side) for side in (a, b)]  # squared errors of the means
    if not 0 < sum(errors) < math.inf:
        return None
    t = (statistics.mean(a) - statistics.mean(b)) / math.sqrt(sum(errors))
    freedom = sum(errors) ** 2 / sum(e**2 / (len(side) - 1) for e, side in zip(errors, (a, b), strict=True))
    return student(t, freedom)


def student(t: float, freedom: float) -> float:
    """Probability that Student's t with so many degrees of freedom is at least as far from 0, on either side."""
    return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t))


def incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if not 0 < x < 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly
        return 1 - incomplete_beta(b, a, 1 - x)
    fraction = 1.0
    for term in range(TERMS, 0, -1):
        m, end = term // 2, a + term
        numerator = -(a + m) * (a + b + m) if term % 2 else m * (b - m)
        fraction = 1 + numerator * x / ((end - 1) * end) / fraction
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / (a * fraction)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Where the mean over seeds lies at 95 % confidence, by Student's t; not below 0, since the values are error rates.

    None where it cannot be told: fewer than two values, or one that is not finite.
    """
    if len(values) < 2 or not math.isfinite(sum(values)):
        return None
    mean = statistics.mean(values)
    reach = quantile(1 - LEVEL, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return Interval(max(0.0, mean - reach), mean + reach, len(values), "seeds")


def quantile(p: float, freedom: float) -> float:
    """The t that is reached on either side with probability p, by bisection of :func:`student`."""
    low, high = 0.0, 1.0
    while student(high, freedom) > p:
        low, high = high, 2 * high
    for _ in range(60):  # to the precision of numbers
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) > p else (low, middle)
    return high
