"""Muon (Jordan et al. 2024): momentum whose matrix is orthogonalized before it is applied.

PyTorch has it too, in bfloat16, which takes ten times as long on a CPU without bfloat16 instructions; this one works in
the precision of the weights. Step sizes are those of Liu et al. 2025: an update is as large as one of Adam's, so that
both use the same learning rate and weight decay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

# The polynomial that drives singular values toward 1, and how often it is applied: Jordan et al. 2024.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
NUM_ITERATIONS = 5
ADAM_UPDATE_SIZE = 0.2  # RMS of Adam's updates, matched by Liu et al. 2025


def orthogonal(matrix: Tensor) -> Tensor:
    """Approximately the nearest matrix with orthonormal rows or columns, whichever are fewer; (A, B) -> (A, B).

    Singular values of the result are between 0.7 and 1.2. A zero matrix stays zero.
    """
    first, second, third = COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / x.norm().clamp(min=1e-7)
    for _ in range(NUM_ITERATIONS):
        square = x @ x.T
        x = torch.addmm(x, torch.addmm(square, square, square, beta=second, alpha=third), x, beta=first)
    return x.T if is_tall else x


class Muon(torch.optim.Optimizer):
    """Muon with Nesterov momentum and decoupled weight decay, for weight matrices only."""

    def __init__(self, parameters: Iterable[Tensor], *, lr: float, momentum: float, weight_decay: float) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, parameter.grad, group)

    def _update(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average = state["momentum"].lerp_(gradient, 1.0 - group["momentum"])
        ahead = torch.lerp(gradient, average, group["momentum"])
        size = ADAM_UPDATE_SIZE * max(parameter.shape) ** 0.5
        parameter.mul_(1.0 - group["lr"] * group["weight_decay"])
        parameter.add_(orthogonal(ahead), alpha=-group["lr"] * size)
