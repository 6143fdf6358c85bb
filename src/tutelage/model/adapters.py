"""LoRA adapters inside a model: trained alone, switched off to get the reference, merged to save."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D


def add_lora(model: PreTrainedModel, *, rank: int, alpha: float, seed: int) -> PreTrainedModel:
    """Freeze `model` and put adapters into all its linear layers except the head; a scalar head stays trainable."""
    heads = (model.get_output_embeddings(), getattr(model, "score", None))
    linear = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (torch.nn.Linear, Conv1D)) and not any(module is head for head in heads)
    }
    # peft's annotations are narrower than what it takes: any number, any collection of names.
    settings: dict[str, Any] = {"lora_alpha": alpha, "target_modules": set(linear)}
    # GPT-2 keeps its matrices transposed.
    settings["fan_in_fan_out"] = any(isinstance(module, Conv1D) for module in linear.values())
    config = LoraConfig(r=rank, lora_dropout=0.0, bias="none", **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or name.startswith("score.")
    return model


@contextmanager
def adapters_off(model: PreTrainedModel) -> Iterator[None]:
    """The model as it was before its adapters: the reference of the KL penalty, with no second copy of the weights."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert layers, "the model has no adapters to switch off"
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


def merged(model: PreTrainedModel) -> PreTrainedModel:
    """A copy with the adapters folded into the weights; the model itself where it has none."""
    if not any(isinstance(module, LoraLayer) for module in model.modules()):
        return model
    model = copy.deepcopy(model)
    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, module.get_base_layer())
    return model
