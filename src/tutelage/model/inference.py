"""Inference over many groups: scores, losses and per-token values, in micro-batches, without gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

from tutelage.model.forward import evaluating
from tutelage.model.packing import Group, PackedBatch, pack, split_by_tokens
from tutelage.model.policy import Policy, ScoreModel


def num_tokens(groups: Sequence[Group]) -> int:
    return sum(group.num_tokens for group in groups)


def num_response_tokens(groups: Sequence[Group]) -> int:
    return sum(len(response) for group in groups for response in group.responses)


def compute_scores(score_model: ScoreModel, groups: Sequence[Group], *, tokens_per_microbatch: int) -> Tensor:
    """The score of every response of `groups`, in their order: (M,), without gradient."""
    return _per_response(score_model, groups, score_model, tokens_per_microbatch)


def sequence_logprobs(policy: Policy, batch: PackedBatch) -> Tensor:
    """Log-probability (nats) of each whole response, (M,): the sum over its tokens. In float32."""
    return batch.to_rows(policy(batch).logprobs.float()).sum(1)


def compute_sequence_logprobs(
    policy: Policy,
    groups: Sequence[Group],
    *,
    tokens_per_microbatch: int,
    on_progress: Callable[[int], None] | None = None,
) -> Tensor:
    """Log-probability (nats) of each response of `groups` as a whole, in their order: (M,), without gradient.

    `on_progress` is called with the number of groups of each micro-batch.
    """

    def measure(batch: PackedBatch) -> Tensor:
        return sequence_logprobs(policy, batch)

    return _per_response(policy, groups, measure, tokens_per_microbatch, on_progress)


def _per_response(
    model: torch.nn.Module,
    groups: Sequence[Group],
    measure: Callable[[PackedBatch], Tensor],
    tokens_per_microbatch: int,
    on_progress: Callable[[int], None] | None = None,
) -> Tensor:
    """One number per response, (M,), from a `measure` that computes those of one micro-batch."""
    device = next(model.parameters()).device
    first = [0]
    for group in groups:
        first.append(first[-1] + len(group.responses))
    numbers = torch.zeros(first[-1], device=device)
    with evaluating(model):
        for indices in split_by_tokens(groups, tokens_per_microbatch):
            rows = [first[i] + k for i in indices for k in range(len(groups[i].responses))]
            batch = pack([groups[i] for i in indices], device=device)
            numbers[torch.tensor(rows, device=device)] = measure(batch)
            if on_progress is not None:
                on_progress(len(indices))
    return numbers


def compute_mean_loss(policy: Policy, groups: Sequence[Group], *, tokens_per_microbatch: int) -> float:
    """Mean loss per response token, in nats, without gradient or dropout."""
    total = 0.0
    with evaluating(policy):
        for indices in split_by_tokens(groups, tokens_per_microbatch):
            logprobs = policy(pack([groups[i] for i in indices], device=policy.device)).logprobs
            total -= float(logprobs.sum())
    return total / num_response_tokens(groups)


def compute_token_rows(
    model: torch.nn.Module,
    groups: Sequence[Group],
    measure: Callable[[PackedBatch], Tensor],
    batches: Sequence[Sequence[int]],
) -> Tensor:
    """`measure` for every response token, as right-padded rows (M, R) over all responses, without gradient.

    `measure` returns (N,) over the response tokens of one packed batch, run through `model`; `batches` are the indices
    of the groups that are packed together, each group in exactly one of them.
    """
    device = next(model.parameters()).device
    num_responses = [len(group.responses) for group in groups]
    first_row = [0, *accumulate(num_responses)]
    width = max(len(response) for group in groups for response in group.responses)
    rows = torch.zeros(first_row[-1], width, device=device)
    with evaluating(model):
        for indices in batches:
            batch = pack([groups[i] for i in indices], device=device)
            places = [first_row[i] + k for i in indices for k in range(num_responses[i])]
            own = batch.to_rows(measure(batch).float())
            rows[torch.tensor(places, device=device), : own.shape[1]] = own
    return rows
