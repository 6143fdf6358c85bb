"""How a stage prompts its model: as it was trained, else as configured. Stored in the model's folder."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tutelage.errors import ConfigError, ModelError
from tutelage.model.loading import load_tokenizer
from tutelage.text.prompting import Prompting, asked_prompting, read_prompting, write_prompting
from tutelage.text.render import Renderer
from tutelage.training.config import TextConfig

_log = logging.getLogger(__name__)


def prompt_as_trained(tokenizer: Any, text: TextConfig, model: Path | str) -> Renderer:
    """The renderer of `model`, given its tokenizer; a base model is prompted as `text` says from now on.

    This is stored in the tokenizer, and so in every folder it is saved to. Raises `ConfigError` if `text` contradicts
    how the model was trained: only SFT can change that.
    """
    trained, asked = read_prompting(tokenizer), _asked(tokenizer, text)
    if trained is not None and not asked.is_like(trained):
        raise ConfigError(
            f"text.prompt_format, text.separator and text.system_prompt ask for {asked}, but model {str(model)!r} was "
            f"trained with {trained}. Omit them to prompt it as it was trained, or train it with them first: "
            "`tutelage sft`"
        )
    return _recorded(tokenizer, asked)


def teach_prompting(tokenizer: Any, text: TextConfig, model: Path | str) -> Renderer:
    """Like `prompt_as_trained`, for the stage that may train a model for a different prompting, with a warning."""
    trained, asked = read_prompting(tokenizer), _asked(tokenizer, text)
    if trained is not None and not asked.is_like(trained):
        _log.warning(
            "model %r was trained with prompts that are %s; from now on they are %s. Omit text.prompt_format, "
            "text.separator and text.system_prompt to keep them",
            str(model),
            trained,
            asked,
        )
    return _recorded(tokenizer, asked)


def check_prompted_alike(renderer: Renderer, model: Path | str, reward_model: Path | str) -> None:
    """Refuse a reward model that was trained with different prompting than the policy, whose tokens it scores."""
    trained = read_prompting(load_tokenizer(reward_model))
    if trained is not None and not trained.is_like(renderer.prompting):
        raise ModelError(
            f"reward_model {str(reward_model)!r} was trained with prompts that are {trained}, but policy "
            f"{str(model)!r} is prompted with {renderer.prompting}; it scores the policy's own tokens, so both must be "
            "prompted the same way. Train the reward model with the policy's text.prompt_format, separator and "
            "system_prompt"
        )


def _asked(tokenizer: Any, text: TextConfig) -> Prompting:
    return asked_prompting(tokenizer, text.prompt_format, text.separator, text.system_prompt)


def _recorded(tokenizer: Any, asked: Prompting) -> Renderer:
    renderer = Renderer(tokenizer=tokenizer, **asdict(asked))
    write_prompting(tokenizer, asked, renderer.stop_tokens)
    return renderer
