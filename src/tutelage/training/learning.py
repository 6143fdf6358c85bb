"""The next-token loss over groups, in micro-batches: what pretraining, SFT and the ptx term have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import PreTrainedModel

from tutelage.model.forward import response_logprobs
from tutelage.model.measure import num_response_tokens
from tutelage.model.packing import Group, pack, split_by_tokens
from tutelage.objectives.language import language_loss


def add_language_gradient(
    model: PreTrainedModel,
    groups: Sequence[Group],
    *,
    coef: float = 1.0,
    tokens_per_microbatch: int,
    device: torch.device,
) -> float:
    """Add the gradient of `coef` times the mean loss per response token of `groups`; returns that mean, in nats."""
    count = num_response_tokens(groups)
    total = 0.0
    for indices in split_by_tokens(groups, tokens_per_microbatch):
        batch = pack([groups[i] for i in indices], device=device)
        logprobs = response_logprobs(model, batch)
        term = language_loss(logprobs, torch.ones_like(logprobs, dtype=torch.bool))
        (coef * term.total / count).backward()
        total += float(term.total.detach())
    return total / count
