"""Evaluating PPO on held-out prompts: score, KL, length; the best policy so far; ending a run that exceeds max_kl."""

from __future__ import annotations

from typing import Any

import torch

from tutelage.model.generator import Generator, group_responses
from tutelage.model.inference import compute_scores, compute_sequence_logprobs
from tutelage.model.sampling import SamplingSettings
from tutelage.records import Prompt
from tutelage.training.collector import RolloutCollector
from tutelage.training.config import PPOConfig
from tutelage.training.data import TokenizedExample
from tutelage.training.optim import MovingAverage
from tutelage.training.rollout import sample_rows, shown_groups
from tutelage.training.stage import TrainingRun

NUM_SAMPLES = 8  # written to samples.jsonl at every evaluation, for people to read


class HeldOutPrompts:
    """Evaluates the policy that would be saved (its moving average, if there is one) at regular intervals.

    `best` is the evaluation with the highest score among those within `select_within_kl` nats of the reference; if such
    a bound is set, the run saves that policy.
    """

    def __init__(
        self,
        stage: TrainingRun,
        config: PPOConfig,
        prompts: list[TokenizedExample[Prompt]],
        collector: RolloutCollector,
        average: MovingAverage,
    ) -> None:
        self.stage, self.config, self.collector, self.average = stage, config, collector, average
        self.prompts = [item.group.prompt for item in prompts]
        self.generator: Generator = collector.generator

    def is_due(self, step: int) -> bool:
        every = self.config.evaluate_every_num_steps
        return bool(every) and ((step + 1) % every == 0 or step + 1 == self.config.num_steps)

    def evaluate(self, step: int) -> dict[str, float]:
        """One response per prompt, from the same draws every time; keeps the policy if it is the best so far."""
        if self.config.ema_decay > 0:
            self.average.swap()
        try:
            metrics = self._measure(step)
            self._keep_if_best(step, metrics)
        finally:
            if self.config.ema_decay > 0:
                self.average.swap()
        return metrics

    def _measure(self, step: int) -> dict[str, float]:
        config, collector, policy = self.config, self.collector, self.collector.policy
        settings = SamplingSettings(max_response_tokens=config.text.max_response_tokens, temperature=config.temperature)
        self.generator.load_weights(policy)
        draws = self.stage.generator("held out")
        sampled = self.generator.generate(self.prompts, settings=settings, draws=draws)
        groups = group_responses(self.prompts, sampled)
        shown = shown_groups(self.prompts, sampled, policy.renderer, context=collector.score_model.context_limit)
        limit = config.tokens_per_microbatch
        scores = compute_scores(collector.score_model, shown, tokens_per_microbatch=limit)
        own = compute_sequence_logprobs(policy, groups, tokens_per_microbatch=limit)
        with collector.reading_reference() as reference:
            other = compute_sequence_logprobs(reference, groups, tokens_per_microbatch=limit)
        ended = [responses[0].is_complete for responses in sampled]
        rows = sample_rows(shown[:NUM_SAMPLES], scores.tolist()[:NUM_SAMPLES], ended[:NUM_SAMPLES], policy.renderer)
        self.stage.folder.log_samples([{"is_held_out": True, **row} for row in rows], step=step + 1)
        lengths = torch.tensor([float(len(responses[0].tokens)) for responses in sampled])
        return {
            "validation_score": float(scores.mean()),
            "validation_kl": float((own - other).double().mean()),
            "validation_response_tokens": float(lengths.mean()),
            "validation_ended_share": sum(ended) / len(ended),
        }

    def _keep_if_best(self, step: int, metrics: dict[str, float]) -> None:
        bound, best = self.config.select_within_kl, self.stage.notes.get("best")
        if bound is None or metrics["validation_kl"] > bound:
            return
        if best is None or metrics["validation_score"] > best["validation_score"]:
            self.stage.notes["best"] = {"step": step + 1, **metrics}
            self.stage.save_model(self.collector.policy)

    def summary(self) -> dict[str, Any]:
        """Which step's policy was saved; empty if it is the last one."""
        best = self.stage.notes.get("best")
        if self.config.select_within_kl is None:
            return {}
        if best is None:
            return {"saved_step": None, "select_within_kl": self.config.select_within_kl}
        return {"saved_step": best["step"], "select_within_kl": self.config.select_within_kl}
