"""How long a sequence a model can read."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedModel

UNLIMITED = 2**31


def context_limit(model: PreTrainedModel) -> int:
    """Longest sequence, prompt and response together, that the model's positions allow."""
    return context_of(model.config)


def context_of(config: Any) -> int:
    """The same from a configuration; `UNLIMITED` where its positions have no end."""
    text = config.get_text_config()
    limits = [getattr(text, name, None) for name in ("max_position_embeddings", "max_seq_len")]
    limits += [_unscaled_context(parameters) for parameters in _rope_parameters(text)]
    return min((int(limit) for limit in limits if limit and limit > 0), default=UNLIMITED)


def _rope_parameters(text: Any) -> list[dict[str, Any]]:
    """Those of the model, or of each kind of its layers."""
    found = getattr(text, "rope_parameters", None) or {}
    return [found] if "rope_type" in found else [own for own in found.values() if isinstance(own, dict)]


def _unscaled_context(parameters: dict[str, Any]) -> int | None:
    """Up to where longrope uses its factors for short sequences.

    One longer sequence turns all tokens that are read with it to the other factors, and its own earlier tokens with
    them: a record's numbers would depend on its neighbors, and those of a response on when they were computed.
    """
    return parameters.get("original_max_position_embeddings") if parameters["rope_type"] == "longrope" else None
