"""objectives/advantage.py: by hand, against reference.py, and by invariance."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import reference
from tutelage.objectives.advantage import (
    adapted_kl_coef,
    advantages_and_returns,
    group_advantages,
    kl_penalty,
    replace_missing_eos,
    token_rewards,
)

NAN = float("nan")
LENGTHS = [4, 1, 6, 3]
F64 = torch.float64


def random_rows(seed: int) -> list[list[float]]:
    generator = np.random.default_rng(seed)
    return [generator.normal(size=length).tolist() for length in LENGTHS]


def padded(rows: list[list[float]], width: int = 6, fill: float = NAN) -> Tensor:
    return torch.from_numpy(reference.pad(rows, width, fill))


def mask_of(width: int = 6) -> Tensor:
    return padded([[1.0] * length for length in LENGTHS], width, 0.0).bool()


def exact(actual: Tensor, expected: object, tolerance: float = 1e-14) -> None:
    torch.testing.assert_close(actual, torch.as_tensor(expected, dtype=actual.dtype), rtol=0, atol=tolerance)


# The score of a response that never stopped


def test_a_missing_eos_score_replaces_the_score():
    scores, ended = torch.tensor([2.0, 5.0, -3.0, -0.5], dtype=F64), torch.tensor([True, False, False, True])
    # Multiplied, -3 would become +3; added, -4.
    assert replace_missing_eos(scores, ended, -1.0).tolist() == [2.0, -1.0, -1.0, -0.5]
    assert replace_missing_eos(scores, ended, 0.0).tolist() == [2.0, 0.0, 0.0, -0.5]
    assert replace_missing_eos(scores, ended, None).tolist() == scores.tolist()


# The KL penalty


def test_kl_penalty_by_hand():
    # The policy finds the first token e times likelier than the reference does: it pays 0.5 * 1. The second is less
    # likely: it earns 0.5 * 2.
    logprobs = torch.tensor([[-1.0, -4.0, NAN]], dtype=F64)
    reference_logprobs = torch.tensor([[-2.0, -2.0, 3.0]], dtype=F64)
    penalty = kl_penalty(logprobs, reference_logprobs, torch.tensor([[True, True, False]]), kl_coef=0.5)
    assert penalty.tolist() == [[-0.5, 1.0, 0.0]]


def test_kl_penalty_of_the_reference_itself_is_exactly_zero():
    logprobs = padded(random_rows(0))
    assert (kl_penalty(logprobs, logprobs.clone(), mask_of(), kl_coef=0.02) == 0).all()


def test_kl_penalty_sums_to_minus_the_log_ratio_of_each_response():
    logprobs, reference_logprobs = random_rows(0), random_rows(1)
    penalty = kl_penalty(padded(logprobs), padded(reference_logprobs), mask_of(), kl_coef=0.02)
    expected = [-0.02 * (sum(p) - sum(q)) for p, q in zip(logprobs, reference_logprobs, strict=True)]
    exact(penalty.sum(1), expected)


# The score on the last token


def test_the_score_lands_on_the_last_response_token():
    penalty = torch.tensor([[-0.1, -0.2, -0.3], [-0.1, 0.0, 0.0], [-0.4, 0.5, 0.0]], dtype=F64)
    mask = torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    rewards = token_rewards(torch.tensor([1.0, 2.0, -3.0], dtype=F64), penalty, mask)
    exact(rewards, [[-0.1, -0.2, 0.7], [1.9, 0.0, 0.0], [-0.4, -2.5, 0.0]])
    assert penalty[0, 2].item() == -0.3  # what was passed in stays as it was


def test_a_response_without_tokens_is_refused():
    mask = torch.tensor([[True, False], [False, False]])
    with pytest.raises(AssertionError, match="without tokens"):
        token_rewards(torch.zeros(2), torch.zeros(2, 2), mask)


@pytest.mark.parametrize("missing_eos_score", [None, -1.0])
@pytest.mark.parametrize("width", [6, 11])
def test_rewards_equal_the_reference(missing_eos_score: float | None, width: int):
    scores, ended = [0.7, -2.0, 3.0, -0.3], [True, False, True, False]
    logprobs, reference_logprobs = random_rows(0), random_rows(1)
    penalty = kl_penalty(padded(logprobs, width), padded(reference_logprobs, width), mask_of(width), kl_coef=0.3)
    kept = replace_missing_eos(torch.tensor(scores, dtype=F64), torch.tensor(ended), missing_eos_score)
    expected = reference.rewards(
        scores, ended, logprobs, reference_logprobs, kl_coef=0.3, missing_eos_score=missing_eos_score
    )
    exact(token_rewards(kept, penalty, mask_of(width)), reference.pad(expected, width, 0.0))


# Advantages and returns


def test_advantages_by_hand():
    # discount 0.9, lambda 0.5, rewards 0 0 1, values 0.5 0.4 0.2, and nothing after the end.
    # delta:  2: 1 + 0 - 0.2 = 0.8     1: 0 + 0.9 * 0.2 - 0.4 = -0.22     0: 0 + 0.9 * 0.4 - 0.5 = -0.14
    # A:      2: 0.8     1: -0.22 + 0.45 * 0.8 = 0.14     0: -0.14 + 0.45 * 0.14 = -0.077
    # returns = A + V:   2: 1.0     1: 0.54     0: 0.423
    # (Discount and lambda the other way round would give delta 1 = 0.5 * 0.2 - 0.4 = -0.3 and A1 = 0.06.)
    rewards = torch.tensor([[0.0, 0.0, 1.0, 0.0]], dtype=F64)
    values = torch.tensor([[0.5, 0.4, 0.2, 9.0]], dtype=F64)
    mask = torch.tensor([[True, True, True, False]])
    advantages, returns = advantages_and_returns(rewards, values, mask, discount=0.9, gae_lambda=0.5)
    exact(advantages, [[-0.077, 0.14, 0.8, 0.0]])
    exact(returns, [[0.423, 0.54, 1.0, 0.0]])
    assert values[0, 3].item() == 9.0  # what was passed in stays as it was


@pytest.mark.parametrize(("discount", "gae_lambda"), [(1.0, 0.95), (0.9, 0.6), (1.0, 1.0), (0.7, 1.0), (0.5, 0.0)])
def test_advantages_equal_the_reference(discount: float, gae_lambda: float):
    rewards, values = random_rows(2), random_rows(3)
    advantages, returns = advantages_and_returns(
        padded(rewards), padded(values), mask_of(), discount=discount, gae_lambda=gae_lambda
    )
    expected = reference.advantages(rewards, values, discount=discount, gae_lambda=gae_lambda)
    exact(advantages, reference.pad(expected, 6, 0.0))
    sums = [[a + v for a, v in zip(*pair, strict=True)] for pair in zip(expected, values, strict=True)]
    exact(returns, reference.pad(sums, 6, 0.0))


def test_with_discount_and_lambda_1_returns_are_the_sum_of_future_rewards():
    rewards = random_rows(2)
    future = [[sum(row[t:]) for t in range(len(row))] for row in rewards]
    for seed in (3, 4):  # whatever the values are
        _, returns = advantages_and_returns(
            padded(rewards), 10 * padded(random_rows(seed)), mask_of(), discount=1.0, gae_lambda=1.0
        )
        exact(returns, reference.pad(future, 6, 0.0), 1e-13)


def test_with_lambda_0_an_advantage_is_one_step_of_surprise():
    rewards, values = random_rows(2), random_rows(3)
    advantages, _ = advantages_and_returns(padded(rewards), padded(values), mask_of(), discount=1.0, gae_lambda=0.0)
    for i, length in enumerate(LENGTHS):
        following = [*values[i][1:], 0.0]
        exact(advantages[i, :length], [rewards[i][t] + following[t] - values[i][t] for t in range(length)])


@pytest.mark.parametrize(("width", "fill"), [(6, 0.0), (6, 1e9), (7, NAN), (40, NAN)])
def test_padding_changes_nothing_and_stays_zero(width: int, fill: float):
    settings = {"discount": 0.9, "gae_lambda": 0.8}
    expected = advantages_and_returns(padded(random_rows(2)), padded(random_rows(3)), mask_of(), **settings)
    rewards, values = padded(random_rows(2), width, fill), padded(random_rows(3), width, fill)
    results = advantages_and_returns(rewards, values, mask_of(width), **settings)
    for result, short in zip(results, expected, strict=True):
        assert torch.equal(result[:, :6], short)
        assert (result[~mask_of(width)] == 0).all()


def test_a_response_does_not_see_its_neighbours():
    settings = {"discount": 0.9, "gae_lambda": 0.8}
    whole, _ = advantages_and_returns(padded(random_rows(2)), padded(random_rows(3)), mask_of(), **settings)
    for i in range(4):
        row = slice(i, i + 1)
        alone, _ = advantages_and_returns(
            padded(random_rows(2))[row], padded(random_rows(3))[row], mask_of()[row], **settings
        )
        assert torch.equal(alone, whole[row])


# The adaptive coefficient


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        (6.0, 0.15),  # on target: unchanged
        (6.6, 0.15 * (1 + 0.1 * 0.0256)),  # 10 % above: 0.1 * 256 / 10,000
        (5.4, 0.15 * (1 - 0.1 * 0.0256)),
        (60.0, 0.15 * (1 + 0.2 * 0.0256)),  # clipped at 20 %
        (0.0, 0.15 * (1 - 0.2 * 0.0256)),
    ],
)
def test_adapted_kl_coef_by_hand(observed: float, expected: float):
    adapted = adapted_kl_coef(0.15, observed, kl_target=6.0, kl_horizon=10_000, num_episodes=256)
    assert math.isclose(adapted, expected, rel_tol=1e-14)
    assert math.isclose(adapted, reference.adapted_kl_coef(0.15, observed, 6.0, 10_000, 256), rel_tol=1e-14)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        # Rewards per response 3, 0 and 1, 5: their means are 1.5 and 3; of two, the other one is K / (K - 1) = 2 times
        # as far away; the deviations with K - 1 are sqrt(4.5) = 2.1213 and sqrt(8) = 2.8284.
        ("group_mean", [1.5, -1.5, -2.0, 2.0]),
        ("rloo", [3.0, -3.0, -4.0, 4.0]),
        ("grpo", [1.5 / 2.1214203, -1.5 / 2.1214203, -2.0 / 2.8285271, 2.0 / 2.8285271]),
    ],
)
def test_group_advantages_by_hand(kind, expected):
    rewards = torch.tensor([[1.0, 2.0], [0.0, NAN], [1.0, NAN], [2.0, 3.0]], dtype=F64)
    mask = torch.tensor([[True, True], [True, False], [True, False], [True, True]])
    advantages = group_advantages(rewards, mask, responses_per_prompt=2, kind=kind)
    exact(advantages[:, 0], expected, 1e-6)
    exact(advantages[:, 1], [expected[0], 0.0, 0.0, expected[3]], 1e-6)


@pytest.mark.parametrize("kind", ["group_mean", "rloo", "grpo"])
def test_group_advantages_know_no_order_and_no_common_reward(kind):
    """The order within a group, and what is added to all rewards of it, change nothing; equal rewards give 0."""
    rewards = torch.from_numpy(np.random.default_rng(3).normal(size=(12, 1)))
    mask = torch.ones(12, 1, dtype=torch.bool)
    found = group_advantages(rewards, mask, responses_per_prompt=4, kind=kind)
    order = [3, 1, 0, 2, 7, 6, 5, 4, 8, 10, 11, 9]
    exact(group_advantages(rewards[order], mask, responses_per_prompt=4, kind=kind), found[order], 1e-12)
    shift = torch.tensor([5.0] * 4 + [-2.0] * 4 + [0.0] * 4, dtype=F64).unsqueeze(1)
    exact(group_advantages(rewards + shift, mask, responses_per_prompt=4, kind=kind), found, 1e-12)
    exact(found.view(3, 4).sum(1), [0.0] * 3, 1e-12)
    exact(
        group_advantages(torch.full((4, 1), 2.5, dtype=F64), mask[:4], responses_per_prompt=4, kind=kind), [[0.0]] * 4
    )


def test_leave_one_out_is_the_mean_of_the_others():
    rewards = torch.from_numpy(np.random.default_rng(4).normal(size=(5, 1)))
    found = group_advantages(rewards, torch.ones(5, 1, dtype=torch.bool), responses_per_prompt=5, kind="rloo")
    for i, own in enumerate(rewards.flatten().tolist()):
        others = [value for k, value in enumerate(rewards.flatten().tolist()) if k != i]
        assert float(found[i]) == pytest.approx(own - sum(others) / 4, abs=1e-12)
