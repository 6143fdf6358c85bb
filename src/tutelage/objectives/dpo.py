"""Direct preference optimization (Rafailov et al. 2023): the policy learns from rankings, with no reward model."""

from __future__ import annotations

from torch import Tensor

from tutelage.objectives.comparison import comparison_weights, ranking_loss
from tutelage.objectives.tokens import LossTerm


def dpo_loss(
    logprobs: Tensor,
    reference_logprobs: Tensor,
    pairs: Tensor,
    ranking_index: Tensor,
    *,
    num_rankings: int,
    kl_coef: float,
    label_smoothing: float = 0.0,
) -> LossTerm:
    """The ranking loss of implicit scores: `kl_coef` times the log-ratio of policy to reference (equation 7 there).

    `logprobs` and `reference_logprobs` (C,): log-probability in nats of each whole completion of the batch, summed over
    its tokens. `pairs` (P, 2), `ranking_index` (P,) and the count are those of `ranking_loss`: every ranking has the
    same weight whatever its K, ties give no comparison, and all ties have weight 0. `kl_coef` is the beta of DPO: the
    coefficient of the KL penalty for which the trained policy is optimal. `label_smoothing`: the probability that a
    comparison was labeled the wrong way around (conservative DPO, Mitchell 2023); it penalizes an unbounded margin.
    Metrics, per ranking: `accuracy` and `margin` of the implicit scores; `chosen_log_ratio` and `rejected_log_ratio`,
    nats: log-ratio of policy to reference, each the mean over the ranking's comparisons.
    """
    log_ratio = logprobs - reference_logprobs.detach()
    scores = kl_coef * log_ratio
    term = ranking_loss(scores, pairs, ranking_index, num_rankings=num_rankings)
    total = term.total
    if label_smoothing > 0.0:
        swapped = ranking_loss(scores, pairs.flip(1), ranking_index, num_rankings=num_rankings)
        total = (1.0 - label_smoothing) * total + label_smoothing * swapped.total
    weights, detached = comparison_weights(ranking_index, dtype=log_ratio.dtype), log_ratio.detach()
    log_ratios = {
        "chosen_log_ratio": (weights * detached[pairs[:, 0]]).sum(),
        "rejected_log_ratio": (weights * detached[pairs[:, 1]]).sum(),
    }
    return LossTerm(total=total, count=term.count, metrics={**term.metrics, **log_ratios})
