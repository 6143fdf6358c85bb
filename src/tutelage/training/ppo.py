"""PPO and PPO-ptx (sections 3.5 and C.4 of the paper). `PPOTrainer.step` is the algorithm, top to bottom."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.adapters import adapters_off, add_lora
from tutelage.model.context import context_limit
from tutelage.model.forward import evaluating, response_logprobs, response_values
from tutelage.model.loading import check_same_vocabulary, load_policy, load_scalar_model, load_tokenizer
from tutelage.model.measure import groups_of, rows_over, scores_of
from tutelage.model.packing import Group, PackedBatch, split_by_tokens
from tutelage.model.sampling import SamplingSettings, sample_responses
from tutelage.objectives.advantage import (
    adapted_kl_coef,
    advantages_and_returns,
    kl_penalty,
    replace_missing_eos,
    token_rewards,
)
from tutelage.objectives.ppo import explained_variance
from tutelage.objectives.tokens import masked_mean, whiten
from tutelage.seeds import derived_seed
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PPOConfig
from tutelage.training.data import LeftOut, Limits
from tutelage.training.learning import add_language_gradient
from tutelage.training.minibatch import Minibatch, add_policy_gradient, add_value_gradient
from tutelage.training.optim import MovingAverage, Optimizer, name_of_average, require_finite
from tutelage.training.ppo_data import count_prompts_of_rankings, load_ppo_prompts, load_ptx_text
from tutelage.training.prompting import check_prompted_alike, prompt_as_trained
from tutelage.training.rollout import Rollout, require_same_logprobs, sample_rows, shown_groups
from tutelage.training.stage import Stage, run_stage

SAMPLES_PER_STEP = 4  # written to samples.jsonl at every step, to be read


def ppo(config: PPOConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train; save `out/model` (the moving average, where there is one) and `out/value_model`; returns the summary."""
    check_same_vocabulary(config.policy, config.reward_model)
    return run_stage("ppo", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: Stage, config: PPOConfig) -> dict[str, Any]:
    trainer = PPOTrainer(stage, config)
    stage.try_saving(trainer.policy, trainer.tokenizer)
    stage.try_saving(trainer.value_model, trainer.tokenizer)
    for step in stage.steps(config.num_steps):
        metrics = trainer.step(step)
        stage.note = f"score {metrics['score']:.3f}, KL {metrics['kl_to_reference']:.2f}"
        stage.log(step, metrics)
    return trainer.save()


