"""The reward model: all comparisons of a ranking are one batch element, and its prompt is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tutelage.model.inference import compute_scores
from tutelage.model.loading import load_tokenizer
from tutelage.model.packing import PackedBatch
from tutelage.model.policy import ScoreModel
from tutelage.objectives.comparison import ranking_loss
from tutelage.objectives.tokens import LossTerm
from tutelage.records import Ranking
from tutelage.seeds import derived_seed
from tutelage.store.sources import load_demonstrations
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import RewardConfig
from tutelage.training.data import (
    LengthLimits,
    SkippedRecords,
    TokenizedExample,
    encode_demonstrations,
    require_some,
    warn_of_few,
)
from tutelage.training.loop import Term, Update, train, update
from tutelage.training.optim import Optimizer
from tutelage.training.overlap import prompt_key, write_training_prompts
from tutelage.training.prompting import prompt_as_trained
from tutelage.training.rankings import accuracy_interval, describe_accuracy, load_ranked, pair_indices
from tutelage.training.stage import TrainingRun, run_training


def train_reward(config: RewardConfig, *, resume: bool = False) -> dict[str, Any]:
    """Train and save `out/model`, its bias set on the demonstrations; returns the summary."""
    return run_training("reward", config, resume=resume, loop=lambda stage: _loop(stage, config))


def _loop(stage: TrainingRun, config: RewardConfig) -> dict[str, Any]:
    renderer = prompt_as_trained(load_tokenizer(config.model), config.text, config.model)
    head_seed = derived_seed(config.seed, "head")
    model = ScoreModel.load(
        config.model, renderer=renderer, head_seed=head_seed, device=stage.device, dtype=config.dtype
    )
    model.bias = 0.0
    model.add_adapters(rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    left_out = SkippedRecords(skip_bad=config.skip_bad)
    limits = LengthLimits(text=config.text, context=model.context_limit, left_out=left_out)
    data = load_ranked(
        config.rankings, config.validation, renderer, limits, is_overlap_allowed=config.allow_prompt_overlap
    )
    training, validation = data.training, data.validation
    order = ShuffledEpochs(len(training), seed=derived_seed(config.seed, "reward"))
    num_steps = config.num_epochs * order.batches_per_epoch(config.rankings_per_step)
    optimizer = Optimizer(model, config.optimizer, num_steps)
    stage.components |= {"model": model, "optimizer": optimizer}

    def take_step(step: int) -> dict[str, float]:
        rankings = [training[i] for i in order.batch_of(step, config.rankings_per_step)]
        metrics = update(stage, step, Update(optimizer=optimizer, terms=[ranking_term(model, rankings)]))
        every = config.evaluate_every_num_steps
        if every and (step + 1) % every == 0 and step + 1 < num_steps:
            metrics |= validate(model, validation, config.tokens_per_microbatch)
        return metrics

    stage.try_saving(model)
    model.train()
    train(stage, num_steps=num_steps, take_step=take_step, describe=describe_accuracy)
    scores = _scores(model, validation, config.tokens_per_microbatch)
    final = validation_metrics(scores, validation)
    stage.log(num_steps - 1, final)
    demonstrations = _set_bias(model, config, limits)
    stage.save_model(model)
    write_training_prompts(config.out / "model", (prompt_key(item.record) for item in training))
    return {
        **data.summary(),
        **final,
        **accuracy_interval(scores, validation),
        **demonstrations,
    }


def ranking_term(model: ScoreModel, rankings: Sequence[TokenizedExample[Ranking]]) -> Term:
    """The mean loss per ranking [equation 1], with its accuracy and margin. Each ranking has total weight 1."""

    def compute(indices: Sequence[int], batch: PackedBatch) -> LossTerm:
        pairs, ranking_index = pair_indices([rankings[i].record for i in indices], device=model.device)
        return ranking_loss(model(batch), pairs, ranking_index, num_rankings=len(indices))

    return Term(
        name="loss",
        groups=[item.group for item in rankings],
        compute=compute,
        count=len(rankings),
        records=", ".join(item.name for item in rankings[:8]),
    )


def validate(
    model: ScoreModel, rankings: Sequence[TokenizedExample[Ranking]], tokens_per_microbatch: int
) -> dict[str, float]:
    """Loss and accuracy per ranking, and the accuracy of choosing by the text's length alone (longer or shorter)."""
    return validation_metrics(_scores(model, rankings, tokens_per_microbatch), rankings)


def _scores(model: ScoreModel, rankings: Sequence[TokenizedExample[Ranking]], tokens_per_microbatch: int) -> Tensor:
    return compute_scores(model, [item.group for item in rankings], tokens_per_microbatch=tokens_per_microbatch)


def validation_metrics(scores: Tensor, rankings: Sequence[TokenizedExample[Ranking]]) -> dict[str, float]:
    """What `validate` returns, from the `scores` (C,) of all completions of `rankings`, concatenated."""
    pairs, owner = pair_indices([item.record for item in rankings], device=scores.device)
    # Of the full text, as the labeler saw it: truncated ones have similar lengths, which would weaken the baseline.
    lengths = torch.tensor([len(c.text) for item in rankings for c in item.record.completions], device=scores.device)
    by_score = ranking_loss(scores, pairs, owner, num_rankings=len(rankings))
    by_length = ranking_loss(lengths.to(scores.dtype), pairs, owner, num_rankings=len(rankings))
    longer = float(by_length.metrics["accuracy"] / by_length.count)
    return {
        "validation_loss": float(by_score.mean),
        "validation_accuracy": float(by_score.metrics["accuracy"] / by_score.count),
        "validation_length_only_accuracy": max(longer, 1.0 - longer),
    }


def _set_bias(model: ScoreModel, config: RewardConfig, limits: LengthLimits) -> dict[str, float]:
    """Shift the scores so that demonstrations have mean 0 [C.2]: the loss leaves the offset open, and PPO needs it."""
    if config.demonstrations is None:
        return {}
    records = limits.left_out.load(load_demonstrations, config.demonstrations)
    encoded = encode_demonstrations(records, model.renderer, limits)
    require_some(
        encoded, f"the demonstrations for the bias ({config.demonstrations})", "Provide a file that fits the limits."
    )
    groups = [item.group for item in encoded]
    few = len({tuple(group.prompt) for group in groups})
    warn_of_few(few, "the zero point of the score", "give a larger file under `demonstrations`")
    model.bias = float(
        compute_scores(model, groups, tokens_per_microbatch=config.tokens_per_microbatch).double().mean()
    )
    mean = float(compute_scores(model, groups, tokens_per_microbatch=config.tokens_per_microbatch).double().mean())
    return {"score_bias": model.bias, "mean_score_on_demonstrations": mean}
