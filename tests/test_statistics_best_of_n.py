"""Best-of-n and the over-optimisation fit: by hand, by brute force, by simulation, by invariance."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from tutelage.statistics.best_of_n import best_of_n_curve, best_of_n_kl, expected_best_of_n
from tutelage.statistics.over_optimisation import fit_over_optimisation

PLANTED = {"best_of_n": (1.3, 0.2), "rl": (0.8, 0.25)}
KLS = (0.3, 1.0, 2.5, 5.0, 9.0, 16.0, 30.0)


def brute_force(scores, n, values):
    """The mean over every subset of n; equal best scores share."""
    means = []
    for subset in combinations(range(len(scores)), n):
        best = max(scores[i] for i in subset)
        means.append(np.mean([values[i] for i in subset if scores[i] == best]))
    return float(np.mean(means))


def curve(method, gain, decline, kl):
    d = math.sqrt(kl)
    return d * (gain - decline * (d if method == "best_of_n" else math.log(d)))


# Best-of-n.


def test_kl_by_hand():
    # ln 2 - 1/2 = 0.193147; ln 4 - 3/4 = 0.636294.
    assert best_of_n_kl(1) == 0.0
    assert best_of_n_kl(2) == pytest.approx(0.1931471805599453, rel=1e-14)
    assert best_of_n_kl(4) == pytest.approx(0.6362943611198906, rel=1e-14)


def test_kl_is_that_of_the_distribution_of_the_best():
    """Without ties the best of n has density n u^(n-1) in its quantile u: the integral of density times log density."""
    for n in (2, 5, 16):
        middles = (np.arange(200_000) + 0.5) / 200_000
        density = n * middles ** (n - 1)
        assert best_of_n_kl(n) == pytest.approx(float(np.mean(density * np.log(density))), abs=1e-4)


def test_kl_is_an_upper_bound_where_completions_can_be_equal():
    # Three completions of chance 0.7, 0.2, 0.1, from worst to best: the best of n is at most k with chance F(k)^n.
    chances, n = np.array([0.7, 0.2, 0.1]), 4
    best = np.diff(np.concatenate([[0.0], np.cumsum(chances) ** n]))
    exact = float((best * np.log(best / chances)).sum())
    assert 0.0 < exact < 0.75 * best_of_n_kl(n)


def test_expected_best_by_hand():
    # Best of 2 of 3, 1, 2: pairs (3, 1), (3, 2), (1, 2) have best 3, 3, 2: mean 8/3.
    assert expected_best_of_n([3, 1, 2], 2) == pytest.approx(8 / 3, rel=1e-12)
    # Quality of the chosen: 10, 10, 40: mean 20. Of two that tie for the best each counts half: 15, then 10 and 20.
    assert expected_best_of_n([3, 1, 2], 2, values=[10, 0, 40]) == pytest.approx(20, rel=1e-12)
    assert expected_best_of_n([3, 3, 2], 2, values=[10, 20, 0]) == pytest.approx((15 + 10 + 20) / 3, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_expected_best_equals_all_subsets(seed):
    generator = np.random.default_rng(seed)
    scores = generator.integers(0, 6, size=9).astype(float) if seed % 2 else generator.normal(size=9)
    values = generator.normal(size=9)
    for n in range(1, 10):
        found = expected_best_of_n(scores.tolist(), n, values=values.tolist())
        assert found == pytest.approx(brute_force(scores, n, values), abs=1e-12)


def test_expected_best_is_unbiased_and_less_noisy_than_one_draw():
    """Uniform scores: the best of n has mean n / (n + 1), whatever the number of completions."""
    generator = np.random.default_rng(0)
    draws = [generator.random(12).tolist() for _ in range(4000)]
    found = np.array([expected_best_of_n(own, 4) for own in draws])
    assert found.mean() == pytest.approx(0.8, abs=4 * found.std() / math.sqrt(4000))
    assert found.std() < 0.8 * np.std([max(own[:4]) for own in draws])


def test_many_completions_keep_their_digits():
    # The best of n of 1..N has mean n (N + 1) / (n + 1).
    for n, total in ((16, 1000), (500, 1000), (1000, 1000)):
        expected = float(Fraction(n * (total + 1), n + 1))
        assert expected_best_of_n(range(1, total + 1), n) == pytest.approx(expected, rel=1e-10)


def test_order_monotone_maps_and_ends_of_best_of_n():
    scores, values = [0.3, -1.0, 2.0, 0.7, 0.7], [5.0, 1.0, 2.0, 8.0, 4.0]
    for n in range(1, 6):
        expected = expected_best_of_n(scores, n, values=values)
        shuffled = [3, 0, 4, 2, 1]
        other = expected_best_of_n([scores[i] for i in shuffled], n, values=[values[i] for i in shuffled])
        assert other == pytest.approx(expected, rel=1e-12)
        assert expected_best_of_n([s**3 + 7 for s in scores], n, values=values) == pytest.approx(expected, rel=1e-12)
    assert expected_best_of_n(scores, 1, values=values) == pytest.approx(4.0, rel=1e-12)
    assert expected_best_of_n(scores, 5, values=values) == pytest.approx(2.0, rel=1e-12)


def test_curve_by_hand():
    # Prompts: best of 2 of (0, 2) is 2, of (4, 4) is 4: mean 3, sd sqrt 2, t(0.975, 1) = 12.7062 / sqrt 2 * sqrt 2.
    one, two = best_of_n_curve([[0, 2], [4, 4]], [1, 2])
    assert (one.n, one.kl, one.value.mean) == (1, 0.0, pytest.approx(2.5))
    assert (two.kl, two.value.mean, two.value.n) == (pytest.approx(0.1931472), pytest.approx(3.0), 2)
    assert (two.value.low, two.value.high) == (
        pytest.approx(3 - 12.7062, abs=1e-4),
        pytest.approx(3 + 12.7062, abs=1e-4),
    )
    (gold,) = best_of_n_curve([[0, 2], [4, 5]], [2], values=[[7, 1], [7, 3]])
    assert gold.value.mean == pytest.approx(2.0)
    (alone,) = best_of_n_curve([[0, 2]], [2])
    assert math.isnan(alone.value.low)


# The over-optimisation fit.


@pytest.mark.parametrize("method", PLANTED)
def test_planted_coefficients_are_recovered(method):
    gain, decline = PLANTED[method]
    scores = [curve(method, gain, decline, kl) - 4.0 for kl in KLS]
    found = fit_over_optimisation([0.0, *KLS], [-4.0, *scores], method=method, initial_score=-4.0)
    assert (found.gain.mean, found.decline.mean) == pytest.approx((gain, decline), rel=1e-9)
    assert found.residual_sd == pytest.approx(0.0, abs=1e-9)
    assert found.gain.n == len(KLS), "the point at KL 0 is left out"
    assert [found.predict(kl) for kl in (0.0, *KLS)] == pytest.approx([0.0, *(score + 4.0 for score in scores)])
    grid = np.linspace(1e-3, 120, 200_000)
    highest = grid[np.argmax([curve(method, gain, decline, kl) for kl in grid])]
    assert found.peak_kl == pytest.approx(highest, abs=1e-3)


def test_two_points_by_hand():
    # Best-of-n through (KL 1, 2) and (KL 4, 2): a - b = 2 and 2a - 4b = 2 give a = 3, b = 1; peak at d = 1.5, KL 2.25.
    found = fit_over_optimisation([1.0, 4.0], [2.0, 2.0], method="best_of_n")
    assert (found.gain.mean, found.decline.mean) == pytest.approx((3.0, 1.0), rel=1e-12)
    assert found.peak_kl == pytest.approx(2.25, rel=1e-12)
    assert (found.gain.low, found.gain.high) == (-math.inf, math.inf)
    assert math.isnan(found.residual_sd)
    # RL through d = 1 and d = e: a = 2, e (a - b) = e gives b = 1; peak at d = exp(2 / 1 - 1) = e, KL e^2.
    found = fit_over_optimisation([1.0, math.e**2], [2.0, math.e], method="rl")
    assert (found.gain.mean, found.decline.mean) == pytest.approx((2.0, 1.0), rel=1e-12)
    assert found.peak_kl == pytest.approx(math.e**2, rel=1e-12)


@pytest.mark.parametrize("method", PLANTED)
def test_the_interval_covers_the_truth_95_percent_of_the_time(method):
    generator, (gain, decline) = np.random.default_rng(1), PLANTED[method]
    exact = np.array([curve(method, gain, decline, kl) for kl in KLS])
    covered = np.zeros(2)
    for _ in range(1000):
        found = fit_over_optimisation(KLS, exact + generator.normal(0, 0.1, len(KLS)), method=method)
        covered += [found.gain.low <= gain <= found.gain.high, found.decline.low <= decline <= found.decline.high]
    assert (covered / 1000 > 0.93).all() and (covered / 1000 < 0.97).all()


@pytest.mark.parametrize("method", PLANTED)
def test_another_unit_of_score_scales_the_curve_and_keeps_its_peak(method):
    gain, decline = PLANTED[method]
    scores = [curve(method, gain, decline, kl) + 0.1 * math.sin(9 * kl) for kl in KLS]
    one = fit_over_optimisation(KLS, scores, method=method)
    other = fit_over_optimisation(KLS, [1000 * score + 7 for score in scores], method=method, initial_score=7.0)
    for name in ("gain", "decline"):
        mine, scaled = getattr(one, name), getattr(other, name)
        assert [x / 1000 for x in (scaled.mean, scaled.low, scaled.high)] == pytest.approx(
            [mine.mean, mine.low, mine.high]
        )
    assert other.peak_kl == pytest.approx(one.peak_kl)
    shuffled = fit_over_optimisation(KLS[::-1], scores[::-1], method=method)
    assert shuffled.gain.mean == pytest.approx(one.gain.mean)


def test_a_curve_that_never_turns_has_no_peak():
    rising = fit_over_optimisation(KLS, [math.sqrt(kl) + 0.01 * kl for kl in KLS], method="best_of_n")
    falling = fit_over_optimisation(KLS, [-math.sqrt(kl) - kl for kl in KLS], method="best_of_n")
    assert (rising.peak_kl, falling.peak_kl) == (None, None)
    assert fit_over_optimisation(KLS, [math.sqrt(kl) * math.log(kl) for kl in KLS], method="rl").peak_kl is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: best_of_n_kl(0), "n is 0"),
        (lambda: expected_best_of_n([1, 2], 3), "n is 3, but the prompt has 2 completions"),
        (lambda: expected_best_of_n([1, 2], 0), "n is 0"),
        (lambda: expected_best_of_n([1, 2], 1, values=[1]), "2 scores but 1 values"),
        (lambda: expected_best_of_n([1, math.nan], 1), "NaN"),
        (lambda: best_of_n_curve([], [1]), "no prompts"),
        (lambda: best_of_n_curve([[1]], [1], values=[]), "1 prompts have scores but 0"),
        (lambda: fit_over_optimisation([1], [1], method="rl"), "1 different KLs above 0 are too few"),
        (lambda: fit_over_optimisation([0, 3, 3], [0, 1, 1], method="rl"), "1 different KLs above 0 are too few"),
        (lambda: fit_over_optimisation([1, 2], [1], method="rl"), "2 KLs but 1 scores"),
        (lambda: fit_over_optimisation([1, -2], [1, 1], method="rl"), "a KL is -2"),
        (lambda: fit_over_optimisation([1, 2], [1, math.inf], method="rl"), "NaN or infinite"),
        (lambda: fit_over_optimisation([4, 4.000000000000002], [1, 2], method="rl"), "cannot distinguish the two"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
