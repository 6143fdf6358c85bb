"""Rollouts: prompts continued by the policy, with everything PPO needs to know about each response token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.errors import ModelError
from tutelage.model.context import context_limit
from tutelage.model.measure import scores_of
from tutelage.model.packing import Group
from tutelage.model.sampling import SampledResponse, SamplingSettings, sample_responses
from tutelage.objectives.tokens import masked_mean
from tutelage.text.render import Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """B episodes. Response tensors are (B, R), right-padded; `response_mask`: True on response tokens, stop token too.

    Producer: `ppo.PPOTrainer.roll_out`; consumer: its step. `logprobs` are the policy's before its update, at the
    sampling temperature, computed as the update computes them; `sampling_logprobs` are what the sampler said of the
    same tokens. `scores` (B,) are the reward model's for the text as it is shown, before the missing-EOS rule; `ended`
    (B,) tells whether the response has a stop token; `num_changed` responses are other tokens when shown.
    """

    groups: list[Group]
    response_mask: Tensor
    logprobs: Tensor
    sampling_logprobs: Tensor
    reference_logprobs: Tensor
    values: Tensor
    scores: Tensor
    ended: Tensor
    num_changed: int

    @property
    def lengths(self) -> Tensor:
        return self.response_mask.sum(1)

    @property
    def sampling_drift(self) -> Tensor:
        """(B, R): by how many nats the sampler and the update disagree on a token; 0 off the mask."""
        return torch.where(self.response_mask, (self.sampling_logprobs - self.logprobs).abs(), 0.0)


# The most by which the sampler and the update may disagree, in nats: on any token in float32, where rounding makes
# 1e-5; on the mean token in bfloat16, where it makes a few hundredths. A sampler that reads its cache wrongly is off by
# a nat and more.
MAX_DRIFT = {"float32": 1e-3, "bfloat16": 0.2}


def require_same_logprobs(rollout: Rollout, *, family: str, dtype: str) -> None:
    """Raise `ModelError` where responses were not sampled from the policy that is updated."""
    drift = rollout.sampling_drift
    found = float(drift.max() if dtype == "float32" else masked_mean(drift, rollout.response_mask))
    if not found <= MAX_DRIFT[dtype]:
        what = "a token's log-probability" if dtype == "float32" else "the mean log-probability of a token"
        raise ModelError(
            f"the sampler and the model disagree by {found:.2g} nats on {what} (at most {MAX_DRIFT[dtype]:g}): family "
            f"{family!r} is not sampled right, and PPO would learn from responses of another policy. Nothing was "
            "trained. Use a model of another family"
        )


def shown_groups(
    prompts: Sequence[Sequence[int]],
    sampled: Sequence[Sequence[SampledResponse]],
    renderer: Renderer,
    *,
    context: int,
) -> list[Group]:
    """Each prompt with its responses as they are shown: what labelers judge is what the reward model is asked about."""
    return [
        Group(
            prompt=prompt,
            responses=[
                renderer.truncated_response_tokens(renderer.shown(response.tokens), is_complete=response.is_complete)[
                    : context - len(prompt)
                ]
                for response in responses
            ],
        )
        for prompt, responses in zip(prompts, sampled, strict=True)
    ]


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
    groups = shown_groups(prompts, sampled, renderer, context=context_limit(reward_model))
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
