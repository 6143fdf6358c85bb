"""PPO and PPO-ptx (sections 3.5 and C.4 of the paper). `PPOTrainer.step` is the algorithm, top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor

from tutelage.model.inference import num_response_tokens, num_tokens
from tutelage.model.loading import check_same_vocabulary
from tutelage.model.packing import PackedBatch
from tutelage.model.policy import Policy
from tutelage.objectives.advantage import adapted_kl_coef, kl_penalty, replace_missing_eos, token_rewards
from tutelage.objectives.ppo import policy_loss
from tutelage.objectives.tokens import LossTerm, whiten
from tutelage.seeds import derived_seed
from tutelage.training.advantages import AdvantageEstimator
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.collector import RolloutCollector
from tutelage.training.config import PPOConfig
from tutelage.training.held_out import HeldOutPrompts
from tutelage.training.language_modeling import language_term
from tutelage.training.loop import Term, Update, train, update
from tutelage.training.optim import MovingAverage, Optimizer, name_of_average
from tutelage.training.ppo_parts import PPOData, load_ppo_data, load_ppo_models, make_estimator, make_generator
from tutelage.training.rollout import Minibatch, Rollout, rollout_metrics, select_minibatch
from tutelage.training.stage import TrainingRun, run_training


def ppo(config: PPOConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train; save `out/model` (the moving average, if there is one) and `out/value_model`; returns the summary."""
    check_same_vocabulary(config.policy, config.reward_model)
    return run_training("ppo", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: TrainingRun, config: PPOConfig) -> dict[str, Any]:
    trainer = make_trainer(stage, config)
    stage.try_saving(trainer.policy, *trainer.estimator.models.values())
    train(
        stage,
        num_steps=config.num_steps,
        take_step=trainer.step,
        describe=lambda metrics: f"score {metrics['score']:.3f}, KL {metrics['kl_to_reference']:.2f}",
        should_stop=lambda metrics: trainer.has_left(metrics["kl_to_reference"]),
    )
    return {**trainer.data.summary(), **trainer.save()}


def make_trainer(stage: TrainingRun, config: PPOConfig) -> PPOTrainer:
    """Build the trainer with the parts that its configuration names."""
    models = load_ppo_models(stage, config)
    data = load_ppo_data(config, models)
    collector = RolloutCollector(
        stage,
        config,
        policy=models.policy,
        reference=models.reference,
        score_model=models.score_model,
        generator=make_generator(models.policy),
        data=data,
    )
    return PPOTrainer(
        stage,
        config,
        policy=models.policy,
        collector=collector,
        estimator=make_estimator(stage, config),
        data=data,
    )


class PPOTrainer:
    """The algorithm, given its parts. Files, resume and progress are handled by the run and the loop."""

    def __init__(
        self,
        stage: TrainingRun,
        config: PPOConfig,
        *,
        policy: Policy,
        collector: RolloutCollector,
        estimator: AdvantageEstimator,
        data: PPOData,
    ) -> None:
        self.stage, self.config, self.data = stage, config, data
        self.policy, self.collector, self.estimator = policy, collector, estimator
        self.optimizer = Optimizer(policy, config.policy_optimizer, config.num_steps)
        self.average = MovingAverage(policy, config.ema_decay)
        self.ptx_order = ShuffledEpochs(len(data.pretraining or [0]), seed=derived_seed(config.seed, "ptx"))
        self.held_out = HeldOutPrompts(stage, config, data.held_out, collector, self.average)
        self.kl_coef, self.last_kl = config.ppo.kl_coef, 0.0
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
        rollout = self.collector.collect(step)
        mask = rollout.response_mask
        scores = replace_missing_eos(rollout.scores, rollout.ended, terms.missing_eos_score)
        penalty = kl_penalty(rollout.logprobs, rollout.reference_logprobs, mask, kl_coef=self.kl_coef)
        rewards = token_rewards(scores, penalty, mask)
        if terms.should_whiten_rewards:
            rewards = whiten(rewards, mask, should_shift_mean=False)
        with self.stage.timer.part("values", num_tokens(rollout.groups)):
            estimate = self.estimator.estimate(rollout, rewards)
        metrics = rollout_metrics(rollout, scores) | {"kl_coef": self.kl_coef} | estimate.metrics
        means: dict[str, float] = {}
        minibatches = self.collector.minibatches(step)
        for number, indices in enumerate(minibatches):
            minibatch = select_minibatch(rollout, indices, self.collector.names(step))
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
        self.last_kl = metrics["kl_to_reference"]
        self._adapt_kl_coef(self.last_kl)
        if self.held_out.is_due(step):
            metrics |= self.held_out.evaluate(step)
        return metrics | means

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

    def has_left(self, kl: float) -> bool:
        """Whether a step's KL to the reference, in nats per response, exceeds the run's limit."""
        return self.config.max_kl is not None and kl > self.config.max_kl

    def state_dict(self) -> dict[str, float]:
        """The KL controller."""
        return {"kl_coef": self.kl_coef}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.kl_coef = state["kl_coef"]

    def save(self) -> dict[str, Any]:
        """Save the policy, or its moving average, and what the estimator learned."""
        if self.config.ema_decay > 0:
            self.average.swap()
        selected = self.held_out.summary()
        if selected.get("saved_step") is None:
            self.stage.save_model(self.policy)
        for name, model in self.estimator.models.items():
            self.stage.save_model(model, name)
        return {
            "num_episodes": self.config.num_episodes,
            "kl_coef": self.kl_coef,
            "saved_policy": name_of_average(self.config.ema_decay, self.config.lora.rank),
            **selected,
            **({"stopped_at_step": self.stage.num_steps_done} if self.has_left(self.last_kl) else {}),
        }
