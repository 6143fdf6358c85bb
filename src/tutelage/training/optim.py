"""Optimizers, learning-rate schedules and the moving average of weights."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tutelage.errors import NonFiniteLossError
from tutelage.training.config import OptimizerConfig
from tutelage.training.muon import Muon


def learning_rate_share(config: OptimizerConfig, step: int, num_steps: int) -> float:
    """Learning rate at `step` (from 0) of `num_steps`, as a fraction of the peak: linear warm-up, then the schedule."""
    if step < config.warmup_steps:
        return config.warmup_from + (1.0 - config.warmup_from) * step / config.warmup_steps
    if config.schedule == "constant":
        return 1.0
    done = (step - config.warmup_steps) / max(1, num_steps - config.warmup_steps)
    falling = 0.5 * (1.0 + math.cos(math.pi * done)) if config.schedule == "cosine" else 1.0 - done
    return config.final_share + (1.0 - config.final_share) * falling


class Optimizer:
    """AdamW over the trainable weights of one model, or Muon over the matrices of its layers and AdamW over the rest.

    Biases and norms are not decayed.
    """

    def __init__(self, model: torch.nn.Module, config: OptimizerConfig, num_steps: int) -> None:
        self.config, self.num_steps = config, num_steps
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        inner = _layer_matrices(model) if config.matrices == "muon" else []
        inner_ids = {id(p) for p in inner}
        rest = [p for p in self.parameters if id(p) not in inner_ids]
        decayed, plain = [p for p in rest if p.ndim >= 2], [p for p in rest if p.ndim < 2]
        groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        self.adam = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_eps,
            fused=True,
        )
        self.parts: dict[str, torch.optim.Optimizer] = {"adam": self.adam}
        if inner:
            settings = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
            self.parts["muon"] = Muon(inner, momentum=config.muon_momentum, **settings)

    def step(self, step: int, *, batch: str) -> dict[str, float]:
        """Clip, update at the learning rate of `step`, clear the gradients.

        Raises on non-finite gradients; `batch` names what they were computed on.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm))
        if not math.isfinite(norm):
            raise NonFiniteLossError(
                f"the gradient norm at step {step} is {norm}; training stopped before the update. The batch: {batch}. "
                "Restart with a lower learning_rate and a new `out`"
            )
        learning_rate = self.config.learning_rate * learning_rate_share(self.config, step, self.num_steps)
        for part in self.parts.values():
            for group in part.param_groups:
                group["lr"] = learning_rate
            part.step()
            part.zero_grad(set_to_none=True)
        return {"gradient_norm": norm, "learning_rate": learning_rate}

    def state_dict(self) -> dict[str, Any]:
        return {name: part.state_dict() for name, part in self.parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, part in self.parts.items():
            part.load_state_dict(state[name])


def _layer_matrices(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """Trainable weight matrices except embeddings and heads, whose rows are read or written one at a time."""
    outer = [module.weight for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    outer += [module.weight for module in model.children() if isinstance(module, torch.nn.Linear)]
    kept_out = {id(weight) for weight in outer}
    return [p for p in model.parameters() if p.requires_grad and p.ndim == 2 and id(p) not in kept_out]


class MovingAverage:
    """Exponential moving average of a model's trainable weights, initialized to the weights themselves.

    For a model with adapters it averages their two factors; the product of two averages is not the average of the
    products, and `name_of_average` says so in the summary. Averaging products would take the memory of a whole model.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.model = model
        self.averages = {name: p.detach().clone() for name, p in _trainable(model)}

    @torch.no_grad()
    def update(self) -> None:
        for name, parameter in _trainable(self.model):
            self.averages[name].lerp_(parameter.detach(), 1.0 - self.decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the model's weights and their averages; a second call puts them back."""
        for name, parameter in _trainable(self.model):
            kept = parameter.detach().clone()
            parameter.copy_(self.averages[name])
            self.averages[name].copy_(kept)

    def state_dict(self) -> dict[str, Tensor]:
        return self.averages

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        for name, average in self.averages.items():
            average.copy_(state[name])


def name_of_average(decay: float, lora_rank: int) -> str:
    """What a policy saved after `MovingAverage.swap`, or without it if the decay is 0, consists of."""
    if decay == 0:
        return "last weights"
    return "product of the averages of the LoRA factors" if lora_rank else "average of weights"


def _trainable(model: torch.nn.Module) -> Iterable[tuple[str, torch.nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def require_finite(loss: float, *, stage: str, step: int, batch: str) -> None:
    """Raise before the update if a loss is NaN or infinite; `batch` names what it was computed on."""
    if not math.isfinite(loss):
        raise NonFiniteLossError(
            f"{stage}: the loss at step {step} is {loss}; training stopped before the update. The batch: {batch}. "
            "Check these records; restart without them or with a lower learning_rate, and with a new `out`"
        )
