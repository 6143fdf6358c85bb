"""The reward model's loss (equation 1 of the paper): all comparisons of one ranking are one batch element."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tutelage.objectives.tokens import LossTerm


def ranking_loss(scores: Tensor, pairs: Tensor, ranking_index: Tensor, *, num_rankings: int) -> LossTerm:
    """Mean of -log sigmoid(chosen score - rejected score) over each ranking's comparisons, summed over rankings.

    `scores` (C,): every completion of the batch, scored once. `pairs` (P, 2): (chosen, rejected) as indices into
    `scores`, without ties. `ranking_index` (P,): which of the `num_rankings` rankings each pair comes from. The count
    is the number of rankings with at least one pair, so each ranking has the same weight whatever its K; a ranking that
    is all ties has weight 0. Metrics, per ranking: `accuracy` (share of its pairs scored in the right order; equal
    scores count half), `margin`.
    """
    margins = scores[pairs[:, 0]] - scores[pairs[:, 1]]
    weights = comparison_weights(ranking_index, dtype=margins.dtype)
    correct = (margins > 0).to(margins.dtype) + 0.5 * (margins == 0).to(margins.dtype)
    detached = margins.detach()
    return LossTerm(
        total=-(weights * logsigmoid(margins)).sum(),
        count=(torch.bincount(ranking_index, minlength=num_rankings) > 0).sum(),
        metrics={"accuracy": (weights * correct).sum(), "margin": (weights * detached).sum()},
    )


def comparison_weights(ranking_index: Tensor, *, dtype: torch.dtype) -> Tensor:
    """The weight of each comparison, (P,): one over the number of its ranking's comparisons, `ranking_index` (P,)."""
    return torch.bincount(ranking_index).clamp_min(1).to(dtype).reciprocal()[ranking_index]
