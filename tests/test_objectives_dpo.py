"""objectives/dpo.py: by hand, against reference.py, and by invariance."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from tutelage.objectives.dpo import dpo_loss
from tutelage.objectives.tokens import LossTerm

# Completions are numbered through the batch: one ranking without ties, one with, one that is all ties, a pair, K = 9.
RANKINGS = [[[0], [2], [1]], [[3, 5], [4], [6, 7]], [[8, 9, 10]], [[12], [11]], [[i] for i in range(21, 12, -1)]]
NUM_COMPLETIONS = 22


def loss(logprobs: Tensor, reference_logprobs: Tensor, rankings: list[list[list[int]]], **settings: float) -> LossTerm:
    pairs = [(pair, i) for i, ranking in enumerate(rankings) for pair in reference.comparisons(ranking)]
    indices = torch.tensor([pair for pair, _ in pairs], dtype=torch.long).reshape(-1, 2)
    index = torch.tensor([i for _, i in pairs], dtype=torch.long)
    chosen: dict[str, Any] = {"kl_coef": 0.1, **settings}
    return dpo_loss(logprobs, reference_logprobs, indices, index, num_rankings=len(rankings), **chosen)


def token_rows(seed: int) -> list[list[float]]:
    """Log-probabilities of the tokens of every completion, of different lengths."""
    generator = np.random.default_rng(seed)
    return [generator.normal(-3.0, 2.0, size=generator.integers(1, 9)).tolist() for _ in range(NUM_COMPLETIONS)]


def random_logprobs(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = np.random.default_rng(seed)
    policy = torch.from_numpy(generator.normal(-40.0, 8.0, size=NUM_COMPLETIONS)).requires_grad_()
    return policy, torch.from_numpy(generator.normal(-40.0, 8.0, size=NUM_COMPLETIONS))


def numbers(term: LossTerm) -> dict[str, float]:
    metrics = {name: value.item() for name, value in term.metrics.items()}
    return {"total": term.total.item(), "count": term.count.item(), **metrics}


def test_one_pair_by_hand():
    # Chosen: -10 under the policy, -14 under the reference, log-ratio 4; rejected: -20 and -19, log-ratio -1. With beta
    # 0.4 the margin is 0.4 * (4 - -1) = 2, the loss ln(1 + e^-2) = 0.126928.
    policy = torch.tensor([-20.0, -10.0], dtype=torch.float64, requires_grad=True)
    term = loss(policy, torch.tensor([-19.0, -14.0], dtype=torch.float64), [[[1], [0]]], kl_coef=0.4)
    assert math.isclose(term.total.item(), 0.1269280110429725, rel_tol=1e-13)
    expected = {"accuracy": 1.0, "margin": 2.0, "chosen_log_ratio": 4.0, "rejected_log_ratio": -1.0}
    assert numbers(term) == pytest.approx({"total": 0.1269280110429725, "count": 1, **expected})
    # d / d chosen = -beta * sigmoid(-2) = -0.4 / (1 + e^2) = -0.0476812: a likelier chosen one lowers the loss.
    term.total.backward()
    assert policy.grad.tolist() == pytest.approx([0.04768116880884702, -0.04768116880884702], rel=1e-13)


def test_label_smoothing_by_hand():
    # The pair above, wrong in a tenth of cases: 0.9 ln(1 + e^-2) + 0.1 ln(1 + e^2) = 0.9 * 0.126928 + 0.1 * 2.126928.
    policy = torch.tensor([-20.0, -10.0], dtype=torch.float64, requires_grad=True)
    stated = torch.tensor([-19.0, -14.0], dtype=torch.float64)
    term = loss(policy, stated, [[[1], [0]]], kl_coef=0.4, label_smoothing=0.1)
    assert math.isclose(term.total.item(), 0.3269280110429725, rel_tol=1e-13)
    plain = numbers(loss(policy, stated, [[[1], [0]]], kl_coef=0.4))
    assert {**numbers(term), "total": 0.0} == {**plain, "total": 0.0}, "the metrics are those of the labels as given"
    # Where sigmoid(margin) = 0.9 the doubt is spent: ln 9 = 2.197225, and the gradient is 0.
    settled = torch.tensor([math.log(9.0) / 0.4, 0.0], dtype=torch.float64, requires_grad=True)
    loss(settled, torch.zeros(2, dtype=torch.float64), [[[0], [1]]], kl_coef=0.4, label_smoothing=0.1).total.backward()
    assert settled.grad.tolist() == pytest.approx([0.0, 0.0], abs=1e-15)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_equals_the_reference_with_its_gradient(label_smoothing: float):
    policy_rows, reference_rows = token_rows(1), token_rows(1)
    changed = np.random.default_rng(2)
    policy_rows = [[value + changed.normal() for value in row] for row in policy_rows]
    policy = torch.tensor([sum(row) for row in policy_rows], dtype=torch.float64, requires_grad=True)
    stated = torch.tensor([sum(row) for row in reference_rows], dtype=torch.float64)
    term = loss(policy, stated, RANKINGS, kl_coef=0.3, label_smoothing=label_smoothing)
    expected = reference.dpo_loss(policy_rows, reference_rows, RANKINGS, 0.3, label_smoothing)
    assert numbers(term) == pytest.approx(expected, rel=1e-12)

    def total(point: np.ndarray) -> float:
        rows = [[value] for value in point.tolist()]
        return reference.dpo_loss(rows, [[sum(row)] for row in reference_rows], RANKINGS, 0.3, label_smoothing)["total"]

    (gradient,) = torch.autograd.grad(term.total, policy)
    slow = reference.numerical_gradient(total, policy.detach().numpy())
    torch.testing.assert_close(gradient, torch.from_numpy(slow), rtol=0, atol=1e-8)


@pytest.mark.parametrize("num_completions", [2, 3, 4, 7, 9])
def test_where_the_policy_is_the_reference_the_loss_is_log_2_whatever_k(num_completions: int):
    policy = torch.linspace(-50.0, -3.0, num_completions + 2, dtype=torch.float64, requires_grad=True)
    many = [[i] for i in range(num_completions)]
    few = [[num_completions], [num_completions + 1]]
    for smoothing in (0.0, 0.3):
        term = loss(policy, policy.detach(), [many, few], label_smoothing=smoothing)
        assert math.isclose(term.total.item(), 2 * math.log(2), rel_tol=1e-14)
        assert math.isclose(term.mean.item(), math.log(2), rel_tol=1e-14)
        assert numbers(term) | {"total": 0.0} == {
            "total": 0.0, "count": 2, "accuracy": 1.0, "margin": 0.0, "chosen_log_ratio": 0.0, "rejected_log_ratio": 0.0
        }  # fmt: skip


def test_where_the_policy_is_the_reference_the_gradient_is_half_beta_of_wins_minus_losses():
    # Each pair pushes beta / 2 up and down: K = 2: beta / 2. K = 4: the best wins three of six pairs, beta / 4; the
    # second wins two and loses one, beta / 12.
    for ranking, expected in (([[1], [0]], [0.1, -0.1]), ([[0], [1], [2], [3]], [-0.05, -0.05 / 3, 0.05 / 3, 0.05])):
        policy = torch.full((len(ranking),), -7.0, dtype=torch.float64, requires_grad=True)
        loss(policy, policy.detach(), [ranking], kl_coef=0.2).total.backward()
        assert policy.grad.tolist() == pytest.approx(expected, rel=1e-13)


def test_swapping_a_comparison_negates_its_logit():
    # ln(1 + e^m) - ln(1 + e^-m) = m.
    policy, stated = (torch.tensor(values, dtype=torch.float64) for values in ([-3.0, -9.0], [-5.0, -4.0]))
    kept, swapped = loss(policy, stated, [[[0], [1]]]), loss(policy, stated, [[[1], [0]]])
    assert swapped.metrics["margin"].item() == -kept.metrics["margin"].item() == pytest.approx(-0.7)
    assert (swapped.total - kept.total).item() == pytest.approx(0.7, rel=1e-13)
    assert swapped.metrics["chosen_log_ratio"].item() == kept.metrics["rejected_log_ratio"].item() == -5.0


@pytest.mark.parametrize("seed", range(3))
def test_permuting_completions_with_their_rankings_changes_nothing(seed: int):
    policy, stated = random_logprobs()
    new_place = random.Random(seed).sample(range(NUM_COMPLETIONS), NUM_COMPLETIONS)
    moved, moved_reference = torch.empty_like(stated), torch.empty_like(stated)
    moved[torch.tensor(new_place)], moved_reference[torch.tensor(new_place)] = policy.detach(), stated
    moved.requires_grad_()
    rankings = [[[new_place[c] for c in reversed(group)] for group in ranking] for ranking in RANKINGS]
    random.Random(seed).shuffle(rankings)
    one, other = loss(policy, stated, RANKINGS), loss(moved, moved_reference, rankings)
    assert numbers(one) == pytest.approx(numbers(other), rel=1e-12)
    one.mean.backward()
    other.mean.backward()
    torch.testing.assert_close(moved.grad[torch.tensor(new_place)], policy.grad, rtol=0, atol=1e-14)


def test_what_both_models_say_of_a_whole_prompt_does_not_matter():
    """Only log-ratios count, and of those only differences: the partition function of the prompt cancels."""
    policy, stated = random_logprobs()
    expected = numbers(loss(policy, stated, RANKINGS))
    assert numbers(loss(policy - 11.0, stated - 11.0, RANKINGS)) == pytest.approx(expected, rel=1e-11)
    shifted = numbers(loss(policy + 3.0, stated, RANKINGS))
    assert [shifted[name] for name in ("total", "margin", "accuracy")] == pytest.approx(
        [expected[name] for name in ("total", "margin", "accuracy")], rel=1e-11
    )
    assert shifted["chosen_log_ratio"] == pytest.approx(expected["chosen_log_ratio"] + 4 * 3.0)


def test_an_all_tie_ranking_counts_nothing():
    policy, stated = random_logprobs()
    without = [ranking for ranking in RANKINGS if len(ranking) > 1]
    assert numbers(loss(policy, stated, RANKINGS)) == pytest.approx(numbers(loss(policy, stated, without)), rel=1e-14)
    assert numbers(loss(policy, stated, [[[0, 1]]])) == dict.fromkeys(numbers(loss(policy, stated, RANKINGS)), 0)


def test_shards_of_rankings_sum_to_the_whole():
    policy, stated = random_logprobs()
    whole = numbers(loss(policy, stated, RANKINGS, label_smoothing=0.1))
    shards = [loss(policy, stated, part, label_smoothing=0.1) for part in (RANKINGS[:1], RANKINGS[1:3], RANKINGS[3:])]
    assert {name: sum(numbers(shard)[name] for shard in shards) for name in whole} == pytest.approx(whole, rel=1e-13)


def test_only_the_policy_is_taught_and_metrics_carry_no_gradient():
    policy, stated = random_logprobs()
    term = loss(policy, stated.clone().requires_grad_(), RANKINGS)
    assert not any(value.requires_grad for value in term.metrics.values())
    reference_logprobs = stated.clone().requires_grad_()
    loss(policy, reference_logprobs, RANKINGS).total.backward()
    assert policy.grad is not None
    assert reference_logprobs.grad is None
