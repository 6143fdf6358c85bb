"""Dropout on what each attention and feed-forward block adds to the residual stream."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from tutelage.errors import ModelError
from tutelage.model.forward import backbone, evaluating, hidden_states
from tutelage.model.packing import Group, pack

MIXER_NAMES = ("self_attn", "self_attention", "attn", "attention", "linear_attn", "mamba", "conv")
BLOCK_NAMES = (*MIXER_NAMES, "mlp", "ffn", "feed_forward", "block_sparse_moe", "fc2")


def residual_dropout(model: PreTrainedModel, probability: float) -> None:
    """Dropout on what each attention and feed-forward block adds to the residual stream, in training mode only.

    Raises `ModelError` if this architecture's blocks cannot be separated from the residual stream.
    """
    if probability == 0:
        return
    found = {name: block for name, block in backbone(model).named_modules() if name.split(".")[-1] in BLOCK_NAMES}
    # The second matrix of a feed-forward block is used instead if the layer has no module for the whole block.
    blocks = [block for name, block in found.items() if not any(name.startswith(f"{other}.") for other in found)]
    drop = _Drop()
    for block in blocks:
        block.register_forward_hook(drop)
    if not blocks or not _stream_survives(model, blocks):
        raise ModelError(
            f"architecture {model.config.model_type!r} does not separate its blocks' outputs from the residual "
            f"stream, so residual_dropout {probability} would drop the wrong values; set residual_dropout: 0"
        )
    drop.probability = probability


class _Drop:
    """The hook of every block: applies dropout to its output in training, and passes it through otherwise."""

    def __init__(self) -> None:
        self.probability = 1.0  # until it is verified that the stream is preserved

    def __call__(self, block: torch.nn.Module, _: Any, output: Any) -> Any:
        if isinstance(output, (tuple, list)):
            return (self._dropped(block, output[0]), *output[1:])
        return self._dropped(block, output)

    def _dropped(self, block: torch.nn.Module, added: Tensor) -> Tensor:
        return torch.nn.functional.dropout(added, self.probability, block.training)


def _stream_survives(model: PreTrainedModel, blocks: list[torch.nn.Module]) -> bool:
    """Whether each layer outputs a multiple of its input when everything that `blocks` add is dropped.

    Norms are skipped: in some architectures they are applied to the stream itself.
    """
    layers = _layers(model)
    read: dict[torch.nn.Module, Tensor] = {}
    kept: list[bool] = []

    def before(layer: torch.nn.Module, positional: tuple[Any, ...], named: dict[str, Any]) -> None:
        read[layer] = (positional[0] if positional else named["hidden_states"]).detach()

    def after(layer: torch.nn.Module, _: Any, output: Any) -> None:
        kept.append(_is_multiple((output[0] if isinstance(output, (tuple, list)) else output).detach(), read[layer]))

    handles = [layer.register_forward_pre_hook(before, with_kwargs=True) for layer in layers]
    handles += [layer.register_forward_hook(after) for layer in layers]
    norms = [module for layer in layers for module in layer.modules() if "norm" in type(module).__name__.lower()]
    handles += [norm.register_forward_hook(lambda _, positional, output: positional[0]) for norm in norms]
    tokens = (torch.arange(2, 8) % model.config.get_text_config().vocab_size).tolist()
    try:
        with evaluating(model):
            for block in blocks:
                block.training = True  # for the hook only; its submodules stay in eval mode
            hidden_states(model, pack([Group(prompt=tokens, responses=[])], device=next(model.parameters()).device))
    finally:
        for handle in handles:
            handle.remove()
    return len(kept) > 0 and all(kept)


def _layers(model: PreTrainedModel) -> list[torch.nn.Module]:
    num_layers = model.config.get_text_config().num_hidden_layers
    lists = [module for module in backbone(model).modules() if isinstance(module, torch.nn.ModuleList)]
    return next((list(layers) for layers in lists if len(layers) == num_layers), [])


def _is_multiple(found: Tensor, read: Tensor) -> bool:
    factor = (found * read).sum() / (read * read).sum()
    return bool(factor > 0) and bool((found - factor * read).norm() <= 1e-4 * found.norm())
