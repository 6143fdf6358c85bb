"""objectives/comparison.py: by hand, against reference.py, and by invariance."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from tutelage.objectives.comparison import ranking_loss
from tutelage.objectives.tokens import LossTerm

# Completions are numbered through the batch. The second ranking has ties, the third is nothing but a tie, the last has
# K = 9.
RANKINGS = [[[0], [2], [1]], [[3, 5], [4], [6, 7]], [[8, 9, 10]], [[12], [11]], [[i] for i in range(21, 12, -1)]]
NUM_COMPLETIONS = 22


def loss(scores: Tensor, rankings: list[list[list[int]]]) -> LossTerm:
    pairs = [(pair, i) for i, ranking in enumerate(rankings) for pair in reference.comparisons(ranking)]
    indices = torch.tensor([pair for pair, _ in pairs], dtype=torch.long).reshape(-1, 2)
    index = torch.tensor([i for _, i in pairs], dtype=torch.long)
    return ranking_loss(scores, indices, index, num_rankings=len(rankings))


def random_scores(seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=NUM_COMPLETIONS)).requires_grad_()


def numbers(term: LossTerm) -> dict[str, float]:
    metrics = {name: value.item() for name, value in term.metrics.items()}
    return {"total": term.total.item(), "count": term.count.item(), **metrics}


def test_one_pair_by_hand():
    # -ln(1 / (1 + e^-(3 - 1))) = ln(1 + e^-2) = 0.126928; wrong way round it would be ln(1 + e^2) = 2.126928.
    scores = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    term = ranking_loss(scores, torch.tensor([[1, 0]]), torch.tensor([0]), num_rankings=1)
    assert math.isclose(term.total.item(), 0.1269280110429725, rel_tol=1e-14)
    assert numbers(term) == pytest.approx({"total": 0.1269280110429725, "count": 1, "accuracy": 1.0, "margin": 2.0})
    # d/d chosen = sigmoid(2) - 1 = -1 / (1 + e^2) = -0.119203: more score for the chosen one lowers the loss.
    term.total.backward()
    assert scores.grad.tolist() == pytest.approx([0.11920292202211755, -0.11920292202211755], rel=1e-14)


def test_three_completions_by_hand():
    # Order 0 > 1 > 2, scores 2, 3, 0. Margins -1, 2, 3; losses ln(1 + e) = 1.313262, ln(1 + e^-2) = 0.126928, ln(1 +
    # e^-3) = 0.048587: their mean 0.496259 over C(3, 2) = 3 pairs. Two of three in order, mean margin 4 / 3.
    term = loss(torch.tensor([2.0, 3.0, 0.0], dtype=torch.float64), [[[0], [1], [2]]])
    expected = (math.log(1 + math.e) + math.log(1 + math.e**-2) + math.log(1 + math.e**-3)) / 3
    assert math.isclose(term.total.item(), expected, rel_tol=1e-14)
    assert numbers(term) == pytest.approx({"total": 0.496259, "count": 1, "accuracy": 2 / 3, "margin": 4 / 3}, abs=1e-6)


def test_equals_the_reference_with_its_gradient():
    scores = random_scores()
    term = loss(scores, RANKINGS)
    assert numbers(term) == pytest.approx(reference.ranking_loss(scores.tolist(), RANKINGS), rel=1e-14)
    expected = reference.numerical_gradient(
        lambda point: reference.ranking_loss(point.tolist(), RANKINGS)["total"], scores.detach().numpy()
    )
    (gradient,) = torch.autograd.grad(term.total, scores)
    torch.testing.assert_close(gradient, torch.from_numpy(expected), rtol=0, atol=1e-9)


@pytest.mark.parametrize("num_completions", [2, 3, 4, 7, 9])
def test_one_ranking_weighs_the_same_whatever_its_k(num_completions: int):
    # Equal scores: every pair costs ln2, so every ranking does.
    scores = torch.zeros(num_completions + 2, dtype=torch.float64)
    many = [[i] for i in range(num_completions)]
    few = [[num_completions], [num_completions + 1]]
    # A weight rounded to float32 on its way (1 / 3, 1 / 21) misses this by 1e-8.
    assert math.isclose(loss(scores, [many]).total.item(), math.log(2), rel_tol=1e-14)
    both = loss(scores, [many, few])
    assert math.isclose(both.total.item(), 2 * math.log(2), rel_tol=1e-14)
    assert math.isclose(both.mean.item(), math.log(2), rel_tol=1e-14)


def test_one_ranking_pulls_the_same_whatever_its_k():
    # Equal scores: each pair's gradient is 1/2 up and 1/2 down. K = 2: 1/2 for the best. K = 4: three of six pairs, 3 *
    # 1/2 / 6 = 1/4.
    for num_completions, best in ((2, 1 / 2), (4, 1 / 4)):
        scores = torch.zeros(num_completions, dtype=torch.float64, requires_grad=True)
        loss(scores, [[[i] for i in range(num_completions)]]).total.backward()
        assert math.isclose(scores.grad[0].item(), -best, rel_tol=1e-14)
        assert math.isclose(scores.grad[-1].item(), best, rel_tol=1e-14)


def test_swapping_a_comparison_negates_its_logit():
    # ln(1 + e^m) - ln(1 + e^-m) = m.
    scores = torch.tensor([0.3, 1.7], dtype=torch.float64)
    kept, swapped = loss(scores, [[[1], [0]]]), loss(scores, [[[0], [1]]])
    assert swapped.metrics["margin"].item() == -kept.metrics["margin"].item() == pytest.approx(-1.4)
    assert (swapped.total - kept.total).item() == pytest.approx(1.4, rel=1e-14)
    assert (kept.metrics["accuracy"].item(), swapped.metrics["accuracy"].item()) == (1.0, 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_permuting_completions_with_their_rankings_changes_nothing(seed: int):
    scores = random_scores()
    new_place = random.Random(seed).sample(range(NUM_COMPLETIONS), NUM_COMPLETIONS)
    moved = torch.empty_like(scores.detach())
    moved[torch.tensor(new_place)] = scores.detach()
    moved.requires_grad_()
    rankings = [[[new_place[c] for c in reversed(group)] for group in ranking] for ranking in RANKINGS]
    random.Random(seed).shuffle(rankings)
    one, other = loss(scores, RANKINGS), loss(moved, rankings)
    assert numbers(one) == pytest.approx(numbers(other), rel=1e-13)
    one.mean.backward()
    other.mean.backward()
    torch.testing.assert_close(moved.grad[torch.tensor(new_place)], scores.grad, rtol=0, atol=1e-14)


def test_the_order_of_pairs_does_not_matter():
    scores = random_scores()
    pairs = torch.tensor([[0, 1], [2, 3], [0, 2], [4, 5], [1, 2]])
    index = torch.tensor([0, 1, 0, 2, 0])
    order = torch.tensor([3, 0, 4, 1, 2])
    one = ranking_loss(scores, pairs, index, num_rankings=3)
    other = ranking_loss(scores, pairs[order], index[order], num_rankings=3)
    assert numbers(one) == pytest.approx(numbers(other), rel=1e-14)


def test_adding_a_constant_to_all_scores_changes_nothing():
    scores = random_scores()
    assert numbers(loss(scores + 5.0, RANKINGS)) == pytest.approx(numbers(loss(scores, RANKINGS)), rel=1e-12)


def test_an_all_tie_ranking_counts_nothing():
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64, requires_grad=True)
    alone = loss(scores, [[[0, 1, 2, 3]]])
    assert numbers(alone) == {"total": 0.0, "count": 0, "accuracy": 0.0, "margin": 0.0}
    assert alone.mean.item() == 0.0
    alone.mean.backward()
    assert scores.grad.tolist() == [0.0] * 4
    for rankings in ([[[0, 1]], [[2], [3]]], [[[2], [3]], [[0, 1]]]):
        assert numbers(loss(scores, rankings)) == numbers(loss(scores, [[[2], [3]]]))


def test_equal_scores_are_half_right():
    scores = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    # Pairs (0, 1) equal, (0, 2) and (1, 2) right: (0.5 + 1 + 1) / 3.
    assert loss(scores, [[[0], [1], [2]]]).metrics["accuracy"].item() == pytest.approx(2.5 / 3)


def test_shards_of_rankings_sum_to_the_whole():
    scores = random_scores()
    whole = loss(scores, RANKINGS)
    (expected,) = torch.autograd.grad(whole.mean, scores)
    shards = [loss(scores, RANKINGS[:1]), loss(scores, RANKINGS[1:3]), loss(scores, RANKINGS[3:])]
    summed = {name: sum(numbers(shard)[name] for shard in shards) for name in numbers(whole)}
    assert summed == pytest.approx(numbers(whole), rel=1e-14)
    assert summed["count"] == 4
    mean = sum(shard.total for shard in shards) / summed["count"]
    torch.testing.assert_close(torch.autograd.grad(mean, scores)[0], expected, rtol=0, atol=1e-14)


def test_far_margins_stay_finite():
    scores = torch.tensor([1000.0, 0.0], dtype=torch.float64, requires_grad=True)
    assert loss(scores, [[[0], [1]]]).total.item() == 0.0
    wrong = loss(scores, [[[1], [0]]])
    assert wrong.total.item() == 1000.0
    wrong.total.backward()
    assert scores.grad.tolist() == [1.0, -1.0]


def test_metrics_carry_no_gradient():
    term = loss(random_scores(), RANKINGS)
    assert term.total.requires_grad
    assert not any(value.requires_grad for value in term.metrics.values())
