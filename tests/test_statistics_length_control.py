"""The length-controlled win rate: by hand where it can be solved, and on judges who look at nothing but length."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from scipy.stats import t as student

from tutelage.statistics import length_controlled_win_rate, win_rate


def judged(longer: tuple[int, int], shorter: tuple[int, int], *, tokens: float = 5.0):
    """Comparisons in which the policy is longer, and as many in which it is shorter: (won, lost) of each."""
    outcomes = [1.0] * longer[0] + [0.0] * longer[1] + [1.0] * shorter[0] + [0.0] * shorter[1]
    differences = [tokens] * sum(longer) + [-tokens] * sum(shorter)
    return outcomes, differences, list(range(len(outcomes)))


def test_two_lengths_are_solved_by_hand():
    """Longer: 800 of 1,000 won, shorter: 500. With s = 5 the length term is +-tanh(1), and both shares are met exactly
    by a + b tanh(1) = logit 0.8 = ln 4 and a - b tanh(1) = logit 0.5 = 0: a = ln 2, so the rate is 2 / 3, where the
    plain one is 0.65. The penalty on b moves it by less than a ten-thousandth.

    a is the mean of two independent logits, each of variance 1 / (n p q): its own is (1/160 + 1/250) / 4.
    """
    found = length_controlled_win_rate(*judged((800, 200), (500, 500)))
    assert found.mean == pytest.approx(2 / 3, abs=1e-4)
    half = student.ppf(0.975, 1999) * sqrt((1 / 160 + 1 / 250) / 4)
    low, high = (1 / (1 + np.exp(-(log(2) + side * half))) for side in (-1, 1))
    assert (found.low, found.high) == pytest.approx((low, high), abs=2e-4)
    assert found.n == 2000


def test_the_unit_of_length_does_not_matter():
    in_tokens, in_letters = (length_controlled_win_rate(*judged((8, 2), (5, 5), tokens=d)) for d in (5.0, 23.0))
    assert in_letters.mean == pytest.approx(in_tokens.mean, rel=1e-12)


def test_sides_can_be_swapped():
    outcomes, differences, prompts = judged((16, 4), (9, 11))
    there = length_controlled_win_rate(outcomes, differences, prompts)
    back = length_controlled_win_rate([1 - o for o in outcomes], [-d for d in differences], prompts)
    assert (back.mean, back.low, back.high) == pytest.approx((1 - there.mean, 1 - there.high, 1 - there.low), rel=1e-9)


def by_length_alone(rng: np.random.Generator, num_prompts: int, num_judges: int = 1):
    """Judges who prefer the longer response and nothing else, of a policy that writes more: 12 tokens on average."""
    differences = rng.normal(12.0, 10.0, num_prompts)
    chances = 1 / (1 + np.exp(-2.0 * np.tanh(differences / differences.std())))
    outcomes = rng.random((num_judges, num_prompts)) < chances
    prompts = np.tile(np.arange(num_prompts), num_judges)
    return outcomes.astype(float).ravel().tolist(), np.tile(differences, num_judges).tolist(), prompts.tolist()


def test_preference_for_length_alone_is_an_even_match():
    outcomes, differences, prompts = by_length_alone(np.random.default_rng(0), 20_000)
    assert win_rate(outcomes, prompts).mean > 0.7
    assert length_controlled_win_rate(outcomes, differences, prompts).mean == pytest.approx(0.5, abs=0.015)


@pytest.mark.parametrize("num_judges", [1, 3])
def test_the_interval_holds_the_truth(num_judges):
    """Of 400 draws of 150 prompts 95 % should hold; with three judges who agree no more than by length, too."""
    rng = np.random.default_rng(1)
    holding = 0
    for _ in range(400):
        found = length_controlled_win_rate(*by_length_alone(rng, 150, num_judges))
        holding += found.low <= 0.5 <= found.high
    assert 0.93 <= holding / 400 <= 0.985


def test_judgements_of_one_prompt_are_no_news():
    """Each prompt three times, with the same outcome: the interval is that of the prompts, not of the records,
    which would be 0.58 times as wide. (Once, its model-based variance happens to be the larger.)
    """
    outcomes, differences, prompts = by_length_alone(np.random.default_rng(2), 100)
    once = length_controlled_win_rate(outcomes, differences, prompts)
    thrice = length_controlled_win_rate(outcomes * 3, differences * 3, prompts * 3)
    assert thrice.mean == pytest.approx(once.mean, abs=1e-3)
    assert (thrice.high - thrice.low) / (once.high - once.low) == pytest.approx(1.0, abs=0.15)


def test_where_length_decides_without_exception_it_says_how_little_it_knows():
    found = length_controlled_win_rate(*judged((50, 0), (0, 50)))
    assert found.mean == pytest.approx(0.5, abs=1e-6)
    assert found.high - found.low > 0.8


def test_without_a_difference_it_is_the_win_rate():
    outcomes, _, prompts = judged((8, 2), (5, 5))
    assert length_controlled_win_rate(outcomes, [0.0] * 20, prompts) == win_rate(outcomes, prompts)
    assert length_controlled_win_rate([1.0] * 4, [1.0, 2.0, -3.0, 4.0], [1, 2, 3, 4]) == win_rate(
        [1.0] * 4, [1, 2, 3, 4]
    )
    assert length_controlled_win_rate([0.5] * 4, [1.0, 2.0, -3.0, 4.0], [1, 2, 3, 4]).mean == 0.5


def test_where_nothing_can_be_told_the_interval_is_everything():
    always_longer = length_controlled_win_rate([1.0, 0.0, 1.0], [5.0, 5.0, 5.0], [1, 2, 3])
    one_prompt = length_controlled_win_rate([1.0, 0.0, 1.0], [5.0, 3.0, -5.0], [1, 1, 1])
    for found in (always_longer, one_prompt):
        assert (found.mean, found.low, found.high) == (2 / 3, 0.0, 1.0)


def test_what_is_no_comparison_is_refused():
    with pytest.raises(ValueError, match=r"outcome is 0\.3"):
        length_controlled_win_rate([0.3], [1.0], [1])
    with pytest.raises(ValueError, match="2 outcomes, 1 differences"):
        length_controlled_win_rate([1.0, 0.0], [1.0], [1, 2])
    with pytest.raises(ValueError, match="differences of length"):
        length_controlled_win_rate([1.0, 0.0], [1.0, float("nan")], [1, 2])
