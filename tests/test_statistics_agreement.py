"""Agreement between labelers: by hand and by simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student_t

from tutelage.statistics import bounded_mean, pairwise_agreement, ranking_outcomes


def wilson_by_roots(share: float, effective_n: float, quantile: float) -> tuple[float, float]:
    """The two p that solve (share - p)^2 = quantile^2 p (1 - p) / effective_n, the definition of a score interval."""
    weight = quantile**2 / effective_n
    roots = np.roots([1.0 + weight, -(2.0 * share + weight), share**2])
    return float(min(roots)), float(max(roots))


# Three comparisons. x: A=1, B=1, C=0; y: A=tie, B=tie; z: A=1, C=tie.
ITEMS = list("xxxyyzz")
LABELERS = list("ABCABAC")
OUTCOMES = [1, 1, 0, 0.5, 0.5, 1, 0.5]


@pytest.mark.parametrize(
    ("ties", "share", "num_pairs"),
    [
        # Pairs: x AB same, AC not, BC not; y AB tie = tie; z AC preference against tie.
        ("category", 2 / 5, 5),
        ("half", 2.5 / 5, 5),
        ("exclude", 1 / 3, 3),
    ],
)
def test_agreement_by_hand_under_each_rule_for_ties(ties, share, num_pairs):
    found = pairwise_agreement(ITEMS, LABELERS, OUTCOMES, ties=ties)
    assert (found.mean, found.n) == (pytest.approx(share), num_pairs)


def test_the_default_takes_a_tie_as_a_third_judgement():
    assert pairwise_agreement(ITEMS, LABELERS, OUTCOMES) == pairwise_agreement(
        ITEMS, LABELERS, OUTCOMES, ties="category"
    )


def test_order_of_labelers_and_side_do_not_matter():
    backwards = pairwise_agreement(ITEMS[::-1], LABELERS[::-1], OUTCOMES[::-1])
    mirrored = pairwise_agreement(ITEMS, LABELERS, [1 - outcome for outcome in OUTCOMES])
    found = pairwise_agreement(ITEMS, LABELERS, OUTCOMES)
    assert backwards.mean == mirrored.mean == found.mean


def test_comparisons_of_one_prompt_are_one_cluster():
    # Forty items that agree or disagree by prompt: as items they look like 40 draws, as prompts like 8.
    prompts = [prompt for prompt in range(8) for _ in range(5)]
    items = list(range(40))
    second = [float(prompt % 2) for prompt in prompts]
    everything = (items * 2, ["A"] * 40 + ["B"] * 40, [1.0] * 40 + second)
    by_item = pairwise_agreement(*everything)
    by_prompt = pairwise_agreement(*everything, clusters=prompts * 2)
    assert by_item.mean == by_prompt.mean == 0.5
    assert by_prompt.high - by_prompt.low > 1.8 * (by_item.high - by_item.low)


def test_agreement_interval_covers_the_truth_95_percent_of_the_time():
    """Two of three labelers judge each of 4 comparisons of 50 prompts; a prompt is easy or hard for both."""
    generator = np.random.default_rng(2)
    items = [(prompt, pair) for prompt in range(50) for pair in range(4)]
    covered = 0
    for _ in range(500):
        chance = np.repeat(generator.beta(6, 2, 50), 4)
        first, second = (generator.random(200) < chance).astype(float), (generator.random(200) < chance).astype(float)
        # P(same) = E[c^2 + (1 - c)^2] with E[c] = 6/8 and E[c^2] = 6 * 7 / (8 * 9).
        found = pairwise_agreement(
            items * 2,
            ["A"] * 200 + ["B"] * 200,
            [*first.tolist(), *second.tolist()],
            clusters=[prompt for prompt, _ in items] * 2,
        )
        covered += found.low <= 1 - 2 * (6 / 8 - 42 / 72) <= found.high
    assert 0.93 <= covered / 500 <= 0.97


def judged_by_all(generator: np.random.Generator, num_labelers: int, num_items: int) -> tuple[list, list, list]:
    """Labelers are right with chances of 0.7 to 0.9 of their own; everybody judges every item."""
    chances = 0.8 + 0.1 * 3**0.5 * generator.uniform(-1, 1, num_labelers)
    items, labelers = np.repeat(np.arange(num_items), num_labelers), np.tile(np.arange(num_labelers), num_items)
    return items.tolist(), labelers.tolist(), (generator.random(items.size) < chances[labelers]).astype(float).tolist()


def test_agreement_on_items_that_everybody_judged_speaks_of_other_labelers():
    generator = np.random.default_rng(2)
    found = [pairwise_agreement(*judged_by_all(generator, 10, 40)) for _ in range(200)]
    # Two labelers drawn alike agree with chance 0.8^2 + 0.2^2, however much they differ.
    assert 0.88 <= sum(own.low <= 0.68 <= own.high for own in found) / 200 <= 0.98


def test_what_pairs_of_one_labeler_share_by_hand():
    """Three labelers, two items: C disagrees with A and B on both. Agreed: 1, 0, 0 twice; mean 1/3.

    By item the residuals add up to 0, so that clusters alone see no variance. Residuals of AB, AC, BC are 2/3, -1/3,
    -1/3 and of A, B, C in all 2/3, 2/3, -4/3: squares 24/9, within the items 2 x 6/9, across them 12/9. Times 3 x 2 / 1
    over 36 records is 2/9, just the variance of as many yes and no as there are labelers but one (2/9 / 1), with t of
    two degrees.
    """
    found = pairwise_agreement(list("xxxyyy"), list("ABCABC"), [1, 1, 0, 0, 0, 1])
    by_prompt = 1 / 3 * 2 / 3 / (2 / 9)
    low, high = wilson_by_roots(1 / 3, by_prompt, student_t.ppf(0.975, 2))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_two_labelers_say_nothing_of_others():
    items, outcomes = list("abcdef"), [1, 0, 1, 1, 0, 1]
    found = pairwise_agreement(items * 2, ["A"] * 6 + ["B"] * 6, [*outcomes, 1, 1, 1, 0, 0, 1])
    expected = bounded_mean([1, 0, 1, 0, 1, 1], items)
    assert (found.low, found.high) == (expected.low, expected.high)


def test_ranking_outcomes_have_the_same_keys_whoever_ranked():
    first, second = ranking_outcomes([["d"], ["c"], ["a", "b"]]), ranking_outcomes([["a"], ["b"], ["c", "d"]])
    assert first == {
        ("a", "b"): 0.5, ("a", "c"): 0.0, ("a", "d"): 0.0, ("b", "c"): 0.0, ("b", "d"): 0.0, ("c", "d"): 0.0,
    }  # fmt: skip
    assert second == {
        ("a", "b"): 1.0, ("a", "c"): 1.0, ("a", "d"): 1.0, ("b", "c"): 1.0, ("b", "d"): 1.0, ("c", "d"): 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pairwise_agreement("xy", "AA", [1, 0]), "no item was judged by two"),
        (lambda: pairwise_agreement("xx", "AA", [1, 0]), "judged item 'x' twice"),
        (lambda: pairwise_agreement("xx", "AB", [1, 0], ties="ignore"), "ties is 'ignore'"),
    ],
)
def test_what_cannot_be_computed_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
