"""Intervals: by hand, against formulas written independently, by simulation and by invariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student_t

from tutelage.statistics import (
    bounded_mean,
    calibration_bins,
    clustered_variance,
    expected_calibration_error,
    likert_mean,
    win_rate,
    win_rate_difference,
)
from tutelage.statistics.spread import spread_of_mean


def cr2_by_matrices(values: np.ndarray, clusters: np.ndarray) -> tuple[float, float]:
    """Bell and McCaffrey's variance of a regression on a constant, and its degrees of freedom, from their matrices.

    A_g = (I - H_gg)^(-1/2); the variance is the sum of squares of c' (X'X)^-1 X_g' A_g u_g, and with the columns
    g_g = (I - H)_g' A_g X_g (X'X)^-1 c of G its degrees are tr(G'G)^2 / tr((G'G)^2) (their equation 11).
    """
    design = np.ones((values.size, 1))
    bread = np.linalg.inv(design.T @ design)
    maker = np.eye(values.size) - design @ bread @ design.T
    residuals = maker @ values
    variance, columns = 0.0, []
    for name in np.unique(clusters):
        member = clusters == name
        eigenvalues, vectors = np.linalg.eigh(maker[np.ix_(member, member)])
        adjustment = vectors @ np.diag(eigenvalues**-0.5) @ vectors.T
        column = adjustment @ design[member] @ bread
        variance += float((column.T @ residuals[member])[0]) ** 2
        columns.append(maker[member].T @ column[:, 0])
    gram = np.array(columns) @ np.array(columns).T
    return variance, float(np.trace(gram) ** 2 / np.trace(gram @ gram))


def wilson_by_roots(share: float, effective_n: float, quantile: float) -> tuple[float, float]:
    """The two p that solve (share - p)^2 = quantile^2 p (1 - p) / effective_n, the definition of a score interval."""
    weight = quantile**2 / effective_n
    roots = np.roots([1.0 + weight, -(2.0 * share + weight), share**2])
    return float(min(roots)), float(max(roots))


def clustered_outcomes(
    generator: np.random.Generator, *, num_prompts: int, win_chance: float, tie_chance: float
) -> tuple[list[float], list[int]]:
    """Prompts differ (Beta with intra-class correlation 0.3) and have one to five judgements each."""
    concentration = (1 - 0.3) / 0.3
    chances = generator.beta(win_chance * concentration, (1 - win_chance) * concentration, num_prompts)
    clusters = np.repeat(np.arange(num_prompts), generator.integers(1, 6, num_prompts))
    outcomes = (generator.random(clusters.size) < chances[clusters]).astype(float)
    outcomes[generator.random(clusters.size) < tie_chance] = 0.5
    return outcomes.tolist(), clusters.tolist()


def test_clustered_variance_by_hand():
    # Mean 4/6. Residual sums: a 2/3, b -1/3, c -1/3; squares 4/9 + 1/9 + 1/9 = 2/3. 3/2 x 2/3 / 36 = 1/36.
    assert clustered_variance([1, 1, 1, 0, 0, 1], list("aabbcc")) == pytest.approx(1 / 36, rel=1e-12)


def test_clustered_variance_of_single_judgements_is_the_textbook_variance_of_a_mean():
    values = [1.0, 0.0, 0.5, 1.0, 1.0, 0.0, 0.5]
    assert clustered_variance(values, range(7)) == pytest.approx(np.var(values, ddof=1) / 7, rel=1e-12)


def unequal(seed: int, sizes: list[int], share: float, correlation: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of clusters that differ (beta) and have these sizes."""
    generator = np.random.default_rng(seed)
    total = (1 - correlation) / correlation
    chances = generator.beta(share * total, (1 - share) * total, len(sizes))
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    return (generator.random(clusters.size) < chances[clusters]).astype(float), clusters


