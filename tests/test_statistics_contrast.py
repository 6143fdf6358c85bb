"""Contrasts by hand, against the win-rate difference, and against simulation."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
from scipy.stats import t as student_t

from tutelage.statistics import Interval, combined_contrast, paired_contrast, win_rate_difference


def test_a_difference_is_that_of_win_rates():
    first = {"a": 1.0, "b": 0.5, "c": 1.0, "d": 0.0}
    second = {"a": 0.0, "b": 0.5, "c": 0.5, "e": 1.0}
    found = paired_contrast([(1.0, first), (-1.0, second)])
    expected = win_rate_difference(list(first.values()), list(first), list(second.values()), list(second))
    assert (found.mean, found.low, found.high, found.n) == pytest.approx(
        (expected.mean, expected.low, expected.high, 3), abs=1e-12
    )


def test_half_of_another_is_taken_prompt_by_prompt():
    # a: 1 - 0.5 * 1 = 0.5; b: 0 - 0.5 * 1 = -0.5; c: 1 - 0.5 * 0 = 1. Mean 1/3, and never outside [-0.5, 1].
    found = paired_contrast([(1.0, {"a": 1.0, "b": 0.0, "c": 1.0}), (-0.5, {"a": 1.0, "b": 1.0, "c": 0.0})])
    assert found.mean == pytest.approx(1 / 3)
    assert -0.5 <= found.low < found.mean < found.high <= 1.0


def test_without_bounds_the_interval_is_students():
    found = paired_contrast([(1.0, {1: 2.0, 2: 4.0, 3: 6.0}), (-1.0, {1: 1.0, 2: 1.0, 3: 1.0})], bounds=None)
    # Differences 1, 3, 5: mean 3, standard error sqrt(4 / 3), t with two degrees of freedom.
    half = student_t.ppf(0.975, 2) * sqrt(4 / 3)
    assert (found.mean, found.low, found.high) == pytest.approx((3.0, 3.0 - half, 3.0 + half))


def test_what_shares_nothing_or_has_no_spread_is_refused():
    with pytest.raises(ValueError, match="share no prompt"):
        paired_contrast([(1.0, {"a": 1.0}), (-1.0, {"b": 1.0})])
    with pytest.raises(ValueError, match="one cluster alone"):
        paired_contrast([(1.0, {"a": 1.0})], bounds=None)


def test_intervals_combine_by_their_distances():
    # 0.6 - 0.5 * 0.4 = 0.4. Below: 0.1 of the first, half of 0.06 (the second's upper side); above: 0.05, half of 0.08.
    first = Interval(mean=0.6, low=0.5, high=0.65, n=40)
    second = Interval(mean=0.4, low=0.32, high=0.46, n=30)
    found = combined_contrast([(1.0, first), (-0.5, second)])
    assert found.mean == pytest.approx(0.4)
    assert found.low == pytest.approx(0.4 - sqrt(0.1**2 + 0.03**2))
    assert found.high == pytest.approx(0.4 + sqrt(0.05**2 + 0.04**2))
    assert found.n == 30


def test_the_paired_interval_covers_the_truth_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        lean = generator.normal(size=60)
        first = generator.random(60) < 1 / (1 + np.exp(-(0.5 + lean)))
        second = generator.random(60) < 1 / (1 + np.exp(-(-0.5 + lean)))
        found = paired_contrast([(1.0, dict(enumerate(first * 1.0))), (-1.0, dict(enumerate(second * 1.0)))])
        covered += found.low <= 0.2041 <= found.high
    # 0.2041: the mean of sigmoid(0.5 + z) - sigmoid(-0.5 + z) over a standard normal z, by quadrature.
    assert 0.92 <= covered / 400 <= 0.98
