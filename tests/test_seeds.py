"""Welch's test over seeds: against printed tables, a numerical integral and a worked example."""

import math

import numpy as np
import pytest

from omni_asr.scoring.seeds import mean_interval, quantile, student, welch


@pytest.mark.parametrize(
    ("t", "freedom", "p"),
    [  # quantiles as printed in tables of the t distribution
        (12.7062, 1, 0.05), (4.30265, 2, 0.05), (2.77645, 4, 0.05), (2.22814, 10, 0.05), (1.98397, 100, 0.05),
        (63.6567, 1, 0.01), (3.16927, 10, 0.01), (1.0, 1, 0.5), (0.0, 3, 1.0),
    ],
)  # fmt: skip
def test_student_as_in_tables(t, freedom, p):
    assert student(t, freedom) == student(-t, freedom) == pytest.approx(p, abs=2e-6)


@pytest.mark.parametrize(("t", "freedom"), [(2.0, 1.3), (0.5, 2.7), (4.0, 30.5), (1.0, 200.0), (6.0, 3.3)])
def test_student_is_the_integral_of_its_density(t, freedom):
    x = np.linspace(0, t, 200_001)
    front = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(freedom * math.pi)
    density = front * (1 + x * x / freedom) ** (-(freedom + 1) / 2)
    integral = float(np.sum((density[1:] + density[:-1]) / 2) * x[1])
    assert student(t, freedom) == pytest.approx(1 - 2 * integral, abs=1e-9)


@pytest.mark.parametrize(
    ("freedom", "p", "t"), [(1, 0.05, 12.7062), (2, 0.05, 4.30265), (9, 0.05, 2.26216), (2, 0.01, 9.92484), (3, 1.0, 0)]
)
def test_quantiles_as_in_tables(freedom, p, t):
    assert quantile(p, freedom) == pytest.approx(t, abs=1e-5)


def test_the_interval_of_a_mean_over_seeds():
    found = mean_interval([4.0, 5.0, 6.0])  # 5 -+ 4.30265 / sqrt(3)
    assert str(found) == "[2.52, 7.48]" and (found.blocks, found.unit) == (3, "seeds")
    assert str(mean_interval([1.0, 3.0])) == "[0.00, 14.71]", "no rate is below 0"
    assert str(mean_interval([2.0, 2.0])) == "[2.00, 2.00]"
    assert mean_interval([2.0]) is mean_interval([]) is mean_interval([2.0, math.inf]) is None


def test_intervals_over_seeds_hold_the_mean_so_often():
    source = np.random.default_rng(1)
    found = [mean_interval(list(source.normal(5, 0.5, 3))) for _ in range(2000)]
    assert 0.935 < np.mean([one.low < 5 < one.high for one in found]) < 0.965


def test_welch_by_hand():
    # means 4 and 7, variances 1 and 4: t = -3 / sqrt(5 / 3), freedom = (5 / 3) ** 2 / (1 / 18 + 16 / 18)
    assert welch([3, 4, 5], [5, 7, 9]) == pytest.approx(student(3 / math.sqrt(5 / 3), (25 / 9) / (17 / 18)))
    assert welch([1, 2, 3, 4], [1, 2, 3, 4]) == 1


@pytest.mark.parametrize(("a", "b"), [([1.0], [2.0, 3.0]), ([], []), ([2.0, 2.0], [3.0, 3.0]), ([math.inf, 1], [1, 2])])
def test_what_cannot_be_tested(a, b):
    assert welch(a, b) is None


def test_five_percent_of_equal_recipes_differ():
    source = np.random.default_rng(1)
    found = [welch(list(source.normal(5, 0.3, 3)), list(source.normal(5, 1.0, 4))) for _ in range(3000)]
    assert 0.03 < np.mean([p is not None and p < 0.05 for p in found]) < 0.07
