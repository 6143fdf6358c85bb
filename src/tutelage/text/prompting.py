"""How a model is prompted: stored with its tokenizer, and so in the model's folder, and read wherever it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from tutelage.errors import ModelError

PromptFormat = Literal["plain", "chat"]
AskedFormat = Literal["auto", "plain", "chat"]  # auto: see `asked_prompting`
# Keys of tokenizer_config.json, which transformers preserves and ignores.
PROMPTING_KEY = "tutelage"
STOP_TOKENS_KEY = "stop_token_ids"  # written by `model.stops` too, from generation_config.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompting:
    """Format, separator and system prompt that a model was trained with; see `Renderer`."""

    prompt_format: PromptFormat = "plain"
    separator: str = "\n\n"
    system_prompt: str = ""

    def __str__(self) -> str:
        shape = "chat" if self.prompt_format == "chat" else f"plain with separator {self.separator!r}"
        return f"{shape} and system prompt {self.system_prompt!r}" if self.system_prompt else shape

    def is_like(self, other: Prompting) -> bool:
        """Whether prompts come out the same: a chat template does not use the separator."""
        return str(self) == str(other)


def read_prompting(tokenizer: Any) -> Prompting | None:
    """The prompting stored with a tokenizer; None if there is none. Raises `ModelError` if it is invalid."""
    said = tokenizer.init_kwargs.get(PROMPTING_KEY)
    if said is None:
        return None
    needed, known = {"prompt_format", "separator"}, set(Prompting.__slots__)
    is_known = isinstance(said, dict) and needed <= set(said) <= known
    if not is_known or said["prompt_format"] not in get_args(PromptFormat):
        raise ModelError(
            f"tokenizer_config.json says {PROMPTING_KEY!r}: {said!r}, which is not how a model can be prompted; it "
            "needs 'prompt_format' (plain or chat) and 'separator', and may have 'system_prompt'. Correct it, or "
            "remove the key"
        )
    others = {key: str(said[key]) for key in said if key != "prompt_format"}
    return Prompting(prompt_format=said["prompt_format"], **others)


def asked_prompting(
    tokenizer: Any, prompt_format: AskedFormat, separator: str | None, system_prompt: str | None = None
) -> Prompting:
    """The requested prompting; "auto" and None mean as the model was trained.

    For a model that does not say, "auto" means its tokenizer's chat template, and plain prompts where there is none or
    where a separator is requested, which only plain prompts have.
    """
    base = read_prompting(tokenizer) or _first_prompting(tokenizer, separator)
    return Prompting(
        prompt_format=base.prompt_format if prompt_format == "auto" else prompt_format,
        separator=base.separator if separator is None else separator,
        system_prompt=base.system_prompt if system_prompt is None else system_prompt,
    )


def _first_prompting(tokenizer: Any, separator: str | None) -> Prompting:
    has_template = bool(getattr(tokenizer, "chat_template", None))
    return Prompting(prompt_format="chat" if has_template and separator is None else "plain")


def write_prompting(tokenizer: Any, prompting: Prompting, stop_tokens: Sequence[int]) -> None:
    """Store it in the tokenizer: `save_pretrained` then writes it with the model, and loading restores it."""
    tokenizer.init_kwargs[PROMPTING_KEY] = asdict(prompting)
    if list(stop_tokens) != [tokenizer.eos_token_id]:
        tokenizer.init_kwargs[STOP_TOKENS_KEY] = list(stop_tokens)


def read_stop_tokens(tokenizer: Any) -> list[int]:
    """Additional tokens that end a response when sampled."""
    return [int(token) for token in tokenizer.init_kwargs.get(STOP_TOKENS_KEY) or ()]
