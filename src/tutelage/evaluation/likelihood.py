"""A policy's likelihood of given texts after given prompts: for pairs of sentences and for choices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from tutelage.model.inference import compute_sequence_logprobs
from tutelage.model.packing import Group
from tutelage.model.policy import Policy
from tutelage.text.render import Renderer


class Likelihood(NamedTuple):
    """Log-probability of a text in nats, summed over its tokens, and the number of tokens."""

    total: float
    num_tokens: int

    @property
    def per_token(self) -> float:
        return self.total / self.num_tokens


def likelihoods(
    policy: Policy, groups: Sequence[Group], *, tokens_per_microbatch: int = 8192
) -> list[list[Likelihood]]:
    """The likelihood of every response of every group, at temperature 1, without dropout."""
    totals = iter(compute_sequence_logprobs(policy, groups, tokens_per_microbatch=tokens_per_microbatch).tolist())
    return [[Likelihood(next(totals), len(response)) for response in group.responses] for group in groups]


def text_tokens(renderer: Renderer, text: str) -> list[int]:
    """The tokens of a text without a stop token."""
    return renderer.truncated_response_tokens(text, is_complete=False)


def document_start(renderer: Renderer) -> list[int]:
    """The tokens before the first word of a document: the tokenizer's opening, else the stop token."""
    return renderer.document_tokens("")[:-1]


def continuing(tokenizer: Any) -> Renderer:
    """A renderer that puts nothing after a prompt: the response continues where the prompt's text ends.

    Regardless of the prompting in training: a benchmark's prompt is used literally.
    """
    return Renderer(tokenizer=tokenizer, separator="")
