"""Rollouts: prompts continued by the policy, with everything PPO needs to know about each response token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.loading import context_limit
from tutelage.model.measure import groups_of, scores_of
from tutelage.model.packing import Group
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.text.render import Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """B episodes. Response tensors are (B, R), right-padded; `response_mask`: True on response tokens, stop token too.

    Producer: `ppo.PPOTrainer.roll_out`; consumer: its step. `logprobs` are those of sampling time, at the sampling
    temperature; `scores` (B,) are the reward model's, before the missing-EOS rule; `ended` (B,) tells whether the
    response has a stop token.
    """

    groups: list[Group]
    response_mask: Tensor
    logprobs: Tensor
    reference_logprobs: Tensor
    values: Tensor
    scores: Tensor
    ended: Tensor

    @property
    def lengths(self) -> Tensor:
        return self.response_mask.sum(1)


def mean_score_of_samples(
    policy: PreTrainedModel,
    reward_model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    renderer: Renderer,
    settings: SamplingSettings,
    generator: torch.Generator,
    tokens_per_microbatch: int,
) -> tuple[float, list[dict[str, Any]]]:
    """Mean score of one response to each prompt, and the responses as readable rows.

    A response has the settings' limit, or what its own prompt leaves of the shorter of the two models' contexts.
    """
    context = min(context_limit(policy), context_limit(reward_model))
    sampled = sample_responses(
        policy,
        prompts,
        settings=settings,
        stop_tokens=renderer.stop_tokens,
        generator=generator,
        room=[context - len(prompt) for prompt in prompts],
    )
    groups = groups_of(prompts, sampled)
    scores = scores_of(reward_model, groups, tokens_per_microbatch=tokens_per_microbatch)
    return float(scores.mean()), sample_rows(groups, scores.tolist(), [s[0].is_complete for s in sampled], renderer)


def sample_rows(
    groups: Sequence[Group], scores: Sequence[float], ended: Sequence[bool], renderer: Renderer
) -> list[dict[str, Any]]:
    """Episodes as a person reads them, for samples.jsonl."""
    return [
        {
            "prompt": renderer.decode(group.prompt),
            "response": renderer.decode(group.responses[0]),
            "score": round(score, 4),
            "is_complete": is_complete,
        }
        for group, score, is_complete in zip(groups, scores, ended, strict=True)
    ]
