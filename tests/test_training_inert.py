"""Settings that cannot act, or whose formula turns: refused or said, never silent."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="the stages train with torch")

from tutelage.config import load_config
from tutelage.errors import ConfigError
from tutelage.recipes import recipe_path
from tutelage.training.config import (
    DPOConfig,
    OptimizerConfig,
    PPOConfig,
    PretrainConfig,
    RewardConfig,
    SFTConfig,
    TrainingConfig,
)
from tutelage.training.inert import inert_settings
from tutelage.training.stage import TrainingRun

REQUIRED = {"out": "o", "model": "m", "policy": "p", "reward_model": "r", "demonstrations": "d", "rankings": "k"}
REQUIRED |= {"prompts": "p.jsonl", "text": "t.txt", "num_steps": 20, "ptx": {"coef": 0.0}}
RECIPES = {"sft": SFTConfig, "ppo-init": SFTConfig, "reward": RewardConfig, "ppo": PPOConfig}


def config_of(model: type[TrainingConfig], /, **values: Any) -> Any:
    """With what the model requires, and what `values` say."""
    needed = {name for name, field in model.model_fields.items() if field.is_required()} | {"ptx"}
    own = {name: value for name, value in REQUIRED.items() if name in needed & set(model.model_fields)}
    return model.model_validate(own | values)


def ppo_values(num_episodes: int = 256_000, **terms: Any) -> dict[str, Any]:
    return {"num_episodes": num_episodes, "ppo": terms}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (ppo_values(kl_target=6.0, kl_horizon=102.4), ("kl_horizon is 102.4", "100%", "kl_horizon above 102.4")),
        (ppo_values(kl_target=6.0, kl_horizon=50), ("205%", "reward divergence")),
        (ppo_values(kl_target=6.0, kl_coef=0.0), ("kl_target is 6.0", "stays 0", "kl_coef above 0")),
        (ppo_values(clip_range=1.0), ("clip_range", "less than 1")),
    ],
)
def test_a_formula_that_turns_is_refused(values: dict[str, Any], words: tuple[str, ...], tmp_path: Path) -> None:
    """512 episodes a step: an error of 20 % changes the coefficient by 0.2 * 512 / 102.4 = 1 of itself, to 0."""
    path = tmp_path / "ppo.yaml"
    path.write_text("{out: o, policy: p, reward_model: r, prompts: q, ptx: {coef: 0}}")
    overrides = [f"num_episodes={values['num_episodes']}", *(f"ppo.{k}={v}" for k, v in values["ppo"].items())]
    with pytest.raises(ConfigError) as caught:
        load_config(PPOConfig, path, overrides)
    for word in words:
        assert word in str(caught.value)


def test_just_above_it_is_taken() -> None:
    config_of(PPOConfig, **ppo_values(kl_target=6.0, kl_horizon=102.5))
    config_of(PPOConfig, **ppo_values(kl_coef=0.0))
    config_of(PPOConfig, **ppo_values(kl_horizon=50))


OPTIMIZER = {"learning_rate": 1e-3}


@pytest.mark.parametrize(
    ("model", "values", "words"),
    [
        # From 0.1 of the peak, at step 19 of a warm-up of 40: 0.1 + 0.9 * 19 / 40 = 0.5275.
        (SFTConfig, {"optimizer": {**OPTIMIZER, "warmup_steps": 40}}, ("warmup_steps is 40", "ends at 53% of 0.001")),
        (SFTConfig, {"optimizer": {**OPTIMIZER, "warmup_steps": 20}}, ("warmup_steps is 20", "below 20")),
        (PPOConfig, {"value_optimizer": {**OPTIMIZER, "warmup_steps": 20}}, ("value_optimizer.warmup_steps",)),
        (SFTConfig, {"checkpoint_every_num_steps": 20}, ("checkpoint_every_num_steps is 20", "20 steps")),
        (RewardConfig, {"evaluate_every_num_steps": 50}, ("evaluate_every_num_steps is 50",)),
        (SFTConfig, {"optimizer": {**OPTIMIZER, "muon_momentum": 0.9}}, ("muon_momentum",)),
        (DPOConfig, {"optimizer": {**OPTIMIZER, "schedule": "constant", "final_share": 0.0}}, ("final_share",)),
        (SFTConfig, {"optimizer": {**OPTIMIZER, "warmup_from": 0.0}}, ("warmup_from",)),
        # 20 steps of 8 minibatches: 0.992 to the power of 160 is 0.2766; 0.1 to the power of 1 / 160 is 0.98571.
        (PPOConfig, {"num_episodes": 20 * 512}, ("ema_decay is 0.992", "160 updates", "28%", "0.986 or less")),
        (SFTConfig, {"keep_checkpoints": 3, "checkpoint_every_num_steps": 0}, ("keep_checkpoints",)),
        (SFTConfig, {"text": {"prompt_format": "chat", "separator": "\n"}}, ("text.separator",)),
        (DPOConfig, {"lora": {"alpha": 32.0}}, ("lora.alpha",)),
        (SFTConfig, {"validation_prompts": 64}, ("validation_prompts", "reward_model")),
        (PretrainConfig, {"model": "m", "new_model": {"width": 64}}, ("new_model",)),
        (PPOConfig, {"ppo": {"kl_horizon": 9000}}, ("ppo.kl_horizon", "kl_target")),
        (PPOConfig, {"episodes_per_minibatch": 512, "ppo": {"clip_range": 0.1}}, ("clip_range", "every ratio is 1")),
    ],
)
def test_what_cannot_act_is_said(model: type[TrainingConfig], values: dict[str, Any], words: tuple[str, ...]) -> None:
    if model is PretrainConfig:
        values = {"optimizer": OPTIMIZER, **values}
    lines = inert_settings(config_of(model, **values), 20)
    assert len(lines) == 1, lines
    for word in words:
        assert word in lines[0]


def test_defaults_and_what_acts_say_nothing() -> None:
    acting = {"warmup_steps": 19, "warmup_from": 0.0, "schedule": "linear", "final_share": 0.5, "matrices": "muon"}
    full = {"optimizer": {**OPTIMIZER, **acting, "muon_momentum": 0.9}, "checkpoint_every_num_steps": 19}
    assert inert_settings(config_of(SFTConfig, **full, keep_checkpoints=1, reward_model="r"), 20) == []
    for model in (SFTConfig, RewardConfig, DPOConfig, PPOConfig):
        assert inert_settings(config_of(model), 500) == []
    assert inert_settings(config_of(PretrainConfig), 500) == []


@pytest.mark.parametrize("stage", RECIPES)
@pytest.mark.parametrize("family", ["paper", "one-gpu"])
def test_everything_in_a_recipe_acts(family: str, stage: str) -> None:
    config: Any = load_config(RECIPES[stage], recipe_path(f"{family}-{stage}"))
    assert inert_settings(config, getattr(config, "num_steps", 500)) == []


def test_a_stage_says_it_before_its_first_step(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = config_of(SFTConfig, out=tmp_path / "run", optimizer=OptimizerConfig(learning_rate=1e-3, warmup_steps=9))
    with caplog.at_level(logging.WARNING):
        next(TrainingRun("sft", config, resume=False).steps(3))
    assert "sft: optimizer.warmup_steps is 9, but the run has 3 steps" in caplog.text
