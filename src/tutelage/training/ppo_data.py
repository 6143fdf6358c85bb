"""What PPO reads: its prompts, and the text of the pretraining term."""

from __future__ import annotations

from tutelage.records import Prompt
from tutelage.store.sources import load_prompts
from tutelage.text.render import Renderer
from tutelage.training.config import PPOConfig
from tutelage.training.corpus import Corpus, load_training_corpus
from tutelage.training.data import Encoded, Limits, encode_prompts, require_some
from tutelage.training.overlap import count_overlap, prompt_key, read_training_prompts
from tutelage.training.sft import VALIDATION_SHARE


def load_ppo_prompts(config: PPOConfig, renderer: Renderer, limits: Limits) -> list[Encoded[Prompt]]:
    """The prompts that are allotted to PPO training; of a file that allots nothing, all."""
    records = [
        record
        for record in limits.left_out.load(load_prompts, config.prompts)
        if record.purpose in (None, "ppo") and record.split in (None, "train")
    ]
    encoded = encode_prompts(records, renderer, limits)
    require_some(
        encoded, f"the training split of PPO prompts ({config.prompts})", "Give prompts with purpose ppo, split train."
    )
    return encoded


def count_prompts_of_rankings(config: PPOConfig, prompts: list[Encoded[Prompt]]) -> int | None:
    """How many prompts the reward model was trained on; None where its folder does not say."""
    trained_on = read_training_prompts(config.reward_model)
    if trained_on is None:
        return None
    names = (f"PPO prompts ({config.prompts})", f"prompts of the rankings behind {config.reward_model}")
    keys = (prompt_key(item.record) for item in prompts)
    return count_overlap(keys, trained_on, names=names, is_allowed=config.allow_prompt_overlap)


def load_ptx_text(config: PPOConfig, renderer: Renderer, limits: Limits) -> Corpus | None:
    if config.ptx.coef == 0 or config.ptx.text is None:
        return None
    return load_training_corpus(
        config.ptx.text,
        renderer,
        context_tokens=min(config.ptx.context_tokens, limits.context) - 1,
        validation_share=VALIDATION_SHARE,
        left_out=limits.left_out,
    )
