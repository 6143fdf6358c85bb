"""Collecting rollouts: sample, score the shown text, compute log-probabilities of policy and reference."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor

from tutelage.model.adapters import adapters_off
from tutelage.model.generator import Generator, group_responses
from tutelage.model.inference import compute_scores, compute_token_rows, num_response_tokens, num_tokens
from tutelage.model.packing import Group, PackedBatch, split_by_tokens
from tutelage.model.policy import Policy, ScoreModel
from tutelage.model.precision import resolve_dtype
from tutelage.model.sampling import SamplingSettings
from tutelage.seeds import derived_seed
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PPOConfig
from tutelage.training.ppo_parts import PPOData
from tutelage.training.rollout import Rollout, require_same_logprobs, sample_rows, shown_groups
from tutelage.training.stage import TrainingRun

SAMPLES_PER_STEP = 4  # written to samples.jsonl at every step, for people to read


class RolloutCollector:
    """Responses of the policy to each step's prompts, with all that PPO needs except their advantages.

    `reference`: the frozen policy of the KL penalty, or `policy` itself, which is then used without its adapters.
    """

    def __init__(
        self,
        stage: TrainingRun,
        config: PPOConfig,
        *,
        policy: Policy,
        reference: Policy,
        score_model: ScoreModel,
        generator: Generator,
        data: PPOData,
    ) -> None:
        self.stage, self.config, self.data = stage, config, data
        self.policy, self.reference, self.score_model, self.generator = policy, reference, score_model, generator
        self.prompt_order = ShuffledEpochs(len(data.prompts), seed=derived_seed(config.seed, "prompts"))
        self._is_sampler_checked = False

    def collect(self, step: int) -> Rollout:
        """Sample responses to the step's prompts; their scores and log-probabilities under policy and reference.

        Policy and reference run on the packed batches of the first epoch's updates, so that the first ratio is 1 and
        the first KL 0 in any precision; the sampler's own log-probabilities are kept to measure drift.
        """
        config, device, timer = self.config, self.stage.device, self.stage.timer
        prompts = [self.data.prompts[i].group.prompt for i in self.chosen(step)]
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
        batches = self._microbatches(groups, self.minibatches(step)[: config.minibatches_per_epoch])
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
        with timer.part("reference", num_tokens(groups)), self.reading_reference() as reference:
            reference_logprobs = self._logprobs(reference, groups, batches)
        rollout = Rollout(
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
        self._check_sampler(rollout)
        return rollout

    def chosen(self, step: int) -> list[int]:
        """Indices of the step's prompts."""
        number = self.config.prompts_per_step
        return self.prompt_order.take(step * number, number)

    def names(self, step: int) -> list[str]:
        """Names of the step's prompts, for error messages."""
        return [self.data.prompts[i].name for i in self.chosen(step)]

    def minibatches(self, step: int) -> list[list[int]]:
        """The prompts with their responses in minibatches, reshuffled in each epoch."""
        size = self.config.episodes_per_minibatch // self.config.responses_per_prompt
        minibatches = []
        for epoch in range(self.config.num_epochs):
            order = torch.randperm(
                self.config.prompts_per_step, generator=self.stage.generator("minibatches", step, epoch)
            ).tolist()
            minibatches += [order[start : start + size] for start in range(0, len(order), size)]
        return minibatches

    def _microbatches(self, groups: Sequence[Group], minibatches: list[list[int]]) -> list[list[int]]:
        """The groups that the updates of these minibatches compute together."""
        return [
            [indices[place] for place in places]
            for indices in minibatches
            for places in split_by_tokens([groups[i] for i in indices], self.config.tokens_per_microbatch)
        ]

    def _logprobs(self, policy: Policy, groups: Sequence[Group], batches: list[list[int]]) -> Tensor:
        """(B, R) log-probabilities at the sampling temperature, without gradient."""

        def measure(batch: PackedBatch) -> Tensor:
            logprobs: Tensor = policy(batch, temperature=self.config.temperature).logprobs
            return logprobs

        return compute_token_rows(policy, groups, measure, batches)

    @contextmanager
    def reading_reference(self) -> Iterator[Policy]:
        """The reference model: for a policy with adapters, the policy without them."""
        with adapters_off(self.policy.model) if self.reference is self.policy else nullcontext():
            yield self.reference

    def _check_sampler(self, rollout: Rollout) -> None:
        """In the first step, before any update: refuse a policy that the sampler does not sample correctly."""
        if not self._is_sampler_checked:
            require_same_logprobs(
                rollout, family=self.policy.family, dtype=resolve_dtype(self.config.dtype, self.stage.device)
            )
            self._is_sampler_checked = True
