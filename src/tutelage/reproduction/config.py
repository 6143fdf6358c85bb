"""What `tutelage quickstart` reads: the sizes of the miniature, the stages' settings, and how much is measured."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from tutelage.config import Config
from tutelage.training.config import TextConfig
from tutelage.workflow.config import merged

STAGES = ("pretrain", "sft", "ppo_init", "reward", "ppo", "dpo")
# Arms beside those of Figure 1, trained or sampled at the size of the reward model.
FurtherArm = Literal["flan", "t0", "dpo", "best_of_n"]


class SizeConfig(Config):
    """What one model size overrides of the stages' settings, nested keys one by one."""

    pretrain: dict[str, Any] = Field(default_factory=dict)
    sft: dict[str, Any] = Field(default_factory=dict)
    ppo_init: dict[str, Any] = Field(default_factory=dict)
    reward: dict[str, Any] = Field(default_factory=dict)
    ppo: dict[str, Any] = Field(default_factory=dict)


class MeasuringConfig(Config):
    """What the full size measures beyond win rates: section 4 of the paper, whole."""

    held_out_use_case: str  # of all fine-tuning, as is the language [4.3]
    held_out_language: str
    num_outside_prompts: int = Field(gt=0)  # of the held-out use case
    completions_per_foreign_prompt: int = Field(gt=0)
    num_gpt_prompts: int = Field(gt=0)  # prompts written for GPT
    probes: dict[str, int]
    num_sft_epochs: int = Field(gt=1)
    num_folds: int = Field(gt=1)  # groups of labelers [E.2]
    ptx_coefs: tuple[float, ...] = Field(min_length=1)
    kl_coefs: tuple[float, ...] = Field(min_length=1)
    sweep: dict[str, Any]  # what runs of a sweep override of PPO
    num_sweep_prompts: int = Field(gt=0)
    num_curve_prompts: int = Field(gt=0)
    curve_every_num_steps: int = Field(gt=0)
    curve_sizes: tuple[int, ...] = Field(min_length=3)  # n of best-of-n


class VillageConfig(Config):
    """The miniature and its experiment, paths and seeds left out; see recipes/quickstart.yaml and recipes/full.yaml."""

    num_documents: int = Field(gt=0)
    num_raw_prompts: int = Field(gt=0)
    num_training_labelers: int = Field(gt=1)
    num_heldout_labelers: int = Field(gt=1)
    labeler_noise: float = Field(ge=0)
    completions_per_prompt: tuple[int, int]
    num_test_prompts: int = Field(gt=1)
    judgements_per_prompt: int = Field(gt=0)
    prompts: dict[str, Any]
    text: TextConfig
    pretrain: dict[str, Any]
    sft: dict[str, Any]
    ppo_init: dict[str, Any]
    reward: dict[str, Any]
    ppo: dict[str, Any]
    # From small to large. A run of one size has no name for it.
    sizes: dict[str, SizeConfig] = Field(default={"": {}}, validate_default=True, min_length=1)
    reward_size: str = ""  # one reward model for all sizes, as the paper's 6B; the further arms are of this size
    further_arms: tuple[FurtherArm, ...] = ()
    num_templated: int = Field(0, ge=0)  # demonstrations of templated skills, for FLAN and T0 each
    templated: dict[str, Any] = Field(default_factory=dict)
    dpo: dict[str, Any] = Field(default_factory=dict)
    best_of_n: int = Field(8, gt=1)
    measuring: MeasuringConfig | None = None
    # Seconds on two cores, in the order of the steps, from which the time left is told.
    expected_seconds: dict[str, float] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.reward_size not in self.sizes:
            raise ValueError(f"reward_size is {self.reward_size!r}; it must be one of {', '.join(self.sizes)}")
        if self.measuring is not None and self.measuring.num_folds > self.num_training_labelers:
            raise ValueError(
                f"measuring.num_folds is {self.measuring.num_folds}; it must be at most the number of training "
                f"labelers, {self.num_training_labelers}"
            )
        if self.templated_styles and self.num_templated == 0:
            raise ValueError("num_templated is 0; the arms flan and t0 need at least one demonstration")
        return self

    @property
    def templated_styles(self) -> tuple[Literal["flan", "t0"], ...]:
        """The further arms that are trained on templated skills."""
        return tuple(arm for arm in self.further_arms if arm == "flan" or arm == "t0")

    def section(self, stage: str, size: str) -> dict[str, Any]:
        """A stage's settings at one size."""
        return merged(getattr(self, stage), getattr(self.sizes[size], stage, {}))
