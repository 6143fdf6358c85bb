"""Which tokens end a response, as stored in a model's folder with its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

STOP_TOKENS_KEY = "stop_token_ids"  # of tokenizer_config.json; read by `text.prompting`


def tell_stop_tokens(path: str | Path, tokenizer: Any) -> None:
    """Store the stop tokens of generation_config.json in the tokenizer of model `path`, unless it already has some.

    A chat model often ends its turn with a token other than its tokenizer's end of sequence, and says so only there.
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
    """Make other programs' `generate` stop at the tokens that end a response according to the tokenizer."""
    said = tokenizer.init_kwargs.get(STOP_TOKENS_KEY)
    if said and model.can_generate() and model.generation_config is not None:
        model.generation_config.eos_token_id = list(said)