@pytest.mark.parametrize("sizes", [[1] * 12, [2, 3, 1, 5, 1, 4], [45, 45] + [1] * 40, [60] + [2] * 20])
def test_variance_and_degrees_of_freedom_against_their_matrices(sizes):
    outcomes, clusters = unequal(5, sizes, 0.6)
    variance, degrees = cr2_by_matrices(outcomes, clusters)
    found = spread_of_mean(outcomes, clusters.tolist())
    assert (found.variance, found.degrees) == (pytest.approx(variance, rel=1e-9), pytest.approx(degrees, rel=1e-9))
    assert clustered_variance(outcomes.tolist(), clusters.tolist()) == found.variance
    assert found.quantile == pytest.approx(student_t.ppf(0.975, degrees), rel=1e-9)


def test_one_large_cluster_by_hand():
    """Clusters of 2 and 1: shares 2/3 and 1/3; 1, 1 | 0 has the mean 2/3 and residual sums 2/3 and -2/3.

    Variance (4/9) / (1/3) + (4/9) / (2/3) = 2 over 9; sum h^2 = 5/9; c = 4/3 and 1/6, so that 2 c_1 c_2 = 4/9 and the
    degrees are 1 / (5/9 + 4/9) = 1; 9/5 clusters of one size would weigh as much.
    """
    found = spread_of_mean(np.array([1.0, 1.0, 0.0]), list("aab"))
    assert (found.variance, found.degrees) == (pytest.approx(2 / 9), pytest.approx(1.0))
    assert found.num_effective == pytest.approx(9 / 5)


def test_win_rate_interval_against_the_roots_of_its_definition():
    outcomes, clusters = unequal(6, [1, 2, 3, 4, 5] * 5, 0.3, 0.1)
    found = win_rate(outcomes.tolist(), clusters.tolist())
    mean = float(outcomes.mean())
    variance, degrees = cr2_by_matrices(outcomes, clusters)
    # What clusters may have missed: odds^2 - 1 over 20 effective clusters, here less than what yes and no would add.
    num_effective = 75**2 / (5 * 55)
    odds = max(mean, 1 - mean) / min(mean, 1 - mean)
    variance *= 1 + (odds**2 - 1) / 20 / num_effective
    assert odds > 1.5 and variance < mean * (1 - mean) / num_effective
    low, high = wilson_by_roots(mean, mean * (1 - mean) / variance, student_t.ppf(0.975, degrees))
    assert (found.mean, found.n) == (pytest.approx(mean, rel=1e-12), outcomes.size)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-9), pytest.approx(high, rel=1e-9))


def test_a_lopsided_mean_of_small_numbers_is_allowed_for_up_to_what_yes_and_no_vary():
    """Twenty of 0.01 and 0.03: mean 0.02, variance of the mean 0.01^2 / 19, odds 49: 1 + (49^2 - 1) / 400 = 7 times.

    Two of ten at 0.9 and eight at 0: mean 0.18, odds 4.56; the allowance would be more than 0.18 x 0.82 / 10.
    """
    small = bounded_mean([0.01, 0.03] * 10, range(20))
    expected = wilson_by_roots(0.02, 0.02 * 0.98 / (7 * 1e-4 / 19), student_t.ppf(0.975, 19))
    assert (small.low, small.high) == (pytest.approx(expected[0], rel=1e-6), pytest.approx(expected[1], rel=1e-6))
    few = bounded_mean([0.9, 0.9] + [0.0] * 8, range(10))
    expected = wilson_by_roots(0.18, 10, student_t.ppf(0.975, 9))
    assert (few.low, few.high) == (pytest.approx(expected[0], rel=1e-6), pytest.approx(expected[1], rel=1e-6))


