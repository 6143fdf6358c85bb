"""Packed prompts and responses, without padding; each prompt is computed once however many responses it has.

A batch is a list of groups: one prompt with its responses. The tokens of a group are consecutive: prompt, first
response, second response ... A response attends to its prompt and to itself, never to its siblings, and its positions
continue from the prompt's end. Everything trains on this one layout: documents (their first token is the prompt),
demonstrations and rollouts (one response), rankings (K).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """One prompt and its responses, as token ids; neither the prompt nor any response is empty."""

    prompt: Sequence[int]
    responses: Sequence[Sequence[int]]

    def __post_init__(self) -> None:
        assert len(self.prompt) > 0, "a group needs at least one prompt token"
        assert all(len(response) > 0 for response in self.responses), "a response needs at least one token"

    @property
    def num_tokens(self) -> int:
        return len(self.prompt) + sum(map(len, self.responses))


@dataclass(frozen=True, slots=True, kw_only=True)
class PackedBatch:
    """A batch of groups on one device. Producer: `pack`; consumers: `forward.hidden_states` and every training loop.

    `tokens`, `positions` (T,): the model's input. `response_tokens` (N,): all responses concatenated; `predicting`
    (N,): the packed position whose hidden state predicts each of them; `last` (M,): the packed position of each
    response's last token. `prompt_lengths` (G,), `response_lengths` (M,), `group_of_response` (M,) as Python lists, for
    the attention layouts.
    """

    tokens: Tensor
    positions: Tensor
    response_tokens: Tensor
    predicting: Tensor
    last: Tensor
    prompt_lengths: list[int]
    response_lengths: list[int]
    group_of_response: list[int]

    @property
    def num_responses(self) -> int:
        return len(self.response_lengths)

    def to_rows(self, values: Tensor, *, fill: float = 0.0) -> Tensor:
        """Per-response-token `values` (N, ...) as rows (M, R, ...), right-padded with `fill`; differentiable."""
        return torch.nn.utils.rnn.pad_sequence(
            values.split(self.response_lengths), batch_first=True, padding_value=fill
        )

    def response_mask(self) -> Tensor:
        """(M, R), True on response tokens, including the stop token."""
        lengths = torch.tensor(self.response_lengths, device=self.tokens.device)
        return torch.arange(max(self.response_lengths), device=self.tokens.device) < lengths.unsqueeze(1)


def pack(groups: Sequence[Group], *, device: torch.device | str = "cpu") -> PackedBatch:
    """Pack `groups` into one batch."""
    tokens: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    last: list[int] = []
    for group in groups:
        num_prompt = len(group.prompt)
        prompt_end = len(tokens) + num_prompt - 1
        tokens += group.prompt
        positions += range(num_prompt)
        for response in group.responses:
            start = len(tokens)
            predicting.append(prompt_end)
            predicting += range(start, start + len(response) - 1)
            last.append(start + len(response) - 1)
            tokens += response
            positions += range(num_prompt, num_prompt + len(response))
    on = {"device": device, "dtype": torch.long}
    return PackedBatch(
        tokens=torch.tensor(tokens, **on),  # type: ignore[arg-type]
        positions=torch.tensor(positions, **on),  # type: ignore[arg-type]
        response_tokens=torch.tensor([t for group in groups for r in group.responses for t in r], **on),  # type: ignore[arg-type]
        predicting=torch.tensor(predicting, **on),  # type: ignore[arg-type]
        last=torch.tensor(last, **on),  # type: ignore[arg-type]
        prompt_lengths=[len(group.prompt) for group in groups],
        response_lengths=[len(response) for group in groups for response in group.responses],
        group_of_response=[g for g, group in enumerate(groups) for _ in group.responses],
    )


def split_by_tokens(groups: Sequence[Group], tokens_per_microbatch: int) -> Iterator[list[int]]:
    """Indices of `groups` in micro-batches of at most `tokens_per_microbatch` tokens (a longer group is alone in one).

    Groups of similar length share a micro-batch, so that attention, which uses padded rectangles, wastes little.
    """
    order = sorted(range(len(groups)), key=lambda i: (-groups[i].num_tokens, i))
    batch: list[int] = []
    for i, total in zip(order, accumulate(groups[j].num_tokens for j in order), strict=True):
        start = total - groups[i].num_tokens
        if not batch:
            batch_start = start
        elif total - batch_start > tokens_per_microbatch:
            yield batch
            batch, batch_start = [], start
        batch.append(i)
    if batch:
        yield batch
