"""How rewards become advantages: GAE with its value model, or the other responses to the same prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from tutelage.model.inference import compute_token_rows, num_response_tokens
from tutelage.model.packing import PackedBatch
from tutelage.model.policy import PackedModel, ValueModel
from tutelage.objectives.advantage import advantages_and_returns, group_advantages
from tutelage.objectives.ppo import explained_variance, value_loss
from tutelage.objectives.tokens import LossTerm, masked_mean
from tutelage.training.config import PPOConfig
from tutelage.training.loop import Term, Update
from tutelage.training.optim import Optimizer
from tutelage.training.rollout import Minibatch, Rollout
from tutelage.training.stage import Stateful


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvantageEstimate:
    """`advantages` (B, R) of a rollout's response tokens, 0 outside its mask, and their `metrics`.

    `returns` and `values` (B, R), from before the update, if there is a value model.
    """

    advantages: Tensor
    metrics: dict[str, float] = field(default_factory=dict)
    returns: Tensor | None = None
    values: Tensor | None = None


class AdvantageEstimator(Protocol):
    """Turns token rewards into advantages, and owns whatever it trains for that."""

    components: dict[str, Stateful]
    models: dict[str, PackedModel]

    def estimate(self, rollout: Rollout, rewards: Tensor) -> AdvantageEstimate:
        """Estimate from the rewards (B, R) of a rollout, before anything is updated."""
        ...

    def updates(self, rollout: Rollout, estimate: AdvantageEstimate, minibatch: Minibatch) -> Sequence[Update]:
        """Its own updates on one minibatch, in addition to the policy's."""
        ...


class GeneralizedAdvantages:
    """Generalized advantage estimation (Schulman et al. 2015), as in the paper: a value model predicts the returns."""

    def __init__(self, value_model: ValueModel, config: PPOConfig) -> None:
        self.value_model, self.terms = value_model, config.ppo
        self.optimizer = Optimizer(value_model, config.value_optimizer, config.num_steps)
        self.models: dict[str, PackedModel] = {"value_model": value_model}
        self.components: dict[str, Stateful] = {"value_model": value_model, "value_optimizer": self.optimizer}

    def estimate(self, rollout: Rollout, rewards: Tensor) -> AdvantageEstimate:
        mask = rollout.response_mask
        values = compute_token_rows(self.value_model, rollout.groups, self.value_model, rollout.batches)
        advantages, returns = advantages_and_returns(
            rewards, values, mask, discount=self.terms.discount, gae_lambda=self.terms.gae_lambda
        )
        metrics = {
            "values": float(masked_mean(values, mask)),
            "returns": float(masked_mean(returns, mask)),
            "explained_variance": float(explained_variance(values, returns, mask)),
        }
        return AdvantageEstimate(advantages=advantages, returns=returns, values=values, metrics=metrics)

    def updates(self, rollout: Rollout, estimate: AdvantageEstimate, minibatch: Minibatch) -> Sequence[Update]:
        """The clipped value loss, the mean over the minibatch's response tokens."""
        assert estimate.values is not None and estimate.returns is not None
        mask = rollout.response_mask[minibatch.rows]
        old_values, returns = estimate.values[minibatch.rows], estimate.returns[minibatch.rows]
        num = rollout.responses_per_prompt

        def compute(indices: Sequence[int], batch: PackedBatch) -> LossTerm:
            values = batch.to_rows(self.value_model(batch))
            rows, width = [i * num + k for i in indices for k in range(num)], values.shape[1]
            return value_loss(
                values,
                old_values[rows, :width],
                returns[rows, :width],
                mask[rows, :width],
                value_clip_range=self.terms.value_clip_range,
            )

        term = Term(
            name="value_loss",
            groups=minibatch.groups,
            compute=compute,
            count=num_response_tokens(minibatch.groups),
            records=minibatch.records,
        )
        return [Update(optimizer=self.optimizer, terms=[term], prefix="value_")]


class GroupAdvantages:
    """Each response relative to its prompt's others: no value model. See `objectives.advantage.group_advantages`."""

    def __init__(self, config: PPOConfig) -> None:
        self.kind = config.advantages
        self.models: dict[str, PackedModel] = {}
        self.components: dict[str, Stateful] = {}

    def estimate(self, rollout: Rollout, rewards: Tensor) -> AdvantageEstimate:
        assert self.kind != "gae", "GAE has a value model"
        advantages = group_advantages(
            rewards, rollout.response_mask, responses_per_prompt=rollout.responses_per_prompt, kind=self.kind
        )
        return AdvantageEstimate(advantages=advantages, metrics={"returns": float(rewards.sum(1).mean())})

    def updates(self, rollout: Rollout, estimate: AdvantageEstimate, minibatch: Minibatch) -> Sequence[Update]:
        """Nothing is learned."""
        return []
