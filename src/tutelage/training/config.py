"""One frozen configuration per stage. Defaults are the paper's (section in brackets) or have a reason next to them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from tutelage.config import Config


class OptimizerConfig(Config):
    """AdamW or Muon with a learning-rate schedule, shared by all stages."""

    learning_rate: float = Field(gt=0)
    # What updates the layers' weight matrices: Adam, as in the paper, or Muon, with which a small base model needs a
    # third of the tokens. Embeddings, heads and norms always use Adam.
    matrices: Literal["adam", "muon"] = "adam"
    schedule: Literal["cosine", "constant", "linear"] = "cosine"  # cosine to 10 % [C.1-C.3], constant for PPO [C.4]
    final_share: float = Field(0.1, ge=0, le=1)  # where cosine and linear end, as a fraction of the peak [C.1]
    warmup_steps: int = Field(0, ge=0)  # none in SFT [C.1], 10 in PPO [C.4]
    warmup_from: float = Field(0.1, ge=0, le=1)  # fraction of the peak at which warm-up starts [C.4]
    adam_beta1: float = Field(0.9, ge=0, lt=1)  # [App. C]
    adam_beta2: float = Field(0.95, ge=0, lt=1)  # [App. C]
    adam_eps: float = Field(1e-5, gt=0)  # not in the paper; that of lm-human-preferences and summarize-from-feedback
    muon_momentum: float = Field(0.95, ge=0, lt=1)  # Jordan et al. 2024
    weight_decay: float = Field(0.0, ge=0)  # not in the paper
    max_grad_norm: float = Field(1.0, gt=0)  # not in the paper; the field's usual value


class LoraConfig(Config):
    """Low-rank adapters instead of full training; rank 0 trains all weights, as the paper does."""

    rank: int = Field(0, ge=0)
    alpha: float = Field(16.0, gt=0)


class TrainingConfig(Config):
    """Settings common to all stages."""

    out: Path
    seed: int = 0
    device: str = "auto"  # "auto": a GPU if available
    # bfloat16: matrix products only; master weights stay float32. auto: bfloat16 where the device multiplies it faster.
    dtype: Literal["float32", "bfloat16", "auto"] = "float32"
    tokens_per_microbatch: int = Field(8192, gt=0)  # bounds memory; never changes the objective
    checkpoint_every_num_steps: int = Field(100, ge=0)  # 0: never, only the finished model is saved
    keep_checkpoints: int = Field(2, ge=1)
    track: tuple[Literal["tensorboard", "wandb"], ...] = ()
    allow_other_files: bool = False  # start in a folder that has other files; none of them is replaced
    allow_changed_inputs: bool = False  # resume even if a file or model that the run reads has changed
    skip_bad: bool = False  # skip malformed records, count and list them; False stops at the first


class TextConfig(Config):
    """How prompts are rendered, and how long they may be."""

    # auto and None: as the model was trained. For a model that does not say, "auto" is "chat" where its tokenizer has a
    # template, else "plain" with an empty line between prompt and response; the paper does not state its separators.
    prompt_format: Literal["auto", "plain", "chat"] = "auto"
    separator: str | None = None
    system_prompt: str | None = None  # before every prompt without one; the paper has none
    max_prompt_tokens: int = Field(1024, gt=0)  # longer prompts are filtered [App. C]
    max_response_tokens: int = Field(1024, gt=0)  # [App. C]
    too_long: Literal["error", "skip"] = (
        "error"  # what to do with a record over these limits; "skip" counts and lists them
    )


class NewModelConfig(Config):
    """A Llama-shaped base model that starts from random weights, and its tokenizer, trained on the text."""

    vocab_size: int = Field(4096, ge=300)
    width: int = Field(256, gt=0)
    num_layers: int = Field(6, gt=0)
    num_heads: int = Field(8, gt=0)
    context_tokens: int = Field(512, gt=0)
    has_query_key_norm: bool = False  # small models learn faster, at higher rates; makes it Qwen3
    rope_theta: float = Field(10_000.0, gt=1)  # Su et al. 2021; a short context needs less

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.num_heads or (self.width // self.num_heads) % 2:
            raise ValueError(f"width {self.width} must divide into {self.num_heads} heads of an even width")
        return self


class PretrainConfig(TrainingConfig):
    """Next-token training of a base model on documents."""

    text: Path
    model: Path | str | None = None  # a folder or hub id to continue training from; None creates `new_model`
    new_model: NewModelConfig = NewModelConfig()
    tokens_per_step: int = Field(32768, gt=0)
    num_steps: int = Field(gt=0)
    validation_share: float = Field(0.01, gt=0, lt=1)  # of the documents; enough for a loss to two digits
    evaluate_every_num_steps: int = Field(100, ge=0)
    optimizer: OptimizerConfig = OptimizerConfig(
        learning_rate=1e-3, weight_decay=0.1, warmup_steps=100, warmup_from=0.0
    )


class SFTConfig(TrainingConfig):
    """Supervised fine-tuning on demonstrations [3.5, C.1]; with a pretraining mix, the initialization of PPO [C.3]."""

    model: Path | str
    demonstrations: Path | str
    validation: Path | str | None = None  # None: a twentieth of the prompts is held out
    allow_prompt_overlap: bool = False  # over a twentieth of validation prompts may be training prompts too
    text: TextConfig = TextConfig()
    num_epochs: int = Field(16, gt=0)
    demonstrations_per_step: int = Field(32, gt=0)
    residual_dropout: float = Field(0.2, ge=0, lt=1)
    reward_model: Path | str | None = None  # selects the checkpoint by score; without one, the validation loss does
    validation_prompts: int = Field(128, gt=0)  # sampled for that score at each epoch
    pretraining_text: Path | None = None
    # Of the sequences of a step; 0.1 for the PPO initialization [C.3].
    pretraining_share: float = Field(0.0, ge=0, lt=1)
    # Multiplies the pretraining text's mean loss per token; the demonstrations' has weight 1. The paper does not say
    # how its tenth is weighted. None: share / (1 - share), so that the share of sequences is also the share of the
    # objective.
    pretraining_coef: float | None = Field(None, gt=0)
    should_select_checkpoint: bool = True  # False keeps the last, as the PPO initialization does
    lora: LoraConfig = LoraConfig()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=9.65e-6)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.pretraining_share > 0) != (self.pretraining_text is not None):
            raise ValueError("give both pretraining_text and a pretraining_share above 0, or neither")
        if self.pretraining_coef is not None and self.pretraining_share == 0:
            raise ValueError(
                f"pretraining_coef {self.pretraining_coef} has no effect while pretraining_share is 0; set "
                "pretraining_text and a share, or omit the coefficient"
            )
        return self

    @property
    def weight_of_pretraining(self) -> float:
        """The coefficient of the mean loss per token of pretraining text."""
        if self.pretraining_coef is not None:
            return self.pretraining_coef
        return self.pretraining_share / (1.0 - self.pretraining_share)


class RewardConfig(TrainingConfig):
    """The reward model [3.5, C.2]."""

    model: Path | str
    rankings: Path | str
    validation: Path | str | None = None  # None: a twentieth of the prompts is held out
    allow_prompt_overlap: bool = False  # over a twentieth of validation prompts may be training prompts too
    demonstrations: Path | str | None = None  # the bias sets their mean score to 0; None leaves the bias at 0
    text: TextConfig = TextConfig()
    num_epochs: int = Field(1, gt=0)  # more epochs overfit quickly [C.2]
    rankings_per_step: int = Field(64, gt=0)
    evaluate_every_num_steps: int = Field(50, ge=0)
    lora: LoraConfig = LoraConfig()
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=9e-6)


class DPOConfig(TrainingConfig):
    """Direct preference optimization on the reward model's rankings; beyond the paper (Rafailov et al. 2023)."""

    policy: Path | str  # the initialization, and the reference
    rankings: Path | str
    validation: Path | str | None = None  # None: a twentieth of the prompts is held out
    allow_prompt_overlap: bool = False  # over a twentieth of validation prompts may be training prompts too
    text: TextConfig = TextConfig()
    num_epochs: int = Field(1, gt=0)  # as for the reward model on the same rankings [C.2]
    rankings_per_step: int = Field(64, gt=0)  # Rafailov et al. 2023, appendix B, count comparisons; here as in [C.2]
    evaluate_every_num_steps: int = Field(50, ge=0)
    kl_coef: float = Field(0.1, gt=0)  # the beta of DPO; Rafailov et al. 2023, appendix B
    label_smoothing: float = Field(0.0, ge=0, lt=0.5)  # probability of a wrong label (Mitchell 2023); 0 is plain DPO
    lora: LoraConfig = LoraConfig()
    # The constant rate is that of Rafailov et al. 2023, appendix B. Their warm-up of 150 steps would exceed the whole
    # run for fewer than 10,000 rankings; 10 steps is PPO's [C.4].
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-6, schedule="constant", warmup_steps=10)


