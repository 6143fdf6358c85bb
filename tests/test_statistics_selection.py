"""What is chosen on one half and measured on the other: by hand, and where nothing is better than anything."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import norm

from tutelage.statistics import Interval, choose_by_halves, contrast_of_choices, paired_contrast, widen_for_choice


def chosen_by(half: set[int], candidates: list[dict[int, float]]) -> dict[int, float]:
    """The candidate with the highest mean over a half."""
    totals = [sum(means[unit] for unit in half) for means in candidates]
    return candidates[totals.index(max(totals))]


def test_each_half_is_measured_under_what_the_other_half_chose():
    """There is a split into two halves of four for which it is so; and of those there are 35 in all."""
    generator = np.random.default_rng(0)
    candidates = [dict(enumerate(generator.normal(size=8).tolist())) for _ in range(5)]
    found = choose_by_halves(candidates, is_lowest=False, seed=0)
    possible = []
    for half in map(set, combinations(range(8), 4)):
        other = set(range(8)) - half
        first, second = chosen_by(half, candidates), chosen_by(other, candidates)
        possible.append({unit: first[unit] if unit in other else second[unit] for unit in range(8)})
    assert found in possible
    assert len({tuple(sorted(each.items())) for each in possible}) > 5


def test_nobody_is_measured_under_a_choice_of_their_own_half():
    """One wild number makes its candidate the best of its half; it is then measured in the other half only."""
    calm = dict.fromkeys(range(10), 0.0)
    wild = {**calm, 3: 100.0}
    found = choose_by_halves([calm, wild], is_lowest=False, seed=5)
    assert found[3] == 0.0
    lowest = choose_by_halves([calm, {unit: -value for unit, value in wild.items()}], is_lowest=True, seed=5)
    assert lowest[3] == 0.0


def test_the_order_of_units_does_not_matter_and_the_seed_does():
    generator = np.random.default_rng(0)
    candidates = [dict(enumerate(generator.normal(size=12).tolist())) for _ in range(4)]
    backwards = [dict(reversed(means.items())) for means in candidates]
    found = choose_by_halves(candidates, is_lowest=False, seed=1)
    assert choose_by_halves(backwards, is_lowest=False, seed=1) == found
    assert any(choose_by_halves(candidates, is_lowest=False, seed=seed) != found for seed in range(2, 9))


@pytest.mark.parametrize(("num_epochs", "naive_share"), [(4, 0.04), (8, 0.08)])
def test_the_last_of_epochs_that_are_all_alike_is_seldom_found_worse_than_the_best(num_epochs, naive_share):
    generator = np.random.default_rng(3)
    num_worse = num_worse_of_naive = 0
    for _ in range(1500):
        values = generator.normal(size=(30, 1)) + generator.normal(size=(30, num_epochs))
        epochs = [dict(enumerate(values[:, epoch].tolist())) for epoch in range(num_epochs)]
        chosen = choose_by_halves(epochs, is_lowest=True, seed=0)
        num_worse += contrast_of_choices([(1.0, epochs[-1]), (-1.0, chosen)]).low > 0
        naive = min(epochs, key=lambda means: sum(means.values()))
        num_worse_of_naive += paired_contrast([(1.0, epochs[-1]), (-1.0, naive)], bounds=None).low > 0
    assert num_worse / 1500 <= 0.035
    assert num_worse_of_naive / 1500 > naive_share


def test_a_contrast_of_choices_is_wider_by_the_halves_correlation():
    terms = [(1.0, {1: 2.0, 2: 4.0, 3: 6.0}), (-1.0, {1: 1.0, 2: 1.0, 3: 1.0})]
    found, plain = contrast_of_choices(terms), paired_contrast(terms, bounds=None)
    assert (found.high - found.low) / (plain.high - plain.low) == pytest.approx((1 + 1 / np.pi) ** 0.5)
    assert (found.mean, found.n) == (plain.mean, 3)


def test_an_interval_is_widened_by_the_quantile_of_as_many_choices():
    found = widen_for_choice(Interval(mean=1.0, low=0.8, high=1.4, n=9), 7)
    factor = norm.ppf(1 - 0.025 / 7) / norm.ppf(0.975)
    assert factor > 1.3
    assert (found.low, found.high, found.n) == (pytest.approx(1 - 0.2 * factor), pytest.approx(1 + 0.4 * factor), 9)
    assert widen_for_choice(found, 1).low == pytest.approx(found.low)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: choose_by_halves([{1: 0.0, 2: 0.0, 3: 0.0}], is_lowest=True, seed=0), "share 3 units"),
        (lambda: choose_by_halves([], is_lowest=True, seed=0), "share 0 units"),
        (lambda: widen_for_choice(Interval(mean=0.0, low=0.0, high=0.0, n=1), 0), "num_choices is 0"),
    ],
)
def test_what_cannot_be_chosen_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
