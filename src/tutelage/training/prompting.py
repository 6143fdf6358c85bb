"""How a stage prompts its model: as the model was trained, else as the configuration says. The folder keeps it."""

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
    """The renderer of `model`, whose tokenizer this is; a base model is prompted as `text` says from here on.

    The tokenizer says so from here on, and with it every folder that it is saved in. Raises `ConfigError` where `text`
    contradicts how the model was trained: only SFT teaches that anew.
    """
    trained, asked = read_prompting(tokenizer), _asked(tokenizer, text)
    if trained is not None and not asked.is_like(trained):
        raise ConfigError(
            f"text.prompt_format, text.separator and text.system_prompt ask for {asked}, but model {str(model)!r} was "
            f"trained with {trained}. Leave them out to prompt it as it was trained, or train it with them first: "
            "`tutelage sft`"
        )
    return _recorded(tokenizer, asked)


def teach_prompting(tokenizer: Any, text: TextConfig, model: Path | str) -> Renderer:
    """As `prompt_as_trained`, for the stage that may teach a model to be prompted in another way; it is warned of."""
    trained, asked = read_prompting(tokenizer), _asked(tokenizer, text)
    if trained is not None and not asked.is_like(trained):
        _log.warning(
            "model %r was trained with prompts that are %s; from here on they are %s. Leave text.prompt_format, "
            "text.separator and text.system_prompt out to keep them",
            str(model),
            trained,
            asked,
        )
    return _recorded(tokenizer, asked)


def check_prompted_alike(renderer: Renderer, model: Path | str, reward_model: Path | str) -> None:
    """Refuse a reward model that would read the policy's prompts, token for token, as none that it was trained on."""
    trained = read_prompting(load_tokenizer(reward_model))
    if trained is not None and not trained.is_like(renderer.prompting):
        raise ModelError(
            f"reward_model {str(reward_model)!r} was trained with prompts that are {trained}, but policy "
            f"{str(model)!r} is prompted with {renderer.prompting}; it scores the policy's own tokens, so both must be "
            "prompted alike. Train the reward model with the policy's text.prompt_format, separator and system_prompt"
        )


def _asked(tokenizer: Any, text: TextConfig) -> Prompting:
    return asked_prompting(tokenizer, text.prompt_format, text.separator, text.system_prompt)


def _recorded(tokenizer: Any, asked: Prompting) -> Renderer:
    renderer = Renderer(tokenizer=tokenizer, **asdict(asked))
    write_prompting(tokenizer, asked, renderer.stop_tokens)
    return renderer
