"""PPO and PPO-ptx (sections 3.5 and C.4 of the paper). `PPOTrainer.step` is the algorithm, top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tutelage.model.adapters import adapters_off
from tutelage.model.generator import Generator, group_responses
from tutelage.model.inference import compute_scores, compute_token_rows, num_response_tokens, num_tokens
from tutelage.model.loading import check_same_vocabulary
from tutelage.model.packing import Group, PackedBatch, split_by_tokens
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.sampling import SamplingSettings
from tutelage.objectives.advantage import adapted_kl_coef, kl_penalty, replace_missing_eos, token_rewards
from tutelage.objectives.ppo import policy_loss
from tutelage.objectives.tokens import LossTerm, masked_mean, whiten
from tutelage.seeds import derived_seed
from tutelage.training.advantages import AdvantageEstimator
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PPOConfig
from tutelage.training.language_modeling import language_term
from tutelage.training.loop import Term, Update, train, update
from tutelage.training.optim import MovingAverage, Optimizer, name_of_average
from tutelage.training.ppo_parts import PPOData, load_ppo_data, load_ppo_models, make_estimator, make_generator
from tutelage.training.rollout import (
    Minibatch,
    Rollout,
    require_same_logprobs,
    sample_rows,
    select_minibatch,
    shown_groups,
)
from tutelage.training.stage import Stage, run_stage

SAMPLES_PER_STEP = 4  # written to samples.jsonl at every step, to be read


def ppo(config: PPOConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train; save `out/model` (the moving average, where there is one) and `out/value_model`; returns the summary."""
    check_same_vocabulary(config.policy, config.reward_model)
    return run_stage("ppo", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: Stage, config: PPOConfig) -> dict[str, Any]:
    trainer = make_trainer(stage, config)
    stage.try_saving(trainer.policy, *trainer.estimator.models.values())
    train(
        stage,
        num_steps=config.num_steps,
        take_step=trainer.step,
        describe=lambda metrics: f"score {metrics['score']:.3f}, KL {metrics['kl_to_reference']:.2f}",
    )
    return {**trainer.data.summary(), **trainer.save()}


def make_trainer(stage: Stage, config: PPOConfig) -> PPOTrainer:
    """The trainer with the parts that its configuration names."""
    models = load_ppo_models(stage, config)
    return PPOTrainer(
        stage,
        config,
        policy=models.policy,
        reference=models.reference,
        score_model=models.score_model,
        generator=make_generator(models.policy),
        estimator=make_estimator(stage, config),
        data=load_ppo_data(config, models),
    )


