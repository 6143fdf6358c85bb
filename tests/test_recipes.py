"""Every shipped recipe loads strictly, and those named after the paper hold the paper's values."""

from __future__ import annotations

from collections import defaultdict
from importlib import resources
from pathlib import Path
from typing import Any, cast

import pytest

from tutelage.config import Config, load_config
from tutelage.recipes import recipe_path
from tutelage.training.config import DPOConfig, PPOConfig, RewardConfig, SFTConfig

# What follows the first word of a recipe's name, and the configuration it is read as.
STAGES: dict[str, type[Config]] = {"sft": SFTConfig, "ppo-init": SFTConfig, "reward": RewardConfig, "ppo": PPOConfig}
FAMILIES = ("paper", "one-gpu")
# What the paper does not train has no file with its values.
BEYOND_THE_PAPER: dict[str, type[Config]] = {"dpo": DPOConfig}


def _load(family: str, stage: str) -> Config:
    return load_config(STAGES[stage], recipe_path(f"{family}-{stage}"))


def test_every_recipe_is_known_here() -> None:
    shipped = {
        Path(str(file)).stem for file in resources.files("tutelage.recipes").iterdir() if file.name[-5:] == ".yaml"
    }
    beyond = {f"one-gpu-{stage}" for stage in BEYOND_THE_PAPER}
    stages = {f"{family}-{stage}" for family in FAMILIES for stage in STAGES}
    assert shipped == {"quickstart", "full", "own-data", "real", "real-fold", *beyond, *stages}


def test_the_quickstart_loads_as_the_pipeline_reads_it() -> None:
    pytest.importorskip("torch", reason="the pipeline trains")
    from tutelage.reproduction.config import VillageConfig

    config = load_config(VillageConfig, recipe_path("quickstart"))
    for settings in (config.pretrain, config.sft, config.ppo_init, config.reward, config.ppo):
        assert not {"out", "seed", "model", "policy"} & set(settings), "paths and seeds are the pipeline's to fill in"


def test_the_full_run_loads_and_times_its_own_steps(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the pipeline trains")
    from tutelage.reproduction.config import VillageConfig
    from tutelage.reproduction.experiment import Reproduction
    from tutelage.reproduction.quickstart import take_steps

    class Listing:
        """Takes every step by noting its name."""

        def __init__(self) -> None:
            self.names: list[str] = []
            self.progress = defaultdict(lambda: {"result": {"prefix": "tale", "num_demonstrations": 9}})

        def take(self, step: Any) -> dict[str, str]:
            self.names.append(step.name)
            return {"prefix": "tale"}

    config, steps = load_config(VillageConfig, recipe_path("full")), Listing()
    run = Reproduction(config, tmp_path, cast(Any, steps), seed=0)
    run.require_valid()
    take_steps(run)
    shared = {"prompts", "demonstrations"}
    names = list(dict.fromkeys(steps.names))
    assert all(steps.names.count(name) == (3 if name in shared else 1) for name in names), "a name means one step"
    assert list(config.expected_seconds) == names
    widths = [config.section("pretrain", size)["new_model"]["width"] for size in config.sizes]
    assert widths == sorted(set(widths)), "from small to large"
    quick = load_config(VillageConfig, recipe_path("quickstart"))
    shared_keys = [name for name, field in VillageConfig.model_fields.items() if field.is_required()]
    differing = {name for name in shared_keys if getattr(quick, name) != getattr(config, name)}
    assert differing == {"num_test_prompts"}, "the medium size is the quickstart's"


def test_the_recipe_for_own_data_loads_with_every_stage() -> None:
    from tutelage.workflow.config import RunConfig

    config = load_config(RunConfig, recipe_path("own-data"))
    ptx = load_config(PPOConfig, recipe_path("one-gpu-ppo"))
    section = config.section("ppo_ptx")
    assert section["ptx"] == ptx.ptx.model_dump(mode="json", exclude_unset=True)
    assert section["num_episodes"] == ptx.num_episodes


def test_the_real_run_loads_and_its_folds_start_from_its_sft_model() -> None:
    from tutelage.workflow.config import RunConfig

    config, fold = load_config(RunConfig, recipe_path("real")), load_config(RewardConfig, recipe_path("real-fold"))
    assert Path(fold.model) == config.out / "sft" / "model"
    for section in ("sft", "ppo_init", "reward", "judge_model", "ppo_ptx"):
        assert config.section(section)["lora"]["rank"] == 16, section


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_recipes_load_strictly(family: str, stage: str) -> None:
    _load(family, stage)


def test_dpo_starts_where_sft_ended_and_reads_the_rankings_of_the_reward_model() -> None:
    config, reward, sft = (
        load_config(DPOConfig, recipe_path("one-gpu-dpo")),
        _load("one-gpu", "reward"),
        _load("one-gpu", "sft"),
    )
    assert isinstance(reward, RewardConfig) and isinstance(sft, SFTConfig)
    assert (config.rankings, config.text) == (reward.rankings, reward.text)
    assert Path(config.policy) == sft.out / "model"


@pytest.mark.parametrize("family", FAMILIES)
def test_each_stage_reads_what_the_one_before_wrote(family: str) -> None:
    initialization, reward, ppo = (_load(family, stage) for stage in ("ppo-init", "reward", "ppo"))
    assert isinstance(ppo, PPOConfig) and isinstance(initialization, SFTConfig) and isinstance(reward, RewardConfig)
    assert Path(ppo.policy) == initialization.out / "model"
    assert Path(ppo.reward_model) == reward.out / "model"
    assert initialization.pretraining_text == ppo.ptx.text


def test_sft_has_the_papers_values() -> None:
    """C.1 and Table 6: 16 epochs, batch 32, 9.65e-6 to a tenth by cosine, no warm-up, residual dropout 0.2."""
    config = _load("paper", "sft")
    assert isinstance(config, SFTConfig)
    assert (config.num_epochs, config.demonstrations_per_step, config.residual_dropout) == (16, 32, 0.2)
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.schedule, optimizer.final_share) == (9.65e-6, "cosine", 0.1)
    assert (optimizer.warmup_steps, optimizer.adam_beta1, optimizer.adam_beta2) == (0, 0.9, 0.95)
    assert config.reward_model is not None and config.should_select_checkpoint


