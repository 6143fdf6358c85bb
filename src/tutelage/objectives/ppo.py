"""The clipped losses of PPO, and their diagnostics. Response tensors are (B, R), right-padded."""

from __future__ import annotations

import torch
from torch import Tensor

from tutelage.objectives.tokens import LossTerm, masked_sum


def policy_loss(
    logprobs: Tensor, old_logprobs: Tensor, advantages: Tensor, response_mask: Tensor, *, clip_range: float
) -> LossTerm:
    """Sum over response tokens of max(-A * ratio, -A * clip(ratio, 1 +- clip_range)), and their number.

    `old_logprobs` are those of sampling time. Metrics (sums over tokens): `ratio`, `clip_fraction`, `kl_to_old_policy`
    (the estimator ratio - 1 - log ratio: never negative, unbiased).
    """
    log_ratio = torch.where(response_mask, logprobs - old_logprobs, 0.0)
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1.0 - clip_range, 1.0 + clip_range)
    with torch.no_grad():
        metrics = {
            "ratio": masked_sum(ratio, response_mask),
            "clip_fraction": masked_sum((clipped > unclipped).to(ratio.dtype), response_mask),
            "kl_to_old_policy": masked_sum(ratio - 1.0 - log_ratio, response_mask),
        }
    total = masked_sum(torch.maximum(unclipped, clipped), response_mask)
    return LossTerm(total=total, count=response_mask.sum(), metrics=metrics)


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, response_mask: Tensor, *, value_clip_range: float | None
) -> LossTerm:
    """Sum over response tokens of half the squared error, the larger of the unclipped and the clipped one.

    A `value_clip_range` of None does not clip. Values outside the mask, even NaN, change neither the loss nor the
    gradient. Metric: `value_clip_fraction` (sum over tokens).
    """
    error = torch.where(response_mask, values - returns, 0.0) ** 2
    if value_clip_range is None:
        worst, is_clipped = error, torch.zeros_like(error)
    else:
        # Bounds, not a clipped difference: a value inside them stays bit-identical and is never counted as clipped.
        clipped_values = values.clamp(old_values - value_clip_range, old_values + value_clip_range)
        clipped_error = torch.where(response_mask, clipped_values - returns, 0.0) ** 2
        worst, is_clipped = torch.maximum(error, clipped_error), (clipped_error > error).to(error.dtype)
    return LossTerm(
        total=0.5 * masked_sum(worst, response_mask),
        count=response_mask.sum(),
        metrics={"value_clip_fraction": masked_sum(is_clipped.detach(), response_mask)},
    )


def explained_variance(values: Tensor, returns: Tensor, response_mask: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns) over response tokens; 0 if the returns are constant."""
    observed = returns[response_mask]
    residual = observed - values[response_mask]
    # Compared, not computed: the variance of equal numbers can be a rounding error above 0.
    if bool((observed == observed[:1]).all()):
        return torch.zeros_like(observed.sum())
    return 1.0 - residual.var(correction=0) / observed.var(correction=0)
