"""The compute precision of a model: a property of the loaded model, so that it is the same wherever it is used.

Weights are always float32. With bfloat16 the layers compute in it, but the vocabulary head and the scalar head do not:
log-probabilities, scores and values would be rounded to three digits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import PreTrainedModel

_LAYER_DTYPE = "_tutelage_layer_dtype"


def set_precision(model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """Make the layers of `model` compute in "float32" or "bfloat16" from now on; returns the model."""
    setattr(model, _LAYER_DTYPE, torch.bfloat16 if dtype == "bfloat16" else None)
    return model


def layer_precision(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """Context for the layers, and for a loop without gradients, in which the weights are then converted once."""
    dtype = getattr(model, _LAYER_DTYPE, None)
    return nullcontext() if dtype is None else torch.autocast(model.device.type, dtype=dtype)


def head_precision(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """Context for a head: float32, regardless of the enclosing context."""
    return torch.autocast(model.device.type, enabled=False)