def test_the_initialization_of_ppo_has_the_papers_values() -> None:
    """C.3: 2 epochs, batch 32, 5e-6 to a tenth by cosine, a tenth of pretraining data."""
    config = _load("paper", "ppo-init")
    assert isinstance(config, SFTConfig)
    assert (config.num_epochs, config.demonstrations_per_step, config.pretraining_share) == (2, 32, 0.1)
    assert (config.optimizer.learning_rate, config.optimizer.schedule) == (5e-6, "cosine")


def test_the_reward_model_has_the_papers_values() -> None:
    """C.2: one epoch, 64 prompts a batch, 9e-6 to a tenth by cosine; the bias from demonstrations."""
    config = _load("paper", "reward")
    assert isinstance(config, RewardConfig)
    assert (config.num_epochs, config.rankings_per_step) == (1, 64)
    optimizer = config.optimizer
    assert (optimizer.learning_rate, optimizer.schedule, optimizer.final_share) == (9e-6, "cosine", 0.1)
    assert config.demonstrations is not None


def test_ppo_has_the_papers_values() -> None:
    """C.4: 256k episodes of 512, minibatches of 64, one epoch: 500 iterations, 4,000 updates."""
    config = _load("paper", "ppo")
    assert isinstance(config, PPOConfig)
    assert (config.num_steps, config.num_epochs) == (500, 1)
    assert config.num_steps * config.episodes_per_step // config.episodes_per_minibatch == 4000
    assert (config.ppo.kl_coef, config.ppo.clip_range, config.ppo.discount, config.temperature) == (0.02, 0.2, 1.0, 1.0)
    assert (config.ptx.coef, config.ptx.sequences_per_episode, config.ema_decay) == (27.8, 8, 0.992)
    for optimizer in (config.policy_optimizer, config.value_optimizer):
        assert (optimizer.schedule, optimizer.warmup_steps, optimizer.warmup_from) == ("constant", 10, 0.1)
    assert config.value_optimizer.learning_rate == 9e-6
    assert 2.55e-6 <= config.policy_optimizer.learning_rate <= 2.55e-5, "the range that C.4 scanned"


def test_what_the_paper_leaves_open_has_the_stated_defaults() -> None:
    config = PPOConfig(out=Path("o"), policy="p", reward_model="r", prompts="q", ptx={"coef": 0.0})  # type: ignore[arg-type]
    terms, optimizer = config.ppo, config.policy_optimizer
    assert (terms.gae_lambda, terms.value_clip_range, terms.missing_eos_score) == (0.95, 0.2, -1.0)
    assert (config.should_whiten_advantages, terms.should_whiten_rewards) == (True, False)
    assert (optimizer.adam_eps, optimizer.max_grad_norm, optimizer.weight_decay) == (1e-5, 1.0, 0.0)


def test_dpo_has_the_values_of_its_paper() -> None:
    """Rafailov et al. 2023, appendix B: beta 0.1, batches of 64, a rate of 1e-6 that stays after warm-up."""
    config = DPOConfig(out=Path("o"), policy="p", rankings="r")
    assert (config.kl_coef, config.rankings_per_step, config.num_epochs, config.label_smoothing) == (0.1, 64, 1, 0.0)
    assert (config.optimizer.learning_rate, config.optimizer.schedule) == (1e-6, "constant")