RANKINGS_OF_2_TO_9 = [size * (size - 1) // 2 for size in (5, 6, 8, 9, 2, 3, 8, 9, 3, 4, 8, 5)]


@pytest.mark.parametrize(
    ("sizes", "share"),
    [([45, 45] + [1] * 40, 0.6), ([200] + [2] * 50, 0.6), (RANKINGS_OF_2_TO_9, 0.7), ([3] * 20, 0.6)],
)
def test_the_interval_holds_the_truth_with_unequal_clusters(sizes, share):
    clusters = np.repeat(np.arange(len(sizes)), sizes).tolist()
    found = (bounded_mean(unequal(seed, sizes, share)[0], clusters) for seed in range(1500))
    covered = sum(own.low <= share <= own.high for own in found) / 1500
    # Above 0.97 only where one cluster holds most: its share of the truth cannot be told from the rest.
    assert 0.93 <= covered <= (0.995 if max(sizes) == 200 else 0.97)


def test_the_interval_holds_the_mean_of_skewed_numbers():
    generator = np.random.default_rng(0)
    numbers = np.minimum(1.0, generator.lognormal(-3.0, 1.0, (1500, 20)))
    found = (bounded_mean(row, range(20)) for row in numbers)
    # The mean of min(1, x) is 0.0816, by ten million draws.
    assert 0.93 <= sum(own.low <= 0.0816 <= own.high for own in found) / 1500 <= 0.97


@pytest.mark.parametrize(("num_prompts", "win_chance"), [(60, 0.6), (30, 0.5), (150, 0.85)])
def test_win_rate_interval_covers_the_truth_95_percent_of_the_time(num_prompts, win_chance):
    generator = np.random.default_rng(num_prompts)
    truth = 0.9 * win_chance + 0.1 * 0.5
    covered = 0
    for _ in range(1000):
        found = win_rate(*clustered_outcomes(generator, num_prompts=num_prompts, win_chance=win_chance, tie_chance=0.1))
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_likert_interval_covers_the_truth_95_percent_of_the_time():
    generator = np.random.default_rng(3)
    base = np.array([0.05, 0.1, 0.15, 0.2, 0.25, 0.15, 0.1])
    truth = float(base @ np.arange(1, 8))
    covered = 0
    for _ in range(1000):
        # Each of 50 prompts has its own mix of ratings around the same mean mix.
        mixes = generator.dirichlet(8 * base, size=50)
        places = generator.random((50, 3, 1)) > np.cumsum(mixes, axis=1)[:, None, :-1]
        found = likert_mean((places.sum(2) + 1).ravel().tolist(), [prompt for prompt in range(50) for _ in range(3)])
        covered += found.low <= truth <= found.high
    assert 0.93 <= covered / 1000 <= 0.97


def test_repeating_every_judgement_changes_nothing_but_the_count():
    outcomes, clusters = clustered_outcomes(np.random.default_rng(8), num_prompts=30, win_chance=0.6, tie_chance=0.1)
    once, twice = win_rate(outcomes, clusters), win_rate(outcomes * 2, clusters * 2)
    assert (twice.low, twice.high) == (pytest.approx(once.low, rel=1e-9), pytest.approx(once.high, rel=1e-9))
    assert twice.n == 2 * once.n


def test_swapping_policy_and_baseline_mirrors_the_interval():
    outcomes, clusters = clustered_outcomes(np.random.default_rng(9), num_prompts=30, win_chance=0.7, tie_chance=0.2)
    found, swapped = win_rate(outcomes, clusters), win_rate([1 - outcome for outcome in outcomes], clusters)
    assert swapped.mean == pytest.approx(1 - found.mean)
    assert (swapped.low, swapped.high) == (pytest.approx(1 - found.high), pytest.approx(1 - found.low))


def test_all_wins_leave_doubt_that_shrinks_with_prompts_and_not_with_judgements():
    # Wilson at share 1: low = 1 / (1 + t^2 / G). t(0.975, 9) = 2.262157, so 1 / (1 + 5.117354 / 10) = 0.661491.
    found = win_rate([1] * 10, range(10))
    assert (found.mean, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.661491, abs=2e-6)
    assert win_rate([1] * 40, list(range(10)) * 4).low == pytest.approx(found.low)
    assert win_rate([1] * 100, range(100)).low > 0.95


def test_all_ties_are_a_half_with_doubt():
    found = win_rate([0.5] * 20, range(20))
    assert found.mean == 0.5
    assert 0.2 < found.low < 0.35
    assert found.high == pytest.approx(1 - found.low)


def test_one_prompt_says_nothing_about_prompts():
    assert (win_rate([1, 0, 1], "aaa").low, win_rate([1, 0, 1], "aaa").high) == (0.0, 1.0)
    assert math.isinf(clustered_variance([1, 0, 1], "aaa"))


def test_likert_is_the_win_rate_interval_on_another_scale():
    ratings, prompts = [1, 7, 4, 4, 7, 7], list("aabbcd")
    found = likert_mean(ratings, prompts)
    rescaled = win_rate([(rating - 1) / 6 for rating in ratings], prompts)
    assert found.mean == pytest.approx(5.0)
    assert (found.low, found.high) == (pytest.approx(1 + 6 * rescaled.low), pytest.approx(1 + 6 * rescaled.high))


def test_a_difference_is_paired_on_shared_prompts():
    # a: 1 - 0, b: 0.5 - 0.5, c: 1 - 0.5; prompt z of the second policy has no partner.
    found = win_rate_difference([1, 1, 0, 1], list("abbc"), [0, 0.5, 0.5, 1], list("abcz"))
    assert (found.mean, found.n) == (pytest.approx(0.5), 3)
    expected = bounded_mean([1, 0, 0.5], [0, 1, 2], lower=-1, upper=1)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_pairing_removes_what_prompts_share():
    generator = np.random.default_rng(4)
    base = generator.random(200) < 0.5
    better = base | (generator.random(200) < 0.2)
    found = win_rate_difference(better.astype(float).tolist(), range(200), base.astype(float).tolist(), range(200))
    assert found.low > 0
    separate = win_rate(better.astype(float).tolist(), range(200)), win_rate(base.astype(float).tolist(), range(200))
    assert found.high - found.low < (separate[0].high - separate[0].low + separate[1].high - separate[1].low) * 0.7


def test_calibration_bins_by_hand():
    # Sizes 0.2, 0.4 | 1, 3: the model is wrong once in the first bin.
    bins = calibration_bins([0.2, -0.4, 1.0, 3.0], list("abcd"), num_bins=2)
    assert [found.accuracy.mean for found in bins] == [0.5, 1.0]
    assert [(found.low, found.high) for found in bins] == [(0.2, 0.4), (1.0, 3.0)]
    # sigmoid: 0.549834, 0.598688, 0.731059, 0.952574
    assert [found.claimed for found in bins] == [pytest.approx(0.574261, abs=1e-6), pytest.approx(0.841816, abs=1e-6)]
    assert expected_calibration_error(bins) == pytest.approx((0.074261 + 0.158184) / 2, abs=1e-6)


def test_calibration_of_a_calibrated_model_is_found_calibrated():
    generator = np.random.default_rng(11)
    sizes = generator.exponential(1.5, 20_000)
    signs = np.where(generator.random(20_000) < 1 / (1 + np.exp(-sizes)), 1.0, -1.0)
    bins = calibration_bins((signs * sizes).tolist(), range(20_000))
    assert len(bins) == 10
    assert {found.accuracy.n for found in bins} == {2000}
    assert expected_calibration_error(bins) < 0.015
    overconfident = calibration_bins((3 * signs * sizes).tolist(), range(20_000))
    assert expected_calibration_error(overconfident) > 0.08


def test_equal_margins_share_a_bin_and_zero_counts_half():
    bins = calibration_bins([0.0] * 6, range(6), num_bins=3)
    assert [(found.accuracy.mean, found.accuracy.n, found.claimed) for found in bins] == [(0.5, 6, 0.5)]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: win_rate([], []), "no values"),
        (lambda: win_rate([1, 0.7], "ab"), "outcome is 0.7"),
        (lambda: win_rate([1, 0], "a"), "2 values but 1 clusters"),
        (lambda: likert_mean([8], "a"), "reach from 8 to 8"),
        (lambda: bounded_mean([math.nan], "a"), "NaN"),
        (lambda: win_rate_difference([1], "a", [1], "b"), "share no prompt"),
        (lambda: calibration_bins([], []), "no margins"),
        (lambda: calibration_bins([1.0], "ab"), "1 margins but 2"),
        (lambda: calibration_bins([1.0], "a", num_bins=0), "num_bins is 0"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
