"""In which precision a model multiplies: a property of the loaded model, so that it is the same wherever it is read.

Weights are float32 always. In bfloat16 the layers multiply in it; the vocabulary head and the scalar head do not:
log-probabilities, scores and values would be rounded to three digits.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from transformers import PreTrainedModel

_LAYER_DTYPE = "_tutelage_layer_dtype"


def set_precision(model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """From now on the layers of `model` multiply in "float32" or "bfloat16"; returns the model."""
    setattr(model, _LAYER_DTYPE, torch.bfloat16 if dtype == "bfloat16" else None)
    return model


def layer_precision(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """Around the layers, and around a loop without gradients: the weights are then converted once."""
    dtype = getattr(model, _LAYER_DTYPE, None)
    return nullcontext() if dtype is None else torch.autocast(model.device.type, dtype=dtype)


def head_precision(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """Around a head: float32, whatever is around it."""
    return torch.autocast(model.device.type, enabled=False)
