"""Settings that have no effect in their run: found in one place, and reported before the first step."""

from __future__ import annotations

from collections.abc import Iterator

from tutelage.training.config import (
    OptimizerConfig,
    PPOConfig,
    PretrainConfig,
    SFTConfig,
    TextConfig,
    TrainingConfig,
)
from tutelage.training.optim import learning_rate_share

# Share of the saved policy above which the moving average is still largely the policy the run started from.
MAX_SHARE_OF_START = 0.1


def inert_settings(config: TrainingConfig, num_steps: int) -> list[str]:
    """One line for each setting that cannot have its effect in `num_steps` steps; `config` itself is valid.

    A default says nothing about intent, so settings that merely have no effect are named only if they were given.
    """
    found = [*_cadences(config, num_steps), *_idle(config)]
    for name, value in config:
        if isinstance(value, OptimizerConfig):
            found += _optimizer(name, value, num_steps)
    if isinstance(config, PPOConfig):
        found += _moving_average(config)
    return found


def _cadences(config: TrainingConfig, num_steps: int) -> Iterator[str]:
    for name in ("checkpoint_every_num_steps", "evaluate_every_num_steps"):
        every = getattr(config, name, 0)
        if name in config.model_fields_set and every >= num_steps > 1:
            yield (
                f"{name} is {every}, but the run has {num_steps} steps: it happens only at the end. Set it below "
                f"{num_steps}, or to 0"
            )


def _optimizer(name: str, optimizer: OptimizerConfig, num_steps: int) -> Iterator[str]:
    if optimizer.warmup_steps >= num_steps and optimizer.warmup_from < 1.0:
        reached = learning_rate_share(optimizer, num_steps - 1, num_steps)
        yield (
            f"{name}.warmup_steps is {optimizer.warmup_steps}, but the run has {num_steps} steps: the learning rate "
            f"ends at {reached:.0%} of {optimizer.learning_rate:g}. Set it below {num_steps}"
        )
    given = optimizer.model_fields_set
    if "muon_momentum" in given and optimizer.matrices != "muon":
        yield f"{name}.muon_momentum has an effect only with {name}.matrices: muon"
    if "final_share" in given and optimizer.schedule == "constant":
        yield f"{name}.final_share has an effect only with the schedules cosine and linear; this one is constant"
    if "warmup_from" in given and optimizer.warmup_steps == 0:
        yield f"{name}.warmup_from has an effect only with {name}.warmup_steps above 0"


def _moving_average(config: PPOConfig) -> Iterator[str]:
    updates = config.num_updates
    start = config.ema_decay**updates if config.ema_decay else 0.0
    if start > MAX_SHARE_OF_START:
        yield (
            f"ema_decay is {config.ema_decay}, but the run has {updates} updates: {start:.0%} of the saved policy is "
            f"the one it started from. Set it to {MAX_SHARE_OF_START ** (1 / updates):.3f} or less, or to 0"
        )


def _idle(config: TrainingConfig) -> Iterator[str]:
    given = config.model_fields_set
    if "keep_checkpoints" in given and config.checkpoint_every_num_steps == 0:
        yield "keep_checkpoints has an effect only with checkpoint_every_num_steps above 0"
    text, lora = getattr(config, "text", None), getattr(config, "lora", None)
    if isinstance(text, TextConfig) and "separator" in text.model_fields_set and text.prompt_format == "chat":
        yield "text.separator has an effect only with text.prompt_format: plain"
    if lora is not None and "alpha" in lora.model_fields_set and lora.rank == 0:
        yield "lora.alpha has an effect only with lora.rank above 0"
    if isinstance(config, SFTConfig) and "validation_prompts" in given and config.reward_model is None:
        yield "validation_prompts has an effect only with a reward_model, which scores the responses to them"
    if isinstance(config, PretrainConfig) and "new_model" in given and config.model is not None:
        yield "new_model has an effect only without model, whose weights and tokenizer are used"
    if isinstance(config, PPOConfig):
        if "kl_horizon" in config.ppo.model_fields_set and config.ppo.kl_target is None:
            yield "ppo.kl_horizon has an effect only with ppo.kl_target; without one, kl_coef is constant"
        if config.advantages != "gae":
            idle = {"discount", "gae_lambda", "value_clip_range"} & config.ppo.model_fields_set
            named = [f"ppo.{name}" for name in sorted(idle)] + ["value_optimizer"] * ("value_optimizer" in given)
            if named:
                yield f"{', '.join(named)}: only advantages: gae has a value model; these are {config.advantages}"
        if "clip_range" in config.ppo.model_fields_set and config.num_updates == config.num_steps:
            yield (
                "ppo.clip_range has no effect: each step is a single update of the policy that sampled the responses, "
                "so every ratio is 1. Set num_epochs above 1, or episodes_per_minibatch below episodes_per_step"
            )
