"""The compute precision of a model: a property of the loaded model, so that it is the same wherever it is used.

Weights are always float32. With bfloat16 the layers compute in it, but the vocabulary head and the scalar head do not:
log-probabilities, scores and values would be rounded to three digits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from transformers import PreTrainedModel

_LAYER_DTYPE = "_tutelage_layer_dtype"


def resolve_dtype(dtype: str, device: torch.device) -> str:
    """ "auto" as "bfloat16" where the device has instructions that multiply it faster than float32, else as "float32".

    What the processor says decides, and not a measurement, so that a resumed run multiplies as it began.
    """
    if dtype != "auto":
        return dtype
    if device.type == "cuda":
        is_fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # A processor without them emulates bfloat16, up to 90 times more slowly. Older versions of torch do not tell.
        told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
        is_fast = bool(told.get("avx512_bf16") or told.get("amx_bf16"))
    return "bfloat16" if is_fast else "float32"


def set_precision(model: PreTrainedModel, dtype: str) -> PreTrainedModel:
    """From now on the layers of `model` multiply in "float32", "bfloat16" or what "auto" is here; returns the model."""
    setattr(model, _LAYER_DTYPE, torch.bfloat16 if resolve_dtype(dtype, model.device) == "bfloat16" else None)
    return model


def set_product_precision(dtype: str, device: torch.device) -> None:
    """Multiply float32 matrices of this process as a run in `dtype` does: on a GPU, under bfloat16, in TF32.

    What stays float32 there, the heads and their gradients, would take longer than all layers: an H200 multiplies
    float32 at a sixteenth of bfloat16's rate. TF32 reads 10 bits of each number, three more than bfloat16, and adds in
    float32.
    """
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = resolve_dtype(dtype, device) == "bfloat16"


@contextmanager
def exact_products() -> Iterator[None]:
    """Float32 products in float32, whatever `set_product_precision` said: for comparisons to the last digits."""
    was_allowed = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = was_allowed


def layer_dtype(model: PreTrainedModel) -> torch.dtype | None:
    """What the layers compute in, where that is not the dtype of their weights."""
    found: torch.dtype | None = getattr(model, _LAYER_DTYPE, None)
    return found


def layer_precision(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """Context for the layers, and for a loop without gradients, in which the weights are then converted once."""
    dtype = layer_dtype(model)
    return nullcontext() if dtype is None else torch.autocast(model.device.type, dtype=dtype)


def head_precision(model: PreTrainedModel) -> AbstractContextManager[Any]:
    """Context for a head: float32, regardless of the enclosing context."""
    return torch.autocast(model.device.type, enabled=False)
