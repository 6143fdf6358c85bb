"""The parts passed to PPO, loaded as its configuration says: models, sampler, estimator, data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tutelage.model.generator import Generator, LocalGenerator
from tutelage.model.loading import load_tokenizer
from tutelage.model.policy import Policy, ScoreModel, ValueModel
from tutelage.records import Prompt
from tutelage.seeds import derived_seed
from tutelage.store.sources import load_prompts
from tutelage.text.render import Renderer
from tutelage.training.advantages import AdvantageEstimator, GeneralizedAdvantages, GroupAdvantages
from tutelage.training.batches import ShuffledEpochs
from tutelage.training.config import PPOConfig
from tutelage.training.corpus import VALIDATION_SHARE, Corpus, load_training_corpus
from tutelage.training.data import (
    LengthLimits,
    SkippedRecords,
    TokenizedExample,
    encode_prompts,
    hold_out,
    require_some,
)
from tutelage.training.overlap import count_overlap, prompt_key, read_training_prompts
from tutelage.training.prompting import check_prompted_alike, prompt_as_trained
from tutelage.training.stage import TrainingRun


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOModels:
    """`reference` is the frozen policy of the KL penalty, or the policy itself, to be used without its adapters."""

    policy: Policy
    reference: Policy
    score_model: ScoreModel


@dataclass(frozen=True, slots=True, kw_only=True)
class PPOData:
    """Training prompts; evaluation prompts, if any; the text of the ptx term (None without one).

    Also what was skipped, and how many prompts are also in the rankings.
    """

    prompts: list[TokenizedExample[Prompt]]
    held_out: list[TokenizedExample[Prompt]]
    pretraining: Corpus | None
    left_out: SkippedRecords
    num_overlapping_prompts: int | None

    def summary(self) -> dict[str, Any]:
        return {
            "num_prompts": len(self.prompts),
            "num_prompts_in_rankings": self.num_overlapping_prompts,
            **({"num_held_out_prompts": len(self.held_out)} if self.held_out else {}),
            **self.left_out.summary(),
        }


def load_ppo_models(stage: TrainingRun, config: PPOConfig) -> PPOModels:
    """The policy, its reference and the reward model. With adapters, policy and reference are one model."""
    renderer = prompt_as_trained(load_tokenizer(config.policy), config.text, config.policy)
    check_prompted_alike(renderer, config.policy, config.reward_model)
    policy = Policy.load(config.policy, renderer=renderer, device=stage.device, dtype=config.dtype)
    score_model = ScoreModel.load(config.reward_model, device=stage.device, dtype=config.dtype)
    score_model.requires_grad_(False)
    if config.lora.rank:
        policy.add_adapters(rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
        return PPOModels(policy=policy, reference=policy, score_model=score_model)
    reference = Policy.load(config.policy, renderer=renderer, device=stage.device, dtype=config.dtype)
    return PPOModels(policy=policy, reference=reference.requires_grad_(False), score_model=score_model)


def make_generator(policy: Policy) -> Generator:
    """The sampler of the rollouts."""
    return LocalGenerator(policy)


def make_estimator(stage: TrainingRun, config: PPOConfig) -> AdvantageEstimator:
    """GAE with a value model that starts as the reward model, or a comparison within each prompt's responses."""
    if config.advantages != "gae":
        return GroupAdvantages(config)
    value_model = ValueModel.load(config.reward_model, device=stage.device, dtype=config.dtype)
    value_model.add_adapters(rank=config.lora.rank, alpha=config.lora.alpha, seed=config.seed)
    return GeneralizedAdvantages(value_model, config)


def load_ppo_data(config: PPOConfig, models: PPOModels) -> PPOData:
    """Prompts that leave room for a response in both contexts; pretraining text, only for the policy."""
    renderer, left_out = models.policy.renderer, SkippedRecords(skip_bad=config.skip_bad)
    context = min(models.policy.context_limit, models.score_model.context_limit)
    limits = LengthLimits(text=config.text, context=context, left_out=left_out)
    prompts, held_out = load_ppo_prompts(config, renderer, limits)
    return PPOData(
        prompts=prompts,
        held_out=held_out,
        num_overlapping_prompts=count_prompts_of_rankings(config, prompts),
        pretraining=load_ptx_text(config, renderer, models.policy.context_limit, left_out),
        left_out=left_out,
    )


def load_ppo_prompts(
    config: PPOConfig, renderer: Renderer, limits: LengthLimits
) -> tuple[list[TokenizedExample[Prompt]], list[TokenizedExample[Prompt]]]:
    """The prompts assigned to PPO: training prompts, and, if the run evaluates, held-out ones.

    If a file assigns no purposes, all are for training; held out are those with split "valid", or else one in twenty.
    """
    records = [
        record
        for record in limits.left_out.load(load_prompts, config.prompts)
        if record.purpose in (None, "ppo") and record.split != "test"
    ]
    training = [record for record in records if record.split in (None, "train")]
    held_out = [record for record in records if record.split == "valid"] if config.evaluate_every_num_steps else []
    if config.evaluate_every_num_steps and not held_out:
        training, held_out = hold_out(training)
    encoded, evaluated = (encode_prompts(chosen, renderer, limits) for chosen in (training, held_out))
    require_some(
        encoded, f"the training split of PPO prompts ({config.prompts})", "Give prompts with purpose ppo, split train."
    )
    if config.evaluate_every_num_steps:
        require_some(
            evaluated,
            f"the held-out split of PPO prompts ({config.prompts})",
            "Give prompts with split valid, or set evaluate_every_num_steps: 0.",
        )
    order = ShuffledEpochs(len(evaluated), seed=derived_seed(config.seed, "held-out prompts")) if evaluated else None
    number = min(config.validation_prompts, len(evaluated))
    return encoded, [evaluated[i] for i in order.take(0, number)] if order else []


def count_prompts_of_rankings(config: PPOConfig, prompts: list[TokenizedExample[Prompt]]) -> int | None:
    """How many prompts the reward model was trained on; None if its folder does not say."""
    trained_on = read_training_prompts(config.reward_model)
    if trained_on is None:
        return None
    names = (f"PPO prompts ({config.prompts})", f"prompts of the rankings behind {config.reward_model}")
    keys = (prompt_key(item.record) for item in prompts)
    return count_overlap(keys, trained_on, names=names, is_allowed=config.allow_prompt_overlap)


def load_ptx_text(config: PPOConfig, renderer: Renderer, context: int, left_out: SkippedRecords) -> Corpus | None:
    """Windows of pretraining text; None if the term's coefficient is 0."""
    if config.ptx.coef == 0 or config.ptx.text is None:
        return None
    return load_training_corpus(
        config.ptx.text,
        renderer,
        context_tokens=min(config.ptx.context_tokens, context) - 1,
        validation_share=VALIDATION_SHARE,
        left_out=left_out,
    )