class PPOTrainer:
    """The models, the data and the step. Nothing here knows about files, resume or progress: see `Stage`."""

    def __init__(self, stage: Stage, config: PPOConfig) -> None:
        self.stage, self.config = stage, config
        self.tokenizer = load_tokenizer(config.policy)
        self.renderer = prompt_as_trained(self.tokenizer, config.text, config.policy)
        check_prompted_alike(self.renderer, config.policy, config.reward_model)
        self._load_models()
        self.left_out = LeftOut(skip_bad=config.skip_bad)
        self.limits = Limits(text=config.text, context=context_limit(self.policy), left_out=self.left_out)
        # Reward and value model read the responses too; pretraining text is the policy's alone.
        context = min(self.limits.context, context_limit(self.reward_model))
        self.prompts = load_ppo_prompts(config, self.renderer, replace(self.limits, context=context))
        self.num_overlapping_prompts = count_prompts_of_rankings(config, self.prompts)
        self.prompt_order = ShuffledEpochs(len(self.prompts), seed=derived_seed(config.seed, "prompts"))
        self.pretraining = load_ptx_text(config, self.renderer, self.limits)
        if self.pretraining is not None:
            self.pretraining_order = ShuffledEpochs(len(self.pretraining), seed=derived_seed(config.seed, "ptx"))
        self._is_sampler_checked = False
        self.kl_coef = config.ppo.kl_coef
        stage.components["kl_coef"] = self

    def _load_models(self) -> None:
        config, device = self.config, self.stage.device
        self.policy = self.stage.set_precision(load_policy(config.policy, device=device))
        self.reward_model = self.stage.set_precision(load_scalar_model(config.reward_model, device=device))
        self.value_model = self.stage.set_precision(load_scalar_model(config.reward_model, device=device))
        if config.lora.rank:
            self.reference = self.policy
            add_lora(self.policy, rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
            add_lora(self.value_model, rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
        else:
            self.reference = self.stage.set_precision(load_policy(config.policy, device=device)).requires_grad_(False)
        self.reward_model.requires_grad_(False)
        self.policy_optimizer = Optimizer(self.policy, config.policy_optimizer, config.num_steps)
        self.value_optimizer = Optimizer(self.value_model, config.value_optimizer, config.num_steps)
        self.average = MovingAverage(self.policy, config.ema_decay)
        self.stage.components |= {
            "policy": self.policy,
            "value_model": self.value_model,
            "policy_optimizer": self.policy_optimizer,
            "value_optimizer": self.value_optimizer,
            "average": self.average,
        }

    def step(self, step: int) -> dict[str, float]:
        """One iteration: sample, score, reference, KL penalty, advantages, epochs of PPO + ptx over minibatches."""
        terms = self.config.ppo
        rollout = self.roll_out(step)
        self._check_sampler(rollout)
        mask = rollout.response_mask
        scores = replace_missing_eos(rollout.scores, rollout.ended, terms.missing_eos_score)
        penalty = kl_penalty(rollout.logprobs, rollout.reference_logprobs, mask, kl_coef=self.kl_coef)
        rewards = token_rewards(scores, penalty, mask)
        if terms.should_whiten_rewards:
            rewards = whiten(rewards, mask, should_shift_mean=False)
        advantages, returns = advantages_and_returns(
            rewards, rollout.values, mask, discount=terms.discount, gae_lambda=terms.gae_lambda
        )
        metrics = self._describe(rollout, scores, returns)
        sums: dict[str, float] = {}
        names = [self.prompts[i].name for i in self._chosen(step)]
        minibatches = self._minibatches(step)
        for number, episodes in enumerate(minibatches):
            minibatch = self._minibatch(rollout, episodes, names)
            found = add_policy_gradient(self.policy, minibatch, advantages, terms=terms)
            found |= add_value_gradient(self.value_model, minibatch, returns, terms=terms)
            for name in ("policy_loss", "value_loss"):
                require_finite(found[name], stage="ppo", step=step, batch=minibatch.names)
            found |= self._ptx_gradient(step, number)
            found |= self._update(step, minibatch.names)
            for name, value in found.items():
                sums[name] = sums.get(name, 0.0) + value / len(minibatches)
        self._adapt_kl_coef(metrics["kl_to_reference"])
        return metrics | sums

    def roll_out(self, step: int) -> Rollout:
        """Sample one response to each of the step's prompts; its score, log-probabilities under both models and values.

        Policy, reference and value model read the packed batches of the first epoch's updates, so that the first ratio
        is 1 and the first KL 0 in any precision: what the sampler said of its tokens is kept as a measure of drift.
        """
        config, device = self.config, self.stage.device
        prompts = [self.prompts[i].group.prompt for i in self._chosen(step)]
        sampled = sample_responses(
            self.policy,
            prompts,
            settings=SamplingSettings(
                max_response_tokens=config.text.max_response_tokens, temperature=config.temperature
            ),
            stop_tokens=self.renderer.stop_tokens,
            generator=self.stage.generator("rollout", step),
        )
        groups = groups_of(prompts, sampled)
        shown = shown_groups(prompts, sampled, self.renderer, context=context_limit(self.reward_model))
        scores = scores_of(self.reward_model, shown, tokens_per_microbatch=config.tokens_per_microbatch)
        batches = self._microbatches(groups, self._minibatches(step)[0 : self._num_minibatches])
        ended = torch.tensor([responses[0].is_complete for responses in sampled], device=device)
        lengths = torch.tensor([len(responses[0].tokens) for responses in sampled], device=device)
        sampling_logprobs = [torch.tensor(responses[0].logprobs) for responses in sampled]
        rows = sample_rows(
            shown[:SAMPLES_PER_STEP],
            scores.tolist()[:SAMPLES_PER_STEP],
            ended.tolist()[:SAMPLES_PER_STEP],
            self.renderer,
        )
        self.stage.folder.log_samples(rows, step=step + 1)
        return Rollout(
            groups=groups,
            response_mask=torch.arange(int(lengths.max()), device=device) < lengths.unsqueeze(1),
            logprobs=self._logprobs(self.policy, groups, batches),
            sampling_logprobs=torch.nn.utils.rnn.pad_sequence(sampling_logprobs, batch_first=True).to(device),
            reference_logprobs=self._reference_logprobs(groups, batches),
            values=self._rows(self.value_model, groups, batches, response_values),
            scores=scores,
            ended=ended,
            num_changed=sum(one.responses != other.responses for one, other in zip(groups, shown, strict=True)),
        )

    def _check_sampler(self, rollout: Rollout) -> None:
        """In the first step, before anything is updated: refuse a policy that the sampler does not sample from."""
        if not self._is_sampler_checked:
            require_same_logprobs(rollout, family=self.policy.config.model_type, dtype=self.config.dtype)
            self._is_sampler_checked = True

    def _chosen(self, step: int) -> list[int]:
        """The places of the step's prompts, one an episode."""
        return self.prompt_order.take(step * self.config.episodes_per_step, self.config.episodes_per_step)

    def _logprobs(self, model: PreTrainedModel, groups: Sequence[Group], batches: list[list[int]]) -> Tensor:
        """(B, R) log-probabilities at the sampling temperature."""
        return self._rows(model, groups, batches, partial(response_logprobs, temperature=self.config.temperature))

    def _reference_logprobs(self, groups: Sequence[Group], batches: list[list[int]]) -> Tensor:
        """(B, R), of the policy without its adapters where it has some."""
        with adapters_off(self.policy) if self.reference is self.policy else nullcontext():
            return self._logprobs(self.reference, groups, batches)

    def _rows(
        self,
        model: PreTrainedModel,
        groups: Sequence[Group],
        batches: list[list[int]],
        measure: Callable[[PreTrainedModel, PackedBatch], Tensor],
    ) -> Tensor:
        """(B, R) of what `measure` says of each response token, without gradient."""
        with evaluating(model):
            return rows_over(groups, partial(measure, model), batches, device=self.stage.device)

    @property
    def _num_minibatches(self) -> int:
        """In an epoch."""
        return self.config.episodes_per_step // self.config.episodes_per_minibatch

    def _microbatches(self, groups: Sequence[Group], minibatches: list[list[int]]) -> list[list[int]]:
        """The episodes that the updates of these minibatches compute at once."""
        return [
            [episodes[place] for place in places]
            for episodes in minibatches
            for places in split_by_tokens([groups[i] for i in episodes], self.config.tokens_per_microbatch)
        ]

    def _minibatches(self, step: int) -> list[list[int]]:
        """Each epoch's episodes in an order of its own, in minibatches."""
        size = self.config.episodes_per_minibatch
        minibatches = []
        for epoch in range(self.config.num_epochs):
            order = torch.randperm(
                self.config.episodes_per_step, generator=self.stage.generator("minibatches", step, epoch)
            ).tolist()
            minibatches += [order[start : start + size] for start in range(0, len(order), size)]
        return minibatches

    def _minibatch(self, rollout: Rollout, episodes: list[int], names: list[str]) -> Minibatch:
        """Some of the rollout's episodes; `names` are those of all its prompts."""
        return Minibatch(
            rollout=rollout,
            episodes=episodes,
            names=", ".join(names[i] for i in episodes[:8]),
            temperature=self.config.temperature,
            tokens_per_microbatch=self.config.tokens_per_microbatch,
            device=self.stage.device,
        )

    def _update(self, step: int, names: str) -> dict[str, float]:
        """One step of both optimizers and of the moving average."""
        policy, value = (part.step(step, batch=names) for part in (self.policy_optimizer, self.value_optimizer))
        self.average.update()
        return {f"policy_{key}": x for key, x in policy.items()} | {f"value_{key}": x for key, x in value.items()}

    def _ptx_gradient(self, step: int, number: int) -> dict[str, float]:
        """Add ptx.coef times the gradient of the pretraining loss to the policy's: one update for both [C.4]."""
        ptx = self.config.ptx
        if self.pretraining is None:
            return {}
        count = ptx.sequences_per_episode * self.config.episodes_per_minibatch
        minibatches_per_step = self.config.num_updates // self.config.num_steps
        windows = self.pretraining_order.take((step * minibatches_per_step + number) * count, count)
        loss = add_language_gradient(
            self.policy,
            self.pretraining.groups(windows),
            coef=ptx.coef,
            tokens_per_microbatch=self.config.tokens_per_microbatch,
            device=self.stage.device,
        )
        require_finite(loss, stage="ppo (ptx)", step=step, batch=f"pretraining windows {windows[:8]}")
        return {"ptx_loss": loss}

    def _describe(self, rollout: Rollout, scores: Tensor, returns: Tensor) -> dict[str, float]:
        """What a person watches. `kl_to_reference`: nats a response, summed log-ratios of sampled tokens (unbiased)."""
        mask = rollout.response_mask
        log_ratio = torch.where(mask, rollout.logprobs - rollout.reference_logprobs, 0.0)
        return {
            "score": float(rollout.scores.mean()),
            "score_with_missing_eos": float(scores.mean()),
            "kl_to_reference": float(log_ratio.sum(1).mean()),
            "kl_coef": self.kl_coef,
            "response_tokens": float(rollout.lengths.float().mean()),
            "ended_share": float(rollout.ended.float().mean()),
            "changed_share": rollout.num_changed / len(rollout.groups),
            "sampling_drift": float(masked_mean(rollout.sampling_drift, mask)),
            "max_sampling_drift": float(rollout.sampling_drift.max()),
            "values": float(masked_mean(rollout.values, mask)),
            "returns": float(masked_mean(returns, mask)),
            "explained_variance": float(explained_variance(rollout.values, returns, mask)),
        }

    def _adapt_kl_coef(self, observed_kl: float) -> None:
        terms = self.config.ppo
        if terms.kl_target is not None:
            self.kl_coef = adapted_kl_coef(
                self.kl_coef,
                observed_kl,
                kl_target=terms.kl_target,
                kl_horizon=terms.kl_horizon,
                num_episodes=self.config.episodes_per_step,
            )

    def state_dict(self) -> dict[str, float]:
        """The KL controller."""
        return {"kl_coef": self.kl_coef}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.kl_coef = state["kl_coef"]

    def save(self) -> dict[str, Any]:
        if self.config.ema_decay > 0:
            self.average.swap()
        self.stage.save_model(self.policy, self.tokenizer, self.config.out / "model")
        self.stage.save_model(self.value_model, self.tokenizer, self.config.out / "value_model")
        return {
            "num_prompts": len(self.prompts),
            "num_prompts_in_rankings": self.num_overlapping_prompts,
            **self.left_out.summary(),
            "num_episodes": self.config.num_episodes,
            "kl_coef": self.kl_coef,
            "saved_policy": name_of_average(self.config.ema_decay, self.config.lora.rank),
        }
