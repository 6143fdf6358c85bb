"""Direct preference optimization: from rankings directly to a policy, one forward pass per completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tutelage.model.inference import compute_sequence_logprobs, sequence_logprobs
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import PackedBatch
from tutelage.model.policy import Policy
from tutelage.objectives.dpo import dpo_loss
from tutelage.objectives.tokens import LossTerm
from tutelage.progress import progress
from tutelage.records import Ranking
from tutelage.seeds import derived_seed
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import DPOConfig
from tutelage.training.data import LengthLimits, SkippedRecords, TokenizedExample
from tutelage.training.loop import Term, Update, train, update
from tutelage.training.optim import Optimizer
from tutelage.training.prompting import prompt_as_trained
from tutelage.training.rankings import accuracy_interval, describe_accuracy, load_ranked, pair_indices
from tutelage.training.stage import TrainingRun, run_training


@dataclass(frozen=True, slots=True, kw_only=True)
class Referenced:
    """A ranking and its log-probabilities under the reference: `reference_logprobs` (K,), nats, per completion."""

    item: TokenizedExample[Ranking]
    reference_logprobs: Tensor


def dpo(config: DPOConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`, a policy; returns the summary."""
    return run_training("dpo", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: TrainingRun, config: DPOConfig) -> dict[str, Any]:
    renderer = prompt_as_trained(load_tokenizer(config.policy), config.text, config.policy)
    policy = Policy.load(config.policy, renderer=renderer, device=stage.device, dtype=config.dtype)
    limits = LengthLimits(
        text=config.text, context=policy.context_limit, left_out=SkippedRecords(skip_bad=config.skip_bad)
    )
    data = load_ranked(
        config.rankings, config.validation, renderer, limits, is_overlap_allowed=config.allow_prompt_overlap
    )
    # Before the first update the policy is the reference: one model in memory serves as both. A resumed run gets here
    # with the same weights and computes the same bits.
    training = with_reference(policy, data.training, config)
    validation = with_reference(policy, data.validation, config)
    policy.add_adapters(rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    order = ShuffledEpochs(len(training), seed=derived_seed(config.seed, "dpo"))
    num_steps = config.num_epochs * order.batches_per_epoch(config.rankings_per_step)
    optimizer = Optimizer(policy, config.optimizer, num_steps)
    stage.components |= {"policy": policy, "optimizer": optimizer}

    def take_step(step: int) -> dict[str, float]:
        rankings = [training[i] for i in order.batch_of(step, config.rankings_per_step)]
        metrics = update(stage, step, Update(optimizer=optimizer, terms=[dpo_term(policy, rankings, config)]))
        every = config.evaluate_every_num_steps
        if every and (step + 1) % every == 0 and step + 1 < num_steps:
            metrics |= validate(policy, validation, config)[0]
        return metrics

    stage.try_saving(policy)
    policy.train()
    train(stage, num_steps=num_steps, take_step=take_step, describe=describe_accuracy)
    final, scores = validate(policy, validation, config)
    stage.log(num_steps - 1, final)
    stage.save_model(policy)
    return {**data.summary(), **final, **accuracy_interval(scores, data.validation)}


def with_reference(
    reference: Policy, rankings: Sequence[TokenizedExample[Ranking]], config: DPOConfig
) -> list[Referenced]:
    """Each ranking with the log-probabilities of its completions, computed once and without gradient."""
    groups = [item.group for item in rankings]
    with progress("reference", len(groups), unit="rankings") as shown:
        flat = compute_sequence_logprobs(
            reference, groups, tokens_per_microbatch=config.tokens_per_microbatch, on_progress=shown.advance
        )
    own = flat.split([len(group.responses) for group in groups])
    return [Referenced(item=item, reference_logprobs=x) for item, x in zip(rankings, own, strict=True)]


def dpo_term(policy: Policy, rankings: Sequence[Referenced], config: DPOConfig) -> Term:
    """The mean loss per ranking, with the means of its metrics."""

    def compute(indices: Sequence[int], batch: PackedBatch) -> LossTerm:
        return _loss(sequence_logprobs(policy, batch), [rankings[i] for i in indices], config)

    return Term(
        name="loss",
        groups=[ranking.item.group for ranking in rankings],
        compute=compute,
        count=len(rankings),
        records=", ".join(ranking.item.name for ranking in rankings[:8]),
    )


def validate(policy: Policy, rankings: Sequence[Referenced], config: DPOConfig) -> tuple[dict[str, float], Tensor]:
    """The loss and its metrics per ranking, and the implicit scores (C,) of all completions, concatenated."""
    groups = [ranking.item.group for ranking in rankings]
    logprobs = compute_sequence_logprobs(policy, groups, tokens_per_microbatch=config.tokens_per_microbatch)
    term = _loss(logprobs, rankings, config)
    means = {"loss": float(term.mean)} | {name: float(x / term.count) for name, x in term.metrics.items()}
    scores = config.kl_coef * (logprobs - torch.cat([ranking.reference_logprobs for ranking in rankings]))
    return {f"validation_{name}": value for name, value in means.items()}, scores


def _loss(logprobs: Tensor, rankings: Sequence[Referenced], config: DPOConfig) -> LossTerm:
    """The loss over `rankings`, given the concatenated log-probabilities (C,) of their completions."""
    pairs, ranking_index = pair_indices([ranking.item.record for ranking in rankings], device=logprobs.device)
    return dpo_loss(
        logprobs,
        torch.cat([ranking.reference_logprobs for ranking in rankings]),
        pairs,
        ranking_index,
        num_rankings=len(rankings),
        kl_coef=config.kl_coef,
        label_smoothing=config.label_smoothing,
    )
