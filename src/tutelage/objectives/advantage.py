"""From scores to advantages: the KL penalty, the score on the last token, generalized advantage estimation.

Response tensors are (B, R), right-padded; `response_mask` is True on response tokens, including the stop token.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor


def replace_missing_eos(scores: Tensor, ended: Tensor, missing_eos_score: float | None) -> Tensor:
    """Scores (B,) in which a response without a stop token gets `missing_eos_score` instead of its own.

    None leaves all unchanged. Replaced, not multiplied: a factor would raise the score of a truncated response whose
    score is negative.
    """
    if missing_eos_score is None:
        return scores
    return torch.where(ended, scores, missing_eos_score)


def kl_penalty(logprobs: Tensor, reference_logprobs: Tensor, response_mask: Tensor, *, kl_coef: float) -> Tensor:
    """-kl_coef * (log-probability under the policy - under the reference), per token (B, R); 0 outside the mask."""
    return torch.where(response_mask, -kl_coef * (logprobs - reference_logprobs), 0.0)


def token_rewards(scores: Tensor, penalty: Tensor, response_mask: Tensor) -> Tensor:
    """The per-token reward (B, R): `penalty` everywhere, plus each response's score (B,) on its last token.

    A response has at least one token.
    """
    last = response_mask.sum(1, keepdim=True) - 1
    assert bool((last >= 0).all()), "a response without tokens has no last token to carry its score"
    return penalty.scatter_add(1, last, scores.unsqueeze(1).to(penalty.dtype))


def advantages_and_returns(
    rewards: Tensor, values: Tensor, response_mask: Tensor, *, discount: float, gae_lambda: float
) -> tuple[Tensor, Tensor]:
    """Generalized advantage estimation (Schulman et al. 2015) and returns = advantages + values; both (B, R).

    Both are 0 outside the mask. The value after the last response token is 0: the episode ends there. Entries of
    `rewards` and `values` outside the mask, even NaN, do not matter.
    """
    rewards = torch.where(response_mask, rewards, 0.0)
    values = torch.where(response_mask, values, 0.0)
    advantages = torch.zeros_like(rewards)
    following_value = torch.zeros_like(rewards[:, 0])
    following_advantage = torch.zeros_like(rewards[:, 0])
    for t in range(rewards.shape[1] - 1, -1, -1):
        delta = rewards[:, t] + discount * following_value - values[:, t]
        following_advantage = delta + discount * gae_lambda * following_advantage
        following_value = values[:, t]
        advantages[:, t] = following_advantage
    return advantages, torch.where(response_mask, advantages + values, 0.0)


GroupKind = Literal["group_mean", "rloo", "grpo"]
# In the denominator of "grpo", so that a group of equal rewards has advantages of 0. Same value as TRL's GRPOTrainer.
GROUP_EPS = 1e-4


def group_advantages(rewards: Tensor, response_mask: Tensor, *, responses_per_prompt: int, kind: GroupKind) -> Tensor:
    """Each response's reward, summed over its tokens, relative to its group; the same at all its tokens (B, R).

    Rows come in groups of `responses_per_prompt` (K, at least 2). "group_mean": minus the group's mean. "rloo": minus
    the mean of the others (Kool et al. 2019; Ahmadian et al. 2024), which is K / (K - 1) times that. "grpo": the first
    over the group's standard deviation (Shao et al. 2024), whose estimate divides by K - 1. The KL penalty is part of
    the rewards; Shao et al. put it in the loss instead.
    """
    assert responses_per_prompt > 1, "a group needs another response to compare with"
    totals = torch.where(response_mask, rewards, 0.0).sum(1).view(-1, responses_per_prompt)
    centered = totals - totals.mean(1, keepdim=True)
    if kind == "rloo":
        centered = centered * (responses_per_prompt / (responses_per_prompt - 1))
    if kind == "grpo":
        centered = centered / (totals.std(1, keepdim=True) + GROUP_EPS)
    return torch.where(response_mask, centered.reshape(-1, 1), 0.0)


def adapted_kl_coef(
    kl_coef: float, observed_kl: float, *, kl_target: float, kl_horizon: float, num_episodes: int
) -> float:
    """The next `kl_coef` of the adaptive controller (Ziegler et al. 2019, section 2.2): error clipped to 20 %.

    `observed_kl` and `kl_target` are nats per response, summed over its tokens; `kl_horizon` counts episodes.
    """
    error = min(max(observed_kl / kl_target - 1.0, -0.2), 0.2)
    return kl_coef * (1.0 + error * num_episodes / kl_horizon)
