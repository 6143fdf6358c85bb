"""Direct preference optimisation: from the reward model's rankings straight to a policy, one forward a completion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.adapters import add_lora
from tutelage.model.context import context_limit
from tutelage.model.forward import whole_response_logprobs
from tutelage.model.loading import load_policy, load_tokenizer
from tutelage.model.measure import whole_logprobs_of
from tutelage.model.packing import pack, split_by_tokens
from tutelage.objectives.dpo import dpo_loss
from tutelage.objectives.tokens import LossTerm
from tutelage.progress import progress
from tutelage.records import Ranking
from tutelage.seeds import derived_seed
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import DPOConfig
from tutelage.training.data import Encoded, LeftOut, Limits
from tutelage.training.optim import Optimizer, require_finite
from tutelage.training.prompting import prompt_as_trained
from tutelage.training.rankings import accuracy_interval, load_ranked, pair_indices
from tutelage.training.stage import Stage, run_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Referenced:
    """A ranking and what the reference thinks of it: `reference_logprobs` (K,), nats, of its whole completions."""

    item: Encoded[Ranking]
    reference_logprobs: Tensor


def dpo(config: DPOConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`, a policy; returns the summary."""
    return run_stage("dpo", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: Stage, config: DPOConfig) -> dict[str, Any]:
    tokenizer = load_tokenizer(config.policy)
    renderer = prompt_as_trained(tokenizer, config.text, config.policy)
    policy = stage.set_precision(load_policy(config.policy, device=stage.device))
    limits = Limits(text=config.text, context=context_limit(policy), left_out=LeftOut(skip_bad=config.skip_bad))
    data = load_ranked(
        config.rankings, config.validation, renderer, limits, is_overlap_allowed=config.allow_prompt_overlap
    )
    # Before the first update the policy is the reference: one model in memory does for both. A resumed run comes here
    # with the same weights and finds the same bits.
    training = with_reference(policy, data.training, stage, config)
    validation = with_reference(policy, data.validation, stage, config)
    if config.lora.rank:
        add_lora(policy, rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    order = ShuffledEpochs(len(training), seed=derived_seed(config.seed, "dpo"))
    num_steps = config.num_epochs * order.batches_per_epoch(config.rankings_per_step)
    optimizer = Optimizer(policy, config.optimizer, num_steps)
    stage.components |= {"policy": policy, "optimizer": optimizer}
    stage.try_saving(policy, tokenizer)
    policy.train()
    for step in stage.steps(num_steps):
        rankings = [training[i] for i in order.batch_of(step, config.rankings_per_step)]
        metrics = add_dpo_gradient(policy, rankings, stage, config)
        names = ", ".join(ranking.item.name for ranking in rankings[:8])
        require_finite(metrics["loss"], stage="dpo", step=step, batch=names)
        metrics |= optimizer.step(step, batch=names)
        every = config.evaluate_every_num_steps
        if every and (step + 1) % every == 0 and step + 1 < num_steps:
            metrics |= validate(policy, validation, stage, config)[0]
        stage.note = f"loss {metrics['loss']:.3f}, accuracy {metrics['accuracy']:.2f}"
        stage.log(step, metrics)
    final, scores = validate(policy, validation, stage, config)
    stage.log(num_steps - 1, final)
    stage.save_model(policy, tokenizer, config.out / "model")
    return {**data.summary(), **final, **accuracy_interval(scores, data.validation)}


def with_reference(
    reference: PreTrainedModel, rankings: Sequence[Encoded[Ranking]], stage: Stage, config: DPOConfig
) -> list[Referenced]:
    """Each ranking with the log-probabilities of its completions, computed once and without gradient."""
    groups = [item.group for item in rankings]
    with progress("reference", len(groups), unit="rankings") as shown:
        flat = whole_logprobs_of(
            reference, groups, tokens_per_microbatch=config.tokens_per_microbatch, on_progress=shown.advance
        )
    own = flat.split([len(group.responses) for group in groups])
    return [Referenced(item=item, reference_logprobs=x) for item, x in zip(rankings, own, strict=True)]


def add_dpo_gradient(
    policy: PreTrainedModel, rankings: Sequence[Referenced], stage: Stage, config: DPOConfig
) -> dict[str, float]:
    """Add the gradient of the mean loss per ranking; returns the mean loss and the means of its metrics."""
    sums: dict[str, float] = {}
    groups = [ranking.item.group for ranking in rankings]
    for indices in split_by_tokens(groups, config.tokens_per_microbatch):
        logprobs = whole_response_logprobs(policy, pack([groups[i] for i in indices], device=stage.device))
        term = _loss(logprobs, [rankings[i] for i in indices], config)
        (term.total / len(rankings)).backward()
        for name, total in {"loss": term.total.detach(), **term.metrics}.items():
            sums[name] = sums.get(name, 0.0) + float(total)
    return {name: total / len(rankings) for name, total in sums.items()}


def validate(
    policy: PreTrainedModel, rankings: Sequence[Referenced], stage: Stage, config: DPOConfig
) -> tuple[dict[str, float], Tensor]:
    """The loss and its metrics per ranking, and the implicit scores (C,) of all completions, laid end to end."""
    groups = [ranking.item.group for ranking in rankings]
    logprobs = whole_logprobs_of(policy, groups, tokens_per_microbatch=config.tokens_per_microbatch)
    term = _loss(logprobs, rankings, config)
    means = {"loss": float(term.mean)} | {name: float(x / term.count) for name, x in term.metrics.items()}
    scores = config.kl_coef * (logprobs - torch.cat([ranking.reference_logprobs for ranking in rankings]))
    return {f"validation_{name}": value for name, value in means.items()}, scores


def _loss(logprobs: Tensor, rankings: Sequence[Referenced], config: DPOConfig) -> LossTerm:
    """Of all completions of `rankings`, whose log-probabilities (C,) are laid end to end."""
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
