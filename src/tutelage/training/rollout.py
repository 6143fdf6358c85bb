"""Rollouts: responses sampled from the policy, with everything PPO needs to know about each response token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tutelage.errors import ModelError
from tutelage.model.generator import LocalGenerator
from tutelage.model.inference import compute_scores
from tutelage.model.packing import Group
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.sampling import SampledResponse, SamplingSettings
from tutelage.objectives.tokens import masked_mean
from tutelage.text.render import Renderer


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """B responses to the prompts of one step, K per prompt, in the order of `groups`.

    Response tensors are (B, R), right-padded; `response_mask`: True on response tokens, including the stop token.
    Producer: `ppo.PPOTrainer.roll_out`; consumers: its step and the advantage estimator. `logprobs` are the policy's
    before its update, at the sampling temperature, computed as the update computes them; `sampling_logprobs` are the
    sampler's for the same tokens. `scores` (B,) are the reward model's for the text as shown, before the missing-EOS
    rule; `ended` (B,) says whether the response has a stop token; `num_changed` responses have different tokens when
    shown as text. `batches`: which groups the first epoch's updates compute together.
    """

    groups: list[Group]
    batches: list[list[int]]
    response_mask: Tensor
    logprobs: Tensor
    sampling_logprobs: Tensor
    reference_logprobs: Tensor
    scores: Tensor
    ended: Tensor
    num_changed: int

    @property
    def responses_per_prompt(self) -> int:
        return len(self.groups[0].responses)

    @property
    def lengths(self) -> Tensor:
        return self.response_mask.sum(1)

    @property
    def sampling_drift(self) -> Tensor:
        """(B, R): by how many nats the sampler and the update disagree on a token; 0 outside the mask."""
        return torch.where(self.response_mask, (self.sampling_logprobs - self.logprobs).abs(), 0.0)


# The most by which the sampler and the update may disagree, in nats: on any token in float32, where rounding causes
# 1e-5; on the mean token in bfloat16, where it causes a few hundredths. A sampler that misreads its cache is off by a
# nat or more.
MAX_DRIFT = {"float32": 1e-3, "bfloat16": 0.2}


def require_same_logprobs(rollout: Rollout, *, family: str, dtype: str) -> None:
    """Raise `ModelError` if the responses were not sampled from the policy that is updated."""
    drift = rollout.sampling_drift
    found = float(drift.max() if dtype == "float32" else masked_mean(drift, rollout.response_mask))
    if not found <= MAX_DRIFT[dtype]:
        what = "a token's log-probability" if dtype == "float32" else "the mean log-probability of a token"
        raise ModelError(
            f"the sampler and the model disagree by {found:.2g} nats on {what} (at most {MAX_DRIFT[dtype]:g}): "
            f"architecture {family!r} is not sampled correctly, and PPO would train on responses of another policy. "
            "Nothing was trained. Use a model of another architecture"
        )


def rollout_metrics(rollout: Rollout, scores: Tensor) -> dict[str, float]:
    """The logged metrics of a rollout and its `scores` (B,) after the missing-EOS rule.

    `kl_to_reference`: nats per response, the summed log-ratios of its tokens (unbiased).
    """
    mask = rollout.response_mask
    log_ratio = torch.where(mask, rollout.logprobs - rollout.reference_logprobs, 0.0)
    return {
        "score": float(rollout.scores.mean()),
        "score_with_missing_eos": float(scores.mean()),
        "kl_to_reference": float(log_ratio.sum(1).mean()),
        "response_tokens": float(rollout.lengths.float().mean()),
        "ended_share": float(rollout.ended.float().mean()),
        "changed_share": rollout.num_changed / len(scores),
        "sampling_drift": float(masked_mean(rollout.sampling_drift, mask)),
        "max_sampling_drift": float(rollout.sampling_drift.max()),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Minibatch:
    """Some groups of a rollout, by index, and the rows of their responses in its tensors."""

    indices: list[int]
    rows: list[int]
    groups: list[Group]
    records: str  # names its first prompts, for error messages


def select_minibatch(rollout: Rollout, indices: list[int], names: Sequence[str]) -> Minibatch:
    """The groups at `indices`, with all their responses; `names` are those of all prompts in the rollout."""
    num = rollout.responses_per_prompt
    return Minibatch(
        indices=indices,
        rows=[i * num + k for i in indices for k in range(num)],
        groups=[rollout.groups[i] for i in indices],
        records=", ".join(names[i] for i in indices[:8]),
    )


def shown_groups(
    prompts: Sequence[Sequence[int]],
    sampled: Sequence[Sequence[SampledResponse]],
    renderer: Renderer,
    *,
    context: int,
) -> list[Group]:
    """Each prompt with its responses as shown: the reward model scores what labelers would judge."""
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


def score_samples(
    policy: Policy,
    reward_model: ScoreModel,
    prompts: Sequence[Sequence[int]],
    *,
    settings: SamplingSettings,
    generator: torch.Generator,
    tokens_per_microbatch: int,
) -> tuple[float, list[dict[str, Any]]]:
    """Mean score of one response to each prompt, and the responses as readable rows.

    A response is limited by the settings, or by what its prompt leaves of the shorter of the two models' contexts.
    """
    context = min(policy.context_limit, reward_model.context_limit)
    room = [context - len(prompt) for prompt in prompts]
    sampled = LocalGenerator(policy).generate(prompts, settings=settings, draws=generator, room=room)
    groups = shown_groups(prompts, sampled, policy.renderer, context=reward_model.context_limit)
    scores = compute_scores(reward_model, groups, tokens_per_microbatch=tokens_per_microbatch)
    ended = [responses[0].is_complete for responses in sampled]
    return float(scores.mean()), sample_rows(groups, scores.tolist(), ended, policy.renderer)


def sample_rows(
    groups: Sequence[Group], scores: Sequence[float], ended: Sequence[bool], renderer: Renderer
) -> list[dict[str, Any]]:
    """The first response to each prompt as readable text, for samples.jsonl."""
    return [
        {
            "prompt": renderer.decode(group.prompt),
            "response": renderer.decode(group.responses[0]),
            "score": round(score, 4),
            "is_complete": is_complete,
        }
        for group, score, is_complete in zip(groups, scores, ended, strict=True)
    ]
