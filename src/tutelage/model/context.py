"""The maximum sequence length of a model."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

UNLIMITED = 2**31


def context_limit(model: PreTrainedModel) -> int:
    """Longest sequence, prompt and response together, that the model's positions allow."""
    return context_of(model.config)


def context_of(config: Any) -> int:
    """The same from a configuration; `UNLIMITED` if its positions have no limit."""
    text = config.get_text_config()
    limits = [getattr(text, name, None) for name in ("max_position_embeddings", "max_seq_len")]
    limits += [_unscaled_context(parameters) for parameters in _rope_parameters(text)]
    return min((int(limit) for limit in limits if limit and limit > 0), default=UNLIMITED)


def _rope_parameters(text: Any) -> list[dict[str, Any]]:
    """The RoPE parameters of the model, or of each kind of layer."""
    found = getattr(text, "rope_parameters", None) or {}
    return [found] if "rope_type" in found else [own for own in found.values() if isinstance(own, dict)]


def _unscaled_context(parameters: dict[str, Any]) -> int | None:
    """The length up to which longrope uses its factors for short sequences.

    One longer sequence switches all tokens in its batch, including its own earlier tokens, to the other factors: a
    record's results would depend on its neighbors, and a response's on when they were computed.
    """
    return parameters.get("original_max_position_embeddings") if parameters["rope_type"] == "longrope" else None