class PPOTrainer:
    """The algorithm over the parts that it is handed. Files, resume and progress are the `Stage`'s and the loop's.

    `reference`: the frozen policy of the KL penalty, or `policy` itself, which is then read without its adapters.
    """

    def __init__(
        self,
        stage: Stage,
        config: PPOConfig,
        *,
        policy: Policy,
        reference: Policy,
        score_model: ScoreModel,
        generator: Generator,
        estimator: AdvantageEstimator,
        data: PPOData,
    ) -> None:
        self.stage, self.config, self.data = stage, config, data
        self.policy, self.reference, self.score_model = policy, reference, score_model
        self.generator, self.estimator = generator, estimator
        self.optimizer = Optimizer(policy, config.policy_optimizer, config.num_steps)
        self.average = MovingAverage(policy, config.ema_decay)
        self.prompt_order = ShuffledEpochs(len(data.prompts), seed=derived_seed(config.seed, "prompts"))
        self.ptx_order = ShuffledEpochs(len(data.pretraining or [0]), seed=derived_seed(config.seed, "ptx"))
        self.kl_coef = config.ppo.kl_coef
        self._is_sampler_checked = False
        stage.components |= {
            "policy": policy,
            "policy_optimizer": self.optimizer,
            "average": self.average,
            **estimator.components,
            "kl_coef": self,
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
        with self.stage.timer.part("values", num_tokens(rollout.groups)):
            estimate = self.estimator.estimate(rollout, rewards)
        metrics = self._describe(rollout, scores) | estimate.metrics
        means: dict[str, float] = {}
        minibatches = self._minibatches(step)
        for number, indices in enumerate(minibatches):
            minibatch = select_minibatch(rollout, indices, self._names(step))
            advantages = estimate.advantages[minibatch.rows]
            if self.config.should_whiten_advantages:
                advantages = whiten(advantages, mask[minibatch.rows])
            policy_terms = [self._policy_term(rollout, minibatch, advantages), *self._ptx_terms(step, number)]
            taken = update(
                self.stage,
                step,
                Update(optimizer=self.optimizer, terms=policy_terms, prefix="policy_"),
                *self.estimator.updates(rollout, estimate, minibatch),
            )
            self.average.update()
            for name, value in taken.items():
                means[name] = means.get(name, 0.0) + value / len(minibatches)
        self._adapt_kl_coef(metrics["kl_to_reference"])
        return metrics | means

    def roll_out(self, step: int) -> Rollout:
        """Sample responses to the step's prompts; their scores and log-probabilities under policy and reference.

        Policy and reference read the packed batches of the first epoch's updates, so that the first ratio is 1 and the
        first KL 0 in any precision: what the sampler said of its tokens is kept as a measure of drift.
        """
        config, device, timer = self.config, self.stage.device, self.stage.timer
        prompts = [self.data.prompts[i].group.prompt for i in self._chosen(step)]
        self.generator.load_weights(self.policy)
        with timer.part("sampling"):
            sampled = self.generator.generate(
                prompts,
                settings=SamplingSettings(
                    max_response_tokens=config.text.max_response_tokens, temperature=config.temperature
                ),
                draws=self.stage.generator("rollout", step),
                num_responses=config.responses_per_prompt,
            )
        groups, renderer = group_responses(prompts, sampled), self.policy.renderer
        timer.add_tokens("sampling", num_response_tokens(groups))
        shown = shown_groups(prompts, sampled, renderer, context=self.score_model.context_limit)
        with timer.part("scores", num_tokens(shown)):
            scores = compute_scores(self.score_model, shown, tokens_per_microbatch=config.tokens_per_microbatch)
        batches = self._microbatches(groups, self._minibatches(step)[: self._minibatches_per_epoch])
        responses = [response for own in sampled for response in own]
        lengths = torch.tensor([len(response.tokens) for response in responses], device=device)
        ended = [response.is_complete for response in responses]
        first = range(0, SAMPLES_PER_STEP * config.responses_per_prompt, config.responses_per_prompt)
        rows = [i for i in first if i < len(responses)]
        told = scores.tolist()
        self.stage.folder.log_samples(
            sample_rows(shown[: len(rows)], [told[i] for i in rows], [ended[i] for i in rows], renderer), step=step + 1
        )
        sampling_logprobs = [torch.tensor(response.logprobs) for response in responses]
        with timer.part("policy", num_tokens(groups)):
            logprobs = self._logprobs(self.policy, groups, batches)
        with timer.part("reference", num_tokens(groups)):
            reference_logprobs = self._reference_logprobs(groups, batches)
        return Rollout(
            groups=groups,
            batches=batches,
            response_mask=torch.arange(int(lengths.max()), device=device) < lengths.unsqueeze(1),
            logprobs=logprobs,
            sampling_logprobs=torch.nn.utils.rnn.pad_sequence(sampling_logprobs, batch_first=True).to(device),
            reference_logprobs=reference_logprobs,
            scores=scores,
            ended=torch.tensor(ended, device=device),
            num_changed=sum(
                a != b for one, other in zip(groups, shown, strict=True) for a, b in zip(one.responses, other.responses)
            ),
        )

    def _policy_term(self, rollout: Rollout, minibatch: Minibatch, advantages: Tensor) -> Term:
        """The clipped policy loss, the mean over the minibatch's response tokens; `advantages` are its rows'."""
        mask, old_logprobs = rollout.response_mask[minibatch.rows], rollout.logprobs[minibatch.rows]
        num = rollout.responses_per_prompt

        def compute(indices: Sequence[int], batch: PackedBatch) -> LossTerm:
            flat, entropy = self.policy(batch, temperature=self.config.temperature, should_measure_entropy=True)
            logprobs = batch.to_rows(flat)
            rows, width = [i * num + k for i in indices for k in range(num)], logprobs.shape[1]
            term = policy_loss(
                logprobs,
                old_logprobs[rows, :width],
                advantages[rows, :width],
                mask[rows, :width],
                clip_range=self.config.ppo.clip_range,
            )
            return replace(term, metrics={**term.metrics, "entropy": entropy.sum()})

        count = num_response_tokens(minibatch.groups)
        return Term(
            name="policy_loss", groups=minibatch.groups, compute=compute, count=count, records=minibatch.records
        )

    def _ptx_terms(self, step: int, number: int) -> list[Term]:
        """ptx.coef times the pretraining loss, in the same update as the policy loss [C.4]."""
        ptx = self.config.ptx
        if self.data.pretraining is None:
            return []
        count = ptx.sequences_per_episode * self.config.episodes_per_minibatch
        minibatches_per_step = self.config.num_updates // self.config.num_steps
        windows = self.ptx_order.take((step * minibatches_per_step + number) * count, count)
        groups, records = self.data.pretraining.groups(windows), f"pretraining windows {windows[:8]}"
        return [language_term(self.policy, groups, name="ptx_loss", records=records, coef=ptx.coef)]

    def _check_sampler(self, rollout: Rollout) -> None:
        """In the first step, before anything is updated: refuse a policy that the sampler does not sample from."""
        if not self._is_sampler_checked:
            require_same_logprobs(rollout, family=self.policy.family, dtype=self.config.dtype)
            self._is_sampler_checked = True

    def _chosen(self, step: int) -> list[int]:
        """Indices of the step's prompts."""
        number = self.config.prompts_per_step
        return self.prompt_order.take(step * number, number)

    def _names(self, step: int) -> list[str]:
        return [self.data.prompts[i].name for i in self._chosen(step)]

    def _logprobs(self, policy: Policy, groups: Sequence[Group], batches: list[list[int]]) -> Tensor:
        """(B, R) log-probabilities at the sampling temperature, without gradient."""

        def measure(batch: PackedBatch) -> Tensor:
            logprobs: Tensor = policy(batch, temperature=self.config.temperature).logprobs
            return logprobs

        return compute_token_rows(policy, groups, measure, batches)

    def _reference_logprobs(self, groups: Sequence[Group], batches: list[list[int]]) -> Tensor:
        """(B, R), of the policy without its adapters where it has some."""
        with adapters_off(self.policy.model) if self.reference is self.policy else nullcontext():
            return self._logprobs(self.reference, groups, batches)

    @property
    def _minibatches_per_epoch(self) -> int:
        return self.config.episodes_per_step // self.config.episodes_per_minibatch

    def _minibatches(self, step: int) -> list[list[int]]:
        """Each epoch's prompts, with their responses, in an order of its own, in minibatches."""
        size = self.config.episodes_per_minibatch // self.config.responses_per_prompt
        minibatches = []
        for epoch in range(self.config.num_epochs):
            order = torch.randperm(
                self.config.prompts_per_step, generator=self.stage.generator("minibatches", step, epoch)
            ).tolist()
            minibatches += [order[start : start + size] for start in range(0, len(order), size)]
        return minibatches

    def _microbatches(self, groups: Sequence[Group], minibatches: list[list[int]]) -> list[list[int]]:
        """The groups that the updates of these minibatches compute at once."""
        return [
            [indices[place] for place in places]
            for indices in minibatches
            for places in split_by_tokens([groups[i] for i in indices], self.config.tokens_per_microbatch)
        ]

    def _describe(self, rollout: Rollout, scores: Tensor) -> dict[str, float]:
        """What a person watches. `kl_to_reference`: nats per response, summed log-ratios of its tokens (unbiased)."""
        mask = rollout.response_mask
        log_ratio = torch.where(mask, rollout.logprobs - rollout.reference_logprobs, 0.0)
        return {
            "score": float(rollout.scores.mean()),
            "score_with_missing_eos": float(scores.mean()),
            "kl_to_reference": float(log_ratio.sum(1).mean()),
            "kl_coef": self.kl_coef,
            "response_tokens": float(rollout.lengths.float().mean()),
            "ended_share": float(rollout.ended.float().mean()),
            "changed_share": rollout.num_changed / len(scores),
            "sampling_drift": float(masked_mean(rollout.sampling_drift, mask)),
            "max_sampling_drift": float(rollout.sampling_drift.max()),
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
        """The policy, or its moving average, and what the estimator learned."""
        if self.config.ema_decay > 0:
            self.average.swap()
        self.stage.save_model(self.policy)
        for name, model in self.estimator.models.items():
            self.stage.save_model(model, name)
        return {
            "num_episodes": self.config.num_episodes,
            "kl_coef": self.kl_coef,
            "saved_policy": name_of_average(self.config.ema_decay, self.config.lora.rank),
        }
