"""LoRA adapters in a model: the only trained weights, turned off to get the reference, merged to save."""

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
# Their fused kernels read linear layers' weights directly, bypassing adapters; peft refuses the same architectures.
STATE_SPACE_FAMILIES = ("mamba", "mamba2", "falcon_mamba", "falcon_h1", "nemotron_h")
_ROOT = "model"


def add_lora(model: PreTrainedModel, *, rank: int, alpha: float, seed: int) -> PreTrainedModel:
    """Freeze `model` and add adapters to all its linear layers except the head; a scalar head stays trainable.

    Experts of a mixture that are one fused parameter stay frozen: an adapter there would keep a second copy of them for
    the backward pass. Raises `ModelError` for an architecture that does not support adapters.
    """
    linear = _linear_layers(model)
    _check_adapters_fit(model, linear)
    _warn_of_frozen_experts(model)
    # peft's annotations are narrower than what it accepts: any number, any collection of names.
    settings: dict[str, Any] = {"lora_alpha": alpha, "target_modules": {f"{_ROOT}.{name}" for name in linear}}
    # GPT-2 stores its matrices transposed.
    settings["fan_in_fan_out"] = any(isinstance(module, Conv1D) for module in linear.values())
    config = LoraConfig(r=rank, lora_dropout=0.0, bias="none", **settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        # Given the model itself, peft mistakes the dense layers of a mixture of experts for the experts of an old
        # checkpoint, which had the same names, and puts their adapters elsewhere. In a container it uses plain names.
        inject_adapter_in_model(config, torch.nn.ModuleDict({_ROOT: model}))
    for name, parameter in model.named_parameters():
        parameter.requires_grad = "lora_" in name or name.startswith("score.")
    return model


def _linear_layers(model: PreTrainedModel) -> dict[str, torch.nn.Module]:
    """All linear layers except the head, and except routers, which are linear layers with their own forward."""
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
            "directly, bypassing the adapters. Remove `lora` from the configuration to train all weights, or choose a "
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
    """The model without its adapters: the reference of the KL penalty, with no second copy of the weights."""
    layers = [module for module in model.modules() if isinstance(module, LoraLayer)]
    assert layers, "the model has no adapters to turn off"
    for layer in layers:
        layer.enable_adapters(False)
    try:
        yield
    finally:
        for layer in layers:
            layer.enable_adapters(True)


@contextmanager
def adapters_merged(model: PreTrainedModel) -> Iterator[PreTrainedModel]:
    """The model itself with its adapters merged into the weights and removed from its modules; restored afterward.

    Subtracting an adapter again would change the last bits of its weight, and with them a resumed run. The weights are
    therefore restored from a copy in host memory, which holds only the adapted ones.
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
