"""LoRA adapters inside a model: trained alone, switched off to get the reference, merged to save."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from tutelage.errors import ModelError

_log = logging.getLogger(__name__)
# Their fused kernels read the weights of linear layers directly, past the adapters; peft refuses the same families.
STATE_SPACE_FAMILIES = ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")
_ROOT = "model"


def add_lora(model: PreTrainedModel, *, rank: int, alpha: float, seed: int) -> PreTrainedModel:
    """Freeze `model` and put adapters into all its linear layers except the head; a scalar head stays trainable.

    The experts of a mixture that are one fused parameter stay frozen: an adapter there would hold a second copy of them
    for the backward pass. Raises `ModelError` for a family that adapters do not fit.
    """
    linear = _linear_layers(model)
    _check_adapters_fit(model, linear)
    _warn_of_frozen_experts(model)
    # peft's annotations are narrower than what it takes: any number, any collection of names.
    settings: dict[str, Any] = {"lora_alpha": alpha, "target_modules": {f"{_ROOT}.{name}" for name in linear}}
    # GPT-2 keeps its matrices transposed.
    settings["fan_in_fan_out"] = any(isinstance(module, Conv1D) for module in linear.values())
    config = LoraConfig(r=rank, lora_dropout=0.0, bias="none", **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Given the model itself, peft takes the dense layers of a mixture of experts for the experts of an old
        # checkpoint, which had the same names, and puts their adapters elsewhere. In a container, names are names.
        inject_adapter_in_model(config, torch.nn.ModuleDict({_ROOT: model}))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or name.startswith("score.")
    return model


def _linear_layers(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """All linear layers but the head. A router that is a linear layer with a forward of its own is not one."""
    heads = (model.get_output_embeddings(), getattr(model, "score", None))
    return {
        name: module
        for name, module in model.named_modules()
        if type(module).forward in (torch.nn.Linear.forward, Conv1D.forward) and not any(module is h for h in heads)
    }


def _check_adapters_fit(model: PreTrainedModel, linear: dict[str, torch.nn.Module]) -> None:
    family = model.config.model_type
    if family in STATE_SPACE_FAMILIES:
        raise ModelError(
            f"LoRA is not supported for architecture {family!r}, whose kernels read the weights of its linear layers "
            "directly, past the adapters. Remove `lora` from the configuration to train all weights, or choose a "
            "model of another architecture"
        )
    if len({id(module.weight) for module in linear.values()}) < len(linear):
        raise ModelError(
            f"LoRA is not supported for architecture {family!r}, in which several linear layers share one weight: "
            "their adapters could not be merged into it. Remove `lora` from the configuration to train all weights, "
            "or choose a model of another architecture"
        )


def _warn_of_frozen_experts(model: PreTrainedModel) -> None:
    # (experts, rows, columns); the kernel of a depthwise convolution has an axis of 1.
    fused = sum(p.numel() for p in model.parameters() if p.ndim == 3 and min(p.shape) > 1)
    if fused:
        share = fused / sum(parameter.numel() for parameter in model.parameters())
        _log.warning(
            "lora: the fused experts of architecture %r (%.0f%% of all weights) have no adapters and stay frozen",
            model.config.model_type,
            100 * share,
        )


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


@contextmanager
def adapters_merged(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The model itself with its adapters folded into the weights and gone from its modules; afterwards as before.

    Subtracting an adapter again would change the last bits of its weight, and a resumed run with them. The weights are
    therefore put back from a copy, which holds only the adapted ones, in the memory of the host.
    """
    layers = {name: module for name, module in model.named_modules() if isinstance(module, LoraLayer)}
    originals: dict[str, Tensor] = {}
    try:
        for name, layer in layers.items():
            originals[name] = _weight_of(layer).to("cpu", copy=True)
            layer.merge()
            _put(model, name, layer.get_base_layer())
        yield model
    finally:
        for name, original in originals.items():
            layer = layers[name]
            _weight_of(layer).copy_(original)
            layer.merged_adapters.clear()
            _put(model, name, layer)


def _weight_of(layer: LoraLayer) -> Tensor:
    weight = layer.get_base_layer().weight
    assert isinstance(weight, Tensor)
    return weight.data


def _put(model: PreTrainedModel, name: str, module: Any) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
