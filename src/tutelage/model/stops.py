"""Which tokens end a response, as a model's folder says beside its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

STOP_TOKENS_KEY = "stop_token_ids"  # of tokenizer_config.json; read by `text.prompting`


def tell_stop_tokens(path: str | Path, tokenizer: Any) -> None:
    """Let the tokenizer of model `path` say the stop tokens of its generation_config.json; what it said stays said.

    A chat model often ends its turn with another token than its tokenizer's end of sequence, and says so only there.
    """
    try:
        found = GenerationConfig.from_pretrained(str(path)).eos_token_id
    except OSError:  # it has none
        return
    said = tokenizer.init_kwargs.get(STOP_TOKENS_KEY) or []
    own = found if isinstance(found, list) else [found]
    both = list(dict.fromkeys([*said, *(token for token in own if token is not None)]))
    if both and both != [tokenizer.eos_token_id]:
        tokenizer.init_kwargs[STOP_TOKENS_KEY] = both


def tell_generation(model: PreTrainedModel, tokenizer: Any) -> None:
    """Let other programs' `generate` stop where the tokenizer says that a response of `model` ends."""
    said = tokenizer.init_kwargs.get(STOP_TOKENS_KEY)
    if said and model.can_generate() and model.generation_config is not None:
        model.generation_config.eos_token_id = list(said)
