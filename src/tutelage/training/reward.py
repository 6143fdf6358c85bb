"""The reward model: the comparisons of one ranking are one batch element, and its prompt is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.model.adapters import add_lora
from tutelage.model.context import context_limit
from tutelage.model.forward import response_scores
from tutelage.model.loading import load_scalar_model, load_tokenizer
from tutelage.model.measure import scores_of
from tutelage.model.packing import pack, split_by_tokens
from tutelage.objectives.comparison import ranking_loss
from tutelage.records import Ranking
from tutelage.seeds import derived_seed
from tutelage.store.sources import load_demonstrations
from tutelage.text.render import Renderer
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import RewardConfig
from tutelage.training.data import (
    Encoded,
    LeftOut,
    Limits,
    encode_demonstrations,
    require_some,
    warn_of_few,
)
from tutelage.training.optim import Optimizer, require_finite
from tutelage.training.overlap import prompt_key, write_training_prompts
from tutelage.training.prompting import prompt_as_trained
from tutelage.training.rankings import accuracy_interval, load_ranked, pair_indices
from tutelage.training.stage import Stage, run_stage


def train_reward(config: RewardConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`, its bias set on the demonstrations; returns the summary."""
    return run_stage("reward", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: Stage, config: RewardConfig) -> dict[str, Any]:
    tokenizer = load_tokenizer(config.model)
    renderer = prompt_as_trained(tokenizer, config.text, config.model)
    model = load_scalar_model(config.model, head_seed=derived_seed(config.seed, "head"), device=stage.device)
    stage.set_precision(model)
    model.config.score_bias = 0.0
    if config.lora.rank:
        add_lora(model, rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    left_out = LeftOut(skip_bad=config.skip_bad)
    limits = Limits(text=config.text, context=context_limit(model), left_out=left_out)
    data = load_ranked(
        config.rankings, config.validation, renderer, limits, is_overlap_allowed=config.allow_prompt_overlap
    )
    training, validation = data.training, data.validation
    order = ShuffledEpochs(len(training), seed=derived_seed(config.seed, "reward"))
    steps_per_epoch = order.batches_per_epoch(config.rankings_per_step)
    num_steps = config.num_epochs * steps_per_epoch
    optimizer = Optimizer(model, config.optimizer, num_steps)
    stage.components |= {"model": model, "optimizer": optimizer}
    stage.try_saving(model, tokenizer)
    model.train()
    for step in stage.steps(num_steps):
        rankings = [training[i] for i in order.batch_of(step, config.rankings_per_step)]
        metrics = add_ranking_gradient(model, rankings, stage, config.tokens_per_microbatch)
        names = ", ".join(item.name for item in rankings[:8])
        require_finite(metrics["loss"], stage="reward", step=step, batch=names)
        metrics |= optimizer.step(step, batch=names)
        every = config.evaluate_every_num_steps
        if every and (step + 1) % every == 0 and step + 1 < num_steps:
            metrics |= validate(model, validation, config.tokens_per_microbatch)
        stage.note = f"loss {metrics['loss']:.3f}, accuracy {metrics['accuracy']:.2f}"
        stage.log(step, metrics)
    scores = _scores(model, validation, config.tokens_per_microbatch)
    final = validation_metrics(scores, validation)
    stage.log(num_steps - 1, final)
    demonstrations = _set_bias(model, config, renderer, limits)
    stage.save_model(model, tokenizer, config.out / "model")
    write_training_prompts(config.out / "model", (prompt_key(item.record) for item in training))
    return {
        **data.summary(),
        **final,
        **accuracy_interval(scores, validation),
        **demonstrations,
    }


def add_ranking_gradient(
    model: PreTrainedModel, rankings: Sequence[Encoded[Ranking]], stage: Stage, tokens_per_microbatch: int
) -> dict[str, float]:
    """Add the gradient of the mean loss per ranking; returns the mean loss, accuracy and margin."""
    groups = [item.group for item in rankings]
    sums = {"loss": 0.0, "accuracy": 0.0, "margin": 0.0}
    for indices in split_by_tokens(groups, tokens_per_microbatch):
        scores = response_scores(model, pack([groups[i] for i in indices], device=stage.device))
        pairs, ranking_index = pair_indices([rankings[i].record for i in indices], device=stage.device)
        term = ranking_loss(scores, pairs, ranking_index, num_rankings=len(indices))
        (term.total / len(rankings)).backward()
        sums["loss"] += float(term.total.detach())
        for name, total in term.metrics.items():
            sums[name] += float(total)
    return {name: total / len(rankings) for name, total in sums.items()}


def validate(
    model: PreTrainedModel, rankings: Sequence[Encoded[Ranking]], tokens_per_microbatch: int
) -> dict[str, float]:
    """Loss and accuracy per ranking, and the accuracy of choosing by the text's length alone (longer or shorter)."""
    return validation_metrics(_scores(model, rankings, tokens_per_microbatch), rankings)


def _scores(model: PreTrainedModel, rankings: Sequence[Encoded[Ranking]], tokens_per_microbatch: int) -> Tensor:
    return scores_of(model, [item.group for item in rankings], tokens_per_microbatch=tokens_per_microbatch)


def validation_metrics(scores: Tensor, rankings: Sequence[Encoded[Ranking]]) -> dict[str, float]:
    """What `validate` returns, from the `scores` (C,) of all completions of `rankings`, laid end to end."""
    pairs, owner = pair_indices([item.record for item in rankings], device=scores.device)
    # Of the whole text, as the labeler saw it: completions that were cut are alike in length, and this would look weak.
    lengths = torch.tensor([len(c.text) for item in rankings for c in item.record.completions], device=scores.device)
    by_score = ranking_loss(scores, pairs, owner, num_rankings=len(rankings))
    by_length = ranking_loss(lengths.to(scores.dtype), pairs, owner, num_rankings=len(rankings))
    longer = float(by_length.metrics["accuracy"] / by_length.count)
    return {
        "validation_loss": float(by_score.mean),
        "validation_accuracy": float(by_score.metrics["accuracy"] / by_score.count),
        "validation_length_only_accuracy": max(longer, 1.0 - longer),
    }


def _set_bias(model: PreTrainedModel, config: RewardConfig, renderer: Renderer, limits: Limits) -> dict[str, float]:
    """Shift the scores so that demonstrations have mean 0 [C.2]: the loss does not say where 0 is, PPO needs it."""
    if config.demonstrations is None:
        return {}
    encoded = encode_demonstrations(limits.left_out.load(load_demonstrations, config.demonstrations), renderer, limits)
    require_some(
        encoded, f"the demonstrations for the bias ({config.demonstrations})", "Give a file that fits the limits."
    )
    groups = [item.group for item in encoded]
    few = len({tuple(group.prompt) for group in groups})
    warn_of_few(few, "where the score is 0", "give a larger file under `demonstrations`")
    model.config.score_bias = float(
        scores_of(model, groups, tokens_per_microbatch=config.tokens_per_microbatch).double().mean()
    )
    mean = float(scores_of(model, groups, tokens_per_microbatch=config.tokens_per_microbatch).double().mean())
    return {"score_bias": model.config.score_bias, "mean_score_on_demonstrations": mean}
