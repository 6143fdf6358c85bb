"""The gradients of one PPO minibatch, on the policy and on the value model. Micro-batches bound memory, nothing else.

Shapes: B episodes of the minibatch, R response tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.forward import response_logprobs_and_entropy, response_values
from tutelage.model.packing import PackedBatch, pack, split_by_tokens
from tutelage.objectives.ppo import policy_loss, value_loss
from tutelage.objectives.tokens import LossTerm, whiten
from tutelage.training.config import PPOTermsConfig
from tutelage.training.rollout import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class Minibatch:
    """Some episodes of a rollout, by their places in it, and how they are computed: as when they were sampled.

    Producer: `ppo.PPOTrainer.step`; consumer: the two functions below.
    """

    rollout: Rollout
    episodes: list[int]
    names: str  # of its first prompts, for errors
    temperature: float
    tokens_per_microbatch: int
    device: torch.device

    @property
    def response_mask(self) -> Tensor:
        """(B, R)."""
        return self.rollout.response_mask[self.episodes]

    def microbatches(self) -> Iterator[tuple[list[int], PackedBatch]]:
        """Places within the minibatch, and what is computed at once."""
        groups = [self.rollout.groups[i] for i in self.episodes]
        for places in split_by_tokens(groups, self.tokens_per_microbatch):
            yield places, pack([groups[i] for i in places], device=self.device)


def add_policy_gradient(
    policy: PreTrainedModel, minibatch: Minibatch, advantages: Tensor, *, terms: PPOTermsConfig
) -> dict[str, float]:
    """Add the gradient of the clipped policy loss, the mean over the minibatch's response tokens.

    `advantages`: (episodes of the rollout, R), whitened here where the terms say so. Returns means per token.
    """
    mask = minibatch.response_mask
    old_logprobs = minibatch.rollout.logprobs[minibatch.episodes]
    own = advantages[minibatch.episodes]
    if terms.should_whiten_advantages:
        own = whiten(own, mask)
    means = _Means(mask, "policy_loss", "entropy")
    for places, batch in minibatch.microbatches():
        flat, entropy = response_logprobs_and_entropy(policy, batch, temperature=minibatch.temperature)
        logprobs = batch.to_rows(flat)
        width = logprobs.shape[1]
        term = policy_loss(
            logprobs,
            old_logprobs[places, :width],
            own[places, :width],
            mask[places, :width],
            clip_range=terms.clip_range,
        )
        (term.total / means.count).backward()
        means.add("policy_loss", term, entropy=entropy.sum())
    return means.found()


def add_value_gradient(
    value_model: PreTrainedModel, minibatch: Minibatch, returns: Tensor, *, terms: PPOTermsConfig
) -> dict[str, float]:
    """Add the gradient of the clipped value loss, the mean over the minibatch's response tokens.

    `returns`: (episodes of the rollout, R). Returns means per token.
    """
    mask = minibatch.response_mask
    old_values, own = minibatch.rollout.values[minibatch.episodes], returns[minibatch.episodes]
    means = _Means(mask, "value_loss")
    for places, batch in minibatch.microbatches():
        values = batch.to_rows(response_values(value_model, batch))
        width = values.shape[1]
        term = value_loss(
            values,
            old_values[places, :width],
            own[places, :width],
            mask[places, :width],
            value_clip_range=terms.value_clip_range,
        )
        (term.total / means.count).backward()
        means.add("value_loss", term)
    return means.found()


class _Means:
    """Sums over micro-batches, divided in the end by the count of the whole minibatch."""

    def __init__(self, mask: Tensor, *names: str) -> None:
        self.count = mask.sum()
        self.sums = dict.fromkeys(names, 0.0)

    def add(self, name: str, term: LossTerm, **others: Tensor) -> None:
        for key, total in {name: term.total.detach(), **others, **term.metrics}.items():
            self.sums[key] = self.sums.get(key, 0.0) + float(total)

    def found(self) -> dict[str, float]:
        return {name: total / int(self.count) for name, total in self.sums.items()}