class PPOConfig(TrainingConfig):
    """PPO and PPO-ptx [3.5, C.4]."""

    policy: Path | str  # the initialization, and the reference of the KL penalty
    reward_model: Path | str  # also initializes the value model
    prompts: Path | str
    allow_prompt_overlap: bool = False  # over a twentieth of the prompts may be from the reward model's rankings
    text: TextConfig = TextConfig()
    num_episodes: int = Field(256_000, gt=0)
    episodes_per_step: int = Field(512, gt=0)
    episodes_per_minibatch: int = Field(64, gt=0)
    responses_per_prompt: int = Field(1, gt=0)  # an episode is one response; the paper samples one per prompt
    # The paper's, with a value model; or relative to the mean of a prompt's responses, of the others (RLOO), or in
    # units of their standard deviation (GRPO), which need none.
    advantages: Literal["gae", "group_mean", "rloo", "grpo"] = "gae"
    num_epochs: int = Field(1, gt=0)
    # On held-out prompts (split "valid", else one in twenty): score, KL, length, samples. 0: never.
    evaluate_every_num_steps: int = Field(0, ge=0)
    validation_prompts: int = Field(128, gt=0)  # at most, drawn by the seed; as for selecting the SFT checkpoint
    # Save the evaluated policy with the highest score within this many nats per response, not the last. None: the last.
    select_within_kl: float | None = Field(None, gt=0)
    max_kl: float | None = Field(None, gt=0)  # nats per response; a step beyond it ends the run
    temperature: float = Field(1.0, gt=0)
    ppo: PPOTermsConfig = Field(default_factory=lambda: PPOTermsConfig())
    ptx: PTXConfig = Field(default_factory=lambda: PTXConfig())
    ema_decay: float = Field(0.992, ge=0, lt=1)  # per optimizer step (the paper does not say per what); 0 turns it off
    lora: LoraConfig = LoraConfig()
    policy_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-5, schedule="constant", warmup_steps=10)
    value_optimizer: OptimizerConfig = OptimizerConfig(learning_rate=9e-6, schedule="constant", warmup_steps=10)

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = []
        if self.episodes_per_step % self.episodes_per_minibatch:
            problems.append(
                f"episodes_per_step {self.episodes_per_step} must be a multiple of episodes_per_minibatch "
                f"{self.episodes_per_minibatch}"
            )
        if self.num_episodes % self.episodes_per_step:
            problems.append(
                f"num_episodes {self.num_episodes} must be a multiple of episodes_per_step {self.episodes_per_step}"
            )
        if self.ptx.coef > 0 and self.ptx.text is None:
            problems.append("ptx.coef above 0 needs ptx.text, the pretraining text; set ptx.coef: 0 for plain PPO")
        problems += self._problems_of_groups()
        problems += self._problems_of_kl_target()
        if problems:
            raise ValueError("; ".join(problems))
        return self

    def _problems_of_groups(self) -> list[str]:
        number = self.responses_per_prompt
        problems = []
        if self.episodes_per_minibatch % number:
            problems.append(
                f"episodes_per_minibatch {self.episodes_per_minibatch} must be a multiple of responses_per_prompt "
                f"{number}: the responses to one prompt are kept together"
            )
        if self.select_within_kl is not None and self.evaluate_every_num_steps == 0:
            problems.append(
                f"select_within_kl is {self.select_within_kl:g}, but nothing is evaluated; set "
                "evaluate_every_num_steps above 0"
            )
        if self.advantages != "gae" and number == 1:
            problems.append(
                f"advantages: {self.advantages} compares the responses to one prompt, but responses_per_prompt is 1; "
                "set it to 2 or more, or advantages: gae"
            )
        return problems

    @property
    def prompts_per_step(self) -> int:
        return self.episodes_per_step // self.responses_per_prompt

    @property
    def minibatches_per_epoch(self) -> int:
        return self.episodes_per_step // self.episodes_per_minibatch

    @property
    def should_whiten_advantages(self) -> bool:
        """As configured; by default, those of GAE are, as in lm-human-preferences, and those of groups are not."""
        told = self.ppo.should_whiten_advantages
        return self.advantages == "gae" if told is None else told

    def _problems_of_kl_target(self) -> list[str]:
        if self.ppo.kl_target is None:
            return []
        if self.ppo.kl_coef == 0:
            return [
                f"ppo.kl_target is {self.ppo.kl_target}, but ppo.kl_coef is 0: the target multiplies the coefficient, "
                "which stays 0; set a kl_coef above 0"
            ]
        # One step changes the coefficient by at most this fraction (`objectives.advantage.adapted_kl_coef`).
        largest_change = 0.2 * self.episodes_per_step / self.ppo.kl_horizon
        if largest_change < 1:
            return []
        return [
            f"ppo.kl_horizon is {self.ppo.kl_horizon:g} episodes and episodes_per_step is {self.episodes_per_step}: "
            f"one step could change kl_coef by {largest_change:.0%} of itself, to 0 or below, where it would reward "
            f"divergence; set kl_horizon above {0.2 * self.episodes_per_step:g}"
        ]

    @property
    def num_steps(self) -> int:
        return self.num_episodes // self.episodes_per_step

    @property
    def num_updates(self) -> int:
        return self.num_steps * self.num_epochs * (self.episodes_per_step // self.episodes_per_minibatch)


class PPOTermsConfig(Config):
    """Rewards, advantages and clipping."""

    kl_coef: float = Field(0.02, ge=0)  # the paper's beta [C.4]
    kl_target: float | None = Field(
        None, gt=0
    )  # nats per response; a target makes kl_coef adaptive (Ziegler et al. 2019)
    kl_horizon: float = Field(10_000, gt=0)  # episodes (Ziegler et al. 2019)
    discount: float = Field(1.0, gt=0, le=1)  # none [C.4]
    gae_lambda: float = Field(0.95, ge=0, le=1)  # not in the paper; Stiennon et al. 2020
    clip_range: float = Field(0.2, gt=0, lt=1)  # [C.4]; from 1 on, no ratio is too small
    value_clip_range: float | None = Field(0.2, gt=0)  # not in the paper; lm-human-preferences
    missing_eos_score: (
        float | None
    ) = -1.0  # replaces the score of a response that does not end; summarize-from-feedback
    # Per minibatch; not in the paper. None: GAE's are whitened (lm-human-preferences), those of groups are not.
    should_whiten_advantages: bool | None = None
    should_whiten_rewards: bool = False  # not in the paper; keeps the mean


class PTXConfig(Config):
    """The pretraining mix of PPO-ptx."""

    coef: float = Field(27.8, ge=0)  # the paper's gamma [C.4]; 0 is plain PPO. Multiplies the mean loss per token
    text: Path | None = None
    sequences_per_episode: int = Field(8, gt=0)  # eight times as many pretraining sequences as episodes [C.4]
    context_tokens: int = Field(512, gt=1)  # of a pretraining sequence; not in the paper


PPOConfig.model_rebuild()
