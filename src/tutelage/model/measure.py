"""What models say about many groups: scores, losses and per-token values, in micro-batches, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.forward import evaluating, response_logprobs, response_scores, whole_response_logprobs
from tutelage.model.packing import Group, PackedBatch, pack, split_by_tokens
from tutelage.model.sampling import SampledResponse


def num_response_tokens(groups: Sequence[Group]) -> int:
    return sum(len(response) for group in groups for response in group.responses)


def groups_of(prompts: Sequence[Sequence[int]], responses: Sequence[Sequence[SampledResponse]]) -> list[Group]:
    """Each prompt with its sampled responses."""
    return [
        Group(prompt=prompt, responses=[response.tokens for response in sampled])
        for prompt, sampled in zip(prompts, responses, strict=True)
    ]


def scores_of(reward_model: PreTrainedModel, groups: Sequence[Group], *, tokens_per_microbatch: int) -> Tensor:
    """The score of every response of `groups`, in their order: (M,), without gradient."""
    return _per_response(reward_model, groups, response_scores, tokens_per_microbatch)


def whole_logprobs_of(
    model: PreTrainedModel,
    groups: Sequence[Group],
    *,
    tokens_per_microbatch: int,
    on_progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Log-probability (nats) of every whole response of `groups`, in their order: (M,), without gradient.

    `on_progress` is told how many groups each micro-batch had.
    """
    return _per_response(model, groups, whole_response_logprobs, tokens_per_microbatch, on_progress)


def _per_response(
    model: PreTrainedModel,
    groups: Sequence[Group],
    measure: Callable[[PreTrainedModel, PackedBatch], Tensor],
    tokens_per_microbatch: int,
    on_progress: Callable[[int], None] | None = None,
) -> Tensor:
    """One number of every response, (M,), by a `measure` that gives those of one micro-batch."""
    device = next(model.parameters()).device
    first = [0]
    for group in groups:
        first.append(first[-1] + len(group.responses))
    found = torch.zeros(first[-1], device=device)
    with evaluating(model):
        for indices in split_by_tokens(groups, tokens_per_microbatch):
            places = [first[i] + k for i in indices for k in range(len(groups[i].responses))]
            batch = pack([groups[i] for i in indices], device=device)
            found[torch.tensor(places, device=device)] = measure(model, batch)
            if on_progress is not None:
                on_progress(len(indices))
    return found


def mean_language_loss(
    model: PreTrainedModel, groups: Sequence[Group], *, tokens_per_microbatch: int, device: torch.device
) -> float:
    """Mean loss per response token, in nats, without gradient or dropout."""
    total = 0.0
    with evaluating(model):
        for indices in split_by_tokens(groups, tokens_per_microbatch):
            logprobs = response_logprobs(model, pack([groups[i] for i in indices], device=device))
            total -= float(logprobs.sum())
    return total / num_response_tokens(groups)


def rows_over(
    groups: Sequence[Group],
    measure: Callable[[PackedBatch], Tensor],
    batches: Sequence[Sequence[int]],
    *,
    device: torch.device,
) -> Tensor:
    """What `measure` says of every response token, as right-padded rows (M, R) over all responses in their order.

    `measure` returns (N,) over the response tokens of one packed batch; `batches` are the indices of the groups that
    are packed together, each group in one of them.
    """
    num_responses = [len(group.responses) for group in groups]
    first_row = [0, *accumulate(num_responses)]
    width = max(len(response) for group in groups for response in group.responses)
    rows = torch.zeros(first_row[-1], width, device=device)
    for indices in batches:
        batch = pack([groups[i] for i in indices], device=device)
        places = [first_row[i] + k for i in indices for k in range(num_responses[i])]
        found = batch.to_rows(measure(batch).float())
        rows[torch.tensor(places, device=device), : found.shape[1]] = found
    return rows
